package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// paths returns what is in a manifest, in one line.
func paths(m *Manifest) string {
	var list []string
	for _, f := range m.Files {
		list = append(list, f.Path)
	}
	return strings.Join(list, " ")
}

func TestBuildRefuses(t *testing.T) {
	py := func(path string) treeEntry { return treeEntry{Path: path, MTime: 1} }
	tests := []struct {
		name string
		tree []treeEntry
		want error
		says string // what the message must have
	}{
		{"link to nowhere", []treeEntry{{Path: "a.py", Link: "nowhere"}}, fs.ErrNotExist, "a.py"},
		{"link to itself", []treeEntry{{Path: "a.py", Link: "a.py"}}, nil, "a.py"},
		{"device", []treeEntry{{Path: "a.py", Link: os.DevNull}}, nil, "not a regular file"},
		{"backslash", []treeEntry{py(`a\b.py`)}, ErrPath, "backslash"},
		{"newline", []treeEntry{py("a\nb.py")}, ErrPath, "control character"},
		{"not UTF-8", []treeEntry{py("a\xff.py")}, ErrPath, "UTF-8"},
		{"long path", []treeEntry{py(strings.Repeat("d/", 127) + "a.py")}, ErrPath, "258 bytes"},
		{"case", []treeEntry{py("lib/a.py"), py("lib/A.py")}, ErrCollision, "lib/A.py"},
		{"case of a folder", []treeEntry{py("lib.py/a.py"), py("LIB.py")}, ErrDuplicate, "LIB.py"},
		{"before 1970", []treeEntry{{Path: "a.py", MTime: -5}}, ErrFormat, "1970"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := Build(t.Context(), writeTree(t, test.tree), DefaultOptions())
			if err == nil {
				t.Fatalf("built %v", m)
			}
			if test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q, want one that is %v and has %q", err, test.want, test.says)
			}
		})
	}
}

