package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/internal/postgrestest"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
	"github.com/cactuscon/saguarota/pack"
	"github.com/cactuscon/saguarota/release"
)

// serve makes the rig's requests go to another server.
func (r *rig) serve(s *httpapi.Server) {
	r.server, r.web = s, httptest.NewServer(s.Handler())
	r.t.Cleanup(r.web.Close)
}

// postgresRig is a rig whose store is in a PostgreSQL of its own.
func postgresRig(t *testing.T) (*rig, *postgrestest.Server) {
	t.Helper()
	database, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := database.Stop(); err != nil {
			t.Error(err)
		}
	})
	r := newRig(t)
	r.must(r.store.Close())
	if r.store, err = sqlstore.Open(t.Context(), database.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.store.Close() }) // some tests have closed it
	app := fleet.App{
		Name:       "badge",
		Root:       &release.Keyset{App: "badge", Version: 1, Threshold: 1, Keys: []release.PublicKey{r.key.PublicKey()}},
		PollPeriod: 10 * time.Minute,
		Enrolment:  fleet.Enrolment{Secret: make([]byte, 32)},
	}
	r.must(r.store.AddApp(t.Context(), r.ada(), app))
	r.serve(r.newServer())
	return r, database
}

// PostgreSQL goes down under a server, and comes back: the server needs no restart, it answers
// what it can meanwhile, and has what it had accepted.
func TestServerOutlivesItsDatabase(t *testing.T) {
	r, database := postgresRig(t)
	old := r.publish("old")
	r.give("stable", old)
	next := r.publish("new")
	id := r.start(next)
	for _, board := range []string{"b1", "b2"} {
		if got := r.poll(fleet.Report{ID: board, Version: old}); got != next {
			t.Fatalf("%s is offered %d", board, got)
		}
	}
	// As in fleet serve, it looks again and again.
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.server.Run(ctx) })
	defer running.Wait()
	defer stop()

	r.must(database.Kill())
	status := func(path, report string) int {
		return r.get(path, httpapi.ReportHeader+": "+report).status
	}
	same := fmt.Sprintf("id=b1; version=%d", old)
	for _, c := range []struct {
		path, report string
		want         int
	}{
		{pollPath, same, http.StatusOK},
		{"/ota/badge/main.py", same, http.StatusOK},
		{pollPath, fmt.Sprintf("id=b1; version=%d", next), http.StatusServiceUnavailable},
		{pollPath, "id=b3", http.StatusServiceUnavailable},
		{"/readyz", "", http.StatusServiceUnavailable},
		{"/healthz", "", http.StatusOK},
	} {
		if got := status(c.path, c.report); got != c.want {
			t.Errorf("without a database, %s of %q: %d, want %d", c.path, c.report, got, c.want)
		}
	}

	r.must(database.Restart())
	if got := status("/readyz", ""); got != http.StatusOK {
		t.Errorf("ready again: %d", got)
	}
	if got := r.poll(fleet.Report{ID: "b1", Version: next}); got != 0 {
		t.Errorf("b1 is offered %d", got)
	}
	if got := r.poll(fleet.Report{ID: "b3", Version: old}); got != next {
		t.Errorf("b3 is offered %d", got)
	}
	ro, err := r.store.Rollout(t.Context(), id)
	r.must(err)
	if ro.Counts != (fleet.Counts{fleet.Offered: 2, fleet.Confirmed: 1}) {
		t.Errorf("the rollout counts %v", ro.Counts)
	}
}

// A clock that jumps forwards takes one step and no more, however often servers look at it, and
// one that is set back does not hold up for longer than a step takes.
func TestClockJumps(t *testing.T) {
	r := newRig(t)
	old := r.publish("old")
	r.give("stable", old)
	next := r.publish("new")
	var steps []fleet.Step
	for i := range fleet.Share(5) {
		steps = append(steps, fleet.Step{Share: fleet.All/2 + i, Every: time.Hour})
	}
	id := r.start(next, func(p *fleet.Plan) { p.Steps, p.MaxUpdating, p.Timeout = steps, 1, 30*time.Minute })
	member := "b0"
	for i := 1; !steps[0].Share.Includes("salt", member); i++ {
		member = fmt.Sprint("b", i)
	}
	rollout := func() fleet.Rollout {
		ro, err := r.store.Rollout(t.Context(), id)
		r.must(err)
		return ro
	}
	const year = 365 * 24 * time.Hour
	for i, c := range []struct {
		jump time.Duration
		step int
	}{
		{year, 1},             // forwards: one step, although it is late for all of them
		{0, 1},                // and no more while nothing passes
		{59 * time.Minute, 1}, // the next takes its time from then on
		{-year, 1},            // back: no step is undone
		{59 * time.Minute, 1},
		{time.Minute, 2}, // and the next is not a year away
		{time.Hour, 3},
	} {
		for range 3 {
			r.pass(0)
		}
		r.pass(c.jump)
		for range 3 {
			r.pass(0)
		}
		if got := rollout(); got.Step != c.step || got.State != fleet.Running {
			t.Errorf("%d: after %v it is %s, step %d, want %d", i, c.jump, got.State, got.Step, c.step)
		}
	}

	// A board that began while the clock was ahead times out when it is late, not a year after.
	r.pass(year)
	if got := r.poll(fleet.Report{ID: member, Version: old}); got != next {
		t.Fatalf("%s is offered %d", member, got)
	}
	r.pass(-year)
	if got := rollout().Counts; got != (fleet.Counts{fleet.Offered: 1}) {
		t.Errorf("set back, the rollout counts %v", got)
	}
	r.pass(30 * time.Minute)
	if got := rollout().Counts; got != (fleet.Counts{fleet.TimedOut: 1}) {
		t.Errorf("half an hour later, the rollout counts %v", got)
	}
}

