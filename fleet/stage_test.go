package fleet_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

func TestJudge(t *testing.T) {
	// Boards come from version 1 to version 3, and have to step through 2 in the
	// rows where that was offered.
	for _, c := range []struct {
		name   string
		stage  fleet.Stage
		offer  int64
		before string
		report fleet.Report
		want   fleet.Stage
	}{
		{"nothing new", fleet.Offered, 3, "", fleet.Report{Version: 1, State: "idle"}, fleet.Offered},
		{"at it", fleet.Offered, 3, "", fleet.Report{Version: 1, State: "installing"}, fleet.Downloading},
		{"no more at it", fleet.Downloading, 3, "", fleet.Report{Version: 1, State: "idle"}, fleet.Downloading},
		{"on trial", fleet.Downloading, 3, "", fleet.Report{Version: 3, State: "confirm_pending"}, fleet.Trial},
		{"still on trial", fleet.Trial, 3, "", fleet.Report{Version: 3, State: "confirm_pending"}, fleet.Trial},
		{"confirmed", fleet.Trial, 3, "", fleet.Report{Version: 3, State: "idle"}, fleet.Confirmed},
		{"confirmed between two polls", fleet.Offered, 3, "", fleet.Report{Version: 3, State: "idle"}, fleet.Confirmed},
		{"confirmed with an error of a later check", fleet.Trial, 3, "", fleet.Report{Version: 3, Error: "download_failed"}, fleet.Confirmed},

		{"back from trial", fleet.Trial, 3, "", fleet.Report{Version: 1}, fleet.Undone},
		{"undone between two polls", fleet.Offered, 3, "", fleet.Report{Version: 1, Error: "trial_failed"}, fleet.Undone},
		{"it will not take it again", fleet.Downloading, 3, "", fleet.Report{Version: 1, Error: "version_rejected"}, fleet.Undone},
		{"undone after it had timed out", fleet.TimedOut, 3, "", fleet.Report{Version: 1, Error: "version_rejected"}, fleet.Undone},
		{"the release before was undone, not this", fleet.Offered, 3, "trial_failed", fleet.Report{Version: 1, Error: "trial_failed"}, fleet.Offered},
		{"and now this was", fleet.Offered, 3, "trial_failed", fleet.Report{Version: 1, Error: "version_rejected"}, fleet.Undone},
		{"undone for good", fleet.Undone, 3, "", fleet.Report{Version: 1}, fleet.Undone},
		{"undone, then installed by hand", fleet.Undone, 3, "", fleet.Report{Version: 3}, fleet.Confirmed},

		{"failed", fleet.Offered, 3, "", fleet.Report{Version: 1, Error: "download_failed"}, fleet.Failed},
		{"failed while it was at it", fleet.Downloading, 3, "", fleet.Report{Version: 1, Error: "apply_failed"}, fleet.Failed},
		{"failed before, not with this", fleet.Offered, 3, "apply_failed", fleet.Report{Version: 1, Error: "apply_failed"}, fleet.Offered},
		{"the server was not reached", fleet.Offered, 3, "", fleet.Report{Version: 1, Error: "statement_fetch_failed"}, fleet.Offered},
		{"failed again", fleet.Failed, 3, "", fleet.Report{Version: 1, Error: "apply_failed"}, fleet.Failed},
		{"no word about it", fleet.Failed, 3, "", fleet.Report{Version: 1}, fleet.Failed},
		{"failed, then at it", fleet.Failed, 3, "", fleet.Report{Version: 1, State: "installing"}, fleet.Downloading},
		{"failed, then on trial", fleet.Failed, 3, "", fleet.Report{Version: 3, State: "confirm_pending"}, fleet.Trial},
		{"timed out, then confirmed", fleet.TimedOut, 3, "", fleet.Report{Version: 3}, fleet.Confirmed},

		{"the step on trial", fleet.Offered, 2, "", fleet.Report{Version: 2, State: "confirm_pending"}, fleet.Trial},
		{"the step confirmed", fleet.Trial, 2, "", fleet.Report{Version: 2, State: "idle"}, fleet.Offered},
		{"the step undone", fleet.Trial, 2, "", fleet.Report{Version: 1}, fleet.Undone},

		{"an old release by hand", fleet.Confirmed, 3, "", fleet.Report{Version: 1}, fleet.Waiting},
		{"waits", fleet.Waiting, 3, "", fleet.Report{Version: 1, Error: "trial_failed"}, fleet.Waiting},
	} {
		before := fleet.Task{Rollout: 7, Target: 3, Offer: c.offer, Stage: c.stage, Since: noon, Before: c.before}
		later := noon.Add(time.Minute)
		got := before.Judge(&c.report, later)
		if got.Stage != c.want {
			t.Errorf("%s: %v becomes %v, want %v", c.name, c.stage, got.Stage, c.want)
		}
		if changed := got.Stage != c.stage; changed != got.Since.Equal(later) {
			t.Errorf("%s: since %v", c.name, got.Since)
		}
		if got.Rollout != 7 || got.Target != 3 || got.Offer != c.offer {
			t.Errorf("%s: %+v is another task", c.name, got)
		}
	}
	if got := (fleet.Task{}).Judge(&fleet.Report{Version: 3}, noon); got != (fleet.Task{}) {
		t.Errorf("no task becomes %+v", got)
	}
}

