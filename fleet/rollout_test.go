package fleet_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cactuscon/saguarota/fleet"
)

func steps(ro *fleet.Rollout) {
	ro.Plan.Steps = []fleet.Step{{Share: 100, Every: time.Hour}, {Share: 1000, Every: 2 * time.Hour}, {Share: fleet.All, Every: time.Hour}}
}

func TestAdvanceStepByStep(t *testing.T) {
	ro := *newRollout(steps)
	for i, c := range []struct {
		after time.Duration
		step  int
		state fleet.RolloutState
	}{
		{time.Hour - 1, 0, fleet.Running},
		{time.Hour, 1, fleet.Running},
		{3*time.Hour - 1, 1, fleet.Running},
		{3 * time.Hour, 2, fleet.Running},
		{4*time.Hour - 1, 2, fleet.Running},
		{4 * time.Hour, 2, fleet.Done},
		{9 * time.Hour, 2, fleet.Done},
	} {
		next, changed := ro.Advance(noon.Add(c.after))
		if changed != (next.Step != ro.Step || next.State != ro.State) {
			t.Errorf("%d: changed is %v", i, changed)
		}
		if due := ro.Next(); changed && !due.Equal(noon.Add(c.after)) {
			t.Errorf("%d: it was to be at %v", i, due)
		}
		if ro = next; ro.Step != c.step || ro.State != c.state {
			t.Errorf("after %v: step %d, %s; want step %d, %s", c.after, ro.Step, ro.State, c.step, c.state)
		}
	}
	if !ro.Next().IsZero() {
		t.Error("a rollout that is done goes on")
	}
}

// Servers that were down for a day take one step when they come back, not all.
func TestAdvanceTakesOneStepAtATime(t *testing.T) {
	ro := *newRollout(steps)
	late := noon.Add(24 * time.Hour)
	for i, c := range []struct {
		now  time.Time
		step int
	}{{late, 1}, {late, 1}, {late.Add(2*time.Hour - 1), 1}, {late.Add(2 * time.Hour), 2}} {
		if ro, _ = ro.Advance(c.now); ro.Step != c.step {
			t.Errorf("%d: step %d, want %d", i, ro.Step, c.step)
		}
	}
}

func TestAdvanceWhereClocksGoBack(t *testing.T) {
	ro := *newRollout(steps)
	ro.Step, ro.StepSince = 1, noon.Add(time.Hour)
	// Another server's clock is a little behind.
	if next, changed := ro.Advance(noon.Add(time.Hour - time.Second)); changed {
		t.Errorf("%+v", next)
	}
	// The clock was an hour ahead and is right now: the step begins anew, instead of
	// lasting for an hour more.
	next, changed := ro.Advance(noon.Add(time.Minute))
	if !changed || next.Step != 1 || !next.StepSince.Equal(noon.Add(time.Minute)) {
		t.Errorf("%v, step %d since %v", changed, next.Step, next.StepSince)
	}
}

func TestAdvanceBeforeItsStart(t *testing.T) {
	ro := *newRollout(steps)
	if next, changed := ro.Advance(noon.Add(-5 * time.Hour)); changed {
		t.Errorf("%+v", next)
	}
}

func TestAdvanceWaitsForPeople(t *testing.T) {
	ro := *newRollout(steps)
	ro.Plan.Steps[0].Every = 0
	if _, changed := ro.Advance(noon.Add(999 * time.Hour)); changed || !ro.Next().IsZero() {
		t.Error("a step without a time was taken")
	}
	// The last step is not for all: somebody has to promote it.
	ro = *newRollout(steps)
	ro.Plan.Steps = ro.Plan.Steps[:2]
	ro.Step = 1
	if _, changed := ro.Advance(noon.Add(999 * time.Hour)); changed || !ro.Next().IsZero() {
		t.Error("it went on after its last step")
	}
}

