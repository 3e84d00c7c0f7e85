package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cactuscon/saguarota/manifest"
)

// testKey returns the key that belongs to a name.
func testKey(t testing.TB, name string) PrivateKey {
	t.Helper()
	seed := sha256.Sum256([]byte("test key " + name))
	key, err := GenerateKey(bytes.NewReader(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func testKeys(t testing.TB, names ...string) (signers []Signer, keys []PublicKey) {
	t.Helper()
	for _, name := range names {
		key := testKey(t, name)
		signers = append(signers, key)
		keys = append(keys, key.PublicKey())
	}
	return signers, keys
}

// old is the time of the files that writeTree writes.
var old = time.Unix(1_700_000_000, 0)

// writeTree makes a folder have exactly the given files.
func writeTree(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
}

// readTree returns the files in a folder.
func readTree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		files[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A bench is a source folder and a site beside it, and a key.
type bench struct {
	t    testing.TB
	src  string
	site string
	o    BuildOptions
	root *Keyset
}

func newBench(t testing.TB) *bench {
	t.Helper()
	dir := t.TempDir()
	signers, keys := testKeys(t, "a")
	b := &bench{t: t, src: filepath.Join(dir, "src"), site: filepath.Join(dir, "site"),
		root: &Keyset{App: "badge", Version: 1, Threshold: 1, Keys: keys}}
	files := manifest.DefaultOptions()
	files.Extensions = []string{".py", ""}
	b.o = BuildOptions{Source: b.src, Files: files, Statement: Statement{App: "badge"}, Signers: signers}
	return b
}

func (b *bench) build(files map[string]string) *Build {
	b.t.Helper()
	writeTree(b.t, b.src, files)
	built, err := BuildSite(context.Background(), b.site, b.o)
	if err != nil {
		b.t.Fatal(err)
	}
	return built
}

func (b *bench) buildError(files map[string]string, want error) {
	b.t.Helper()
	writeTree(b.t, b.src, files)
	before := map[string]string{}
	if _, err := os.Stat(b.site); err == nil {
		before = readTree(b.t, b.site)
	}
	if _, err := BuildSite(context.Background(), b.site, b.o); !errors.Is(err, want) {
		b.t.Errorf("error %v, want %v", err, want)
	}
	after := map[string]string{}
	if _, err := os.Stat(b.site); err == nil {
		after = readTree(b.t, b.site)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		b.t.Errorf("the site is not as it was (-before +after):\n%s", diff)
	}
}

func (b *bench) verify() (*Report, error) {
	return VerifySite(context.Background(), Dir(b.site), b.root, Board{App: "badge"})
}

func (b *bench) mustVerify() *Report {
	b.t.Helper()
	r, err := b.verify()
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

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

// Where one step of publishing fails, the later ones are not done.
func TestPublishStopsWhereItFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	writeTree(t, dir, map[string]string{"a": "old", "folder/in the way": "x", "c": "old", "gone": "old"})
	items := []item{dataItem("a", []byte("new")), dataItem("folder", []byte("new")), dataItem("c", []byte("new"))}
	if err := publish(dir, items, []string{"gone"}); err == nil {
		t.Error("a folder was replaced by a file")
	}
	want := map[string]string{"a": "new", "folder/in the way": "x", "c": "old", "gone": "old"}
	if diff := cmp.Diff(want, readTree(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// Nothing at all is done where a file cannot be read, or is not what it was.
	for _, bad := range []item{
		{path: "b", open: func() (io.ReadCloser, error) { return nil, fs.ErrPermission }},
		{path: "b", sum: sha256.Sum256([]byte("as it was")), open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("as it is")), nil
		}},
	} {
		for _, place := range []string{dir, dir + "2"} {
			err := publish(place, []item{dataItem("a", []byte("newer")), bad}, []string{"gone"})
			if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, ErrChanged) {
				t.Errorf("error %v", err)
			}
		}
		if diff := cmp.Diff(map[string]string{"site": ""}, names(t, filepath.Dir(dir))); diff != "" {
			t.Errorf("beside the site (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, readTree(t, dir)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// names returns what is in a folder.
func names(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, e := range entries {
		found[e.Name()] = ""
	}
	return found
}

// What a publisher that was killed left is removed by the next one.
func TestBuildAfterACrash(t *testing.T) {
	b := newBench(t)
	files := map[string]string{"main.py": "1", "a.py": "a"}
	b.build(files)
	want := readTree(t, b.site)
	for name, content := range map[string]string{stagingPrefix + "XYZ/0": "half", "main.py": "of the next release", ManifestName: want[ManifestName]} {
		path := filepath.Join(b.site, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.verify(); !errors.Is(err, ErrContent) {
		t.Errorf("error %v, want %v", err, ErrContent)
	}
	b.build(files)
	if diff := cmp.Diff(want, readTree(t, b.site)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.mustVerify()
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

// A reader that believes only what it has verified sees, at any time, the old
// release, the new one, or an error.
func TestReadersNeverSeeAMix(t *testing.T) {
	b := newBench(t)
	release := func(i int) map[string]string {
		files := map[string]string{"main.py": fmt.Sprint("main ", i)}
		for j := range 20 {
			files[fmt.Sprintf("lib/%d.py", j)] = fmt.Sprint("file ", i, j)
		}
		if i%2 == 1 {
			files["odd.py"] = "only in every second one"
		}
		return files
	}
	built := b.build(release(0))
	good := map[Pin]bool{built.Statement.Manifest: true}

	stop := make(chan struct{})
	seen := make(chan map[Pin]int, 1)
	go func() {
		counts := map[Pin]int{}
		defer func() { seen <- counts }()
		for {
			if r, err := b.verify(); err == nil {
				counts[r.Statement.Manifest]++
			} else if errors.Is(err, ErrFormat) || errors.Is(err, ErrSignature) || errors.Is(err, manifest.ErrFormat) {
				t.Errorf("half a file was seen: %v", err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for i := 1; i <= 10; i++ {
		good[b.build(release(i)).Statement.Manifest] = true
	}
	close(stop)
	counts := <-seen
	if len(counts) == 0 {
		t.Error("nothing was read")
	}
	for pin := range counts {
		if !good[pin] {
			t.Error("a release that was never built")
		}
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
	evil := []byte(`{"version": 9223372036854775807, "files": []}`)
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

// A statement can be signed elsewhere, by as many as the threshold says.
func TestSignSite(t *testing.T) {
	b := newBench(t)
	signers, keys := testKeys(t, "a", "b", "c")
	if link, err := NewChain(t.Context(), b.site, Keyset{App: "badge", Threshold: 2, Keys: keys[:2]}, signers[0]); err != nil || !errors.Is(link.Pending, ErrThreshold) {
		t.Fatalf("%v, %v", link.Pending, err)
	}
	b.o.Signers = nil
	b.root.Threshold, b.root.Keys = 2, keys[:2]
	b.buildError(map[string]string{"main.py": "1"}, ErrThreshold)
	if link, err := SignChain(t.Context(), b.site, signers[1]); err != nil || link.Pending != nil {
		t.Fatalf("%v, %v", link.Pending, err)
	}
	if built := b.build(map[string]string{"main.py": "1"}); built.Missing != 2 {
		t.Errorf("%d signatures are missing", built.Missing)
	}
	if _, err := b.verify(); !errors.Is(err, ErrThreshold) {
		t.Errorf("without signatures: %v", err)
	}
	if _, _, missing, err := SignSite(t.Context(), b.site, signers[0]); err != nil || missing != 1 {
		t.Errorf("%d are missing, %v", missing, err)
	}
	if _, _, missing, err := SignSite(t.Context(), b.site, signers[0]); err != nil || missing != 1 {
		t.Errorf("after the same once more, %d are missing, %v", missing, err)
	}
	if _, err := b.verify(); !errors.Is(err, ErrThreshold) {
		t.Errorf("with one signature: %v", err)
	}
	if _, _, _, err := SignSite(t.Context(), b.site, signers[2]); !errors.Is(err, ErrNoMember) {
		t.Errorf("a stranger's: %v", err)
	}
	if _, _, missing, err := SignSite(t.Context(), b.site, signers[1]); err != nil || missing != 0 {
		t.Errorf("%d are missing, %v", missing, err)
	}
	b.mustVerify()

	// Nobody signs for files that are not there to be looked at.
	if err := os.WriteFile(filepath.Join(b.site, ManifestName), []byte(`{"version": 1, "files": []}`), 0o666); err != nil {
		t.Fatal(err)
	}
	before := readTree(t, b.site)
	if _, _, _, err := SignSite(t.Context(), b.site, signers[0]); !errors.Is(err, ErrContent) {
		t.Errorf("for another manifest: %v", err)
	}
	if diff := cmp.Diff(before, readTree(t, b.site)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestChain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	signers, keys := testKeys(t, "a", "b", "c", "d")
	if _, err := SignChain(t.Context(), dir, signers[0]); !errors.Is(err, ErrNoKeysets) {
		t.Errorf("no chain to sign: %v", err)
	}
	if _, err := ExtendChain(t.Context(), dir, 1, keys, signers...); !errors.Is(err, ErrNoKeysets) {
		t.Errorf("no chain to extend: %v", err)
	}
	if _, err := NewChain(t.Context(), dir, Keyset{App: "badge", Threshold: 1, Keys: keys[:1]}, signers[1]); !errors.Is(err, ErrNoMember) {
		t.Errorf("a stranger's first keyset: %v", err)
	}
	if _, err := NewChain(t.Context(), dir, Keyset{App: "badge", Threshold: 2, Keys: keys[:1]}, signers[0]); !errors.Is(err, ErrFormat) {
		t.Errorf("a threshold that nobody can meet: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused keyset leaves something behind")
	}
	if _, err := NewChain(t.Context(), dir, Keyset{App: "badge", Threshold: 1, Keys: keys[:1]}, signers[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := NewChain(t.Context(), dir, Keyset{App: "badge", Threshold: 1, Keys: keys[:1]}, signers[0]); !errors.Is(err, ErrSequence) {
		t.Errorf("a second first keyset: %v", err)
	}
	// b and c take over, both must sign; a and b have signed, c is missing.
	link, err := ExtendChain(t.Context(), dir, 2, keys[1:3], signers[:2]...)
	if err != nil || !errors.Is(link.Pending, ErrThreshold) {
		t.Fatalf("%v, %v", link.Pending, err)
	}
	if _, err := ExtendChain(t.Context(), dir, 1, keys[3:], signers[1:]...); !errors.Is(err, ErrThreshold) {
		t.Errorf("a keyset after one that is not in force: %v", err)
	}
	if _, err := SignChain(t.Context(), dir, signers[3]); !errors.Is(err, ErrNoMember) {
		t.Errorf("a stranger's signature: %v", err)
	}
	if link, err = SignChain(t.Context(), dir, signers[2]); err != nil || link.Pending != nil {
		t.Fatalf("%v, %v", link.Pending, err)
	}
	chain, err := ReadChain(t.Context(), Dir(dir))
	if err != nil || len(chain) != 2 || chain[1].Pending != nil || chain[1].Keyset.Threshold != 2 {
		t.Fatalf("%+v, %v", chain, err)
	}

	// A chain that does not hang together.
	third := Keyset{App: "badge", Version: 4, Threshold: 1, Keys: keys[3:]}
	doc, err := third.Document()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys", "3.json"), doc.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadChain(t.Context(), Dir(dir)); !errors.Is(err, ErrSequence) {
		t.Errorf("number 4 as number 3: %v", err)
	}
}

// VerifySite walks from the keyset that boards have to the one that signed.
func TestVerifyFollowsTheChain(t *testing.T) {
	b := newBench(t)
	signers, keys := testKeys(t, "a", "b", "c")
	if _, err := NewChain(t.Context(), b.site, Keyset{App: "badge", Threshold: 1, Keys: keys[:1]}, signers[0]); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if _, err := ExtendChain(t.Context(), b.site, 1, keys[i+1:i+2], signers[i:i+2]...); err != nil {
			t.Fatal(err)
		}
	}
	b.o.Signers = signers[2:]
	b.build(map[string]string{"main.py": "1"})
	if r := b.mustVerify(); r.Keyset.Version != 3 {
		t.Errorf("signed with keyset %d", r.Keyset.Version)
	}
	first := *b.root
	for n, want := range map[int64]error{2: nil, 3: nil, 4: ErrRollback} {
		b.root = &Keyset{App: "badge", Version: n, Threshold: 1, Keys: keys[min(n-1, 2) : min(n-1, 2)+1]}
		if _, err := b.verify(); !errors.Is(err, want) {
			t.Errorf("born with keyset %d: %v", n, err)
		}
	}
	b.root = &Keyset{App: "badge", Version: 1, Threshold: 1, Keys: keys[1:2]}
	if _, err := b.verify(); !errors.Is(err, ErrRoot) {
		t.Errorf("other keys than in the site: %v", err)
	}
	b.root = &Keyset{App: "badge", Version: 1, Threshold: 2, Keys: keys[:2]}
	if _, err := b.verify(); !errors.Is(err, ErrRoot) {
		t.Errorf("another threshold than in the site: %v", err)
	}
	// Boards need no first keyset in the site, but each of the others.
	b.root = &first
	for i, want := range []error{nil, fs.ErrNotExist} {
		if err := os.Remove(filepath.Join(b.site, filepath.FromSlash(KeysetName(int64(i+1))))); err != nil {
			t.Fatal(err)
		}
		if _, err := b.verify(); !errors.Is(err, want) {
			t.Errorf("without keyset %d: %v", i+1, err)
		}
	}
}

func TestVerifyFindsContradictions(t *testing.T) {
	sum := strings.Repeat("0", 64)
	file := func(more string) string {
		return `{"app":"badge","version":7,"files":[{"path":"a.py","version":7` + more + `}]}`
	}
	for _, test := range []struct {
		name, manifest string
		want           error
	}{
		{"another version", `{"version":8,"files":[]}`, ErrContent},
		{"another application", `{"app":"lamp","version":7,"files":[]}`, ErrContent},
		{"a file without SHA-256", file(`,"md5":"` + sum[:32] + `"`), ErrContent},
		{"a reserved path", `{"version":7,"files":[{"path":"keys/1.json","version":7,"sha256":"` + sum + `"}]}`, ErrReserved},
		{"a path that leads out", `{"version":7,"files":[{"path":"../a.py","version":7,"sha256":"` + sum + `"}]}`, manifest.ErrPath},
		{"paths in two cases", `{"version":7,"files":[{"path":"A.py","version":7,"sha256":"` + sum + `"},{"path":"a.py","version":7,"sha256":"` + sum + `"}]}`, manifest.ErrCollision},
		{"no manifest", `{}`, manifest.ErrFormat},
		{"another content", file(`,"sha256":"` + sum + `"`), ErrContent},
		{"a smaller size", file(`,"size":1,"sha256":"` + sum + `"`), ErrContent},
		{"a larger size", file(`,"size":100,"sha256":"` + sum + `"`), ErrContent},
		{"a file that is not there", strings.Replace(file(`,"sha256":"`+sum+`"`), "a.py", "b.py", 1), fs.ErrNotExist},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			s := Statement{App: "badge", Version: 7, Manifest: PinOf([]byte(test.manifest)), Keyset: 1}
			doc, err := s.Document()
			if err != nil {
				t.Fatal(err)
			}
			if err := doc.Sign(t.Context(), b.o.Signers[0]); err != nil {
				t.Fatal(err)
			}
			writeTree(t, b.site, map[string]string{ManifestName: test.manifest, StatementName: string(doc.Bytes()), "a.py": "x = 1\n"})
			if _, err := b.verify(); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

// Over HTTP as in a folder; names are escaped, and redirects bounded.
func TestVerifyOverHTTP(t *testing.T) {
	b := newBench(t)
	b.build(map[string]string{"main.py": "1", "100% a&b?#.py": "odd", "lib/säule/🌵.py": "é", "a+b;c.py": "", "..a/b..py": ""})
	files := http.FileServer(http.Dir(b.site))
	server := httptest.NewServer(http.StripPrefix("/x/badge", files))
	defer server.Close()
	for _, base := range []string{"/x/badge", "/x/badge/", "/x/badge/?query#fragment"} {
		src, err := OpenSource(server.URL + base)
		if err != nil {
			t.Fatal(err)
		}
		r, err := VerifySite(t.Context(), src, b.root, Board{App: "badge"})
		if err != nil || r.Files != 5 {
			t.Errorf("%s: %+v, %v", base, r, err)
		}
	}
	src, err := NewURLSource(server.URL + "/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifySite(t.Context(), src, b.root, Board{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no site there: %v", err)
	}

	// A hostile server.
	var hostile http.HandlerFunc
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hostile(w, r) })
	src, err = NewURLSource(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, handler := range map[string]http.HandlerFunc{
		"redirects without end": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"a statement without end": func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil {
					return
				}
			}
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"a manifest without end": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/"+ManifestName {
				for {
					if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<16)); err != nil {
						return
					}
				}
			}
			files.ServeHTTP(w, r)
		},
		"a file without end": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/main.py" {
				for {
					if _, err := w.Write(bytes.Repeat([]byte("1"), 1<<16)); err != nil {
						return
					}
				}
			}
			files.ServeHTTP(w, r)
		},
	} {
		hostile = handler
		if _, err := VerifySite(t.Context(), src, b.root, Board{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, bad := range []string{"http://", "https:///x", "http://%zz/"} {
		if _, err := OpenSource(bad); err == nil {
			t.Errorf("%q is no URL of a site", bad)
		}
	}
}

func TestNoRedirectFromHTTPS(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer secure.Close()
	src, err := NewURLSource(secure.URL)
	if err != nil {
		t.Fatal(err)
	}
	src.client.Transport = secure.Client().Transport
	if _, err := src.Open(t.Context(), ManifestName); err == nil || !strings.Contains(err.Error(), "redirected from https to http") {
		t.Errorf("error %v", err)
	}
}

// Random releases verify, and with any bit of any file flipped they do not.
func TestAnyFlippedBitIsFound(t *testing.T) {
	signers, keys := testKeys(t, "a", "b", "c")
	name := rapid.StringMatching(`[a-z]{1,3}(/[a-zé0-9 ]{1,4}){0,2}\.py`)
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		b.src, b.site = filepath.Join(dir, "src"), filepath.Join(dir, "site")
		if err := os.RemoveAll(b.site); err != nil {
			rt.Fatal(err)
		}
		b.o.Source = b.src
		b.o.Files.ExcludeFolders, b.o.Files.ExcludePrefixes = nil, nil
		files := rapid.MapOfN(name, rapid.StringN(0, 30, 100), 1, 6).Draw(rt, "files")
		threshold := rapid.IntRange(1, 2).Draw(rt, "threshold")
		rotated := rapid.Bool().Draw(rt, "rotated")
		b.root.Threshold, b.root.Keys = threshold, keys[:threshold]
		b.o.Signers = signers[:threshold]
		if rotated {
			if _, err := NewChain(t.Context(), b.site, Keyset{App: "badge", Threshold: threshold, Keys: keys[:threshold]}, signers[:threshold]...); err != nil {
				rt.Fatal(err)
			}
			if _, err := ExtendChain(t.Context(), b.site, 1, keys[2:], append([]Signer{signers[2]}, signers[:threshold]...)...); err != nil {
				rt.Fatal(err)
			}
			b.o.Signers = signers[2:]
		}
		writeTree(t, b.src, files)
		if _, err := BuildSite(t.Context(), b.site, b.o); err != nil {
			if errors.Is(err, manifest.ErrDuplicate) || errors.Is(err, manifest.ErrCollision) {
				return
			}
			rt.Fatal(err)
		}
		if r, err := b.verify(); err != nil || r.Files != len(files) {
			rt.Fatalf("%+v, %v", r, err)
		}

		site := readTree(t, b.site)
		var names []string
		for name, content := range site {
			if content != "" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for range 8 {
			victim := rapid.SampledFrom(names).Draw(rt, "victim")
			data := []byte(site[victim])
			bit := rapid.IntRange(0, len(data)*8-1).Draw(rt, "bit")
			data[bit/8] ^= 1 << (bit % 8)
			path := filepath.Join(b.site, filepath.FromSlash(victim))
			if err := os.WriteFile(path, data, 0o666); err != nil {
				rt.Fatal(err)
			}
			if _, err := b.verify(); err == nil {
				rt.Fatalf("bit %d of %s flipped, and it verifies", bit, victim)
			}
			if err := os.WriteFile(path, []byte(site[victim]), 0o666); err != nil {
				rt.Fatal(err)
			}
		}
	})
}
