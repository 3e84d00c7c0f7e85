package fleet_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cactuscon/saguarota/fleet"
)

// board is a board that runs version 1 and was never in a rollout.
func board(change ...func(*fleet.Board)) *fleet.Board {
	b := &fleet.Board{ID: "b1"}
	for _, f := range change {
		f(b)
	}
	return b
}

func TestDecideWithoutRollout(t *testing.T) {
	step := func(r *fleet.Release) { r.StepThrough = true }
	withdrawn := func(r *fleet.Release) { r.Withdrawn = true }
	pinned := func(version int64) func(*fleet.Board) { return func(b *fleet.Board) { b.Pin = version } }
	keyset := func(n int64) func(*fleet.Release) { return func(r *fleet.Release) { r.Statement.Keyset = n } }
	channels := func(names ...string) func(*fleet.Release) {
		return func(r *fleet.Release) { r.Statement.Channels = names }
	}
	needs := func(version string) func(*fleet.Release) {
		return func(r *fleet.Release) { r.Statement.MicroPython = version }
	}
	expires := func(at time.Time) func(*fleet.Release) {
		return func(r *fleet.Release) { r.Statement.Expires = at.Unix() }
	}

	for _, c := range []struct {
		name   string
		view   *fleet.View
		board  *fleet.Board
		report fleet.Report
		want   int64
	}{
		{"an old board", newView(nil, newRelease(3)), board(), fleet.Report{Version: 1}, 3},
		{"a board with nothing", newView(nil, newRelease(3)), board(), fleet.Report{}, 3},
		{"a board that has it", newView(nil, newRelease(3)), board(), fleet.Report{Version: 3}, 0},
		{"a board that is ahead", newView(nil, newRelease(3), newRelease(4)), board(), fleet.Report{Version: 4}, 0},
		{"a board that lies", newView(nil, newRelease(3)), board(), fleet.Report{Version: 999}, 0},
		{"a board with an end's number", newView(nil, newRelease(3)), board(), fleet.Report{Version: 1<<63 - 1}, 0},

		{"a channel that there is not", newView(nil, newRelease(3)), board(), fleet.Report{Channel: "nope"}, 0},
		{"the board's word counts", newView(nil, newRelease(3)), board(), fleet.Report{Channel: "stable"}, 3},
		{"but not where it was set", newView(nil, newRelease(3)), board(func(b *fleet.Board) { b.Channel = "stable" }), fleet.Report{Channel: "nope"}, 3},
		{"a release for other channels", newView(nil, newRelease(3, channels("beta"))), board(), fleet.Report{}, 0},
		{"a release for this channel", newView(nil, newRelease(3, channels("beta", "stable"))), board(), fleet.Report{}, 3},

		{"pinned above the channel", newView(nil, newRelease(3), newRelease(4)), board(pinned(4)), fleet.Report{Version: 1}, 4},
		{"pinned below the channel", newView(nil, newRelease(3), newRelease(2)), board(pinned(2)), fleet.Report{Version: 1}, 2},
		{"pinned to what it has", newView(nil, newRelease(3), newRelease(2)), board(pinned(2)), fleet.Report{Version: 2}, 0},
		{"pinned to nothing", newView(nil, newRelease(3)), board(pinned(9)), fleet.Report{Version: 1}, 0},

		{"withdrawn", newView(nil, newRelease(3, withdrawn)), board(), fleet.Report{Version: 1}, 0},

		{"to step through", newView(nil, newRelease(4), newRelease(2, step), newRelease(3, step)), board(), fleet.Report{Version: 1}, 2},
		{"the second step", newView(nil, newRelease(4), newRelease(2, step), newRelease(3, step)), board(), fleet.Report{Version: 2}, 3},
		{"after the steps", newView(nil, newRelease(4), newRelease(2, step), newRelease(3, step)), board(), fleet.Report{Version: 3}, 4},
		{"the target is a step", newView(nil, newRelease(4, step)), board(), fleet.Report{Version: 1}, 4},
		{"a step after the target", newView(nil, newRelease(4), newRelease(5, step)), board(), fleet.Report{Version: 1}, 4},
		{"nothing to step from", newView(nil, newRelease(4), newRelease(2, step)), board(), fleet.Report{}, 4},
		{"a withdrawn step", newView(nil, newRelease(4), newRelease(2, step, withdrawn)), board(), fleet.Report{Version: 1}, 4},
		{"a step of another channel", newView(nil, newRelease(4), newRelease(2, step, channels("beta"))), board(), fleet.Report{Version: 1}, 4},
		{"a step that it cannot take", newView(nil, newRelease(4), newRelease(2, step, needs("1.30"))), board(), fleet.Report{Version: 1, MicroPython: "1.26"}, 0},
		{"pinned behind a step", newView(nil, newRelease(4), newRelease(2, step)), board(pinned(4)), fleet.Report{Version: 1}, 2},

		{"MicroPython is too old", newView(nil, newRelease(3, needs("1.24"))), board(), fleet.Report{MicroPython: "1.23.0"}, 0},
		{"MicroPython will do", newView(nil, newRelease(3, needs("1.24"))), board(), fleet.Report{MicroPython: "1.24.0-preview"}, 3},
		{"MicroPython is not told", newView(nil, newRelease(3, needs("1.24"))), board(), fleet.Report{}, 3},
		{"MicroPython is nonsense", newView(nil, newRelease(3, needs("1.24"))), board(), fleet.Report{MicroPython: "9999.9999.1"}, 3},
		{"expired", newView(nil, newRelease(3, expires(noon.Add(-time.Second)))), board(), fleet.Report{}, 0},
		{"expires", newView(nil, newRelease(3, expires(noon))), board(), fleet.Report{}, 3},

		{"a later keyset goes before a version", newView(nil, newRelease(3, keyset(2)), newRelease(9)), board(), fleet.Report{Version: 9}, 3},
		{"also before one that is not known", newView(nil, newRelease(3, keyset(2))), board(), fleet.Report{Version: 1<<63 - 1}, 3},
		{"and not after it", newView(nil, newRelease(9), newRelease(3, keyset(2))), board(), fleet.Report{Version: 3}, 0},
	} {
		d := c.view.Decide(noon, c.board, &c.report, 0.5)
		if got := offered(d); got != c.want {
			t.Errorf("%s: offered %d, want %d", c.name, got, c.want)
		}
		if d.Task != c.board.Task || d.Moves != nil {
			t.Errorf("%s: there is no rollout, and yet %+v, %v", c.name, d.Task, d.Moves)
		}
	}
}

