package httpapi_test

import (
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// A bad release gets to one board and no further.
func TestBadReleaseHalts(t *testing.T) {
	r := newRig(t)
	good := r.publish("good")
	r.give("stable", good)
	bad := r.publish("bad")
	id := r.start(bad, func(p *fleet.Plan) {
		p.MaxUpdating = 1
		p.Halt = fleet.HaltRule{Percent: 1, AtLeast: 1, Kind: fleet.KindUndone}
	})
	for i, c := range []struct {
		report fleet.Report
		want   int64
	}{
		{fleet.Report{ID: "b1", Version: good, State: "idle"}, bad},
		{fleet.Report{ID: "b2", Version: good, State: "idle"}, 0}, // one at a time
		{fleet.Report{ID: "b1", Version: bad, State: "confirm_pending"}, 0},
		{fleet.Report{ID: "b3", Version: good, State: "idle"}, 0},
		{fleet.Report{ID: "b1", Version: good, State: "idle", Error: "trial_failed"}, 0}, // undone
		{fleet.Report{ID: "b2", Version: good, State: "idle"}, 0},
		{fleet.Report{ID: "b3", Version: good, State: "idle"}, 0},
	} {
		if got := r.poll(c.report); got != c.want {
			t.Errorf("poll %d, %+v: offered %d, want %d", i, c.report, got, c.want)
		}
	}
	ro, err := r.store.Rollout(t.Context(), id)
	r.must(err)
	if ro.State != fleet.Halted || ro.Counts != (fleet.Counts{fleet.Undone: 1}) {
		t.Errorf("the rollout is %s, %v", ro.State, ro.Counts)
	}
	// A mended release, as a new rollout.
	_, err = r.store.ChangeRollout(t.Context(), r.ada(), id, func(ro fleet.Rollout) (fleet.Rollout, error) { return ro.Abort("bad") })
	r.must(err)
	r.clock.Add(60)
	mended := r.publish("mended")
	r.start(mended)
	for _, board := range []string{"b1", "b2", "b3"} {
		if got := r.poll(fleet.Report{ID: board, Version: good, Error: map[string]string{"b1": "trial_failed"}[board]}); got != mended {
			t.Errorf("%s is offered %d", board, got)
		}
	}
}

// A rollout goes its way to all boards, and the release becomes the channel's.
func TestRolloutToAll(t *testing.T) {
	r := newRig(t)
	old := r.publish("old")
	r.give("stable", old)
	next := r.publish("new")
	id := r.start(next, func(p *fleet.Plan) {
		p.Steps = []fleet.Step{{Share: 3000, Every: time.Hour}, {Share: fleet.All, Every: time.Hour}}
	})
	boards := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	versions := map[string]int64{}
	round := func() (updated int) {
		for _, b := range boards {
			if versions[b] == 0 {
				versions[b] = old
			}
			if offer := r.poll(fleet.Report{ID: b, Version: versions[b]}); offer != 0 {
				versions[b] = offer
				r.poll(fleet.Report{ID: b, Version: offer, State: "confirm_pending"})
				r.poll(fleet.Report{ID: b, Version: offer, State: "idle"})
			}
			if versions[b] == next {
				updated++
			}
		}
		return updated
	}
	want := 0
	for _, b := range boards {
		if fleet.Share(3000).Includes("salt", b) {
			want++
		}
	}
	if got := round(); got != want || want == 0 || want == len(boards) {
		t.Errorf("at 30 %%, %d boards are updated, not %d", got, want)
	}
	r.pass(time.Hour)
	if got := round(); got != len(boards) {
		t.Errorf("at 100 %%, %d boards are updated", got)
	}
	r.pass(time.Hour)
	ro, err := r.store.Rollout(t.Context(), id)
	r.must(err)
	if ro.State != fleet.Done || ro.Counts != (fleet.Counts{fleet.Confirmed: int64(len(boards))}) {
		t.Errorf("the rollout is %s, %v", ro.State, ro.Counts)
	}
	if got := r.poll(fleet.Report{ID: "late", Version: old}); got != next {
		t.Errorf("a board that comes late is offered %d", got)
	}
}

// What one server is told, the others know after their next look.
func TestTwoServers(t *testing.T) {
	r := newRig(t)
	one := r.publish("one")
	r.give("stable", one)
	two := r.publish("two")
	other := r.newServer()
	if got := r.poll(fleet.Report{ID: "b1", Version: one}); got != 0 {
		t.Fatalf("offered %d", got)
	}
	_, err := r.store.ChangeBoards(t.Context(), r.ada(), "badge", []string{"b1"}, func(b *fleet.Board) error { b.Pin = two; return nil })
	r.must(err)
	r.must(other.Refresh(t.Context()))
	// Before that, what it remembers does not count where there is something to write.
	if got := r.poll(fleet.Report{ID: "b1", Version: one, Error: "apply_failed"}); got != two {
		t.Errorf("pinned a moment ago, it is offered %d, not %d", got, two)
	}
	_, err = r.store.ChangeBoards(t.Context(), r.ada(), "badge", []string{"b1"}, func(b *fleet.Board) error { b.Pin = 0; return nil })
	r.must(err)
	r.must(r.server.Refresh(t.Context()))
	if got := r.poll(fleet.Report{ID: "b1", Version: one, Error: "apply_failed"}); got != 0 {
		t.Errorf("not pinned any more, it is offered %d", got)
	}
	_, err = r.store.ChangeBoards(t.Context(), r.ada(), "badge", []string{"b1"}, func(b *fleet.Board) error { b.Pin = two; return nil })
	r.must(err)
	r.must(r.server.Refresh(t.Context()))
	if got := r.poll(fleet.Report{ID: "b1", Version: one}); got != two {
		t.Errorf("pinned, it is offered %d, not %d", got, two)
	}
}
