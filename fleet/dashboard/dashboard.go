// Package dashboard is what a fleet server shows to people: pages in HTML that work
// without JavaScript, and move by themselves where there is some.
//
// It has no rules of its own. It reads from the store, and changes things through the
// administration of package httpapi in the same process, with the scopes that the
// OpenAPI document gives each operation. It keeps nothing that another server would have
// to know, so any of several can answer any request.
package dashboard

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// Config is what a Dashboard works with.
type Config struct {
	Server *httpapi.Server
	Store  fleet.Store
	Now    func() time.Time // usually time.Now
	Log    *slog.Logger

	// Every is how often a page that moves is looked at anew: 0 for DefaultEvery.
	Every time.Duration
}

// DefaultEvery is how often a page moves if nothing is said.
const DefaultEvery = time.Second

// A Dashboard answers what is below httpapi.PagesPath. Its methods are safe for
// concurrent use.
type Dashboard struct {
	server *httpapi.Server
	api    api.StrictServerInterface
	store  fleet.Store
	now    func() time.Time
	log    *slog.Logger
	every  time.Duration

	scopes    map[string]fleet.Scope // by operation of the API
	templates map[string]*template.Template
	mux       *http.ServeMux
	crossSite *http.CrossOriginProtection
	routes    []route

	fragments fragments
	silent    surveys
	groups    groupCache
	rate      rate

	stopping context.Context
	stop     context.CancelFunc
	once     sync.Once
}

//go:embed assets
var assets embed.FS

//go:embed templates
var templateFiles embed.FS

// New returns a Dashboard.
func New(c Config) (*Dashboard, error) {
	d := &Dashboard{
		server: c.Server, api: c.Server.API(), store: c.Store, now: c.Now, log: c.Log, every: c.Every,
		crossSite: http.NewCrossOriginProtection(),
	}
	if d.every == 0 {
		d.every = DefaultEvery
	}
	d.stopping, d.stop = context.WithCancel(context.Background())
	var err error
	if d.scopes, err = httpapi.OperationScopes(); err != nil {
		return nil, err
	}
	if d.templates, err = parseTemplates(); err != nil {
		return nil, err
	}
	return d, d.handleAll()
}

// Close ends the streams of pages that move, so that a server can stop.
func (d *Dashboard) Close() { d.once.Do(d.stop) }

// a route is what somebody who is signed in can ask for.
type route struct {
	pattern   string // for the mux, below PagesPath: "GET apps/{app}/"
	operation string // of the API, whose scope it takes
	handle    func(*request) error
}

// changes reports whether the route changes something.
func (r *route) changes() bool { return len(r.pattern) > 4 && r.pattern[:4] == "POST" }

// ServeHTTP implements http.Handler.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
	if r.Method == http.MethodPost {
		if err := d.crossSite.Check(r); err != nil {
			d.showProblem(&request{d: d, w: w, r: r}, http.StatusForbidden, errCrossSite)
			return
		}
		conn := http.NewResponseController(w)
		// Writers of tests have no deadlines to set. These are of the connection, so of
		// the clock of the machine.
		_ = conn.SetReadDeadline(time.Now().Add(formTimeout))
		_ = conn.SetWriteDeadline(time.Now().Add(2 * formTimeout))
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	}
	d.mux.ServeHTTP(w, r)
}

const (
	formTimeout = 30 * time.Second
	maxForm     = 1 << 20
)

var (
	errCrossSite = errors.New("the form was sent by another site")
	errForm      = errors.New("the form does not belong to this sign-in")
)

