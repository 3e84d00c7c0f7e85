package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// a forgivenStep is a poll of a board, and what the rollout is after it.
type forgivenStep struct {
	id, code string
	version  int64
	state    fleet.RolloutState
}

// testForgiven returns a test of what halts a rollout that has halted, since two boards
// failed, and was resumed: boards that recover do not hide those that fail from then on.
func testForgiven(reason string, then ...forgivenStep) func(t *testing.T, open func(t *testing.T) fleet.Store) {
	return func(t *testing.T, open func(t *testing.T) fleet.Store) {
		s := begin(t, open)
		ctx := t.Context()
		r, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) {
			r.Plan.Halt = fleet.HaltRule{Percent: 50, AtLeast: 2, Kind: fleet.KindFailed}
		}))
		must(t, err)
		now := noon
		do := func(steps ...forgivenStep) {
			t.Helper()
			for _, c := range steps {
				now = now.Add(time.Second)
				_, err := poll(t, s, fleet.Report{ID: c.id, Version: c.version, State: "idle", Error: c.code}, now)
				must(t, err)
				if got := rollout(t, s, r.ID); got.State != c.state {
					t.Errorf("after %+v it is %s, %v", c, got.State, got.Counts)
				}
			}
		}
		do(forgivenStep{"b1", "", 1, fleet.Running}, forgivenStep{"b2", "", 1, fleet.Running},
			forgivenStep{"b1", "apply_failed", 1, fleet.Running}, forgivenStep{"b2", "apply_failed", 1, fleet.Halted})
		now = now.Add(time.Second)
		_, err = s.ChangeRollout(ctx, ada, r.ID, func(r fleet.Rollout) (fleet.Rollout, error) { return r.Resume(now) })
		must(t, err)
		do(then...)
		if got := rollout(t, s, r.ID); !strings.HasPrefix(got.Reason, reason) {
			t.Errorf("the reason is %q", got.Reason)
		}
	}
}

// forgivenRecover: those that were forgiven recover, and others fail.
var forgivenRecover = testForgiven("2 of 4 finished boards: 0 undone, 2 failed",
	forgivenStep{"b1", "", 2, fleet.Running}, forgivenStep{"b2", "", 2, fleet.Running},
	forgivenStep{"b3", "", 1, fleet.Running}, forgivenStep{"b3", "download_failed", 1, fleet.Running},
	forgivenStep{"b4", "", 1, fleet.Running}, forgivenStep{"b4", "download_failed", 1, fleet.Halted},
)

// forgivenLater: another one fails before one that was forgiven recovers.
var forgivenLater = testForgiven("1 of 2 finished boards: 0 undone, 1 failed",
	forgivenStep{"b3", "", 1, fleet.Running}, forgivenStep{"b3", "download_failed", 1, fleet.Running},
	forgivenStep{"b1", "", 2, fleet.Halted},
)

// forgivenOthers: who has failed since recovers, and takes nobody's forgiveness along.
var forgivenOthers = testForgiven("",
	forgivenStep{"b3", "", 1, fleet.Running}, forgivenStep{"b3", "download_failed", 1, fleet.Running},
	forgivenStep{"b3", "", 2, fleet.Running}, forgivenStep{"b4", "", 2, fleet.Running},
)
