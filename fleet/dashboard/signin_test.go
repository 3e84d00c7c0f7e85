package dashboard_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

func TestSignIn(t *testing.T) {
	r := newRig(t, "badge")
	p := r.person()
	if a := p.get("/"); a.path != "/ui/sign-in" || a.status != http.StatusOK {
		t.Errorf("nobody is signed in: %d %s", a.status, a.path)
	}
	if a := p.get("/ui/apps/badge/boards?q=x"); a.path != "/ui/sign-in?next=%2Fui%2Fapps%2Fbadge%2Fboards%3Fq%3Dx" {
		t.Errorf("a page: %s", a.path)
	}
	for _, wrong := range []string{"", "x", "sga_" + strings.Repeat("A", 43)} {
		p.has(p.signIn(wrong), http.StatusUnauthorized, "does not open the dashboard", "saguarota fleet token add")
	}
	secret := r.token("bob", fleet.ScopeRead)
	a := p.post("/ui/sign-in", "token", " "+secret+"\n", "next", "/ui/apps/badge/boards?q=x")
	p.has(a, http.StatusOK, "<b>bob</b>")
	if a.path != "/ui/apps/badge/boards?q=x" {
		t.Errorf("led to %s", a.path)
	}
	// Other pages than ours are not led to.
	for _, next := range []string{"https://evil.example/", "//evil.example/", `/\evil.example`, "/api/v1/apps", "/ui/\\evil"} {
		if a := p.post("/ui/sign-in", "token", secret, "next", next); a.path != "/ui/apps/badge/" {
			t.Errorf("%q led to %s", next, a.path)
		}
	}
	if a := p.post("/ui/sign-out"); a.path != "/ui/sign-in" {
		t.Errorf("signed out: %s", a.path)
	}
	if a := p.get("/ui/audit"); !strings.HasPrefix(a.path, "/ui/sign-in") {
		t.Errorf("after signing out: %s", a.path)
	}
}

func TestCookie(t *testing.T) {
	r := newRig(t, "badge")
	secret := r.token("bob", fleet.ScopeRead)
	cookie := func(change func(*http.Request)) *http.Cookie {
		t.Helper()
		req := httptest.NewRequest(http.MethodPost, "http://fleet.example/ui/sign-in", strings.NewReader(url.Values{"token": {secret}}.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		change(req)
		w := httptest.NewRecorder()
		r.pages.ServeHTTP(w, req)
		cookies := w.Result().Cookies()
		if len(cookies) != 1 {
			t.Fatalf("%d cookies: %s", len(cookies), w.Body)
		}
		return cookies[0]
	}
	c := cookie(func(*http.Request) {})
	if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure || c.Path != "/" || c.MaxAge != 12*60*60 {
		t.Errorf("%+v", c)
	}
	if strings.Contains(c.Value, secret[4:]) {
		t.Error("the token is in the cookie")
	}
	c = cookie(func(req *http.Request) { req.TLS = newTLS(); req.URL.Scheme = "https" })
	if !c.Secure || c.Name != "__Host-saguarota" || c.Domain != "" {
		t.Errorf("by HTTPS: %+v", c)
	}
	// Who is no proxy of ours cannot say that it was HTTPS.
	if c := cookie(func(req *http.Request) { req.Header.Set("X-Forwarded-Proto", "https") }); c.Secure {
		t.Error("a stranger's word is taken for it")
	}
}

func TestSessionEnds(t *testing.T) {
	for name, end := range map[string]func(*rig){
		"time":  func(r *rig) { r.clock.Add(12 * 60 * 60) },
		"token": func(r *rig) { r.must(r.store.RevokeToken(t.Context(), r.ada(), 1)) },
	} {
		r := newRig(t, "badge")
		p := r.signedIn(fleet.ScopeAdmin)
		p.has(p.get("/ui/tokens"), http.StatusOK, "<h1>Tokens</h1>")
		r.clock.Add(12*60*60 - 1)
		if name == "time" {
			r.clock.Add(-12*60*60 + 1)
		}
		p.has(p.get("/ui/tokens"), http.StatusOK, "<h1>Tokens</h1>")
		end(r)
		if a := p.get("/ui/tokens"); !strings.HasPrefix(a.path, "/ui/sign-in") {
			t.Errorf("%s: still at %s", name, a.path)
		}
		if a := p.post("/ui/tokens", "name", "eve", "scope", "admin"); !strings.HasPrefix(a.path, "/ui/sign-in") {
			t.Errorf("%s: a form is taken at %s", name, a.path)
		}
		tokens, err := r.store.Tokens(t.Context())
		r.must(err)
		if len(tokens) != 1 {
			t.Errorf("%s: %d tokens", name, len(tokens))
		}
	}
}

// Any server of the fleet knows the session, and none knows one that was changed.
func TestForgedCookie(t *testing.T) {
	r := newRig(t, "badge")
	p := r.signedIn(fleet.ScopeRead)
	r.token("root", fleet.ScopeAdmin)
	at, err := url.Parse(r.web.URL)
	r.must(err)
	good := p.client.Jar.Cookies(at)[0].Value
	bad := []string{"", ".", "1", "1.", "1.AAAA", "2" + good[1:], "01" + good[1:], "9" + good[1:], good + "A", strings.Repeat("1", 600)}
	for i := 2; i < len(good); i += 7 {
		b := []byte(good)
		b[i] ^= 1
		bad = append(bad, string(b))
	}
	for _, value := range bad {
		p.client.Jar.SetCookies(at, []*http.Cookie{{Name: "saguarota", Value: value, Path: "/"}})
		if a := p.get("/ui/audit"); !strings.HasPrefix(a.path, "/ui/sign-in") {
			t.Errorf("%q is taken", value)
		}
	}
	p.client.Jar.SetCookies(at, []*http.Cookie{{Name: "saguarota", Value: good, Path: "/"}})
	p.has(p.get("/ui/audit"), http.StatusOK)
}

func TestSignInLimit(t *testing.T) {
	r := newRig(t, "badge")
	p := r.person()
	secret := r.token("bob", fleet.ScopeRead)
	for range 20 {
		p.has(p.signIn("wrong"), http.StatusUnauthorized)
	}
	a := p.signIn(secret)
	p.has(a, http.StatusTooManyRequests, "Too many wrong tokens")
	if a.header.Get("Retry-After") == "" {
		t.Error("it does not say when to try again")
	}
	r.clock.Add(int64(time.Minute / time.Second))
	p.has(p.signIn(secret), http.StatusOK, "<b>bob</b>")
}
