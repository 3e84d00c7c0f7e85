package devserver

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

// signing is a Config that signs with a key of its own.
func signing(t testing.TB, dir string) (Config, *release.Keyset) {
	t.Helper()
	key, err := release.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &release.Keyset{App: "badge", Version: 1, Threshold: 1, Keys: []release.PublicKey{key.PublicKey()}}
	return Config{Dir: dir, Sign: func(ctx context.Context, encoded []byte, version int64) ([]byte, error) {
		s := release.Statement{App: "badge", Version: version, Manifest: release.PinOf(encoded), Keyset: 1}
		doc, err := s.Document()
		if err != nil {
			return nil, err
		}
		if err := doc.Sign(ctx, key); err != nil {
			return nil, err
		}
		return doc.Bytes(), nil
	}}, root
}

func statement(t *testing.T, r *running, headers ...string) *release.Statement {
	t.Helper()
	resp, body := r.do(t, "GET", "/ota/versions.json.sig", headers...)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", resp.StatusCode, body)
	}
	s, _, err := release.ReadStatement([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The server is a site that verifies like any other.
func TestSignedSiteVerifies(t *testing.T) {
	config, root := signing(t, tree(t))
	r := start(t, config)
	src, err := release.NewURLSource(r.url + "/ota")
	if err != nil {
		t.Fatal(err)
	}
	report, err := release.VerifySite(t.Context(), src, root, release.Board{App: "badge"})
	if err != nil || report.Files != 5 {
		t.Fatalf("%d files, %v", report.Files, err)
	}
	resp, body := r.do(t, "GET", "/ota/versions.json.sig")
	if resp.Header.Get("ETag") != etagOf(body) || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("headers %v", resp.Header)
	}
	resp, _ = r.do(t, "GET", "/ota/versions.json.sig", "If-None-Match: "+resp.Header.Get("ETag"))
	if resp.StatusCode != http.StatusNotModified {
		t.Errorf("status %d for a board that is up to date", resp.StatusCode)
	}
}

func TestNoStatementWithoutKeys(t *testing.T) {
	r := start(t, Config{Dir: tree(t)})
	for _, path := range []string{"/ota/versions.json.sig", "/ota/keys/1.json"} {
		if resp, _ := r.do(t, "GET", path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", path, resp.StatusCode)
		}
	}
}

// A board that got a statement gets the manifest that this pins, though a file
// was saved in between; another board, and the same one a minute later, gets the
// new one.
func TestManifestFitsTheStatement(t *testing.T) {
	dir := tree(t)
	config, _ := signing(t, dir)
	var mu sync.Mutex
	now := time.Unix(1_800_000_000, 0)
	config.Now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	r := start(t, config)
	s := statement(t, r, "User-Agent: saguarota/0.2.0 (first)")
	write(t, dir, "main.py", "print('saved meanwhile')\n")
	pinOf := func(board string) release.Pin {
		_, body := r.do(t, "GET", "/ota/versions.json", "User-Agent: saguarota/0.2.0 ("+board+")")
		return release.PinOf([]byte(body))
	}
	for range 2 { // the second time after a connection that broke
		if pinOf("first") != s.Manifest {
			t.Error("the manifest is not the one that the statement pins")
		}
	}
	if pinOf("second") == s.Manifest {
		t.Error("another board gets an old manifest")
	}
	mu.Lock()
	now = now.Add(pinTime + time.Second)
	mu.Unlock()
	if pinOf("first") == s.Manifest {
		t.Error("the board gets the old manifest for ever")
	}
	if again := statement(t, r, "User-Agent: saguarota/0.2.0 (first)"); again.Manifest != pinOf("first") || again.Version <= s.Version {
		t.Errorf("version %d after %d, or the manifest is not pinned", again.Version, s.Version)
	}
}

// Whatever happens to the tree, boards see versions that grow with the content.
func TestSignedVersionsGrow(t *testing.T) {
	dir := tree(t)
	old := time.Unix(1_700_000_000, 0)
	for _, name := range []string{"boot.py", "main.py", "lib/badge.mpy", "lib/deep/er.py", "100% a&b.py"} {
		if err := os.Chtimes(filepath.Join(dir, filepath.FromSlash(name)), old, old); err != nil {
			t.Fatal(err)
		}
	}
	config, _ := signing(t, dir)
	config.Key = []byte("and an HMAC")
	r := start(t, config)
	first := statement(t, r)
	if again := statement(t, r); again.Version != first.Version || again.Manifest != first.Manifest {
		t.Error("another version of the same files")
	}
	if err := os.Remove(filepath.Join(dir, "boot.py")); err != nil {
		t.Fatal(err)
	}
	removed := statement(t, r)
	if removed.Version != first.Version+1 {
		t.Errorf("version %d after a file was removed, before it was %d", removed.Version, first.Version)
	}
	_, body := r.do(t, "GET", "/ota/versions.json")
	m, err := manifest.Read(strings.NewReader(body))
	if err != nil || m.Verify(config.Key) != nil || m.Version != removed.Version {
		t.Errorf("the manifest has another version or HMAC: %v", err)
	}
	write(t, dir, "boot.py", "import main\n")
	if err := os.Chtimes(filepath.Join(dir, "boot.py"), old, old); err != nil {
		t.Fatal(err)
	}
	if back := statement(t, r); back.Version != removed.Version+1 {
		t.Errorf("version %d after it was put back, before it was %d", back.Version, removed.Version)
	}
}

// The same content has one statement, however often and late it is asked for: a new one with a later
// time would cost boards a write to their flash.
func TestSameContentIsSignedOnce(t *testing.T) {
	dir := tree(t)
	config, _ := signing(t, dir)
	sign, signed := config.Sign, 0
	config.Sign = func(ctx context.Context, encoded []byte, version int64) ([]byte, error) {
		signed++
		return sign(ctx, encoded, version)
	}
	now := time.Unix(1_800_000_000, 0)
	config.Now = func() time.Time { return now }
	r := start(t, config)
	_, first := r.do(t, "GET", "/ota/versions.json.sig")
	for range 3 {
		now = now.Add(48 * time.Hour)
		if resp, again := r.do(t, "GET", "/ota/versions.json.sig", "If-None-Match: "+etagOf(first)); resp.StatusCode != http.StatusNotModified {
			t.Errorf("status %d, another statement:\n%s", resp.StatusCode, again)
		}
	}
	if signed != 1 {
		t.Errorf("it was signed %d times", signed)
	}
	write(t, dir, "main.py", "print('changed')\n")
	if _, again := r.do(t, "GET", "/ota/versions.json.sig"); again == first || signed != 2 {
		t.Errorf("after a change it was signed %d times", signed)
	}
}

func TestKeysetsAreServed(t *testing.T) {
	config, _ := signing(t, tree(t))
	config.Keysets = [][]byte{[]byte("first\n"), []byte("second\n")}
	r := start(t, config)
	for path, want := range map[string]string{"/ota/keys/1.json": "first\n", "/ota/keys/2.json": "second\n"} {
		resp, body := r.do(t, "GET", path)
		if body != want || resp.Header.Get("ETag") != etagOf(want) {
			t.Errorf("%s: %q, %v", path, body, resp.Header)
		}
	}
	for _, path := range []string{"/ota/keys/3.json", "/ota/keys/0.json", "/ota/keys/01.json", "/ota/keys/", "/ota/keys"} {
		if resp, _ := r.do(t, "GET", path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", path, resp.StatusCode)
		}
	}
}

func TestSignerThatFails(t *testing.T) {
	dir := tree(t)
	r := start(t, Config{Dir: dir, Sign: func(context.Context, []byte, int64) ([]byte, error) {
		return nil, errors.New("no such slot in " + dir + "/hsm")
	}})
	resp, body := r.do(t, "GET", "/ota/versions.json.sig")
	if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(body, "no such slot") || strings.Contains(body, dir) {
		t.Errorf("status %d: %s", resp.StatusCode, body)
	}
	if e := r.event(t); !strings.Contains(e.Note, "the release could not be signed") {
		t.Errorf("logged %q", e.Note)
	}
}

// A server that many boards ask remembers some of them, not all.
func TestPinsAreBounded(t *testing.T) {
	o := offers{pinned: make(map[string]pin)}
	at := time.Unix(1_800_000_000, 0)
	for i := range maxBoards + 10 {
		o.pin(strings.Repeat("x", i), offer{}, at)
	}
	if len(o.pinned) != maxBoards {
		t.Errorf("%d are remembered", len(o.pinned))
	}
	o.pin("later", offer{version: 7}, at.Add(2*pinTime))
	if got, ok := o.pinnedFor("later", at.Add(2*pinTime)); !ok || got.version != 7 || len(o.pinned) != 1 {
		t.Errorf("%d are remembered, %v", len(o.pinned), got)
	}
}
