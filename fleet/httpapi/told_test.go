package httpapi_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
)

// Whatever a board is answered to its poll, it is told when to poll again; and where all of
// them are turned away at once, not all at the same moment.
func TestEveryPollIsToldWhenToComeAgain(t *testing.T) {
	r := newRig(t, func(a *fleet.App) { a.Enrolment.Tokens = true })
	v := r.publish("one")
	r.give("stable", v)
	app := fleet.Enrolment{Secret: []byte(strings.Repeat("s", 32))}
	jitter := 0.5
	limited(r, func(c *httpapi.Config) {
		c.Limits = httpapi.Limits{Address: 10, Board: 3, Refused: 2}
		c.Jitter = func() float64 { return jitter }
	})
	mine := "Authorization: Bearer " + app.BoardToken("badge", "b1")
	for i, c := range []struct {
		from, report, token string
		want                int
		again               string
	}{
		{"192.0.2.1:1", "id=b1", mine, 200, "600"},
		{"192.0.2.1:1", "id=b1; version=" + strconv.FormatInt(v, 10), mine, 304, "600"},
		{"192.0.2.1:1", "id=b1", mine, 200, "600"},
		{"192.0.2.1:1", "id=b1", mine, 429, "20"},
		{"192.0.2.2:1", "id=b1; version=x", mine, 400, "600"},
		{"192.0.2.2:1", "id=b1", "", 401, "600"},
		{"192.0.2.2:1", "id=b1", "", 401, "600"},
		{"192.0.2.2:1", "id=b1", "", 429, "30"},
	} {
		headers := []string{"Saguarota: " + c.report}
		if c.token != "" {
			headers = append(headers, c.token)
		}
		a := r.ask(c.from, pollPath, headers...)
		if a.status != c.want || a.header.Get(httpapi.PollHeader) != c.again {
			t.Errorf("%d: %d, to poll after %q", i, a.status, a.header.Get(httpapi.PollHeader))
		}
	}
	var a answer
	for range 11 { // the address's limit, which is beyond the board's
		a = r.ask("192.0.2.3:1", pollPath, "Saguarota: id=b3", "Authorization: Bearer "+app.BoardToken("badge", "b3"))
	}
	if got := a.header.Get("Retry-After"); got != "6" {
		t.Errorf("an address that asks too much: again after %q", got)
	}
	if got := a.header.Get(httpapi.PollHeader); got != "6" {
		t.Errorf("an address that asks too much: to poll after %q", got)
	}

	r.must(r.store.Close())
	for at, want := range map[float64]string{0: "450", 0.5: "600", 0.9: "720"} {
		jitter = at
		r.clock.Add(60)
		if a := r.ask("192.0.2.4:1", pollPath, "Saguarota: id=b1; error=x", mine); a.status != 503 || a.header.Get(httpapi.PollHeader) != want {
			t.Errorf("without a database, chance %v: %d, to poll after %q", at, a.status, a.header.Get(httpapi.PollHeader))
		}
	}
}