func (d *Dashboard) handleAll() error {
	d.mux = http.NewServeMux()
	d.mux.HandleFunc("GET "+httpapi.PagesPath+"assets/{name}", serveAsset)
	d.mux.HandleFunc("GET "+httpapi.PagesPath+"sign-in", d.showSignIn)
	d.mux.HandleFunc("POST "+httpapi.PagesPath+"sign-in", d.signIn)
	d.mux.HandleFunc("POST "+httpapi.PagesPath+"sign-out", d.signOut)
	d.routes = []route{
		{"GET {$}", "listApps", (*request).home},
		{"GET apps/{app}/{$}", "countBoards", (*request).fleetPage},
		{"GET apps/{app}/silent", "listBoards", (*request).silentPage},
		{"GET apps/{app}/rollouts", "listRollouts", (*request).rolloutsPage},
		{"GET rollouts/{id}", "getRollout", (*request).rolloutPage},
		{"GET rollouts/{id}/{action}", "getRollout", (*request).steerPage},
		{"POST rollouts/{id}/{action}", "steerRollout", (*request).steer},
		{"GET apps/{app}/boards", "listBoards", (*request).boardsPage},
		{"GET apps/{app}/board", "getBoard", (*request).boardPage},
		{"POST apps/{app}/boards/change", "changeBoards", (*request).changeBoards},
		{"POST apps/{app}/boards/delete", "deleteBoards", (*request).deleteBoards},
		{"GET apps/{app}/releases", "listReleases", (*request).releasesPage},
		{"GET apps/{app}/releases/{version}", "listReleases", (*request).releasePage},
		{"POST apps/{app}/releases/{version}", "changeRelease", (*request).changeRelease},
		{"GET audit", "listAudit", (*request).auditPage},
		{"GET tokens", "listTokens", (*request).tokensPage},
		{"POST tokens", "addToken", (*request).addToken},
		{"POST tokens/{id}/revoke", "revokeToken", (*request).revokeToken},
		{"GET webhooks", "listWebhooks", (*request).webhooksPage},
		{"POST webhooks", "addWebhook", (*request).addWebhook},
		{"GET webhooks/{id}", "listDeliveries", (*request).webhookPage},
		{"POST webhooks/{id}/enable", "enableWebhook", (*request).enableWebhook},
		{"POST webhooks/{id}/test", "testWebhook", (*request).testWebhook},
		{"POST webhooks/{id}/remove", "removeWebhook", (*request).removeWebhook},
		{"GET live/apps/{app}", "countBoards", (*request).liveFleet},
		{"GET live/rollouts/{id}", "getRollout", (*request).liveRollout},
	}
	for _, r := range d.routes {
		if _, ok := d.scopes[r.operation]; !ok {
			return errors.New("the OpenAPI document has no operation " + r.operation)
		}
		method, path, _ := cutPattern(r.pattern)
		d.mux.HandleFunc(method+" "+httpapi.PagesPath+path, func(w http.ResponseWriter, req *http.Request) { d.serve(w, req, &r) })
	}
	d.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		q := &request{d: d, w: w, r: r}
		if err := q.authenticate(); err != nil {
			q.toSignIn()
			return
		}
		d.showProblem(q, http.StatusNotFound, errNoPage)
	})
	return nil
}

var errNoPage = errors.New("there is no page of this address")

// serve answers a route.
func (d *Dashboard) serve(w http.ResponseWriter, r *http.Request, route *route) {
	q := &request{d: d, w: w, r: r}
	if err := q.authenticate(); err != nil {
		q.refuse(err)
		return
	}
	if err := q.token.Check(d.now(), d.scopes[route.operation]); err != nil {
		q.fail(err)
		return
	}
	if route.changes() {
		if err := r.ParseForm(); err != nil {
			d.showProblem(q, http.StatusBadRequest, err)
			return
		}
		if !q.session.checkForm(r.PostFormValue("form")) {
			d.showProblem(q, http.StatusForbidden, errForm)
			return
		}
	}
	ctx, cancel := context.WithCancel(httpapi.As(r.Context(), q.token))
	defer cancel()
	q.ctx = ctx
	err := route.handle(q)
	if route.changes() {
		d.fragments.forget() // whoever has changed something sees it at once
	}
	if err != nil {
		q.fail(err)
	}
}

// allows reports whether who asks may do what an operation of the API does.
func (q *request) allows(operation string) bool {
	return q.token != nil && q.token.Scope.Allows(q.d.scopes[operation])
}
