package storetest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

func testRollouts(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	plan := fleet.Plan{
		Salt: "salt", Start: noon.Add(time.Hour),
		Steps:       []fleet.Step{{Share: 100, Every: time.Hour}, {Share: fleet.All}},
		For:         fleet.Selector{Tags: []string{"lab"}, Board: "Pico W"},
		Only:        fleet.Window{From: 60, To: 120, Days: [7]bool{true}, Zone: "Europe/Berlin"},
		MaxUpdating: 5, Timeout: time.Hour,
		Halt: fleet.HaltRule{Percent: 2.5, AtLeast: 10, Kind: fleet.KindUndone},
	}
	first, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) { r.Plan = plan }))
	must(t, err)
	diff(t, "what was started", fleet.Rollout{
		ID: first.ID, App: "badge", Channel: "stable", Version: 2, Plan: plan, State: fleet.Running, StepSince: plan.Start,
	}, first)
	diff(t, "what is stored", first, rollout(t, s, first.ID))

	_, err = s.StartRollout(ctx, ada, NewRollout("badge"))
	want(t, "a second one", err, fleet.ErrState)
	_, err = s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) { r.Channel, r.Version = "beta", 9 }))
	want(t, "a version that there is not", err, fleet.ErrNotFound)
	_, err = s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) { r.Channel, r.Plan.Steps = "beta", nil }))
	want(t, "no steps", err, fleet.ErrInvalid)
	_, err = s.StartRollout(ctx, ada, NewRollout("nope"))
	want(t, "an app that there is not", err, fleet.ErrNotFound)
	_, err = s.Rollout(ctx, 99)
	want(t, "a rollout that there is not", err, fleet.ErrNotFound)

	// A rollout that was to begin in the past begins now.
	late, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) { r.Channel, r.Plan.Start = "beta", time.Time{} }))
	must(t, err)
	if !late.StepSince.Equal(ada.At) {
		t.Errorf("its first step began at %v", late.StepSince)
	}
	_, err = s.ChangeRollout(ctx, ada, first.ID, func(r fleet.Rollout) (fleet.Rollout, error) { return r.Abort("bad") })
	must(t, err)
	third, err := s.StartRollout(ctx, ada, NewRollout("badge"))
	must(t, err)

	for _, c := range []struct {
		before int64
		limit  int
		want   []int64
	}{{0, 9, []int64{third.ID, late.ID, first.ID}}, {0, 1, []int64{third.ID}}, {third.ID, 1, []int64{late.ID}}, {first.ID, 9, nil}} {
		list, err := s.Rollouts(ctx, "badge", c.before, c.limit)
		must(t, err)
		var got []int64
		for _, r := range list {
			got = append(got, r.ID)
		}
		diff(t, fmt.Sprintf("the rollouts before %d", c.before), c.want, got)
	}
}

func testRolloutOperations(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	r, err := s.StartRollout(ctx, ada, NewRollout("badge"))
	must(t, err)
	channel := func() *fleet.Channel {
		snap, err := s.Snapshot(ctx, nil)
		must(t, err)
		return snap.Views["badge"].Channels["stable"]
	}
	change := func(f func(r fleet.Rollout) (fleet.Rollout, error)) error {
		_, err := s.ChangeRollout(ctx, ada, r.ID, f)
		return err
	}
	must(t, change(func(r fleet.Rollout) (fleet.Rollout, error) { return r.Pause("lunch") }))
	if c := channel(); c.Rollout == nil || c.Rollout.State != fleet.Paused || c.Rollout.Reason != "lunch" || c.Release != 1 {
		t.Errorf("paused: %+v", c)
	}
	want(t, "paused twice", change(func(r fleet.Rollout) (fleet.Rollout, error) { return r.Pause("") }), fleet.ErrState)
	must(t, change(func(r fleet.Rollout) (fleet.Rollout, error) { return r.Promote("good") }))
	if c := channel(); c.Rollout != nil || c.Release != 2 {
		t.Errorf("promoted: %+v", c)
	}
	want(t, "promoted twice", change(func(r fleet.Rollout) (fleet.Rollout, error) { return r.Promote("") }), fleet.ErrState)
	_, err = s.ChangeRollout(ctx, ada, 99, func(r fleet.Rollout) (fleet.Rollout, error) { return r, nil })
	want(t, "a rollout that there is not", err, fleet.ErrNotFound)
}