// An error that went away and comes back is a new one.
func TestJudgeForgetsTheErrorBefore(t *testing.T) {
	task := fleet.Task{Rollout: 7, Target: 3, Offer: 3, Stage: fleet.Offered, Since: noon, Before: "trial_failed"}
	for i, c := range []struct {
		err  string
		want fleet.Stage
	}{{"trial_failed", fleet.Offered}, {"", fleet.Offered}, {"trial_failed", fleet.Undone}} {
		if task = task.Judge(&fleet.Report{Version: 1, Error: c.err}, noon); task.Stage != c.want {
			t.Errorf("report %d: %v, want %v", i, task.Stage, c.want)
		}
	}
}

func TestTimeOut(t *testing.T) {
	for stage := fleet.Waiting; stage <= fleet.TimedOut; stage++ {
		testTimeOut(t, fleet.Task{Rollout: 7, Stage: stage, Since: noon})
	}
	for _, stage := range []fleet.Stage{fleet.Failed, fleet.TimedOut} {
		testTimeOut(t, fleet.Task{Rollout: 7, Stage: stage, Since: noon, Again: true})
	}
}

func testTimeOut(t *testing.T, task fleet.Task) {
	t.Helper()
	for _, c := range []struct {
		passed, after time.Duration
		timesOut      bool
		anew          bool // by a clock that was ahead
	}{
		{time.Hour, time.Hour, true, false}, {time.Hour - 1, time.Hour, false, false}, {time.Hour, 0, false, false},
		{-time.Hour, time.Hour, false, true}, {-fleet.MaxSkew, time.Hour, false, false}, {-time.Hour, 0, false, false},
	} {
		now := noon.Add(c.passed)
		want := task
		if task.Updating() && c.timesOut {
			want.Stage, want.Since, want.Again, want.Told = fleet.TimedOut, now, false, 1<<fleet.TimedOut
		}
		if task.Updating() && c.anew {
			want.Since = now
		}
		if got := task.TimeOut(now, c.after); got != want {
			t.Errorf("%+v for %v of %v: %+v", task, c.passed, c.after, got)
		}
	}
}

func TestStageNames(t *testing.T) {
	seen := map[string]bool{}
	for stage := fleet.Waiting; stage <= fleet.TimedOut; stage++ {
		if name := stage.String(); name == "" || seen[name] {
			t.Errorf("stage %d is called %q", stage, name)
		} else {
			seen[name] = true
			if again, err := fleet.ParseStage(name); again != stage || err != nil {
				t.Errorf("%q is read as %v, %v", name, again, err)
			}
		}
	}
	if _, err := fleet.ParseStage("odd"); !errors.Is(err, fleet.ErrInvalid) {
		t.Errorf("an odd stage: %v", err)
	}
	if name := (fleet.TimedOut + 1).String(); name != "unknown stage" {
		t.Errorf("a stage that there is not is called %q", name)
	}
}
