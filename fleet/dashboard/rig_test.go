package dashboard_test

import (
	"bytes"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/dashboard"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// a rig is a fleet server with its dashboard.
type rig struct {
	t      testing.TB
	store  *sqlstore.Store
	blobs  blob.Store
	server *httpapi.Server
	pages  *dashboard.Dashboard
	web    *httptest.Server
	clock  atomic.Int64 // seconds after noon
	key    release.PrivateKey
	dir    string
	log    lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newRig returns a fleet of the given applications.
func newRig(t testing.TB, apps ...string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	var err error
	r.store, err = sqlstore.Open(t.Context(), filepath.Join(r.dir, "fleet.db"))
	r.must(err)
	t.Cleanup(func() { r.must(r.store.Close()) })
	r.blobs, err = blob.Open(filepath.Join(r.dir, "blobs"))
	r.must(err)
	r.key, err = release.GenerateKey(rand.NewChaCha8([32]byte{1}))
	r.must(err)
	for _, name := range apps {
		r.must(r.store.AddApp(t.Context(), r.ada(), fleet.App{
			Name:       name,
			Root:       &release.Keyset{App: name, Version: 1, Threshold: 1, Keys: []release.PublicKey{r.key.PublicKey()}},
			PollPeriod: 10 * time.Minute,
			Enrolment:  fleet.Enrolment{Secret: bytes.Repeat([]byte("s"), 32)},
		}))
	}
	log := slog.New(slog.NewTextHandler(&r.log, nil))
	r.server, err = httpapi.New(t.Context(), httpapi.Config{
		Store: r.store, Blobs: r.blobs, Now: r.now, Jitter: func() float64 { return 0.5 }, Log: log,
		Limits: httpapi.Limits{Refused: 20}, WebhooksLocal: true,
	})
	r.must(err)
	r.pages, err = dashboard.New(dashboard.Config{Server: r.server, Store: r.store, Now: r.now, Log: log, Every: 20 * time.Millisecond})
	r.must(err)
	r.server.SetPages(r.pages)
	r.web = httptest.NewServer(r.server.Handler())
	t.Cleanup(func() {
		r.pages.Close()
		r.web.Close()
	})
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) now() time.Time   { return noon.Add(time.Duration(r.clock.Load()) * time.Second) }
func (r *rig) ada() fleet.Actor { return fleet.Actor{Name: "ada", At: r.now()} }

// publish publishes a release of badge and returns its version.
func (r *rig) publish(text, name string) int64 {
	r.t.Helper()
	r.clock.Add(60)
	source := filepath.Join(r.t.TempDir(), "src")
	r.must(os.MkdirAll(source, 0o777))
	file := filepath.Join(source, "main.py")
	r.must(os.WriteFile(file, []byte(text), 0o666))
	r.must(os.Chtimes(file, r.now(), r.now()))
	o := release.BuildOptions{Source: source, Files: manifest.DefaultOptions(), Indent: -1, Signers: []release.Signer{r.key}}
	o.Statement.App, o.Statement.Name = "badge", name
	site := filepath.Join(r.dir, "site")
	_, err := release.BuildSite(r.t.Context(), site, o)
	r.must(err)
	read := func(path string) []byte {
		data, err := os.ReadFile(filepath.Join(site, path))
		r.must(err)
		return data
	}
	main := read("main.py")
	r.must(r.blobs.Put(r.t.Context(), blob.SumOf(main), int64(len(main)), bytes.NewReader(main)))
	p := httpapi.Publication{Statement: read(release.StatementName), Manifest: read(release.ManifestName)}
	chain, err := release.ReadChain(r.t.Context(), release.Dir(site))
	r.must(err)
	for _, link := range chain {
		p.Keysets = append(p.Keysets, link.Document.Bytes())
	}
	rel, err := r.server.Publish(r.t.Context(), r.ada(), "badge", p)
	r.must(err)
	return rel.Version()
}

// start starts a rollout of a version to the channel stable.
func (r *rig) start(version int64, change ...func(*fleet.Plan)) int64 {
	r.t.Helper()
	plan := fleet.Plan{
		Salt: "salt", Start: r.now(), Timeout: time.Hour,
		Steps: []fleet.Step{{Share: fleet.All / 2, Every: time.Hour}, {Share: fleet.All, Every: time.Hour}},
		Halt:  fleet.HaltRule{Percent: 20, AtLeast: 10, Kind: fleet.KindAll},
	}
	for _, f := range change {
		f(&plan)
	}
	ro, err := r.store.StartRollout(r.t.Context(), r.ada(), fleet.Rollout{App: "badge", Channel: "stable", Version: version, Plan: plan})
	r.must(err)
	r.must(r.server.Refresh(r.t.Context()))
	return ro.ID
}

// poll lets a board poll.
func (r *rig) poll(report fleet.Report) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.web.URL+"/ota/badge/versions.json.sig", nil)
	r.must(err)
	req.Header.Set(httpapi.ReportHeader, report.String())
	resp, err := http.DefaultClient.Do(req)
	r.must(err)
	r.must(resp.Body.Close())
	if resp.StatusCode >= 400 {
		r.t.Fatalf("%+v: %s", report, resp.Status)
	}
}

