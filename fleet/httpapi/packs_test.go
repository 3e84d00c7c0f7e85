package httpapi_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/pack"
	"github.com/cactuscon/saguarota/release"
)

// Packs are made of whatever was published, when they are asked for.
func TestPacks(t *testing.T) {
	r := newRig(t)
	old := map[string]string{"main.py": "print('one')\n", "lib/util.py": "X = 1\n"}
	r.publish("one")
	first := r.read(release.ManifestName)
	r.publish("two")
	second := r.read(release.ManifestName)
	for name, from := range map[string]*pack.Release{
		pack.Name(first, second): {Manifest: first, Open: func(_ context.Context, path string) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader([]byte(old[path]))), nil
		}},
		pack.Name(nil, second): nil,
	} {
		a := r.get("/ota/badge/" + name)
		if a.status != http.StatusOK || a.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || a.header.Get("ETag") == "" {
			t.Fatalf("%s: %d %v\n%s", name, a.status, a.header, r.log.String())
		}
		made, err := pack.Apply(t.Context(), []byte(a.body), from)
		r.must(err)
		if !bytes.Equal(made.Manifest, second) {
			t.Errorf("%s: it makes %q", name, made.Manifest)
		}
		if b := r.get("/ota/badge/"+name, "Range: bytes=3-"); b.status != http.StatusPartialContent || b.body != a.body[3:] {
			t.Errorf("%s: a range is %d, %d bytes", name, b.status, len(b.body))
		}
	}
	stranger := pack.Name(first, []byte("unknown"))
	for _, name := range []string{stranger, pack.Name([]byte("unknown"), second), pack.Name(nil, []byte("unknown")), "packs/x", "packs/"} {
		if a := r.get("/ota/badge/" + name); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	// Not even what exists, of another application.
	app := fleet.App{Name: "other", Root: &release.Keyset{App: "other", Version: 1, Threshold: 1, Keys: []release.PublicKey{r.key.PublicKey()}}, PollPeriod: 60e9}
	app.Enrolment.Secret = make([]byte, 32)
	r.must(r.store.AddApp(t.Context(), r.ada(), app))
	r.must(r.server.Refresh(t.Context()))
	if a := r.get("/ota/other/" + pack.Name(first, second)); a.status != http.StatusNotFound {
		t.Errorf("from another application: %d", a.status)
	}
}

// Where a file is gone, there is no pack for now; boards go on without.
func TestPackOfWhatIsGone(t *testing.T) {
	r := newRig(t)
	r.publish("one")
	encoded := r.read(release.ManifestName)
	sum := blob.SumOf([]byte("print('one')\n")).String()
	r.must(os.Remove(filepath.Join(r.dir, "blobs", sum[:2], sum)))
	if a := r.get("/ota/badge/" + pack.Name(nil, encoded)); a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %q", a.status, a.body)
	}
	r.publication() // uploads it again
	if a := r.get("/ota/badge/" + pack.Name(nil, encoded)); a.status != http.StatusOK {
		t.Errorf("mended: %d %q\n%s", a.status, a.body, r.log.String())
	}
}
