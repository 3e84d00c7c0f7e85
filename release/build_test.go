package release

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cactuscon/saguarota/manifest"
)

func TestBuildWritesASite(t *testing.T) {
	b := newBench(t)
	b.o.Statement.Name = "1.0"
	built := b.build(map[string]string{"main.py": "x = 1\n", "lib/a.py": "", "notes.txt": "not released"})
	if built.Previous != nil || built.Missing != 0 || built.Statement.Version != old.Unix() {
		t.Errorf("%+v", built)
	}
	files := readTree(t, b.site)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"lib/a.py", "main.py", "versions.json", "versions.json.sig"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(files["versions.json.sig"]); n > 1024 {
		t.Errorf("the statement has %d bytes", n)
	}
	r := b.mustVerify()
	if r.Files != 2 || r.Bytes != 6 || r.Notes != nil || r.Statement.Name != "1.0" || r.Signers[0] != b.root.Keys[0].ID() {
		t.Errorf("%+v", r)
	}
}

// The same input makes the same bytes, into a new folder and over a site.
func TestBuildIsDeterministic(t *testing.T) {
	b := newBench(t)
	files := map[string]string{"main.py": "x = 1\n", "lib/a.py": "", "b.py": "y"}
	b.o.Statement.Time, b.o.Statement.Expires = 1_700_000_000, 1_800_000_000
	b.build(files)
	first := readTree(t, b.site)
	b.build(files)
	if diff := cmp.Diff(first, readTree(t, b.site)); diff != "" {
		t.Errorf("built over itself (-first +second):\n%s", diff)
	}
	b.site += "2"
	b.build(files)
	if diff := cmp.Diff(first, readTree(t, b.site)); diff != "" {
		t.Errorf("built anew (-first +second):\n%s", diff)
	}
}

// Versions grow with the content and with nothing else.
func TestBuildVersions(t *testing.T) {
	b := newBench(t)
	b.o.Files.ReuseUnchanged = true
	first := b.build(map[string]string{"main.py": "1", "a.py": "a"})
	changed := b.build(map[string]string{"main.py": "2", "a.py": "a"})
	removed := b.build(map[string]string{"main.py": "2"})
	same := b.build(map[string]string{"main.py": "2"})
	b.o.Indent = 3
	indented := b.build(map[string]string{"main.py": "2"})
	var versions []int64
	for _, built := range []*Build{first, changed, removed, same, indented} {
		versions = append(versions, built.Statement.Version-old.Unix())
	}
	if diff := cmp.Diff([]int64{0, 1, 2, 2, 3}, versions); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.mustVerify()

	// A release elsewhere counts as well, whichever is the newest.
	b.o.From = []Source{Dir(b.site)}
	older := b.site
	b.site += "2"
	if v := b.build(map[string]string{"main.py": "3"}).Statement.Version; v != old.Unix()+4 {
		t.Errorf("version %d after that of %s", v, older)
	}
	b.site = filepath.Join(filepath.Dir(b.site), "site3")
	b.o.From = []Source{Dir(older), Dir(older + "2")}
	if v := b.build(map[string]string{"main.py": "4"}).Statement.Version; v != old.Unix()+5 {
		t.Errorf("version %d after two releases", v)
	}
}

