package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
