package dashboard

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// a request is one that is being answered.
type request struct {
	d       *Dashboard
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context // of calls of the API: with who makes them
	session *session        // nil: nobody is signed in
	token   *fleet.Token
}

// a view is what a template is to show.
type view struct {
	Template string
	Title    string
	App      string // "": the page is about none
	Section  string // of the navigation: which entry is this page's
	Live     string // path of the stream of a page that moves
	Data     any
}

// a page is what templates see.
type page struct {
	view
	Apps   []string
	Token  *fleet.Token // nil: nobody is signed in
	Form   string       // what every form carries
	Now    time.Time
	Notice string
	Can    func(operation string) bool
}

// notices are what pages can be made to say by their address: nothing else can.
var notices = map[string]string{
	"pause":    "The rollout is paused.",
	"resume":   "The rollout goes on.",
	"forward":  "The rollout has taken its next step.",
	"abort":    "The rollout is aborted.",
	"promote":  "The release is the channel’s now.",
	"changed":  "The boards are changed.",
	"deleted":  "The boards are forgotten. Those that are revoked stay.",
	"release":  "The release is changed.",
	"revoked":  "The token is revoked.",
	"enabled":  "The webhook is told again.",
	"tested":   "A test is on its way to the webhook.",
	"removed":  "The webhook is forgotten.",
	"in-order": "Nothing was to be changed.",
}

func parseTemplates() (map[string]*template.Template, error) {
	base, err := template.New("layout.html").Funcs(funcs()).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	all := map[string]*template.Template{}
	for _, name := range names {
		short := strings.TrimSuffix(path.Base(name), ".html")
		if short == "layout" || short == "parts" {
			continue
		}
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, name)
		}
		if err != nil {
			return nil, err
		}
		all[short] = t
	}
	return all, nil
}

// page returns what the template of a view sees.
func (q *request) page(v view) page {
	p := page{view: v, Token: q.token, Now: q.d.now(), Can: q.allows, Notice: notices[q.r.URL.Query().Get("said")]}
	if q.session != nil {
		p.Form = q.session.form()
	}
	return p
}

// render answers with a page.
func (q *request) render(status int, v view) {
	p := q.page(v)
	if q.token != nil {
		apps, err := q.apps()
		if err != nil {
			q.d.log.Error("the dashboard cannot list the applications", "error", err)
		}
		for _, app := range apps {
			p.Apps = append(p.Apps, app.Name)
			if v.Template == "problem" && app.Name == q.r.PathValue("app") {
				p.App = app.Name
			}
		}
	}
	var out bytes.Buffer
	if err := q.d.templates[v.Template].ExecuteTemplate(&out, "layout.html", p); err != nil {
		q.d.log.Error("a page of the dashboard fails", "page", v.Template, "error", err)
		http.Error(q.w, "The page could not be made; the log of the server says why.", http.StatusInternalServerError)
		return
	}
	q.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	q.w.WriteHeader(status)
	_, _ = out.WriteTo(q.w) // who asked has gone
}

// fragment makes the part of a view's page that moves.
func (q *request) fragment(v view) ([]byte, error) {
	var out bytes.Buffer
	err := q.d.templates[v.Template].ExecuteTemplate(&out, "live", q.page(v))
	return out.Bytes(), err
}

// redirect leads to another page, which says one of the notices.
func (q *request) redirect(to, notice string) error {
	if notice != "" {
		mark := "?"
		if strings.Contains(to, "?") {
			mark = "&"
		}
		to += mark + queryOf("said", notice)
	}
	http.Redirect(q.w, q.r, to, http.StatusSeeOther)
	return nil
}

// queryOf returns a query of names and values, without those whose value is "".
func queryOf(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v.Encode()
}

// number reads a number of a path or a form. The error is fleet.ErrInvalid.
func number(what, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: %s %q is no number", fleet.ErrInvalid, what, text)
	}
	return n, nil
}

// problem is what the page about an error says.
type problem struct {
	Status         int
	What, Why, How string
	Back           string // path of a page that may help
}

// hints say what to do about an error, by its word.
var hints = map[string]string{
	"unauthorized": "Sign in again.",
	"forbidden":    "Sign in with a token that allows it. “saguarota fleet token add NAME --scope manage” makes one.",
	"not found":    "It may have been deleted, or the address may be mistyped. Go back and choose again.",
	"exists":       "Choose another name.",
	"full":         "Make room first, or raise the limit with “saguarota fleet app change APP --max-boards N”.",
	"state":        "Look at it as it is now, then choose what it can do.",
	"conflict":     "Look at it as it is now, then do it again if it is still to be done.",
	"invalid":      "Correct what is named above and send it again.",
	"internal":     "Try again. If it stays so, the log of the server says why; “saguarota fleet check” looks for the cause.",
}

