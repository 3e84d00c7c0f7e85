package httpapi_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
)

func TestPoll(t *testing.T) {
	r := newRig(t)
	v := r.publish("one")
	r.give("stable", v)
	report := fleet.Report{ID: "b1", State: "idle", Board: "Pico W", MicroPython: "1.26.1", Lib: "2.0", Free: 1000}
	if got := r.poll(report); got != v {
		t.Fatalf("a board with nothing is offered %d, not %d", got, v)
	}
	if b := r.board("b1"); b == nil || b.Report != report || !b.FirstSeen.Equal(noon) || !b.LastSeen.Equal(noon) {
		t.Errorf("it is known as %+v", b)
	}
	r.pass(time.Minute)
	report.Version, report.Free = v, 900
	a := r.get("/ota/badge/versions.json.sig", httpapi.ReportHeader+": "+report.String())
	if a.status != http.StatusNotModified || a.body != "" {
		t.Errorf("a board that has it: %d %q", a.status, a.body)
	}
	if got := a.header.Get(httpapi.PollHeader); got != "600" {
		t.Errorf("it is to poll after %q seconds", got)
	}
	if got := a.header.Get("Cache-Control"); got != "private, no-cache" {
		t.Errorf("a cache may give the answer to others: %q", got)
	}
	// Once more, with nothing new but the time: that is written a little later.
	r.pass(time.Minute)
	report.Free = 800
	r.poll(report)
	r.must(r.store.FlushSeen(t.Context()))
	if b := r.board("b1"); b.Report != report || !b.FirstSeen.Equal(noon) || !b.LastSeen.Equal(r.now()) {
		t.Errorf("it is known as %+v", b)
	}
}

func TestPollIsSmall(t *testing.T) {
	r := newRig(t)
	r.give("stable", r.publish("one"))
	report := fleet.Report{ID: "0123456789abcdef", Version: 1, State: "idle", Error: "download_failed", Board: "Raspberry Pi Pico W with RP2040", MicroPython: "1.26.1", Lib: "2.0.0", Free: 412000}
	a := r.get("/ota/badge/versions.json.sig", httpapi.ReportHeader+": "+report.String())
	n := len(a.body) + len(report.String())
	for name, values := range a.header {
		n += len(name) + len(values[0]) + 4
	}
	if a.status != http.StatusOK || n > 1000 {
		t.Errorf("%d, %d bytes", a.status, n)
	}
}

func TestPollOfWhoSaysNothing(t *testing.T) {
	r := newRig(t)
	if a := r.get("/ota/badge/versions.json.sig"); a.status != http.StatusNotFound {
		t.Errorf("without a release: %d", a.status)
	}
	r.give("stable", r.publish("one"))
	a := r.get("/ota/badge/versions.json.sig")
	if a.status != http.StatusOK || a.header.Get("ETag") == "" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	for _, has := range []string{a.header.Get("ETag"), `"x", W/` + a.header.Get("ETag"), "*"} {
		if b := r.get("/ota/badge/versions.json.sig", "If-None-Match: "+has); b.status != http.StatusNotModified {
			t.Errorf("who has %s: %d", has, b.status)
		}
	}
	// It is a whole site, as from any web server.
	r.must(r.verify(t.Context(), "/ota/badge/"))
	if a := r.get("/ota/nope/versions.json.sig"); a.status != http.StatusNotFound {
		t.Errorf("another application: %d", a.status)
	}
	if list, err := r.store.Boards(t.Context(), "badge", fleet.Filter{}, "", 9); err != nil || len(list) != 0 {
		t.Errorf("boards: %v, %v", list, err)
	}
}

func TestPollsThatMakeNoSense(t *testing.T) {
	r := newRig(t)
	r.give("stable", r.publish("one"))
	h := httpapi.ReportHeader + ": "
	for _, headers := range [][]string{
		{h + "version=1"},
		{h + "id=../../etc"},
		{h + "id=a%0d%0aSet-Cookie: x=1"},
		{h + "id=a; version=one"},
		{h + "id=a; board=" + strings.Repeat("x", 1000)},
		{h + "id=a", h + "id=b"},
	} {
		for _, path := range []string{"/ota/badge/versions.json.sig", "/ota/badge/main.py"} {
			a := r.get(path, headers...)
			if a.status != http.StatusBadRequest || a.header.Get("Set-Cookie") != "" {
				t.Errorf("%q for %s: %d %v", headers, path, a.status, a.header)
			}
		}
	}
	if list, err := r.store.Boards(t.Context(), "badge", fleet.Filter{}, "", 9); err != nil || len(list) != 0 {
		t.Errorf("boards: %v, %v", list, err)
	}
}