func TestHalt(t *testing.T) {
	rule := func(percent float64, atLeast int64, kind fleet.FailureKind) fleet.HaltRule {
		return fleet.HaltRule{Percent: percent, AtLeast: atLeast, Kind: kind}
	}
	for _, c := range []struct {
		rule   fleet.HaltRule
		counts fleet.Counts
		halts  bool
	}{
		{fleet.HaltRule{}, fleet.Counts{fleet.Undone: 99}, false},
		{rule(5, 20, "all"), fleet.Counts{}, false},
		{rule(5, 20, "all"), fleet.Counts{fleet.Confirmed: 19, fleet.Undone: 1}, true},
		{rule(5, 20, "all"), fleet.Counts{fleet.Confirmed: 18, fleet.Undone: 1}, false},
		{rule(5, 20, "all"), fleet.Counts{fleet.Confirmed: 20, fleet.Undone: 1}, false},
		{rule(5, 20, "all"), fleet.Counts{fleet.Confirmed: 37, fleet.Undone: 1, fleet.TimedOut: 1}, true},
		{rule(5, 20, "all"), fleet.Counts{fleet.Trial: 500, fleet.Failed: 1}, false},
		{rule(5, 20, "undone"), fleet.Counts{fleet.Failed: 15, fleet.TimedOut: 5}, false},
		{rule(5, 20, "failed"), fleet.Counts{fleet.Failed: 1, fleet.Undone: 19}, true},
		{rule(50, 2, "timed out"), fleet.Counts{fleet.TimedOut: 1, fleet.Confirmed: 1}, true},
		{rule(100, 1, "undone"), fleet.Counts{fleet.Undone: 1}, true},
		{rule(0.01, 1, "undone"), fleet.Counts{fleet.Confirmed: 1}, false},
	} {
		if got := c.rule.Halts(&c.counts); got != c.halts {
			t.Errorf("%v: %v halts: %v", c.rule, c.counts, got)
		}
		ro := *newRollout(func(ro *fleet.Rollout) { ro.Plan.Halt, ro.Counts = c.rule, c.counts })
		next, changed := ro.Advance(noon)
		if changed != c.halts || (next.State == fleet.Halted) != c.halts {
			t.Errorf("%v: %v becomes %s", c.rule, c.counts, next.State)
		}
		if c.halts && !strings.Contains(next.Reason, "finished boards") {
			t.Errorf("the reason is %q", next.Reason)
		}
	}
}

// A bad result that comes in while the rollout is paused, or when a step is due,
// halts it first.
func TestHaltGoesFirst(t *testing.T) {
	bad := func(ro *fleet.Rollout) {
		ro.Plan.Halt = fleet.HaltRule{Percent: 1, AtLeast: 1, Kind: fleet.KindAll}
		ro.Counts = fleet.Counts{fleet.Undone: 1}
	}
	for _, state := range []fleet.RolloutState{fleet.Running, fleet.Paused} {
		ro := newRollout(steps, bad)
		ro.State = state
		if next, changed := ro.Advance(noon.Add(time.Hour)); !changed || next.State != fleet.Halted || next.Step != 0 {
			t.Errorf("%s becomes %s at step %d", state, next.State, next.Step)
		}
	}
	for _, state := range []fleet.RolloutState{fleet.Halted, fleet.Aborted, fleet.Done} {
		ro := newRollout(steps, bad)
		ro.State = state
		if next, changed := ro.Advance(noon.Add(time.Hour)); changed {
			t.Errorf("%s becomes %s", state, next.State)
		}
	}
}

func TestResumeForgives(t *testing.T) {
	ro := *newRollout(steps, func(ro *fleet.Rollout) {
		ro.Plan.Halt = fleet.HaltRule{Percent: 10, AtLeast: 2, Kind: fleet.KindAll}
		ro.Counts = fleet.Counts{fleet.Undone: 2, fleet.Confirmed: 3}
	})
	ro, _ = ro.Advance(noon)
	later := noon.Add(30 * time.Minute)
	ro, err := ro.Resume(later)
	if err != nil || ro.State != fleet.Running || ro.Reason != "" || !ro.StepSince.Equal(later) {
		t.Fatalf("%+v, %v", ro, err)
	}
	if next, changed := ro.Advance(later); changed {
		t.Errorf("it halts again at once: %s", next.Reason)
	}
	ro.Counts[fleet.Undone]++
	if next, changed := ro.Advance(later); changed {
		t.Errorf("it halts after one board more, and the rule says two: %s", next.Reason)
	}
	ro.Counts[fleet.Confirmed]++
	if _, changed := ro.Advance(later); !changed {
		t.Error("it does not halt again")
	}
}