// refuse answers a request of somebody who is not signed in.
func (q *request) refuse(err error) {
	status, _ := httpapi.ErrorStatus(err)
	switch {
	case status != http.StatusUnauthorized:
		q.fail(err)
	case q.r.Header.Get("HX-Request") != "" || strings.HasPrefix(q.r.URL.Path, httpapi.PagesPath+"live/"):
		q.w.Header().Set("HX-Redirect", httpapi.PagesPath+"sign-in?again=1")
		http.Error(q.w, "The sign-in has ended.", http.StatusUnauthorized)
	default:
		q.toSignIn()
	}
}

// fail answers a request that cannot be done.
func (q *request) fail(err error) {
	status, _ := httpapi.ErrorStatus(err)
	if status == http.StatusInternalServerError && q.r.Context().Err() == nil {
		q.d.log.Error("the dashboard fails", "method", q.r.Method, "path", q.r.URL.Path, "error", err)
	}
	q.d.showProblem(q, status, err)
}

// showProblem answers with a page that says what failed, why, and what to do.
func (d *Dashboard) showProblem(q *request, status int, err error) {
	_, word := httpapi.ErrorStatus(err)
	p := problem{Status: status, What: "This page cannot be shown", Why: err.Error() + ".", How: hints[word], Back: httpapi.PagesPath}
	if q.r.Method == http.MethodPost {
		p.What = "Nothing was changed"
	}
	switch {
	case errors.Is(err, errCrossSite):
		p.How = "Open the dashboard itself and do it there. Behind a proxy, the proxy must pass the Host header on."
	case errors.Is(err, errForm):
		p.How = "Go back, reload the page and send it again. This also happens after signing in anew in another tab."
	case errors.Is(err, errNoPage):
		p.How = "Start from the front page."
	case status == http.StatusInternalServerError:
		p.Why = "The server could not do it."
	case p.How == "":
		p.How = "Go back and try again."
	}
	q.render(status, view{Template: "problem", Title: p.What, Data: p})
}

// apps returns the applications, sorted by name.
func (q *request) apps() ([]api.App, error) {
	answer, err := q.d.api.ListApps(q.r.Context(), api.ListAppsRequestObject{})
	if err != nil {
		return nil, err
	}
	return answer.(api.ListApps200JSONResponse), nil
}

// app returns the application that the path names. The error is fleet.ErrNotFound.
func (q *request) app() (*api.App, error) {
	apps, err := q.apps()
	if err != nil {
		return nil, err
	}
	name := q.r.PathValue("app")
	for i := range apps {
		if apps[i].Name == name {
			return &apps[i], nil
		}
	}
	return nil, fmt.Errorf("%w: the application %q", fleet.ErrNotFound, name)
}

// names returns what releases are called, by version.
func (q *request) names(app string) (map[int64]string, error) {
	answer, err := q.d.api.ListReleases(q.r.Context(), api.ListReleasesRequestObject{App: app})
	if err != nil {
		return nil, err
	}
	names := map[int64]string{}
	for _, r := range answer.(api.ListReleases200JSONResponse) {
		names[r.Version] = r.Name
	}
	return names, nil
}

// home leads to the only application, or lists them.
func (q *request) home() error {
	apps, err := q.apps()
	if err != nil {
		return err
	}
	if len(apps) == 1 {
		return q.redirect(appPath(apps[0].Name), "")
	}
	q.render(http.StatusOK, view{Template: "home", Title: "Applications", Data: apps})
	return nil
}

// serveAsset sends a file that pages need.
func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	data, err := assets.ReadFile("assets/" + name)
	kind := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8"}[path.Ext(name)]
	if err != nil || kind == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	if r.URL.Query().Get("v") == assetSum(data) {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(data) // who asked has gone
}

func assetSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

// asset returns the address of a file that pages need: another one when it changes.
func asset(name string) (string, error) {
	data, err := assets.ReadFile("assets/" + name)
	return httpapi.PagesPath + "assets/" + name + "?v=" + assetSum(data), err
}

func cutPattern(pattern string) (method, path string, ok bool) { return strings.Cut(pattern, " ") }

func appPath(app string) string { return httpapi.PagesPath + "apps/" + url.PathEscape(app) + "/" }

func rolloutPath(id int64) string {
	return httpapi.PagesPath + "rollouts/" + strconv.FormatInt(id, 10)
}
