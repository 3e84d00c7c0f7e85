package dashboard_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/dashboard"
)

func newTLS() *tls.ConnectionState { return &tls.ConnectionState{Version: tls.VersionTLS13} }

// filled returns a path of a route, with what its wildcards can be.
func filled(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	path = strings.NewReplacer("{$}", "", "{app}", "badge", "{id}", "1", "{action}", "pause", "{version}", "1").Replace(path)
	return method, "/ui/" + path
}

// state is all that a change could change.
func (r *rig) state() string {
	r.t.Helper()
	ctx := r.t.Context()
	boards, err := r.store.Boards(ctx, "badge", fleet.Filter{}, "", 100)
	r.must(err)
	rollouts, err := r.store.Rollouts(ctx, "badge", 0, 100)
	r.must(err)
	tokens, err := r.store.Tokens(ctx)
	r.must(err)
	hooks, err := r.store.Webhooks(ctx)
	r.must(err)
	audit, err := r.store.Audit(ctx, "", 0, 1000)
	r.must(err)
	return fmt.Sprint(boards, rollouts, tokens, hooks, len(audit))
}

// Every route refuses every change to who may not make it, to whoever sends a form from
// elsewhere, and to nobody.
func TestRefused(t *testing.T) {
	r := newRig(t, "badge")
	version := r.publish("print(1)\n", "1.0")
	r.poll(fleet.Report{ID: "b1", Version: version})
	r.start(version)
	_, err := r.store.AddWebhook(t.Context(), r.ada(), fleet.Webhook{URL: "http://localhost/x", Secret: "s"})
	r.must(err)
	reader, admin, nobody := r.signedIn(fleet.ScopeRead), r.signedIn(fleet.ScopeAdmin), r.person()
	admin.get("/ui/tokens") // has a form
	before := r.state()
	fields := []string{"id", "b1", "action", "hide", "confirmed", "1", "seen", "running 0", "name", "eve", "scope", "admin", "url", "http://localhost/y"}
	changes := 0
	for _, pattern := range dashboard.Routes(r.pages) {
		method, path := filled(pattern)
		if method == http.MethodGet {
			if strings.Contains(path, "/live/") {
				continue
			}
			if a := nobody.get(path); !strings.HasPrefix(a.path, "/ui/sign-in") {
				t.Errorf("nobody gets %s", path)
			}
			continue
		}
		changes++
		if a := nobody.post(path, fields...); !strings.HasPrefix(a.path, "/ui/sign-in") {
			t.Errorf("nobody sends %s: %d", path, a.status)
		}
		reader.form = dashboard.FormOf(r.pages, reader.client.Jar.Cookies(reader.at())[0].Value)
		reader.has(reader.post(path, fields...), http.StatusForbidden, "Nothing was changed", "has the scope read")
		for name, req := range map[string]*http.Request{
			"no form token":      admin.request(path, fields...),
			"wrong form token":   admin.request(path, append(fields, "form", reader.form)...),
			"another origin":     withHeader(admin.request(path, append(fields, "form", admin.form)...), "Origin", "https://evil.example"),
			"another site":       withHeader(admin.request(path, append(fields, "form", admin.form)...), "Sec-Fetch-Site", "cross-site"),
			"another subdomain":  withHeader(admin.request(path, append(fields, "form", admin.form)...), "Sec-Fetch-Site", "same-site"),
			"token in the query": admin.request(path+"?form="+admin.form, fields...),
		} {
			a := admin.do(req)
			if a.status != http.StatusForbidden {
				t.Errorf("%s: %s: %d", path, name, a.status)
			}
			admin.has(a, a.status, "Nothing was changed")
		}
	}
	if changes < 10 {
		t.Errorf("only %d routes change something", changes)
	}
	if after := r.state(); after != before {
		t.Errorf("something has changed:\n%s\n%s", before, after)
	}
	// Nor can anybody sign somebody in from elsewhere.
	secret := r.token("eve", fleet.ScopeRead)
	if a := nobody.do(withHeader(nobody.request("/ui/sign-in", "token", secret), "Origin", "https://evil.example")); a.status != http.StatusForbidden {
		t.Errorf("signed in from elsewhere: %d", a.status)
	}
}

func withHeader(req *http.Request, name, value string) *http.Request {
	req.Header.Set(name, value)
	return req
}

// A reader's pages have no button that he may not press.
func TestReaderSeesNoButtons(t *testing.T) {
	r := newRig(t, "badge")
	version := r.publish("print(1)\n", "1.0")
	r.poll(fleet.Report{ID: "b1", Version: version})
	id := r.start(version)
	p := r.signedIn(fleet.ScopeRead)
	for _, path := range []string{"/ui/apps/badge/", "/ui/apps/badge/boards", "/ui/apps/badge/board?id=b1", "/ui/apps/badge/rollouts", fmt.Sprint("/ui/rollouts/", id), fmt.Sprint("/ui/apps/badge/releases/", version), "/ui/audit"} {
		a := p.get(path)
		p.has(a, http.StatusOK)
		if n := strings.Count(a.body, `method="post"`); n != 1 { // signing out
			t.Errorf("%s has %d forms that change something", path, n-1)
		}
		if strings.Contains(a.body, `class="button`) || strings.Contains(a.body, "/ui/tokens") || strings.Contains(a.body, "Review…") {
			t.Errorf("%s has a button: %s", path, a.body)
		}
	}
	p.has(p.get("/ui/tokens"), http.StatusForbidden, "has the scope read", "saguarota fleet token add")
}

func TestHeaders(t *testing.T) {
	r := newRig(t, "badge")
	p := r.signedIn(fleet.ScopeAdmin)
	for _, path := range []string{"/ui/apps/badge/", "/ui/sign-in", "/ui/nowhere", "/ui/assets/style.css", "/ui/assets/nothing"} {
		a := p.get(path)
		csp := a.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: %s", path, csp)
		}
		if a.header.Get("X-Frame-Options") != "DENY" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Referrer-Policy") == "" {
			t.Errorf("%s: %v", path, a.header)
		}
		if strings.Contains(a.header.Get("Content-Type"), "html") && a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept: %v", path, a.header)
		}
		if strings.Contains(a.body, "<style") || strings.Contains(a.body, " style=") || strings.Contains(a.body, " onclick=") {
			t.Errorf("%s has what the policy forbids", path)
		}
	}
}
