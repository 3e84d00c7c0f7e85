package httpapi_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
)

// A HEAD request looks like a poll, and is none: it takes no board in, and none begins with
// a release.
func TestHeadIsNoPoll(t *testing.T) {
	r := newRig(t)
	old := r.publish("old")
	r.give("stable", old)
	r.poll(fleet.Report{ID: "b1", Version: old})
	next := r.publish("next")
	r.start(next)
	before := r.board("b1")
	head := func(report fleet.Report) int {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodHead, pollPath, nil)
		req.Header.Set(httpapi.ReportHeader, report.String())
		w := httptest.NewRecorder()
		r.server.Handler().ServeHTTP(w, req)
		return w.Code
	}
	if got := head(fleet.Report{ID: "b1", Version: old, State: "installing", Free: 7}); got != http.StatusNotModified {
		t.Errorf("a board that there is: %d", got)
	}
	if got := head(fleet.Report{ID: "new"}); got != http.StatusOK { // what the channel holds
		t.Errorf("a board that there is not: %d", got)
	}
	r.must(r.store.Close()) // writes what was seen
	var err error
	r.store, err = sqlstore.Open(t.Context(), filepath.Join(r.dir, "fleet.db"))
	r.must(err)
	defer r.store.Close()
	if after := r.board("b1"); after.Report != before.Report || after.Task != before.Task || !after.LastSeen.Equal(before.LastSeen) {
		t.Errorf("it was %+v, and is %+v", before, after)
	}
	if _, err = r.store.Board(t.Context(), "badge", "new"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("a board is taken in: %v", err)
	}
}

// A webhook does not lead to the server's own machine, by any of its addresses.
func TestWebhookToTheServerItself(t *testing.T) {
	own := []net.Addr{
		&net.IPNet{IP: net.IPv4(192, 0, 2, 7), Mask: net.CIDRMask(24, 32)},
		&net.IPNet{IP: net.ParseIP("2001:db8::7"), Mask: net.CIDRMask(64, 128)},
	}
	r := newRig(t)
	interfaces := func() ([]net.Addr, error) { return own, nil }
	r.serve(r.newServer(func(c *httpapi.Config) {
		c.Interfaces = func() ([]net.Addr, error) { return interfaces() }
	}))
	admin := r.token("admin", fleet.ScopeAdmin)
	add := func(address string) answer {
		return r.call("POST", api.Path+"/webhooks", admin, `{"url":"`+address+`"}`)
	}
	for _, address := range []string{"http://192.0.2.7:8080/", "https://[2001:db8::7]/", "http://[::ffff:192.0.2.7]/", "http://[64:ff9b::c000:207]/"} {
		if a := add(address); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "--webhooks-local") {
			t.Errorf("%s: %d %s", address, a.status, a.body)
		}
	}
	if a := add("https://192.0.2.8/"); a.status != http.StatusOK {
		t.Errorf("another machine: %d %s", a.status, a.body)
	}
	if a := r.call("DELETE", api.Path+"/webhooks/1", admin, ""); a.status >= 300 {
		t.Fatal(a)
	}
	// By a name, or where the machine got the address later, it is noticed when it is
	// connected to.
	w, err := fleet.NewWebhook([32]byte{1}, "http://192.0.2.7:1/", "", nil, r.now())
	r.must(err)
	w, err = r.store.AddWebhook(t.Context(), r.ada(), w)
	r.must(err)
	r.publish("one")
	r.tell()
	if d := r.lastDelivery(w.ID); !d.Done.IsZero() || !strings.Contains(d.Problem, "--webhooks-local") {
		t.Errorf("%+v", d)
	}
	interfaces = func() ([]net.Addr, error) { return nil, errors.New("they cannot be listed") }
	if a := add("https://192.0.2.9/"); a.status != http.StatusInternalServerError {
		t.Errorf("without knowing the addresses: %d", a.status)
	}
}

// The addresses of this machine are read as the system says them.
func TestOwnAddresses(t *testing.T) {
	r := newRig(t)
	own, err := r.server.OwnAddresses()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(own, netip.Addr.IsLoopback) {
		t.Errorf("the loopback is not among %v", own)
	}
}

// A rollout can be for the boards that have room for what it brings.
func TestRolloutByWhatIsFree(t *testing.T) {
	r := newRig(t)
	old := r.publish("old")
	r.give("stable", old)
	next := r.publish("next")
	admin := r.token("admin", fleet.ScopeManage)
	body := fmt.Sprintf(`{"channel":"stable","version":%d,"plan":{"steps":[{"percent":100,"seconds":0}],"for":{"minFree":%%d}}}`, next)
	if a := r.call("POST", api.Path+"/apps/badge/rollouts", admin, fmt.Sprintf(body, -1)); a.status != http.StatusUnprocessableEntity {
		t.Errorf("less than nothing: %d %s", a.status, a.body)
	}
	a := r.call("POST", api.Path+"/apps/badge/rollouts", admin, fmt.Sprintf(body, 100_000))
	if a.status != http.StatusOK || !strings.Contains(a.body, `"minFree":100000`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for id, c := range map[string]struct{ free, want int64 }{"full": {99_999, 0}, "silent": {-1, 0}, "empty": {100_000, next}} {
		if got := r.poll(fleet.Report{ID: id, Version: old, Free: c.free}); got != c.want {
			t.Errorf("%s: offered %d", id, got)
		}
	}
	// It goes on while the board fills up.
	if got := r.poll(fleet.Report{ID: "empty", Version: old, State: "installing", Free: 10}); got != next {
		t.Errorf("later: offered %d", got)
	}
}