// What is odd does not matter where it is no part of the release.
func TestBuildIgnoresWhatIsNoPart(t *testing.T) {
	dir := writeTree(t, []treeEntry{
		{Path: "main.py", MTime: 7},
		{Path: "nowhere.txt", Link: "nowhere"},
		{Path: "nowhere", Link: "nowhere"},
		{Path: "test_nowhere.py", Link: "nowhere"},
		{Path: "a\nb.txt", MTime: 9},
		{Path: "docs/a\\b.py", MTime: 9},
		{Path: "docs/nowhere.py", Link: "nowhere"},
		{Path: "README.txt", MTime: 9},
		{Path: "readme.txt", MTime: 9},
	})
	m, err := Build(t.Context(), dir, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	if got := paths(m); got != "main.py" || m.Version != 7 {
		t.Errorf("%s, version %d; want main.py, 7", got, m.Version)
	}
}

func TestBuildRefusesOptions(t *testing.T) {
	dir := writeTree(t, []treeEntry{{Path: "main.py"}})
	for name, change := range map[string]func(*Options){
		"no extensions":  func(o *Options) { o.Extensions = nil },
		"empty prefix":   func(o *Options) { o.ExcludePrefixes = []string{"a", ""} },
		"version source": func(o *Options) { o.VersionSource = "ctime" },
	} {
		o := DefaultOptions()
		change(&o)
		if _, err := Build(t.Context(), dir, o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: error %v, want %v", name, err, ErrOptions)
		}
	}
	if _, err := Build(t.Context(), filepath.Join(dir, "nowhere"), DefaultOptions()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: error %v, want %v", err, fs.ErrNotExist)
	}
	if _, err := Build(t.Context(), filepath.Join(dir, "main.py"), DefaultOptions()); err == nil {
		t.Error("a file instead of a folder is no error")
	}
}

func TestBuildStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := writeTree(t, []treeEntry{{Path: "main.py"}})
	if _, err := Build(ctx, dir, DefaultOptions()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestExtensionsWithoutDot(t *testing.T) {
	o := DefaultOptions()
	o.Extensions = []string{"TXT"}
	m, err := Build(t.Context(), writeTree(t, []treeEntry{{Path: "a.txt"}, {Path: "txt"}, {Path: "b.py"}}), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := paths(m); got != "a.txt" {
		t.Errorf("got %q, want a.txt", got)
	}
}

// TestLinkCycles has links that lead back in every way, which the walk must
// survive, and list every file that can be reached without going in a circle.
func TestLinkCycles(t *testing.T) {
	dir := writeTree(t, []treeEntry{
		{Path: "main.py"},
		{Path: "self", Link: "self"},
		{Path: "here", Link: "."},
		{Path: "lib/up", Link: ".."},
		{Path: "lib/above", Link: "../.."}, // src is in there again
		{Path: "a/x.py"},
		{Path: "a/to_b", Link: "../b"},
		{Path: "b/y.py"},
		{Path: "b/to_a", Link: "../a"},
		{Path: "twice/one", Link: "../a"},
		{Path: "twice/two", Link: "../a"},
	})
	var warnings []string
	o := DefaultOptions()
	o.Warn = func(message string) { warnings = append(warnings, message) }
	m, err := Build(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	want := "a/to_b/y.py a/x.py b/to_a/x.py b/y.py main.py twice/one/to_b/y.py twice/one/x.py twice/two/to_b/y.py twice/two/x.py"
	if got := paths(m); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, name := range []string{"here is left out", "lib/up is left out", "lib/above/src is left out", "a/to_b/to_a is left out"} {
		if !slices.ContainsFunc(warnings, func(w string) bool { return strings.HasPrefix(w, name) }) {
			t.Errorf("no warning that %s, in:\n%s", name, strings.Join(warnings, "\n"))
		}
	}

	o.NoFollowLinks = true
	if m, err = Build(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	if got, want := paths(m), "a/x.py b/y.py main.py"; got != want {
		t.Errorf("without following links: got %s, want %s", got, want)
	}
}

func TestReservedNames(t *testing.T) {
	var warnings []string
	o := DefaultOptions()
	o.Extensions = []string{".json", ".txt"}
	o.Warn = func(message string) { warnings = append(warnings, message) }
	m, err := Build(t.Context(), writeTree(t, []treeEntry{{Path: "versions.json"}, {Path: "ota_state.txt"}, {Path: "lib/versions.json"}}), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := paths(m); got != "lib/versions.json" {
		t.Errorf("got %q, want lib/versions.json", got)
	}
	if len(warnings) != 2 {
		t.Errorf("warnings %q, want two", warnings)
	}
}

func TestEmptyReleaseWarns(t *testing.T) {
	var warnings []string
	o := DefaultOptions()
	o.Warn = func(message string) { warnings = append(warnings, message) }
	m, err := Build(t.Context(), writeTree(t, nil), o)
	if err != nil {
		t.Fatal(err)
	}
	if m.Version != 0 || len(m.Files) != 0 || len(warnings) != 1 {
		t.Errorf("version %d, %d files, warnings %q", m.Version, len(m.Files), warnings)
	}
}

// TestVersionsGrow has the rules by which boards notice a release.
func TestVersionsGrow(t *testing.T) {
	a, b := File{Path: "a.py", MD5: md5A}, File{Path: "b.py", MD5: md5B}
	at := func(f File, version int64) File { f.Version = version; return f }
	with := func(f File, md5 string) File { f.MD5 = md5; return f }
	release := func(version int64, files ...File) *Manifest { return &Manifest{Version: version, Files: files} }
	tests := []struct {
		name  string
		prev  *Manifest
		reuse bool
		files []File
		want  string // top: versions of the files
	}{
		{"first release", nil, false, []File{at(a, 10), at(b, 20)}, "20: 10 20"},
		{"no files", nil, false, nil, "0:"},
		{"same, computed anew", release(99, at(a, 50), at(b, 99)), false, []File{at(a, 10), at(b, 20)}, "20: 10 20"},
		{"same, kept", release(99, at(a, 50), at(b, 60)), true, []File{at(a, 10), at(b, 20)}, "60: 50 60"},
		{"changed, newer", release(15, at(a, 15)), false, []File{at(with(a, md5B), 20)}, "20: 20"},
		{"changed, newer, reuse", release(15, at(a, 5), at(b, 15)), true, []File{at(with(a, md5B), 20), at(b, 30)}, "20: 20 15"},
		{"changed, dated before", release(15, at(a, 15)), false, []File{at(with(a, md5B), 10)}, "16: 16"},
		{"changed, same second", release(15, at(a, 15)), false, []File{at(with(a, md5B), 15)}, "16: 16"},
		{"changed, newer itself, but the release is not", release(99, at(a, 5)), false, []File{at(with(a, md5B), 20)}, "100: 20"},
		{"added, old", release(99, at(a, 5)), true, []File{at(a, 5), at(b, 7)}, "100: 5 7"},
		{"removed", release(20, at(a, 10), at(b, 20)), false, []File{at(a, 10)}, "21: 10"},
		{"all removed", release(20, at(a, 20)), true, nil, "21:"},
		{"previous without md5", release(15, at(with(a, ""), 15)), true, []File{at(a, 10)}, "16: 16"},
		{"previous md5 in upper case", release(15, at(with(a, strings.ToUpper(md5A)), 15)), true, []File{at(a, 10)}, "15: 15"},
		{"previous is empty", release(0), false, []File{at(a, 10)}, "10: 10"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := &Manifest{Files: slices.Clone(test.files)}
			if err := setVersions(m, test.prev, test.reuse); err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%d:", m.Version)
			for _, f := range m.Files {
				got += fmt.Sprintf(" %d", f.Version)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	for name, prev := range map[string]*Manifest{
		"release": release(math.MaxInt64, at(a, 1)),
		"file":    release(5, at(a, math.MaxInt64)),
	} {
		if err := setVersions(&Manifest{Files: []File{with(a, md5B)}}, prev, false); !errors.Is(err, ErrFormat) {
			t.Errorf("after the last %s version: %v, want %v", name, err, ErrFormat)
		}
	}
}

func TestScannerReadsOnlyWhatChanged(t *testing.T) {
	old := time.Now().Add(-time.Hour).Unix()
	dir := writeTree(t, []treeEntry{{Path: "a.py", Text: "old", MTime: old}, {Path: "b.py", Text: "old", MTime: old}})
	s, err := NewScanner(dir, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	build := func() map[string]File {
		t.Helper()
		m, err := s.Build(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return m.byPath()
	}
	first := build()

	// The same size, time and inode: this is what the cache goes by, so it
	// shows that b.py is not read again.
	write := func(name, text string, mtime int64) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Unix(mtime, 0), time.Unix(mtime, 0)); err != nil {
			t.Fatal(err)
		}
	}
	write("a.py", "new", old+1)
	write("b.py", "new", old)
	second := build()
	if second["a.py"].MD5 == first["a.py"].MD5 || second["a.py"].Version != old+1 {
		t.Errorf("a.py changed, but is %v", second["a.py"])
	}
	if second["b.py"] != first["b.py"] {
		t.Errorf("b.py was read again: %v", second["b.py"])
	}

	write("b.py", "newer", old)
	if third := build(); third["b.py"].MD5 == first["b.py"].MD5 || third["b.py"].Size != 5 {
		t.Errorf("b.py has another size, but is %v", third["b.py"])
	}

	// Another file under the name, as editors do that save by renaming.
	write("c.txt", "fresh", old)
	before := build()["b.py"]
	if err := os.Rename(filepath.Join(dir, "c.txt"), filepath.Join(dir, "b.py")); err != nil {
		t.Fatal(err)
	}
	if after := build()["b.py"]; after.MD5 == before.MD5 {
		t.Error("b.py is another file, but was not read again")
	}

	if err := os.Remove(filepath.Join(dir, "a.py")); err != nil {
		t.Fatal(err)
	}
	if _, ok := build()["a.py"]; ok {
		t.Error("a.py is still listed")
	}
}

// A file that was written a moment ago may be written again within the same
// tick of the file system's clock.
func TestScannerDoesNotTrustNewFiles(t *testing.T) {
	const mtime = 1_700_000_000
	dir := writeTree(t, []treeEntry{{Path: "a.py", Text: "old", MTime: mtime}})
	s, err := NewScanner(dir, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(mtime+1, 0)
	s.now = func() time.Time { return now }
	md5 := func() string {
		t.Helper()
		m, err := s.Build(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return m.Files[0].MD5
	}
	write := func(text string) {
		t.Helper()
		path := filepath.Join(dir, "a.py")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Unix(mtime, 0), time.Unix(mtime, 0)); err != nil {
			t.Fatal(err)
		}
	}
	first := md5()
	write("new")
	second := md5()
	if second == first {
		t.Error("a change within a second went unnoticed")
	}
	now = now.Add(time.Minute)
	if md5() != second {
		t.Fatal("nothing changed")
	}
	write("any")
	if md5() != second {
		t.Error("an old file was read again")
	}
}

func TestScannerIsConcurrent(t *testing.T) {
	dir := writeTree(t, []treeEntry{{Path: "a.py", Text: "a", MTime: 5}, {Path: "lib/b.py", Text: "b", MTime: 6}})
	s, err := NewScanner(dir, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	const n = 8
	for range n {
		go func() {
			m, err := s.Build(t.Context())
			if err == nil && paths(m) != "a.py lib/b.py" {
				err = fmt.Errorf("built %s", paths(m))
			}
			if f, openErr := s.Open("lib/b.py"); openErr != nil {
				err = errors.Join(err, openErr)
			} else {
				err = errors.Join(err, f.Close())
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestScannerServesWhatItLists compares the three ways to ask what is part of
// a release, in a tree with all that may be in the way.
func TestScannerServesWhatItLists(t *testing.T) {
	dir := writeTree(t, []treeEntry{
		{Path: "main.py", Text: "main"},
		{Path: "lib/util.py", Text: "util"},
		{Path: "lib/docs/no.py"},
		{Path: "lib/readme.md"},
		{Path: "docs/no.py"},
		{Path: "test_no.py"},
		{Path: ".py"},
		{Path: "versions.json"},
		{Path: "here", Link: "."},
		{Path: "lib/back", Link: ".."},
		{Path: "link.py", Link: "lib/readme.md"},
		{Path: "alias", Link: "lib"},
		{Path: "outside", Link: "../beside"},
		{Path: "outside.py", Link: "../beside/secret.py"},
		{Path: "through", Link: "outside"},
		{Path: "../beside/secret.py", Text: "secret"},
		{Path: "../beside/back", Link: "../src/lib"},
	})
	o := DefaultOptions()
	o.Extensions = append(o.Extensions, ".json")
	for _, test := range []struct {
		name            string
		follow, outside bool
		want            string
	}{
		{"as a server does", true, false, "alias/util.py lib/util.py link.py main.py"},
		{"as the builder does", true, true, "alias/util.py lib/util.py link.py main.py outside.py outside/back/util.py outside/secret.py through/back/util.py through/secret.py"},
		{"no links", false, false, "lib/util.py link.py main.py"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o.NoFollowLinks, o.NoOutsideLinks = !test.follow, !test.outside
			s, err := NewScanner(dir, o)
			if err != nil {
				t.Fatal(err)
			}
			m, err := s.Build(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := paths(m); got != test.want {
				t.Errorf("built  %s\nwant   %s", got, test.want)
			}
			if got := strings.Join(crawl(t, s, ""), " "); got != test.want {
				t.Errorf("listed %s\nwant   %s", got, test.want)
			}
			for _, path := range strings.Fields("alias/util.py lib/util.py link.py main.py outside.py outside/secret.py outside/back/util.py through/secret.py " +
				"lib/docs/no.py lib/readme.md docs/no.py test_no.py .py versions.json here/main.py lib/back/main.py lib nowhere.py lib/nowhere.py main.py/x.py") {
				want := slices.Contains(strings.Fields(test.want), path)
				f, err := s.Open(path)
				if want && err != nil {
					t.Errorf("open %s: %v", path, err)
				}
				if !want && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("open %s: %v, want %v", path, err, fs.ErrNotExist)
				}
				if err == nil {
					f.Close()
				}
			}
		})
	}
}

// crawl returns all files that ReadDir leads to, sorted.
func crawl(t *testing.T, s *Scanner, dir string) []string {
	t.Helper()
	entries, err := s.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		path := strings.TrimPrefix(dir+"/"+e.Name, "/")
		if e.Info.IsDir() {
			files = append(files, crawl(t, s, path)...)
		} else {
			files = append(files, path)
		}
	}
	slices.Sort(files)
	return files
}

func TestScannerRefusesTraversal(t *testing.T) {
	dir := writeTree(t, []treeEntry{{Path: "lib/a.py", Text: "a"}, {Path: "../secret.py", Text: "secret"}, {Path: "nowhere.py", Link: "nowhere"}})
	s, err := NewScanner(dir, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"", ".", "/", "..", "../secret.py", "lib/../../secret.py", "lib/../lib/a.py", "lib//a.py", "./lib/a.py", "/lib/a.py", "lib/a.py/",
		`lib\a.py`, `..\secret.py`, "lib/a.py\x00", filepath.ToSlash(dir) + "/lib/a.py", "C:lib/a.py", "nowhere.py", strings.Repeat("x/", 5000),
	} {
		if f, err := s.Open(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %q: %v, want %v", path, err, fs.ErrNotExist)
			if err == nil {
				f.Close()
			}
		}
		if path == "" {
			continue // the whole
		}
		if _, err := s.ReadDir(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("list %q: %v, want %v", path, err, fs.ErrNotExist)
		}
	}
	f, err := s.Open("lib/a.py")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != "a" {
		t.Errorf("read %q, %v", data, err)
	}
}

func BenchmarkBuild5000(b *testing.B) {
	var tree []treeEntry
	for i := range 5000 {
		tree = append(tree, treeEntry{Path: fmt.Sprintf("app/m%02d/f%04d.py", i%50, i), Text: strings.Repeat("x = 1\n", i%1000), MTime: int64(i)})
	}
	dir := writeTree(b, tree)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if _, err := Build(b.Context(), dir, DefaultOptions()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		s, err := NewScanner(dir, DefaultOptions())
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := s.Build(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