func TestDecideWithRollout(t *testing.T) {
	task := func(stage fleet.Stage) func(*fleet.Board) {
		return func(b *fleet.Board) {
			b.Task = fleet.Task{Rollout: 7, Target: 3, Offer: 3, Stage: stage, Since: noon}
		}
	}
	state := func(s fleet.RolloutState) func(*fleet.Rollout) { return func(ro *fleet.Rollout) { ro.State = s } }
	nobody := func(ro *fleet.Rollout) { ro.Plan.For.Tags = []string{"nobody"} }
	window := func(ro *fleet.Rollout) { ro.Plan.Only = fleet.Window{From: 13 * 60, To: 14 * 60} }
	most := func(ro *fleet.Rollout) {
		ro.Plan.MaxUpdating, ro.Counts = 5, fleet.Counts{fleet.Trial: 4, fleet.Again: 1}
	}
	room := func(ro *fleet.Rollout) { ro.Plan.MaxUpdating, ro.Counts = 5, fleet.Counts{fleet.Trial: 4} }
	again := func(b *fleet.Board) { b.Task.Again = true }
	later := func(ro *fleet.Rollout) { ro.Plan.Start = noon.Add(time.Minute) }
	move := func(from, to fleet.Stage, begins bool) []fleet.Move { return []fleet.Move{{7, from, to, begins}} }
	leaves := func(moves []fleet.Move) []fleet.Move { return append(moves, fleet.Move{Rollout: 7, From: fleet.Again}) }

	for _, c := range []struct {
		name    string
		rollout *fleet.Rollout
		board   *fleet.Board
		report  fleet.Report
		want    int64
		moves   []fleet.Move
	}{
		{"a member", newRollout(), board(), fleet.Report{Version: 2}, 3, move(fleet.Waiting, fleet.Offered, true)},
		{"a member behind the channel", newRollout(), board(), fleet.Report{Version: 1}, 3, move(fleet.Waiting, fleet.Offered, true)},
		{"no member", newRollout(nobody), board(), fleet.Report{Version: 2}, 0, nil},
		{"no member behind the channel", newRollout(nobody), board(), fleet.Report{Version: 1}, 2, nil},
		{"who has it needs no task", newRollout(), board(), fleet.Report{Version: 3}, 0, nil},

		{"again", newRollout(), board(task(fleet.Offered)), fleet.Report{Version: 2}, 3, nil},
		{"at it", newRollout(), board(task(fleet.Offered)), fleet.Report{Version: 2, State: "installing"}, 3, move(fleet.Offered, fleet.Downloading, false)},
		{"on trial", newRollout(), board(task(fleet.Offered)), fleet.Report{Version: 3, State: "confirm_pending"}, 0, move(fleet.Offered, fleet.Trial, false)},
		{"confirmed", newRollout(), board(task(fleet.Trial)), fleet.Report{Version: 3, State: "idle"}, 0, move(fleet.Trial, fleet.Confirmed, false)},
		{"undone", newRollout(), board(task(fleet.Trial)), fleet.Report{Version: 2}, 0, move(fleet.Trial, fleet.Undone, false)},
		{"undone behind the channel", newRollout(), board(task(fleet.Undone)), fleet.Report{Version: 1}, 2, nil},
		{"failed tries again", newRollout(), board(task(fleet.Offered)), fleet.Report{Version: 2, Error: "apply_failed"}, 3, move(fleet.Offered, fleet.Failed, false)},
		{"failed tries again and again", newRollout(), board(task(fleet.Failed)), fleet.Report{Version: 2, Error: "apply_failed"}, 3, nil},
		{"failed, and there is room", newRollout(room), board(task(fleet.Failed)), fleet.Report{Version: 2}, 3, move(fleet.Waiting, fleet.Again, true)},
		{"failed, and others are at it", newRollout(most), board(task(fleet.Failed)), fleet.Report{Version: 2}, 0, nil},
		{"timed out, and others are at it", newRollout(most), board(task(fleet.TimedOut)), fleet.Report{Version: 2}, 0, nil},
		{"it fails, and there is room", newRollout(room), board(task(fleet.Offered)), fleet.Report{Version: 2, Error: "apply_failed"}, 3,
			append(move(fleet.Offered, fleet.Failed, false), fleet.Move{Rollout: 7, To: fleet.Again, Begins: true})},
		{"it fails, and all are at it", newRollout(most), board(task(fleet.Offered)), fleet.Report{Version: 2, Error: "apply_failed"}, 0, move(fleet.Offered, fleet.Failed, false)},
		{"offered again", newRollout(most), board(task(fleet.Failed), again), fleet.Report{Version: 2}, 3, nil},
		{"offered again, not reached", newRollout(most), board(task(fleet.Failed), again), fleet.Report{Version: 2, Error: "statement_fetch_failed"}, 3, nil},
		{"offered again, it fails again", newRollout(most), board(task(fleet.Failed), again), fleet.Report{Version: 2, Error: "apply_failed"}, 0, leaves(nil)},
		{"offered again, at it", newRollout(most), board(task(fleet.Failed), again), fleet.Report{Version: 2, State: "installing"}, 3, leaves(move(fleet.Failed, fleet.Downloading, false))},
		{"offered again, halted", newRollout(state(fleet.Halted)), board(task(fleet.Failed), again), fleet.Report{Version: 2}, 0, nil},
		{"offered again, outside the window", newRollout(window), board(task(fleet.Failed), again), fleet.Report{Version: 2}, 0, nil},
		{"at it after all", newRollout(room), board(task(fleet.TimedOut)), fleet.Report{Version: 2, State: "installing"}, 3, move(fleet.TimedOut, fleet.Downloading, true)},
		{"at it after all, outside the window", newRollout(window), board(task(fleet.TimedOut)), fleet.Report{Version: 2, State: "installing"}, 3, move(fleet.TimedOut, fleet.Downloading, true)},
		{"at it after all, and others are", newRollout(most), board(task(fleet.TimedOut)), fleet.Report{Version: 2, State: "installing"}, 0, nil},
		{"at it after all, paused", newRollout(state(fleet.Paused)), board(task(fleet.TimedOut)), fleet.Report{Version: 2, State: "installing"}, 0, nil},
		{"on trial after all, and others are", newRollout(most), board(task(fleet.TimedOut)), fleet.Report{Version: 3, State: "confirm_pending"}, 0, move(fleet.TimedOut, fleet.Trial, false)},
		{"an old release by hand", newRollout(), board(task(fleet.Confirmed)), fleet.Report{Version: 2}, 3, move(fleet.Confirmed, fleet.Offered, true)},

		{"paused", newRollout(state(fleet.Paused)), board(), fleet.Report{Version: 2}, 0, nil},
		{"paused, and it has begun", newRollout(state(fleet.Paused)), board(task(fleet.Offered)), fleet.Report{Version: 2}, 3, nil},
		{"paused, and it failed", newRollout(state(fleet.Paused)), board(task(fleet.Failed)), fleet.Report{Version: 2}, 0, nil},
		{"halted", newRollout(state(fleet.Halted)), board(), fleet.Report{Version: 2}, 0, nil},
		{"halted, and it has begun", newRollout(state(fleet.Halted)), board(task(fleet.Offered)), fleet.Report{Version: 2}, 0, nil},
		{"halted, behind the channel", newRollout(state(fleet.Halted)), board(task(fleet.Offered)), fleet.Report{Version: 1}, 2, nil},
		{"halted, and it is on trial", newRollout(state(fleet.Halted)), board(task(fleet.Trial)), fleet.Report{Version: 3}, 0, move(fleet.Trial, fleet.Confirmed, false)},
		{"aborted", newRollout(state(fleet.Aborted)), board(task(fleet.Offered)), fleet.Report{Version: 2}, 0, nil},

		{"before its time", newRollout(later), board(), fleet.Report{Version: 2}, 0, nil},
		{"outside the window", newRollout(window), board(), fleet.Report{Version: 2}, 0, nil},
		{"outside the window, offered", newRollout(window), board(task(fleet.Offered)), fleet.Report{Version: 2}, 0, nil},
		{"outside the window, at it", newRollout(window), board(task(fleet.Downloading)), fleet.Report{Version: 2}, 3, nil},
		{"as many as may be", newRollout(most), board(), fleet.Report{Version: 2}, 0, nil},
		{"one of those", newRollout(most), board(task(fleet.Downloading)), fleet.Report{Version: 2}, 3, nil},
	} {
		v := newView(c.rollout, newRelease(2), newRelease(3))
		d := v.Decide(noon, c.board, &c.report, 0.5)
		if got := offered(d); got != c.want {
			t.Errorf("%s: offered %d, want %d", c.name, got, c.want)
		}
		if diff := cmp.Diff(c.moves, d.Moves); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// A board that has begun goes on although its tags or its version do not fit the
// selector any more.
func TestDecideGoesOnWithoutTheSelector(t *testing.T) {
	ro := newRollout(func(ro *fleet.Rollout) { ro.Plan.For.Version = 1 })
	v := newView(ro, newRelease(1), newRelease(2, func(r *fleet.Release) { r.StepThrough = true }), newRelease(3))
	b := board()
	for i, c := range []struct {
		report fleet.Report
		want   int64
		stage  fleet.Stage
	}{
		{fleet.Report{Version: 1}, 2, fleet.Offered},
		{fleet.Report{Version: 2, State: "confirm_pending"}, 0, fleet.Trial}, // one thing after the other
		{fleet.Report{Version: 2}, 3, fleet.Offered},
		{fleet.Report{Version: 3, State: "confirm_pending"}, 0, fleet.Trial},
		{fleet.Report{Version: 3}, 0, fleet.Confirmed},
	} {
		d := v.Decide(noon, b, &c.report, 0)
		if offered(d) != c.want || d.Task.Stage != c.stage {
			t.Errorf("poll %d: offered %d, %v; want %d, %v", i, offered(d), d.Task.Stage, c.want, c.stage)
		}
		b.Task = d.Task
	}
	// The files that it may ask for are those of what it runs.
	if d := v.Fallback(noon, b, &fleet.Report{Version: 3}, 0); d.Current == nil || d.Current.Version() != 3 {
		t.Errorf("confirmed, it gets the files of %+v", d.Current)
	}
}

// The next rollout counts what the last one did not hear the end of.
func TestDecideLeavesTheRolloutBefore(t *testing.T) {
	for _, c := range []struct {
		stage  fleet.Stage
		report fleet.Report
		moves  []fleet.Move
	}{
		{fleet.Offered, fleet.Report{Version: 2}, []fleet.Move{{7, fleet.Waiting, fleet.Offered, true}, {6, fleet.Offered, fleet.TimedOut, false}}},
		{fleet.Trial, fleet.Report{Version: 2}, []fleet.Move{{7, fleet.Waiting, fleet.Offered, true}, {6, fleet.Trial, fleet.Undone, false}}},
		{fleet.Confirmed, fleet.Report{Version: 1}, []fleet.Move{{7, fleet.Waiting, fleet.Offered, true}, {6, fleet.Confirmed, fleet.Waiting, false}}},
		{fleet.Undone, fleet.Report{Version: 2}, []fleet.Move{{7, fleet.Waiting, fleet.Offered, true}}},
		{fleet.Failed, fleet.Report{Version: 2}, []fleet.Move{{7, fleet.Waiting, fleet.Offered, true}, {6, fleet.Again, fleet.Waiting, false}}},
	} {
		b := board(func(b *fleet.Board) {
			b.Task = fleet.Task{Rollout: 6, Target: 5, Offer: 5, Stage: c.stage, Again: c.stage == fleet.Failed}
		})
		v := newView(newRollout(), newRelease(2), newRelease(9))
		d := v.Decide(noon, b, &c.report, 0)
		if diff := cmp.Diff(c.moves, d.Moves); diff != "" {
			t.Errorf("%v: %s", c.stage, diff)
		}
		if d.Task.Rollout != 7 || offered(d) != 9 {
			t.Errorf("%v: %+v, offered %d", c.stage, d.Task, offered(d))
		}
	}
}

func TestFallback(t *testing.T) {
	v := newView(newRollout(), newRelease(2), newRelease(3))
	d := v.Fallback(noon, board(), &fleet.Report{Version: 1}, 0)
	if offered(d) != 2 || d.Moves != nil || d.Task != (fleet.Task{}) {
		t.Errorf("who may not begin: offered %d, %v", offered(d), d.Moves)
	}
	begun := board(func(b *fleet.Board) { b.Task = fleet.Task{Rollout: 7, Target: 3, Offer: 3, Stage: fleet.Trial} })
	if d := v.Fallback(noon, begun, &fleet.Report{Version: 3}, 0); d.Task.Stage != fleet.Confirmed {
		t.Errorf("what has happened is %v", d.Task.Stage)
	}
	if v.Channels["stable"].Rollout.State != fleet.Running {
		t.Error("the view was changed")
	}
}

func TestPollTimes(t *testing.T) {
	const period = 10 * time.Minute
	report := &fleet.Report{Version: 2}
	for jitter, want := range map[float64]time.Duration{0: period * 3 / 4, 0.5: period, 0.999999: period * 5 / 4} {
		if got := newView(nil, newRelease(2)).Decide(noon, board(), report, jitter).Poll; got.Round(time.Second) != want {
			t.Errorf("jitter %v: %v, want %v", jitter, got, want)
		}
	}
	for name, ro := range map[string]*fleet.Rollout{
		"starts in a minute": newRollout(func(ro *fleet.Rollout) { ro.Plan.Start = noon.Add(time.Minute) }),
		"opens in a minute":  newRollout(func(ro *fleet.Rollout) { ro.Plan.Only = fleet.Window{From: 12*60 + 1, To: 13 * 60} }),
	} {
		v := newView(ro, newRelease(2), newRelease(3))
		first, last := v.Decide(noon, board(), report, 0).Poll, v.Decide(noon, board(), report, 0.999999).Poll.Round(time.Second)
		if first != time.Minute || last != time.Minute+period/2 {
			t.Errorf("what %s is polled for after %v to %v", name, first, last)
		}
	}
	later := newRollout(func(ro *fleet.Rollout) { ro.Plan.Start = noon.Add(time.Hour) })
	if got := newView(later, newRelease(2), newRelease(3)).Decide(noon, board(), report, 0.5).Poll; got != period {
		t.Errorf("what starts in an hour is polled for after %v", got)
	}
}