func TestOperations(t *testing.T) {
	operations := map[string]func(fleet.Rollout) (fleet.Rollout, error){
		"pause":   func(r fleet.Rollout) (fleet.Rollout, error) { return r.Pause("lunch") },
		"resume":  func(r fleet.Rollout) (fleet.Rollout, error) { return r.Resume(noon) },
		"abort":   func(r fleet.Rollout) (fleet.Rollout, error) { return r.Abort("bad") },
		"promote": func(r fleet.Rollout) (fleet.Rollout, error) { return r.Promote("good") },
	}
	want := map[fleet.RolloutState]map[string]fleet.RolloutState{
		fleet.Running: {"pause": fleet.Paused, "abort": fleet.Aborted, "promote": fleet.Done},
		fleet.Paused:  {"resume": fleet.Running, "abort": fleet.Aborted, "promote": fleet.Done},
		fleet.Halted:  {"resume": fleet.Running, "abort": fleet.Aborted, "promote": fleet.Done},
		fleet.Aborted: {},
		fleet.Done:    {},
	}
	for state, allowed := range want {
		for name, operation := range operations {
			ro := *newRollout()
			ro.State = state
			got, err := operation(ro)
			if next, ok := allowed[name]; !ok {
				if !errors.Is(err, fleet.ErrState) || cmp.Diff(ro, got) != "" {
					t.Errorf("%s in %s: %v, %s", name, state, err, got.State)
				}
			} else if err != nil || got.State != next {
				t.Errorf("%s in %s: %v, %s; want %s", name, state, err, got.State, next)
			}
		}
		if state.Open() != (len(allowed) > 0) {
			t.Errorf("%s is open: %v", state, state.Open())
		}
	}
}

func TestForward(t *testing.T) {
	ro := *newRollout(steps)
	ro.Plan.Steps = ro.Plan.Steps[:2]
	later := noon.Add(time.Minute)
	next, err := ro.Forward(later)
	if err != nil || next.Step != 1 || !next.StepSince.Equal(later) || next.Share() != 1000 {
		t.Errorf("step %d since %v, %v", next.Step, next.StepSince, err)
	}
	if _, err := next.Forward(later); !errors.Is(err, fleet.ErrState) {
		t.Errorf("after the last step: %v", err)
	}
	ro.State = fleet.Paused
	if _, err := ro.Forward(later); !errors.Is(err, fleet.ErrState) {
		t.Errorf("paused: %v", err)
	}
}

func TestPlanCheck(t *testing.T) {
	if err := newRollout(steps).Plan.Check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*fleet.Plan){
		"salt":          func(p *fleet.Plan) { p.Salt = "" },
		"0 steps":       func(p *fleet.Plan) { p.Steps = nil },
		"101 steps":     func(p *fleet.Plan) { p.Steps = make([]fleet.Step, 101) },
		"step 2":        func(p *fleet.Plan) { p.Steps[1].Share = 100 },
		"step 1":        func(p *fleet.Plan) { p.Steps[0].Share = 0 },
		"step 3":        func(p *fleet.Plan) { p.Steps[2].Share = fleet.All + 1 },
		"takes":         func(p *fleet.Plan) { p.Steps[0].Every = -1 },
		"at once":       func(p *fleet.Plan) { p.MaxUpdating = -1 },
		"timeout":       func(p *fleet.Plan) { p.Timeout = -1 },
		"halt at 0 %":   func(p *fleet.Plan) { p.Halt = fleet.HaltRule{AtLeast: 1, Kind: "all"} },
		"halt at 101 %": func(p *fleet.Plan) { p.Halt = fleet.HaltRule{Percent: 101, AtLeast: 1, Kind: "all"} },
		"at least 0":    func(p *fleet.Plan) { p.Halt = fleet.HaltRule{Percent: 1, Kind: "all"} },
		`failure "odd"`: func(p *fleet.Plan) { p.Halt = fleet.HaltRule{Percent: 1, AtLeast: 1, Kind: "odd"} },
		"free":          func(p *fleet.Plan) { p.For = fleet.Selector{MinFree: -1} },
		"has it not":    func(p *fleet.Plan) { p.For = fleet.Selector{Tags: []string{"a"}, Not: []string{"a"}} },
		"in a selector": func(p *fleet.Plan) { p.For.Cohort = []string{" a"} },
		"33 tags":       func(p *fleet.Plan) { p.For.Not = make([]string, 33) },
		"maintenance":   func(p *fleet.Plan) { p.Only.From = 1440 },
	} {
		plan := newRollout(steps).Plan
		spoil(&plan)
		if err := plan.Check(); !errors.Is(err, fleet.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
