package docs_test

import (
	"context"
	"crypto/rand"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cactuscon/saguarota/devserver"
	"github.com/cactuscon/saguarota/internal/micropython"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/rehearse"
	"github.com/cactuscon/saguarota/release"
)

// library returns the board's half of the library as it lies on a board, compiled, once for all
// tests.
var library = sync.OnceValues(func() (fs.FS, error) {
	ctx := context.Background()
	cross, err := micropython.FindCross(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "saguarota-docs-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	sources, err := filepath.Glob(filepath.Join("..", "saguarota", "*.py"))
	if err != nil {
		return nil, err
	}
	tree := fstest.MapFS{}
	for _, source := range sources {
		name := strings.TrimSuffix(filepath.Base(source), ".py")
		if name == "py3utils" {
			continue
		}
		mpy := filepath.Join(dir, name+".mpy")
		if err := cross.Compile(ctx, source, mpy); err != nil {
			return nil, err
		}
		data, err := os.ReadFile(mpy)
		if err != nil {
			return nil, err
		}
		tree["lib/saguarota/"+name+".mpy"] = &fstest.MapFile{Data: data}
	}
	return tree, nil
})

func tree(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, content := range files {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

// A site is a folder served as "saguarota serve" serves it.
type site struct {
	t         *testing.T
	dir       string
	url       string // of the server, without a slash at the end
	publicKey string // of who signs what it serves
	// fail, if set, says for which paths the server is broken.
	fail     func(path string) bool
	badPacks bool      // it answers a question for a pack with something else
	age      time.Time // of the files
}

func newSite(t *testing.T, key string, files map[string]string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), age: time.Now().Add(-time.Hour)}
	s.publish(files)
	c := devserver.Config{Dir: s.dir, Options: manifest.DefaultOptions(), Indent: 2}
	if key != "" {
		c.Key = []byte(key)
	}
	private, err := release.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.publicKey = private.PublicKey().String()
	c.Sign = func(ctx context.Context, encoded []byte, version int64) ([]byte, error) {
		doc, err := (&release.Statement{App: "badge", Version: version, Manifest: release.PinOf(encoded), Keyset: 1}).Document()
		if err != nil {
			return nil, err
		}
		if err := doc.Sign(ctx, private); err != nil {
			return nil, err
		}
		return doc.Bytes(), nil
	}
	server, err := devserver.New(c)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.fail != nil && s.fail(r.URL.Path) {
			http.Error(w, "broken", http.StatusServiceUnavailable)
			return
		}
		if s.badPacks && strings.HasPrefix(r.URL.Path, "/ota/packs/") {
			w.Header().Set("Content-Length", "1")
			io.WriteString(w, "?")
			return
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	s.url = web.URL
	return s
}

// publish writes files to the site; each release is a minute younger than the one before.
func (s *site) publish(files map[string]string) {
	s.t.Helper()
	s.age = s.age.Add(time.Minute)
	for name, content := range files {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			s.t.Fatal(err)
		}
		if err := os.Chtimes(path, s.age, s.age); err != nil {
			s.t.Fatal(err)
		}
	}
}

// newBoard returns a board with the library and files on it.
func newBoard(t *testing.T, system rehearse.FileSystem, files map[string]string) *rehearse.Board {
	t.Helper()
	lib, err := library()
	if err != nil {
		t.Fatal(err)
	}
	b := &rehearse.Board{Image: filepath.Join(t.TempDir(), "board.img"), FS: system, Size: 512 << 10}
	if err := b.Format(t.Context(), lib, tree(files)); err != nil {
		t.Fatal(err)
	}
	return b
}

// run boots a board until it does not restart any more, and returns what it printed.
func run(t *testing.T, b *rehearse.Board) ([]rehearse.Result, string) {
	t.Helper()
	const enough = 8
	results, err := b.Run(t.Context(), enough)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, r := range results {
		out.WriteString(r.Output)
	}
	if len(results) == enough {
		t.Fatalf("the board restarts for ever:\n%s", out.String())
	}
	return results, out.String()
}
