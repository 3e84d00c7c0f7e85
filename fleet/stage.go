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

// Again is no stage, but a place in Counts: how many of the boards that failed or timed
// out are offered the release again, and so are being updated.
const Again = stages

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

	// Again: it failed or timed out, is counted so until it reports more, and is offered
	// the release again: it has a place among the boards that are being updated.
	Again bool

	// Told are the stages, as bits, that people were told of.
	Told uint8
}

// Updating reports whether the board has a place among those that are being updated.
func (t *Task) Updating() bool { return t.Stage.Updating() || t.Again }

// HasTold reports whether people were told that the board came to a stage.
func (t *Task) HasTold(s Stage) bool { return t.Told&(1<<s) != 0 }

// to returns the task in another stage, since now.
func (t Task) to(s Stage, now time.Time) Task {
	t.Stage, t.Since, t.Again = s, now, false
	if BoardEvent(s) != "" {
		t.Told |= 1 << s
	}
	return t
}

// Moves returns what changes in the counts of the task's rollout where it becomes next.
func (t *Task) Moves(next *Task) []Move {
	var list []Move
	if t.Stage != next.Stage {
		list = append(list, Move{Rollout: next.Rollout, From: t.Stage, To: next.Stage})
	}
	switch {
	case next.Again && !t.Again:
		list = append(list, Move{Rollout: next.Rollout, From: Waiting, To: Again})
	case t.Again && !next.Again:
		list = append(list, Move{Rollout: next.Rollout, From: Again, To: Waiting})
	}
	return list
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
	switch {
	case stage != t.Stage:
		return t.to(stage, now)
	case t.Again && r.Error != "" && r.Error != errorStatement:
		t.Again = false // it has failed again
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
	case after <= 0 || !t.Updating():
	case now.Sub(t.Since) >= after:
		return t.to(TimedOut, now)
	case t.Since.After(now.Add(MaxSkew)):
		t.Since = now
	}
	return t
}
