package boardtest

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/devserver"
	"github.com/cactuscon/saguarota/manifest"
)

// A devSite is a folder behind the development server.
type devSite struct {
	t      *testing.T
	dir    string
	server *httptest.Server
}

// newDevSite serves files with these extensions, .py if nil, with the manifest signed if there is
// a key.
func newDevSite(t *testing.T, key []byte, extensions []string) *devSite {
	t.Helper()
	if extensions == nil {
		extensions = []string{".py"}
	}
	d := &devSite{t: t, dir: t.TempDir()}
	s, err := devserver.New(devserver.Config{
		Dir:     d.dir,
		Options: manifest.Options{Extensions: extensions},
		Key:     key,
		Indent:  2,
	})
	if err != nil {
		t.Fatal(err)
	}
	d.server = httptest.NewServer(s)
	t.Cleanup(d.server.Close)
	return d
}

// save writes those files of a release that differ, with a time of last change in Unix seconds.
func (d *devSite) save(r release, seconds int64) {
	d.t.Helper()
	for name, text := range r {
		name = filepath.Join(d.dir, filepath.FromSlash(name))
		if old, err := os.ReadFile(name); err == nil && string(old) == text {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			d.t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			d.t.Fatal(err)
		}
		if err := os.Chtimes(name, time.Time{}, time.Unix(seconds, 0)); err != nil {
			d.t.Fatal(err)
		}
	}
}
