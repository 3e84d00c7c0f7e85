package fleet

import (
	"fmt"
	"strings"
	"time"
)

// A Stage is how far a board is in a rollout.
//
//	Waiting ─▶ Offered ─▶ Downloading ─▶ Trial ─▶ Confirmed
//	              │            │           ├────▶ Undone
//	              ├────────────┴──▶ Failed │
//	              └────────────┴───────────┴────▶ TimedOut
//
// Reports get lost and boards skip stages, so a report can lead from any stage to
// any other that it proves. Failed and TimedOut count as ends, but the board is
// still offered the release, and what it reports next replaces them.
type Stage uint8

const (
	Waiting     Stage = iota // for its share, its turn, its time
	Offered                  // the server has answered a poll with the release
	Downloading              // and the board said that it is at it
	Trial                    // it runs the release, and has not confirmed it
	Confirmed                // it runs the release for good
	Undone                   // it ran the release, or tried to, and went back; it will not take it again
	Failed                   // it could not get or install the release, and will try again
	TimedOut                 // nothing was heard of it for too long
	stages
)

var stageNames = [stages]string{"waiting", "offered", "downloading", "trial", "confirmed", "undone", "failed", "timed out"}

// String returns the stage's name.
func (s Stage) String() string {
	if s >= stages {
		return "unknown stage"
	}
	return stageNames[s]
}

// ParseStage reads the name of a stage. The error is ErrInvalid.
func ParseStage(name string) (Stage, error) {
	for stage, known := range stageNames {
		if name == known {
			return Stage(stage), nil
		}
	}
	return 0, fmt.Errorf("%w: there is no stage %q; there are %s", ErrInvalid, name, strings.Join(stageNames[:], ", "))
}

// Updating reports whether a board in this stage counts among those that are
// being updated.
func (s Stage) Updating() bool { return s == Offered || s == Downloading || s == Trial }

// Finished reports whether a board in this stage counts among those whose update
// has ended, well or not.
func (s Stage) Finished() bool { return s >= Confirmed && s < stages }

// A Task is a board's part in a rollout. The zero value is of a board that never
// was in one.
type Task struct {
	Rollout int64 // 0: none
	Target  int64 // version that the rollout brings
	Offer   int64 // version that was offered last: Target, or one to step through
	Stage   Stage
	Since   time.Time // when the stage began

	// Before is the error that the board reported when it was offered the
	// release: as long as it is the same, it is not this release's.
	Before string
}

// Error codes that say more than that an attempt failed.
const (
	errorTrial     = "trial_failed"           // a release was undone
	errorRejected  = "version_rejected"       // the server offers one that was undone
	errorStatement = "statement_fetch_failed" // the server was not reached
)

// Judge returns the task after a report.
func (t Task) Judge(r *Report, now time.Time) Task {
	if t.Rollout == 0 {
		return t
	}
	stage := t.judge(r)
	if r.Error != t.Before {
		t.Before = ""
	}
	if stage != t.Stage {
		t.Stage, t.Since = stage, now
	}
	return t
}

func (t Task) judge(r *Report) Stage {
	pending := r.State == StateConfirmPending
	switch {
	case r.Version == t.Target && pending:
		return Trial
	case r.Version == t.Target:
		return Confirmed
	case r.Version == t.Offer && t.Stage != Waiting:
		if pending {
			return Trial
		}
		return Offered // of what follows: it has stepped through
	}
	// It runs something else.
	switch t.Stage {
	case Trial:
		return Undone
	case Confirmed:
		return Waiting // somebody has put an old release on it by hand
	case Waiting, Undone:
		return t.Stage
	}
	switch {
	case r.Error == errorTrial || r.Error == errorRejected:
		if r.Error != t.Before {
			return Undone
		}
	case r.Error != "" && r.Error != errorStatement:
		if r.Error != t.Before {
			return Failed
		}
	case r.State == StateInstalling:
		return Downloading
	}
	return t.Stage
}

// TimeOut returns the task if nothing has been heard for the given time: one that
// was under way has timed out. One that began in what is still to come, by a clock
// that was ahead, begins now: else it would be under way until then.
func (t Task) TimeOut(now time.Time, after time.Duration) Task {
	switch {
	case after <= 0 || !t.Stage.Updating():
	case now.Sub(t.Since) >= after:
		t.Stage, t.Since = TimedOut, now
	case t.Since.After(now.Add(MaxSkew)):
		t.Since = now
	}
	return t
}
