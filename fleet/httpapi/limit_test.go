package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/pack"
)

// limited gives the rig a server with limits.
func limited(r *rig, change func(*httpapi.Config)) {
	r.server = r.newServer(change)
}

// ask asks the server from an address.
func (r *rig) ask(from, path string, headers ...string) answer {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), http.MethodGet, path, nil)
	req.RemoteAddr = from
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	r.server.Handler().ServeHTTP(w, req)
	return answer{w.Code, w.Header(), w.Body.String()}
}

const pollPath = "/ota/badge/versions.json.sig"

func TestLimitAddress(t *testing.T) {
	r := newRig(t)
	limited(r, func(c *httpapi.Config) {
		c.Limits.Address = 2
		c.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	for _, step := range []struct {
		from, forwarded string
		after           int64 // seconds after the step before
		want            int
		retry           string
	}{
		{"192.0.2.1:1", "", 0, 404, ""},
		{"192.0.2.1:2", "", 0, 404, ""},
		{"192.0.2.1:3", "", 0, 429, "30"},
		{"192.0.2.1:3", "198.51.100.9", 0, 429, "30"}, // anybody can say so
		{"192.0.2.2:1", "", 0, 404, ""},
		{"192.0.2.1:1", "", 20, 429, "10"},
		{"192.0.2.1:1", "", 10, 404, ""},
		{"192.0.2.1:1", "", 0, 429, "30"},
		// Of IPv6, a network is one address.
		{"[2001:db8::1]:1", "", 0, 404, ""},
		{"[2001:db8::2]:1", "", 0, 404, ""},
		{"[2001:db8::3]:1", "", 0, 429, "30"},
		{"[2001:db8:0:1::3]:1", "", 0, 404, ""},
		// Behind our proxies, it is who they say; what comes before may be invented.
		{"10.0.0.1:1", "203.0.113.5", 0, 404, ""},
		{"10.0.0.2:1", "1.1.1.1, 203.0.113.5", 0, 404, ""},
		{"10.0.0.2:1", "2.2.2.2, 203.0.113.5, 10.0.0.1", 0, 429, "30"},
		{"10.0.0.2:1", "203.0.113.6", 0, 404, ""},
	} {
		r.clock.Add(step.after)
		var headers []string
		if step.forwarded != "" {
			headers = []string{"X-Forwarded-For: " + step.forwarded}
		}
		a := r.ask(step.from, "/ota/badge/versions.json.sig", headers...)
		if a.status != step.want || a.header.Get("Retry-After") != step.retry {
			t.Errorf("%+v: %d, again after %q", step, a.status, a.header.Get("Retry-After"))
		}
	}
	for range 5 {
		if a := r.ask("192.0.2.1:1", "/healthz"); a.status != 200 {
			t.Errorf("healthz: %d", a.status)
		}
	}
}

func TestLimitBoard(t *testing.T) {
	r := newRig(t)
	limited(r, func(c *httpapi.Config) { c.Limits.Board = 3 })
	poll := func(from, id string) answer { return r.ask(from, pollPath, "Saguarota: id="+id) }
	for range 3 {
		if a := poll("192.0.2.1:1", "b1"); a.status != 304 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if a := poll("192.0.2.1:1", "b1"); a.status != 429 || a.header.Get("Retry-After") != "20" || a.header.Get(httpapi.PollHeader) != "20" {
		t.Errorf("%d, again after %q, poll after %q", a.status, a.header.Get("Retry-After"), a.header.Get(httpapi.PollHeader))
	}
	// Whoever uses its id elsewhere does not keep it from polling, nor do others here.
	if a := poll("192.0.2.2:1", "b1"); a.status != 304 {
		t.Errorf("from another address: %d", a.status)
	}
	if a := poll("192.0.2.1:1", "b2"); a.status != 304 {
		t.Errorf("another board: %d", a.status)
	}
	r.clock.Add(20)
	if a := poll("192.0.2.1:1", "b1"); a.status != 304 {
		t.Errorf("later: %d", a.status)
	}
}

// A pack that has to be made counts; one that was made does not.
func TestLimitPacks(t *testing.T) {
	r := newRig(t)
	limited(r, func(c *httpapi.Config) { c.Limits.Packs = 1 })
	var ids []string
	for i := range 3 {
		r.publish(fmt.Sprint("release ", i))
		ids = append(ids, pack.ID(r.read("versions.json")))
		r.clock.Add(1)
	}
	between := func(from, to int) string { return "packs/" + ids[from] + "-" + ids[to] }
	for i, step := range []struct {
		from, path string
		after      int64
		want       int
	}{
		{"192.0.2.1:1", between(0, 1), 0, 200},
		{"192.0.2.1:1", between(0, 1), 0, 200},
		{"192.0.2.1:1", between(1, 2), 0, 429},
		{"192.0.2.2:1", between(1, 2), 0, 200},
		{"192.0.2.1:1", between(1, 2), 0, 200},
		{"192.0.2.1:1", between(0, 2), 0, 429},
		{"192.0.2.1:1", between(0, 2), 60, 200},
	} {
		r.clock.Add(step.after)
		a := r.ask(step.from, "/ota/badge/"+step.path)
		if a.status != step.want || (a.status == 429) != (a.header.Get("Retry-After") != "") {
			t.Errorf("%d: %d, %v", i, a.status, a.header)
		}
		if a.status == 429 && a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d: a cache may keep it: %v", i, a.header)
		}
	}
}

func TestLimitRefused(t *testing.T) {
	r := newRig(t, func(a *fleet.App) { a.Enrolment.Tokens = true })
	good := r.token("ada", fleet.ScopeAdmin)
	wrong := "Authorization: Bearer sga_" + strings.Repeat("A", 43)
	app := fleet.Enrolment{Secret: []byte(strings.Repeat("s", 32))}
	limited(r, func(c *httpapi.Config) { c.Limits.Refused = 2 })
	for i, step := range []struct {
		from, path, token string
		after             int64
		want              int
	}{
		{"192.0.2.1:1", "/api/v1/apps", wrong, 0, 401},
		{"192.0.2.1:1", "/api/v1/apps", "Authorization: Bearer " + good, 0, 200},
		{"192.0.2.1:1", "/api/v1/apps", "", 0, 401},
		{"192.0.2.1:1", "/api/v1/apps", wrong, 0, 429},
		{"192.0.2.1:1", "/api/v1/apps", "Authorization: Bearer " + good, 0, 429},
		{"192.0.2.2:1", "/api/v1/apps", "Authorization: Bearer " + good, 0, 200},
		{"192.0.2.1:1", "/api/v1/apps", "Authorization: Bearer " + good, 30, 200},
		{"192.0.2.1:1", pollPath, "Authorization: Bearer sgb_x", 0, 401},
		{"192.0.2.1:1", pollPath, "Authorization: Bearer sgb_x", 0, 429},
		{"192.0.2.1:1", pollPath, "Authorization: Bearer " + app.BoardToken("badge", "b1"), 0, 304},
	} {
		r.clock.Add(step.after)
		headers := []string{"Saguarota: id=b1"}
		if step.token != "" {
			headers = append(headers, step.token)
		}
		a := r.ask(step.from, step.path, headers...)
		if a.status != step.want || (a.status == 429) != (a.header.Get("Retry-After") != "") {
			t.Errorf("%d: %d %s, again after %q", i, a.status, a.body, a.header.Get("Retry-After"))
		}
	}
	if n := strings.Count(r.log.String(), "refused"); n != 3 {
		t.Errorf("what is one too many is logged, too: %d lines", n)
	}
}

// However many addresses ask, memory is bounded, and one that does not stop is not let off.
func TestLimitIsBounded(t *testing.T) {
	l := httpapi.NewLimiter(1)
	now := noon
	if l.Take("the one", now) > 0 {
		t.Fatal("the first is refused")
	}
	let, most := 0, 0
	for i := range 4 * httpapi.MaxLimited {
		l.Take(fmt.Sprint(i), now)
		if i%1000 == 0 && l.Take("the one", now) == 0 {
			let++
		}
		most = max(most, l.Len())
	}
	if let != 0 {
		t.Errorf("it was let off %d times", let)
	}
	if most > 2*httpapi.MaxLimited {
		t.Errorf("%d are remembered", most)
	}
	if wait := l.Take("the one", now); wait != time.Minute {
		t.Errorf("it has to wait %v", wait)
	}
}