func TestPollWithTokens(t *testing.T) {
	r := newRig(t, func(a *fleet.App) { a.Enrolment.Tokens = true })
	r.give("stable", r.publish("one"))
	apps, err := r.store.Apps(t.Context())
	r.must(err)
	token := "Authorization: Bearer " + apps[0].Enrolment.BoardToken("badge", "b1")
	report := httpapi.ReportHeader + ": id=b1"
	ask := func(headers ...string) int { return r.get("/ota/badge/versions.json.sig", headers...).status }
	for name, headers := range map[string][]string{
		"none":           {report},
		"another's":      {httpapi.ReportHeader + ": id=b2", token},
		"wrong":          {report, token + "x"},
		"another scheme": {report, strings.Replace(token, "Bearer", "Basic", 1)},
	} {
		if got := ask(headers...); got != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got)
		}
	}
	if r.board("b1") != nil || r.board("b2") != nil {
		t.Error("a board without a token is taken in")
	}
	if got := ask(report, token); got != http.StatusOK {
		t.Errorf("right: %d", got)
	}
	_, err = r.store.ChangeBoards(t.Context(), r.ada(), "badge", []string{"b1"}, func(b *fleet.Board) error { b.Revoked = true; return nil })
	r.must(err)
	r.must(r.server.Refresh(t.Context()))
	r.pass(time.Minute)
	if got := ask(report, token); got != http.StatusUnauthorized {
		t.Errorf("revoked: %d", got)
	}
	r.must(r.store.FlushSeen(t.Context()))
	if b := r.board("b1"); !b.LastSeen.Equal(r.now()) {
		t.Errorf("revoked, it polls, and was seen at %v", b.LastSeen)
	}
	if strings.Contains(r.log.String(), "sgb_") {
		t.Error("a token is in the log")
	}
}

// A list that is full keeps no board from its update.
func TestPollWhereTheListIsFull(t *testing.T) {
	r := newRig(t, func(a *fleet.App) { a.Enrolment.MaxBoards = 1 })
	v := r.publish("one")
	r.give("stable", v)
	next := r.publish("two")
	r.start(next)
	if got := r.poll(fleet.Report{ID: "b1", Version: v}); got != next {
		t.Errorf("the first board is offered %d", got)
	}
	if got := r.poll(fleet.Report{ID: "b2"}); got != v || r.board("b2") != nil {
		t.Errorf("the second is offered %d, and is known as %v", got, r.board("b2"))
	}
	if got := r.poll(fleet.Report{ID: "b2", Version: v}); got != 0 {
		t.Errorf("the second is part of the rollout: %d", got)
	}
}

// The whole fleet powers up in one second.
func TestPollsAtOnce(t *testing.T) {
	r := newRig(t)
	v := r.publish("one")
	r.give("stable", v)
	r.start(r.publish("two"), func(p *fleet.Plan) { p.MaxUpdating = 20 })
	const boards = 300
	var all sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range boards {
		all.Go(func() {
			// Some boards are impatient.
			for range 1 + i%3 {
				a := r.get("/ota/badge/versions.json.sig", fmt.Sprintf("%s: id=b%d; version=%d", httpapi.ReportHeader, i, v))
				mu.Lock()
				statuses[a.status]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if statuses[http.StatusOK]+statuses[http.StatusNotModified] != 2*boards {
		t.Errorf("answers: %v\n%s", statuses, r.log.String())
	}
	list, err := r.store.Rollouts(t.Context(), "badge", 0, 1)
	r.must(err)
	if list[0].Counts != (fleet.Counts{fleet.Offered: 20}) {
		t.Errorf("of 20 that may begin, began: %v", list[0].Counts)
	}
	counts, err := r.store.Count(t.Context(), "badge", fleet.ByVersion)
	r.must(err)
	if counts[strconv.FormatInt(v, 10)] != boards {
		t.Errorf("boards: %v", counts)
	}
}

// Without a database, boards that have nothing to say are answered; what has to be
// written first is not.
func TestPollWithoutDatabase(t *testing.T) {
	r := newRig(t)
	v := r.publish("one")
	r.give("stable", v)
	r.poll(fleet.Report{ID: "b1", Version: v})
	r.must(r.store.Close())
	if got := r.poll(fleet.Report{ID: "b1", Version: v, Free: 5}); got != 0 {
		t.Errorf("a board with nothing new is offered %d", got)
	}
	for _, report := range []string{"id=b1; version=1", "id=b2"} {
		a := r.get("/ota/badge/versions.json.sig", httpapi.ReportHeader+": "+report)
		if a.status != http.StatusServiceUnavailable || a.header.Get(httpapi.PollHeader) == "" {
			t.Errorf("%s: %d, poll after %q", report, a.status, a.header.Get(httpapi.PollHeader))
		}
	}
	if a := r.get("/readyz"); a.status != http.StatusServiceUnavailable {
		t.Errorf("ready: %d", a.status)
	}
	if a := r.get("/healthz"); a.status != http.StatusOK {
		t.Errorf("healthy: %d", a.status)
	}
}