func TestBuildRemovesWhatIsGone(t *testing.T) {
	b := newBench(t)
	b.build(map[string]string{"main.py": "1", "lib/deep/a.py": "a", "lib/b.py": "b", "x": "a file", "y/z.py": "in a folder"})
	if err := os.WriteFile(filepath.Join(b.site, "robots.txt"), []byte("not ours"), 0o666); err != nil {
		t.Fatal(err)
	}
	// A file becomes a folder, and a folder a file.
	b.build(map[string]string{"main.py": "1", "lib/b.py": "b", "x/inner.py": "x", "y": "a file now"})
	files := readTree(t, b.site)
	delete(files, ManifestName)
	delete(files, StatementName)
	want := map[string]string{"main.py": "1", "lib/b.py": "b", "x/inner.py": "x", "y": "a file now", "robots.txt": "not ours"}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(b.site, "lib", "deep")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder is left: %v", err)
	}
	r := b.mustVerify()
	if diff := cmp.Diff([]string{"robots.txt is not part of the release"}, r.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// What does not change is not touched, so that web servers do not take it for
// new, and downloads can be resumed.
func TestBuildLeavesUnchangedFiles(t *testing.T) {
	b := newBench(t)
	b.build(map[string]string{"main.py": "1", "a.py": "a"})
	long := time.Unix(1_000_000_000, 0)
	for _, name := range []string{"main.py", "a.py"} {
		if err := os.Chtimes(filepath.Join(b.site, name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	b.build(map[string]string{"main.py": "2", "a.py": "a"})
	for name, want := range map[string]bool{"main.py": false, "a.py": true} {
		info, err := os.Stat(filepath.Join(b.site, name))
		if err != nil || info.ModTime().Equal(long) != want {
			t.Errorf("%s: %v, %v", name, info.ModTime(), err)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	good := map[string]string{"main.py": "1"}
	for _, test := range []struct {
		name  string
		files map[string]string
		setup func(b *bench)
		want  error
	}{
		{"a keyset's path", map[string]string{"keys/1.json": "x"}, func(b *bench) { b.o.Files.Extensions = []string{".json"} }, ErrReserved},
		{"the statement's path", map[string]string{"versions.json.sig": "x"}, func(b *bench) { b.o.Files.Extensions = []string{".sig"} }, ErrReserved},
		{"in another case", map[string]string{"Keys/a.py": "x"}, nil, ErrReserved},
		{"a pack's path", map[string]string{"packs/a.py": "x"}, nil, ErrReserved},
		{"a board's state folder", map[string]string{"saguarota_backup/a.py": "x"}, nil, ErrReserved},
		{"one that was damaged, in another case", map[string]string{"Saguarota_Backup0/a.py": "x"}, nil, ErrReserved},
		{"a file called keys", map[string]string{"keys": "x"}, nil, ErrReserved},
		{"a folder of other things", good, func(b *bench) { writeTree(b.t, b.site, map[string]string{"thesis.doc": "x"}) }, ErrNotSite},
		{"a file", good, func(b *bench) {
			writeTree(b.t, filepath.Dir(b.site), map[string]string{"site": "x"})
			b.site += "/site"
		}, fs.ErrNotExist},
		{"a site in the sources", good, func(b *bench) { b.site = filepath.Join(b.src, "site") }, ErrPlace},
		{"the sources themselves", good, func(b *bench) { b.site = b.src }, ErrPlace},
		{"sources in the site", good, func(b *bench) { b.site = filepath.Dir(b.src) }, ErrPlace},
		{"no app", good, func(b *bench) { b.o.Statement.App = "" }, ErrFormat},
		{"a bad channel", good, func(b *bench) { b.o.Statement.Channels = []string{"a\n"} }, ErrFormat},
		{"an expiry without a time", good, func(b *bench) { b.o.Statement.Expires = 5 }, ErrFormat},
		{"too much to poll for", good, func(b *bench) {
			for i := range 16 {
				b.o.Statement.Boards = append(b.o.Statement.Boards, fmt.Sprint(i)+strings.Repeat("x", 50))
			}
		}, ErrFormat},
		{"a damaged site before", good, func(b *bench) { writeTree(b.t, b.site, map[string]string{"versions.json": "{"}) }, manifest.ErrFormat},
		{"a site before that is none", good, func(b *bench) { b.o.From = []Source{Dir(b.src)} }, fs.ErrNotExist},
		{"no file that is part of the release", map[string]string{"thesis.doc": "x"}, nil, ErrNoFiles},
		{"no sources", nil, func(b *bench) { b.o.Source += "x" }, fs.ErrNotExist},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			if test.setup != nil {
				test.setup(b)
			}
			if test.name == "a file" {
				test.want = nil
				writeTree(t, b.src, test.files)
				if _, err := BuildSite(t.Context(), b.site, b.o); err == nil {
					t.Error("a site in a file")
				}
				return
			}
			if b.site == b.src || strings.HasPrefix(b.site, b.src) || strings.HasPrefix(b.src, b.site) {
				writeTree(t, b.src, test.files)
				if _, err := BuildSite(t.Context(), b.site, b.o); !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				return
			}
			b.buildError(test.files, test.want)
		})
	}
}

// A folder in the sources that releases leave out is a place for the site.
func TestBuildIntoExcludedFolder(t *testing.T) {
	b := newBench(t)
	b.o.Files.ExcludeFolders = append(b.o.Files.ExcludeFolders, "dist")
	writeTree(t, b.src, map[string]string{"main.py": "1"})
	for _, place := range []string{"dist", "dist/site", "deep/dist/site"} {
		b.site = filepath.Join(b.src, filepath.FromSlash(place))
		for range 2 {
			built, err := BuildSite(t.Context(), b.site, b.o)
			if err != nil || len(built.Manifest.Files) != 1 {
				t.Fatalf("%s: %v, %v", place, built, err)
			}
		}
		if err := os.RemoveAll(filepath.Join(b.src, strings.Split(place, "/")[0])); err != nil {
			t.Fatal(err)
		}
	}
}

// Links in a site lead nowhere outside.
func TestBuildStaysInTheSite(t *testing.T) {
	b := newBench(t)
	b.build(map[string]string{"main.py": "1", "lib/a.py": "a"})
	outside := filepath.Join(filepath.Dir(b.site), "outside")
	writeTree(t, outside, map[string]string{"a.py": "precious"})
	if err := os.RemoveAll(filepath.Join(b.site, "lib")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(b.site, "lib")); err != nil {
		t.Fatal(err)
	}
	writeTree(t, b.src, map[string]string{"main.py": "2", "lib/a.py": "b"})
	if _, err := BuildSite(t.Context(), b.site, b.o); err == nil {
		t.Error("it wrote through a link that leads out of the site")
	}
	if got := readTree(t, outside)["a.py"]; got != "precious" {
		t.Errorf("the file outside is %q now", got)
	}
	if _, err := b.verify(); err == nil {
		t.Error("a link that leads out of the site verifies")
	}
}

// A thief has pushed the version to the limit; a rotation makes that harmless.
func TestVersionAtTheLimitAndRotation(t *testing.T) {
	b := newBench(t)
	b.build(map[string]string{"main.py": "1"})
	signers, keys := testKeys(t, "a", "b")
	if _, err := NewChain(t.Context(), b.site, Keyset{App: "badge", Threshold: 1, Keys: keys[:1]}, signers[0]); err != nil {
		t.Fatal(err)
	}
	evil := fmt.Appendf(nil, `{"version": 9223372036854775807, "files": [{"path": "main.py", "version": 1, "sha256": "%x"}]}`, sha256.Sum256([]byte("1")))
	s := &Statement{App: "badge", Version: 1<<63 - 1, Manifest: PinOf(evil), Keyset: 1}
	doc, err := s.Document()
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Sign(t.Context(), signers[0]); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{ManifestName: evil, StatementName: doc.Bytes()} {
		if err := os.WriteFile(filepath.Join(b.site, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	r := b.mustVerify() // it is genuine, after all
	b.buildError(map[string]string{"main.py": "2"}, manifest.ErrFormat)

	if _, err := ExtendChain(t.Context(), b.site, 1, keys[1:], signers...); err != nil {
		t.Fatal(err)
	}
	b.buildError(map[string]string{"main.py": "2"}, ErrNoMember)
	b.o.Signers = signers[1:]
	built := b.build(map[string]string{"main.py": "2"})
	if built.Statement.Keyset != 2 || built.Statement.Version != old.Unix() {
		t.Errorf("%+v", built.Statement)
	}
	b.mustVerify()
	board := Board{App: "badge", Installed: r.Statement}
	if err := board.Accepts(built.Statement); err != nil {
		t.Errorf("a board with the thief's release: %v", err)
	}
	if err := (Board{Installed: built.Statement}).Accepts(r.Statement); !errors.Is(err, ErrRollback) {
		t.Errorf("the thief's release after the rotation: %v", err)
	}
}
