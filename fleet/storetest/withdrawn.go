package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// withdraw withdraws a release, or takes that back.
func withdraw(t *testing.T, s fleet.Store, by fleet.Actor, version int64, on bool) {
	t.Helper()
	must(t, s.ChangeRelease(t.Context(), by, "badge", version, func(r *fleet.Release) error { r.Withdrawn = on; return nil }))
}

// The rollout of a release that is withdrawn takes no step until a person lets it go on,
// and then from the beginning of the step.
func testWithdrawnInRollout(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	all := newWebhook(t, s)
	steps := func(r *fleet.Rollout) {
		r.Plan.Steps = []fleet.Step{{Share: 100, Every: time.Hour}, {Share: 1000, Every: time.Hour}, {Share: fleet.All, Every: time.Hour}}
	}
	r, err := s.StartRollout(ctx, ada, NewRollout("badge", steps))
	must(t, err)
	must(t, s.AddRelease(ctx, ada, NewRelease(t, "badge", 3), nil))
	other, err := s.StartRollout(ctx, ada, NewRollout("badge", steps, func(r *fleet.Rollout) { r.Channel, r.Version = "beta", 3 }))
	must(t, err)
	told(t, s, all.ID)

	at := func(hour int) fleet.Actor {
		return fleet.Actor{Name: "ada", At: noon.Add(time.Duration(hour) * time.Hour)}
	}
	withdraw(t, s, at(0), 2, true)
	if got := rollout(t, s, r.ID); got.State != fleet.Paused || !strings.Contains(got.Reason, "withdrawn") {
		t.Errorf("it is %s, because %q", got.State, got.Reason)
	}
	_, err = s.Advance(ctx, at(1).At)
	must(t, err)
	if got := rollout(t, s, r.ID); got.Step != 0 {
		t.Errorf("withdrawn, it takes step %d", got.Step)
	}
	if got := rollout(t, s, other.ID); got.State != fleet.Running || got.Step != 1 {
		t.Errorf("one of another release is %s at step %d", got.State, got.Step)
	}
	change := func(hour int, f func(r fleet.Rollout) (fleet.Rollout, error)) error {
		_, err := s.ChangeRollout(ctx, at(hour), r.ID, f)
		return err
	}
	resume := func(r fleet.Rollout) (fleet.Rollout, error) { return r.Resume(at(9).At) }
	want(t, "resumed while it is withdrawn", change(2, resume), fleet.ErrState)
	want(t, "promoted while it is withdrawn", change(2, func(r fleet.Rollout) (fleet.Rollout, error) { return r.Promote("") }), fleet.ErrState)
	withdraw(t, s, at(8), 2, false)
	_, err = s.Advance(ctx, at(8).At)
	must(t, err)
	if got := rollout(t, s, r.ID); got.State != fleet.Paused || got.Step != 0 {
		t.Errorf("not withdrawn any more, it is %s at step %d", got.State, got.Step)
	}
	must(t, change(9, resume))
	for _, c := range []struct{ hour, step int }{{9, 0}, {10, 1}} {
		_, err = s.Advance(ctx, at(c.hour).At)
		must(t, err)
		if got := rollout(t, s, r.ID); got.State != fleet.Running || got.Step != c.step {
			t.Errorf("hour %d: %s at step %d", c.hour, got.State, got.Step)
		}
	}
	log, err := s.Audit(ctx, "badge", 0, 100)
	must(t, err)
	paused := 0
	for _, e := range log {
		if e.Action == "rollout.pause" && e.Actor == "ada" && e.After != nil {
			paused++
		}
	}
	if paused != 1 {
		t.Errorf("the log has %d pauses", paused)
	}
	events := strings.Join(told(t, s, all.ID), "\n")
	for _, e := range []string{"release.withdrawn badge 2 ada", "rollout.paused badge 1 ada"} {
		if !strings.Contains(events, e) {
			t.Errorf("%s is not told:\n%s", e, events)
		}
	}
}

// No rollout brings a channel back to an older release.
func testOlderRollout(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	must(t, s.SetChannel(ctx, ada, "badge", "stable", 2))
	start := func(version int64) (fleet.Rollout, error) {
		return s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) { r.Version = version }))
	}
	_, err := start(1)
	want(t, "a rollout of what is older", err, fleet.ErrOlder)
	// What is withdrawn keeps nobody from an older one, while it is.
	withdraw(t, s, ada, 2, true)
	r, err := start(1)
	must(t, err)
	withdraw(t, s, ada, 2, false)
	_, err = s.ChangeRollout(ctx, ada, r.ID, func(r fleet.Rollout) (fleet.Rollout, error) { return r.Promote("") })
	want(t, "promoted to what is older", err, fleet.ErrOlder)
	_, err = s.Advance(ctx, noon.Add(time.Hour))
	must(t, err)
	snap, err := s.Snapshot(ctx, nil)
	must(t, err)
	if c := snap.Views["badge"].Channels["stable"]; c.Release != 2 {
		t.Errorf("the channel has %d", c.Release)
	}
}
