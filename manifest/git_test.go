package manifest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A repo is a git repository that nothing outside the test has a say in.
type repo struct {
	t   *testing.T
	dir string
}

func newRepo(t *testing.T) repo {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "Ada")
		t.Setenv("GIT_"+who+"_EMAIL", "ada@example.org")
	}
	// Only the committer's time counts.
	t.Setenv("GIT_AUTHOR_DATE", "1111111111 +0000")
	r := repo{t, filepath.Join(t.TempDir(), "repo")}
	if err := os.Mkdir(r.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	r.git("init", "-q", "-b", "main")
	return r
}

// git runs git in the repository and returns what it prints.
func (r repo) git(args ...string) string { return r.gitWith(nil, args...) }

func (r repo) gitWith(stdin []byte, args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", args...)
	cmd.Dir = r.dir
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

func (r repo) write(path, text string) {
	r.t.Helper()
	full := filepath.Join(r.dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o666); err != nil {
		r.t.Fatal(err)
	}
	mtime := time.Unix(fileTime, 0)
	if err := os.Chtimes(full, mtime, mtime); err != nil {
		r.t.Fatal(err)
	}
}

// fileTime is the modification time of all files, later than every commit.
const fileTime = 2_000_000_000

// commit commits everything at the given time.
func (r repo) commit(seconds int, message string) {
	r.t.Helper()
	r.t.Setenv("GIT_COMMITTER_DATE", fmt.Sprintf("@%d +0200", seconds))
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", message)
}

// ask returns what git says about one path, as the original's builder asks:
// 0 for nothing.
func (r repo) ask(path string) int64 {
	r.t.Helper()
	out := r.git("--literal-pathspecs", "log", "-1", "--format=%ct", "--", path)
	if out == "" {
		return 0
	}
	n, err := strconv.ParseInt(out, 10, 64)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// versions builds the manifest of a folder of the repository and returns
// "path=version" for all files. Warnings are errors.
func (r repo) versions(folder string) string {
	r.t.Helper()
	o := DefaultOptions()
	o.VersionSource = VersionGitCommitTime
	o.Warn = func(message string) { r.t.Errorf("warning: %s", message) }
	m, err := Build(r.t.Context(), filepath.Join(r.dir, folder), o)
	if err != nil {
		r.t.Fatal(err)
	}
	var list []string
	for _, f := range m.Files {
		list = append(list, fmt.Sprintf("%s=%d", f.Path, f.Version))
	}
	return strings.Join(list, " ")
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestGitCommitTimes(t *testing.T) {
	r := newRepo(t)
	r.write("src/old.py", "1")
	r.write("src/changed.py", "1")
	r.write("src/moved.py", "some text that git would recognise")
	r.write("src/back.py", "1")
	r.write("src/gone.py", "1")
	r.write("src/lib/deep.py", "1")
	r.write("beside.py", "1")
	r.commit(1000, "first")
	r.write("src/changed.py", "2")
	r.write("beside.py", "2")
	// Lines that look like git's own output.
	r.commit(2000, "second\n\n:100644 100644 1 2 M\ncommit 0123\n    src/old.py")
	r.git("mv", "src/moved.py", "src/new name.py")
	r.write("src/back.py", "2")
	r.git("rm", "-q", "src/gone.py")
	r.commit(3000, "third")
	r.write("src/back.py", "1")
	r.commit(4000, "fourth")
	r.commit(5000, "empty")
	if err := os.Chmod(filepath.Join(r.dir, "src/old.py"), 0o777); err != nil {
		t.Fatal(err)
	}
	r.commit(6000, "mode only")

	r.write("src/changed.py", "edited, but not committed")
	r.write("src/untracked.py", "1")
	r.write("src/staged.py", "1")
	r.git("add", "src/staged.py")
	r.write("src/gone.py", "here again, but not committed") // git knows when it was removed
	expect(t, r.versions("src"), fmt.Sprintf("back.py=4000 changed.py=2000 gone.py=3000 lib/deep.py=1000 new name.py=3000 old.py=6000 staged.py=%d untracked.py=%d", fileTime, fileTime))
	expect(t, r.versions("src/lib"), "deep.py=1000")
	expect(t, r.versions("."), fmt.Sprintf("beside.py=2000 src/back.py=4000 src/changed.py=2000 src/gone.py=3000 src/lib/deep.py=1000 src/new name.py=3000 src/old.py=6000 src/staged.py=%d src/untracked.py=%d", fileTime, fileTime))
}

func TestGitNames(t *testing.T) {
	r := newRepo(t)
	names := []string{"with space.py", `"quoted".py`, "é日本😀.py", "it's.py", "a\u0301.py", "-dash.py", ":colon.py", "[a]*?.py", "commit 1.py", "#.py", "\u200b.py"}
	for i, name := range names {
		r.write("s r\"c/é/"+name, "1")
		r.commit(1000+i, name)
	}
	var want []string
	for i, name := range names {
		want = append(want, fmt.Sprintf("%s=%d", name, 1000+i))
	}
	slices.Sort(want)
	expect(t, r.versions("s r\"c/é"), strings.Join(want, " "))
}

func TestGitLinks(t *testing.T) {
	r := newRepo(t)
	r.write("lib/a.py", "1")
	r.write("src/main.py", "1")
	r.commit(1000, "files")
	for link, to := range map[string]string{"src/link.py": "../lib/a.py", "src/lib": "../lib", "alias": "src"} {
		if err := os.Symlink(to, filepath.Join(r.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	r.commit(2000, "links")
	// Git knows the link to a file as such, and nothing of what is behind one
	// to a folder.
	want := fmt.Sprintf("lib/a.py=%d link.py=2000 main.py=1000", fileTime)
	expect(t, r.versions("src"), want)
	expect(t, r.versions("alias"), want)
}

// Configuration that changes what git log prints changes nothing here.
func TestGitConfiguration(t *testing.T) {
	r := newRepo(t)
	r.write("src/a.py", "one text, long enough to be recognised")
	r.write("src/é.py", "1")
	r.commit(1000, "root")
	r.git("checkout", "-q", "-b", "side")
	r.write("src/side.py", "1")
	r.commit(2000, "side")
	r.git("checkout", "-q", "main")
	r.git("mv", "src/a.py", "src/b.py")
	r.commit(3000, "move")
	t.Setenv("GIT_COMMITTER_DATE", "@4000 +0000")
	r.git("merge", "-q", "--no-ff", "-m", "merge", "side")
	r.git("notes", "add", "-m", "a note")
	r.git("tag", "v1")
	want := "b.py=3000 side.py=2000 é.py=1000"
	expect(t, r.versions("src"), want)
	for key, value := range map[string]string{
		"log.follow": "true", "log.showRoot": "false", "log.showSignature": "true", "log.diffMerges": "off", "log.decorate": "full",
		"log.abbrevCommit": "true", "log.date": "relative", "log.mailmap": "true", "color.ui": "always", "format.pretty": "oneline",
		"diff.renames": "copies", "diff.relative": "false", "diff.orderFile": "nowhere", "diff.noprefix": "true", "core.quotePath": "true",
		"core.abbrev": "4", "core.pager": "false", "notes.displayRef": "*", "diff.external": "false", "i18n.logOutputEncoding": "UTF-16",
	} {
		r.git("config", key, value)
		expect(t, r.versions("src"), want)
	}
	// As git does for a hook.
	t.Setenv("GIT_DIR", ".git")
	t.Setenv("GIT_INDEX_FILE", ".git/index")
	t.Setenv("GIT_ICASE_PATHSPECS", "1")
	expect(t, r.versions("src"), want)
}

func TestGitWithoutAnswer(t *testing.T) {
	r := newRepo(t)
	r.write("src/a.py", "1")
	plain := writeTree(t, []treeEntry{{Path: "a.py", MTime: fileTime}})
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(plain))
	for _, test := range []struct{ name, dir, git, says string }{
		{"no commit yet", filepath.Join(r.dir, "src"), "git", "does not have any commits"},
		{"no repository", plain, "git", "not a git repository"},
		{"no git", filepath.Join(r.dir, "src"), "no-such-git", "no-such-git"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var warnings []string
			o := DefaultOptions()
			o.VersionSource = VersionGitCommitTime
			o.Git = test.git
			o.Warn = func(message string) { warnings = append(warnings, message) }
			m, err := Build(t.Context(), test.dir, o)
			if err != nil {
				t.Fatal(err)
			}
			if m.Version != fileTime {
				t.Errorf("version %d, want the modification time", m.Version)
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0], test.says) {
				t.Errorf("warnings %q, want one with %q", warnings, test.says)
			}
		})
	}
}

// TestGitAgreesOnAnyHistory compares with what git says file by file, in
// histories that no person would make: any commit may have up to three
// parents, any file any content, whatever its parents have, and clocks are
// off. It does so in whole and in shallow clones.
func TestGitAgreesOnAnyHistory(t *testing.T) {
	files := []string{"a.py", "b.py", "d/c.py", "d/é \"x\".py", "never.py"}
	r := newRepo(t)
	for seed := range uint64(25) {
		rng := rand.New(rand.NewPCG(seed, 0))
		branch := fmt.Sprintf("refs/heads/case%d", seed)
		r.gitWith(randomHistory(rng, branch, files[:4]), "fast-import", "--quiet", "--force")
		r.git("symbolic-ref", "HEAD", branch)
		compareWithGit(t, r, files, fmt.Sprintf("seed %d", seed))
		if seed%5 != 0 {
			continue
		}
		for depth := 1; depth <= 3; depth++ {
			shallow := repo{t, filepath.Join(t.TempDir(), "shallow")}
			r.git("clone", "-q", "--no-checkout", "--depth", strconv.Itoa(depth), "file://"+filepath.ToSlash(r.dir), shallow.dir)
			compareWithGit(t, shallow, files, fmt.Sprintf("seed %d, depth %d", seed, depth))
		}
	}
}

func compareWithGit(t *testing.T, r repo, files []string, what string) {
	t.Helper()
	src := filepath.Join(r.dir, "src")
	if err := os.MkdirAll(src, 0o777); err != nil {
		t.Fatal(err)
	}
	got, err := commitTimes(t.Context(), "git", src, files)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for _, f := range files {
		if want := r.ask("src/" + f); got[f] != want {
			t.Errorf("%s: %s has %d, git says %d\n%s", what, f, got[f], want, r.git("log", "--graph", "-m", "--name-status", "--format=%h %ct"))
		}
	}
}

// randomHistory returns input for git fast-import.
func randomHistory(rng *rand.Rand, branch string, files []string) []byte {
	var b bytes.Buffer
	type tree map[string]int
	var trees []tree
	commits := 3 + rng.IntN(14)
	for n := range commits {
		parents := rng.Perm(n)
		if n > 0 {
			parents = parents[:min(n, 1+rng.IntN(3))]
		}
		// Recent commits make better parents than the root.
		for i, p := range parents {
			if late := n - 1 - rng.IntN(3); late >= 0 && !slices.Contains(parents, late) && rng.IntN(2) == 0 {
				parents[i] = late
			} else {
				parents[i] = p
			}
		}
		now := tree{}
		for _, f := range files {
			if len(parents) > 0 {
				if v, ok := trees[parents[rng.IntN(len(parents))]][f]; ok {
					now[f] = v
				}
			}
			switch rng.IntN(8) {
			case 0:
				now[f] = rng.IntN(3)
			case 1:
				delete(now, f)
			}
		}
		trees = append(trees, now)

		fmt.Fprintf(&b, "commit %s\nmark :%d\ncommitter Ada <ada@example.org> %d +0000\ndata 1\nx\n", branch, n+1, 1_000_000+1000*n+rng.IntN(5000))
		for i, p := range parents {
			fmt.Fprintf(&b, "%s :%d\n", []string{"from", "merge", "merge"}[i], p+1)
		}
		b.WriteString("deleteall\n")
		fmt.Fprintf(&b, "M 100644 inline beside\ndata 2\n%02d\n", n%100) // no commit is without change
		for _, f := range files {
			if v, ok := now[f]; ok {
				fmt.Fprintf(&b, "M 100644 inline %q\ndata 1\n%d\n", "src/"+f, v)
			}
		}
	}
	return b.Bytes()
}