// The log says by name what became of a rollout, and has its number.
func testRolloutAudit(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	steps := func(r *fleet.Rollout) {
		r.Plan.Steps = []fleet.Step{{Share: 100, Every: time.Hour}, {Share: 200, Every: time.Hour}, {Share: fleet.All, Every: time.Hour}}
		r.Plan.Halt = fleet.HaltRule{Percent: 1, AtLeast: 1, Kind: fleet.KindFailed}
	}
	var expected []string
	start := func() func(string, func(fleet.Rollout) (fleet.Rollout, error)) {
		r, err := s.StartRollout(ctx, ada, NewRollout("badge", steps))
		must(t, err)
		expected = append(expected, fmt.Sprint("ada rollout.start ", r.ID))
		return func(action string, f func(fleet.Rollout) (fleet.Rollout, error)) {
			t.Helper()
			_, err := s.ChangeRollout(ctx, ada, r.ID, f)
			must(t, err)
			expected = append(expected, fmt.Sprint("ada ", action, " ", r.ID))
		}
	}
	change := start()
	resume := func(r fleet.Rollout) (fleet.Rollout, error) { return r.Resume(noon) }
	change("rollout.pause", func(r fleet.Rollout) (fleet.Rollout, error) { return r.Pause("") })
	change("rollout.resume", resume)
	change("rollout.step", func(r fleet.Rollout) (fleet.Rollout, error) { return r.Forward(noon) })
	change("rollout.halt", func(r fleet.Rollout) (fleet.Rollout, error) {
		r.Counts = fleet.Counts{fleet.Failed: 1}
		next, _ := r.Advance(noon)
		return next, nil
	})
	change("rollout.resume", resume)
	change("rollout.abort", func(r fleet.Rollout) (fleet.Rollout, error) { return r.Abort("") })
	change = start()
	for hour := 1; hour <= 2; hour++ {
		_, err := s.Advance(ctx, noon.Add(time.Duration(hour)*time.Hour))
		must(t, err)
	}
	expected = append(expected, "rule rollout.step 2", "rule rollout.step 2")
	change("rollout.promote", func(r fleet.Rollout) (fleet.Rollout, error) { return r.Promote("") })
	must(t, s.AddRelease(ctx, ada, NewRelease(t, "badge", 3), nil))
	_, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) { r.Version = 3 }))
	must(t, err)
	_, err = s.Advance(ctx, noon.Add(time.Hour))
	must(t, err)
	expected = append(expected, "ada rollout.start 3", "rule rollout.finish 3")

	log, err := s.Audit(ctx, "badge", 0, 100)
	must(t, err)
	var got []string
	for _, e := range log {
		if strings.HasPrefix(e.Action, "rollout.") {
			got = append([]string{e.Actor + " " + e.Action + " " + e.Object}, got...)
		}
	}
	diff(t, "the log of rollouts", expected, got)
}

// Of servers that all see that a step is due, one takes it.
func testAdvanceOnce(t *testing.T, open func(t *testing.T) fleet.Store) {
	first := begin(t, open)
	ctx := t.Context()
	steps := make([]fleet.Step, 6)
	for i := range steps {
		steps[i] = fleet.Step{Share: fleet.Share(i+1) * 100, Every: time.Hour}
	}
	steps[5].Share = fleet.All
	r, err := first.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) { r.Plan.Steps = steps }))
	must(t, err)
	servers := []fleet.Store{first, open(t), open(t)}
	for hour := 1; hour <= 6; hour++ {
		now := noon.Add(time.Duration(hour) * time.Hour)
		var mu sync.Mutex
		taken := 0
		var all sync.WaitGroup
		for i := range 9 {
			all.Go(func() {
				changed, err := servers[i%3].Advance(ctx, now)
				if err != nil {
					t.Errorf("hour %d: %v", hour, err)
				}
				mu.Lock()
				defer mu.Unlock()
				taken += len(changed)
			})
		}
		all.Wait()
		got := rollout(t, first, r.ID)
		if taken != 1 || hour < 6 && got.Step != hour {
			t.Errorf("hour %d: %d servers took a step, it is step %d", hour, taken, got.Step)
		}
		if done := got.State == fleet.Done; done != (hour == 6) {
			t.Errorf("hour %d: %s", hour, got.State)
		}
	}
	log, err := first.Audit(ctx, "badge", 0, 6)
	must(t, err)
	for i, e := range log {
		action := "rollout.step"
		if i == 0 {
			action = "rollout.finish"
		}
		if e.Actor != fleet.RuleActor || e.Action != action {
			t.Errorf("%s did %s", e.Actor, e.Action)
		}
	}
	snap, err := first.Snapshot(ctx, nil)
	must(t, err)
	if c := snap.Views["badge"].Channels["stable"]; c.Release != 2 || c.Rollout != nil {
		t.Errorf("the channel is %+v", c)
	}
}

func testTimeOut(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	r, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) {
		r.Plan.Timeout = 10 * time.Minute
		r.Plan.Halt = fleet.HaltRule{Percent: 60, AtLeast: 3, Kind: fleet.KindTimedOut}
	}))
	must(t, err)
	for i := range 4 {
		if _, err := poll(t, s, fleet.Report{ID: fmt.Sprint("b", i), Version: 1}, noon.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := poll(t, s, fleet.Report{ID: "b1", Version: 2}, noon.Add(5*time.Minute)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		minutes int
		late    int64
		state   fleet.RolloutState
	}{{9, 0, fleet.Running}, {10, 1, fleet.Running}, {12, 2, fleet.Halted}, {13, 3, fleet.Halted}} {
		_, err := s.Advance(ctx, noon.Add(time.Duration(c.minutes)*time.Minute))
		must(t, err)
		got := rollout(t, s, r.ID)
		if got.Counts[fleet.TimedOut] != c.late || got.State != c.state || got.Counts[fleet.Confirmed] != 1 || got.Counts[fleet.Offered] != 3-c.late {
			t.Errorf("after %d minutes: %v, %s; want %d timed out, %s", c.minutes, got.Counts, got.State, c.late, c.state)
		}
	}
	b, err := s.Board(ctx, "badge", "b0")
	must(t, err)
	if b.Task.Stage != fleet.TimedOut || !b.Task.Since.Equal(noon.Add(10*time.Minute)) {
		t.Errorf("the board is %+v", b.Task)
	}
	// It was only late.
	if _, err := poll(t, s, fleet.Report{ID: "b0", Version: 2}, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := rollout(t, s, r.ID).Counts; got[fleet.TimedOut] != 2 || got[fleet.Confirmed] != 2 {
		t.Errorf("after a late report: %v", got)
	}
}
