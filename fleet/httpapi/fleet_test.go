package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// a rig is a fleet with one server and the application "badge".
type rig struct {
	t      testing.TB
	dir    string
	store  *sqlstore.Store
	blobs  blob.Store
	server *httpapi.Server
	web    *httptest.Server
	clock  atomic.Int64 // seconds after noon
	key    release.PrivateKey
	site   string // where the last release was built
	log    lockedBuffer
}

func newRig(t testing.TB, change ...func(*fleet.App)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	var err error
	if r.store, err = sqlstore.Open(t.Context(), filepath.Join(r.dir, "fleet.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.store.Close() }) // some tests have closed it
	if r.blobs, err = blob.Open(filepath.Join(r.dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	if r.key, err = release.GenerateKey(rand.NewChaCha8([32]byte{1})); err != nil {
		t.Fatal(err)
	}
	app := fleet.App{
		Name:       "badge",
		Root:       &release.Keyset{App: "badge", Version: 1, Threshold: 1, Keys: []release.PublicKey{r.key.PublicKey()}},
		PollPeriod: 10 * time.Minute,
		Enrolment:  fleet.Enrolment{Secret: bytes.Repeat([]byte("s"), 32)},
	}
	for _, f := range change {
		f(&app)
	}
	r.must(r.store.AddApp(t.Context(), r.ada(), app))
	r.site = filepath.Join(r.dir, "site")
	r.server = r.newServer()
	r.web = httptest.NewServer(r.server.Handler())
	t.Cleanup(r.web.Close)
	return r
}

// newServer returns one more server of the same fleet.
func (r *rig) newServer(change ...func(*httpapi.Config)) *httpapi.Server {
	r.t.Helper()
	c := httpapi.Config{
		Store: r.store, Blobs: r.blobs, Now: r.now,
		Jitter: func() float64 { return 0.5 },
		Log:    slog.New(slog.NewTextHandler(&r.log, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	s, err := httpapi.New(r.t.Context(), c)
	r.must(err)
	return s
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) now() time.Time { return noon.Add(time.Duration(r.clock.Load()) * time.Second) }

// pass lets time go by, and the server do what is due.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	r.clock.Add(int64(d / time.Second))
	_, err := r.store.Advance(r.t.Context(), r.now())
	r.must(err)
	r.must(r.server.Refresh(r.t.Context()))
}

func (r *rig) ada() fleet.Actor { return fleet.Actor{Name: "ada", At: r.now()} }

// build builds a site of the given files, newer than those before it.
func (r *rig) build(files map[string]string, signer release.Signer, change ...func(*release.Statement)) *release.Build {
	r.t.Helper()
	source := filepath.Join(r.t.TempDir(), "src")
	for path, content := range files {
		name := filepath.Join(source, filepath.FromSlash(path))
		r.must(os.MkdirAll(filepath.Dir(name), 0o777))
		r.must(os.WriteFile(name, []byte(content), 0o666))
		r.must(os.Chtimes(name, r.now(), r.now()))
	}
	o := release.BuildOptions{Source: source, Files: manifest.DefaultOptions(), Indent: -1, Signers: []release.Signer{signer}}
	o.Statement.App = "badge"
	for _, f := range change {
		f(&o.Statement)
	}
	b, err := release.BuildSite(r.t.Context(), r.site, o)
	r.must(err)
	return b
}

// publication uploads the files of the site that was built last.
func (r *rig) publication() httpapi.Publication {
	r.t.Helper()
	p := httpapi.Publication{Statement: r.read(release.StatementName), Manifest: r.read(release.ManifestName)}
	m, err := manifest.Read(bytes.NewReader(p.Manifest))
	r.must(err)
	for _, f := range m.Files {
		data := r.read(f.Path)
		r.must(r.blobs.Put(r.t.Context(), blob.SumOf(data), int64(len(data)), bytes.NewReader(data)))
	}
	chain, err := release.ReadChain(r.t.Context(), release.Dir(r.site))
	r.must(err)
	for _, link := range chain {
		p.Keysets = append(p.Keysets, link.Document.Bytes())
	}
	return p
}

// publish builds a release whose main.py says text, publishes it and returns its
// version.
func (r *rig) publish(text string, change ...func(*release.Statement)) int64 {
	r.t.Helper()
	r.build(map[string]string{"main.py": "print('" + text + "')\n", "lib/util.py": "X = 1\n"}, r.key, change...)
	rel, err := r.server.Publish(r.t.Context(), r.ada(), "badge", r.publication())
	r.must(err)
	return rel.Version()
}

// give gives a version to all boards of a channel.
func (r *rig) give(channel string, version int64) {
	r.t.Helper()
	r.must(r.store.SetChannel(r.t.Context(), r.ada(), "badge", channel, version))
	r.must(r.server.Refresh(r.t.Context()))
}

// start starts a rollout of a version to the channel stable.
func (r *rig) start(version int64, change ...func(*fleet.Plan)) int64 {
	r.t.Helper()
	ro := fleet.Rollout{App: "badge", Channel: "stable", Version: version, Plan: fleet.Plan{
		Salt: "salt", Start: r.now(), Steps: []fleet.Step{{Share: fleet.All, Every: time.Hour}},
	}}
	for _, f := range change {
		f(&ro.Plan)
	}
	ro, err := r.store.StartRollout(r.t.Context(), r.ada(), ro)
	r.must(err)
	r.must(r.server.Refresh(r.t.Context()))
	return ro.ID
}

// an answer is what came back, whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// get asks for a path with the headers in lines "Name: value".
func (r *rig) get(path string, headers ...string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.web.URL+path, nil)
	r.must(err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	r.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	r.must(err)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// poll lets a board poll, and returns which version it is offered: 0 if none.
func (r *rig) poll(report fleet.Report, headers ...string) int64 {
	r.t.Helper()
	a := r.get("/ota/badge/versions.json.sig", append(headers, httpapi.ReportHeader+": "+report.String())...)
	if a.header.Get(httpapi.PollHeader) == "" {
		r.t.Errorf("%+v: not told when to poll again", report)
	}
	switch a.status {
	case http.StatusNotModified:
		return 0
	case http.StatusOK:
		s, _, err := release.ReadStatement([]byte(a.body))
		r.must(err)
		return s.Version
	}
	r.t.Fatalf("%+v: %d %s", report, a.status, a.body)
	return 0
}

func (r *rig) board(id string) *fleet.Board {
	r.t.Helper()
	b, err := r.store.Board(r.t.Context(), "badge", id)
	if errors.Is(err, fleet.ErrNotFound) {
		return nil
	}
	r.must(err)
	return b
}

// verify checks what is below a URL as a board does.
func (r *rig) verify(ctx context.Context, path string) error {
	src, err := release.NewURLSource(r.web.URL + path)
	r.must(err)
	root := &release.Keyset{App: "badge", Version: 1, Threshold: 1, Keys: []release.PublicKey{r.key.PublicKey()}}
	_, err = release.VerifySite(ctx, src, root, release.Board{App: "badge"})
	return err
}

// read returns a file of the site that was built last.
func (r *rig) read(path string) []byte {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.site, filepath.FromSlash(path)))
	r.must(err)
	return data
}