// token makes a token.
func (r *rig) token(name string, scope fleet.Scope) string {
	r.t.Helper()
	secret, err := r.server.NewToken(r.t.Context(), r.ada(), name, scope, time.Time{})
	r.must(err)
	return secret
}

// a person is somebody with a browser without JavaScript.
type person struct {
	*rig
	client *http.Client
	form   string // what his forms carry
}

type answer struct {
	status int
	header http.Header
	body   string
	path   string // where he has come to
}

func (r *rig) person() *person {
	jar, err := cookiejar.New(nil)
	r.must(err)
	return &person{rig: r, client: &http.Client{Jar: jar}}
}

// signedIn returns somebody who has signed in with a new token of the scope.
func (r *rig) signedIn(scope fleet.Scope) *person {
	r.t.Helper()
	p := r.person()
	if a := p.signIn(r.token(string(scope), scope)); a.status != http.StatusOK {
		r.t.Fatalf("signing in: %d %s", a.status, a.body)
	}
	return p
}

func (p *person) signIn(secret string) answer {
	p.t.Helper()
	return p.post("/ui/sign-in", "token", secret)
}

var formField = regexp.MustCompile(`name="form" value="([^"]+)"`)

func (p *person) do(req *http.Request) answer {
	p.t.Helper()
	resp, err := p.client.Do(req)
	p.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	p.must(err)
	if m := formField.FindSubmatch(body); m != nil {
		p.form = string(m[1])
	}
	return answer{resp.StatusCode, resp.Header, string(body), resp.Request.URL.RequestURI()}
}

func (p *person) get(path string) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.web.URL+path, nil)
	p.must(err)
	return p.do(req)
}

// request returns what sends a form: names and values.
func (p *person) request(path string, pairs ...string) *http.Request {
	p.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.web.URL+path, strings.NewReader(form.Encode()))
	p.must(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", p.web.URL)
	return req
}

// post sends a form, with what forms of the session carry.
func (p *person) post(path string, pairs ...string) answer {
	p.t.Helper()
	return p.do(p.request(path, append(pairs, "form", p.form)...))
}

// main is what is particular to the page.
func (a answer) main() string {
	_, main, _ := strings.Cut(a.body, "<main")
	return main
}

// has checks that a page has texts.
func (p *person) has(a answer, status int, texts ...string) {
	p.t.Helper()
	if a.status != status {
		p.t.Fatalf("%s: %d, want %d: %s", a.path, a.status, status, a.main())
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			p.t.Errorf("%s does not say %q:\n%s", a.path, text, a.main())
		}
	}
}

// at is where cookies are for.
func (r *rig) at() *url.URL {
	u, err := url.Parse(r.web.URL)
	r.must(err)
	return u
}