// Where the manifest of a release is damaged or gone, boards are told so; to publish the release
// again mends it.
func TestDamagedManifest(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"damaged": func(path string) error { return os.WriteFile(path, []byte("{}"), 0o600) },
		"cut":     func(path string) error { return os.Truncate(path, 5) },
		"gone":    os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			v := r.publish("one")
			r.give("stable", v)
			encoded := r.read(release.ManifestName)
			sum := blob.SumOf(encoded).String()
			r.must(damage(filepath.Join(r.dir, "blobs", sum[:2], sum)))
			r.serve(r.newServer()) // one that has not read it before
			if got := r.poll(fleet.Report{ID: "b1"}); got != v {
				t.Errorf("offered %d", got)
			}
			paths := []string{"versions.json", "main.py", pack.Name(nil, encoded)}
			for _, path := range paths {
				if a := r.get("/ota/badge/"+path, httpapi.ReportHeader+": id=b1"); a.status != http.StatusServiceUnavailable || a.header.Get("ETag") != "" {
					t.Errorf("%s: %d %v", path, a.status, a.header)
				}
			}
			if _, err := r.server.Publish(t.Context(), r.ada(), "badge", r.publication()); err != nil {
				t.Error(err)
			}
			for _, path := range paths {
				if a := r.get("/ota/badge/"+path, httpapi.ReportHeader+": id=b1"); a.status != http.StatusOK {
					t.Errorf("mended, %s: %d", path, a.status)
				}
			}
		})
	}
}

// A board that lies about what it runs moves its own place in the counts, and nothing else: no
// other board is offered anything for it, and one board cannot halt a rollout that takes more.
func TestBoardThatLies(t *testing.T) {
	r := newRig(t)
	old := r.publish("old")
	r.give("stable", old)
	next := r.publish("new")
	id := r.start(next, func(p *fleet.Plan) {
		p.MaxUpdating = 2
		p.Halt = fleet.HaltRule{Percent: 50, AtLeast: 2, Kind: fleet.KindAll}
	})
	if got := r.poll(fleet.Report{ID: "honest", Version: old}); got != next {
		t.Fatalf("offered %d", got)
	}
	for _, lie := range []fleet.Report{
		{Version: next}, // it never was offered that
		{Version: old},
		{Version: next, State: "confirm_pending"},
		{Version: old, Error: "trial_failed"},
		{Version: 1<<63 - 1},
		{Version: 0},
		{Version: old, Error: "trial_failed"},
		{Version: next, State: "installing"},
		{Version: 5, State: "nonsense", Error: "nonsense"},
		{Version: old, Error: "version_rejected"},
	} {
		for range 3 {
			lie.ID = "liar"
			r.poll(lie)
			ro, err := r.store.Rollout(t.Context(), id)
			r.must(err)
			c := ro.Counts
			all := c.Updating() + c.Finished()
			if ro.State != fleet.Running || ro.Step != 0 || all > 2 || c[fleet.Offered] < 1 {
				t.Fatalf("after %+v: %s, %v", lie, ro.State, c)
			}
			for stage, n := range c {
				if n < 0 {
					t.Fatalf("after %+v: %d boards are %v", lie, n, fleet.Stage(stage))
				}
			}
		}
	}
	// The other board's place is what it was, and the maximum holds.
	if b := r.board("honest"); b.Task.Stage != fleet.Offered || b.Report.Version != old {
		t.Errorf("the honest board is %+v", b)
	}
	if got := r.poll(fleet.Report{ID: "honest", Version: next}); got != 0 || r.board("honest").Task.Stage != fleet.Confirmed {
		t.Errorf("the honest board is offered %d", got)
	}
}

// What one server revokes, no other accepts: a person's token at once, a board's after the next
// look, as the decisions on boards are made of what a server has in memory.
func TestRevokedElsewhere(t *testing.T) {
	r := newRig(t, func(a *fleet.App) { a.Enrolment.Tokens = true })
	v := r.publish("one")
	r.give("stable", v)
	apps, err := r.store.Apps(t.Context())
	r.must(err)
	mine := []string{
		fmt.Sprintf("%s: id=b1; version=%d", httpapi.ReportHeader, v),
		"Authorization: Bearer " + apps[0].Enrolment.BoardToken("badge", "b1"),
	}
	ada := "Authorization: Bearer " + r.token("ada", fleet.ScopeAdmin)
	other := r.newServer()
	r.serve(other)
	if got := r.get(pollPath, mine...).status; got != http.StatusNotModified {
		t.Fatalf("a board: %d", got)
	}
	if got := r.get("/api/v1/apps", ada).status; got != http.StatusOK {
		t.Fatalf("ada: %d", got)
	}
	tokens, err := r.store.Tokens(t.Context())
	r.must(err)
	r.must(r.store.RevokeToken(t.Context(), r.ada(), tokens[0].ID))
	_, err = r.store.ChangeBoards(t.Context(), r.ada(), "badge", []string{"b1"}, func(b *fleet.Board) error { b.Revoked = true; return nil })
	r.must(err)
	if got := r.get("/api/v1/apps", ada).status; got != http.StatusUnauthorized {
		t.Errorf("ada, revoked: %d", got)
	}
	r.must(other.Refresh(t.Context()))
	if got := r.get(pollPath, mine...).status; got != http.StatusUnauthorized {
		t.Errorf("the board, revoked: %d", got)
	}
}
