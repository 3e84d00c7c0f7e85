package fleet

import (
	"fmt"
	"time"
)

// A RolloutState says whether a rollout goes on.
type RolloutState string

const (
	Running RolloutState = "running" // also before its Start
	Paused  RolloutState = "paused"  // no board begins; those that have begun go on
	Halted  RolloutState = "halted"  // by its rule: no board is offered the release
	Aborted RolloutState = "aborted" // by a person: the same, for good
	Done    RolloutState = "done"    // the release is the channel's
)

// Open reports whether the rollout is still a matter of its channel: it goes on,
// or can.
func (s RolloutState) Open() bool { return s == Running || s == Paused || s == Halted }

// A Rollout brings a release to the boards of a channel, step by step.
type Rollout struct {
	ID      int64
	App     string
	Channel string
	Version int64 // of the release

	Plan Plan

	State     RolloutState
	Reason    string    // why it is in this state, for people
	Step      int       // index in Plan.Steps
	StepSince time.Time // when the step began, Plan.Start for the first

	// Counts as they were when it was cached or read; the database has the truth.
	Counts Counts

	// Forgiven are the counts when a person last said that it should go on after
	// it had halted, at ForgivenAt, without the boards that have moved on since. The
	// rule looks at what came after.
	Forgiven   Counts
	ForgivenAt time.Time
}

// Move counts a board that has been in a stage since some time and goes to another one.
// What was forgiven goes with it, if it was in the stage by then; never more is forgiven
// than there is.
func (r *Rollout) Move(from, to Stage, since time.Time) {
	r.Counts.Move(from, to)
	if !since.After(r.ForgivenAt) {
		r.Forgiven[from] = max(0, r.Forgiven[from]-1)
	}
	r.Forgiven[from] = min(r.Forgiven[from], r.Counts[from])
}

// A Plan is how a rollout is to go. It does not change once it has started.
type Plan struct {
	Salt  string    `json:"salt"` // what the hash of a membership begins with; unique to the rollout
	Start time.Time `json:"start"`
	Steps []Step    `json:"steps"`
	For   Selector  `json:"for"`
	Only  Window    `json:"only"` // when boards may begin; those that are at it are not stopped

	// MaxUpdating is how many boards may be updating at once; 0: as many as like.
	MaxUpdating int64 `json:"maxUpdating"`

	// Timeout is after which time a board that was offered the release and reports
	// no change has timed out; 0: never.
	Timeout time.Duration `json:"timeout"`

	Halt HaltRule `json:"halt"`
}

// A Step is how many of the boards are members, and for how long before the next
// step. Every is 0 where a person takes the next step.
type Step struct {
	Share Share         `json:"share"`
	Every time.Duration `json:"every"`
}

// A FailureKind names the ends of an update that a rule is about.
type FailureKind string

const (
	KindAll      FailureKind = "all"
	KindUndone   FailureKind = "undone"
	KindFailed   FailureKind = "failed"
	KindTimedOut FailureKind = "timed out"
)

// A HaltRule stops a rollout by itself: when at least AtLeast boards have finished
// and at least Percent % of these badly. The zero value never does.
type HaltRule struct {
	Percent float64     `json:"percent"`
	AtLeast int64       `json:"atLeast"`
	Kind    FailureKind `json:"kind"`
}

// IsZero reports whether the rule never stops a rollout.
func (h HaltRule) IsZero() bool { return h == HaltRule{} }

// Halts reports whether the counts are bad enough.
func (h HaltRule) Halts(c *Counts) bool {
	if h.IsZero() {
		return false
	}
	failures, finished := c.Failures(h.Kind), c.Finished()
	return failures > 0 && finished >= h.AtLeast && 100*float64(failures) >= h.Percent*float64(finished)
}

// String returns the rule for people.
func (h HaltRule) String() string {
	if h.IsZero() {
		return "never"
	}
	kind := string(h.Kind)
	if h.Kind == KindAll {
		kind = "undone, failed or timed out"
	}
	return fmt.Sprintf("%g %% of at least %d finished %s", h.Percent, h.AtLeast, kind)
}

// MaxTimeout is the longest timeout of a plan, and the longest step.
const MaxTimeout = 366 * 24 * time.Hour

// Check reports whether p makes sense. The error is ErrInvalid.
func (p *Plan) Check() error {
	if err := CheckName("the rollout's salt", p.Salt); err != nil {
		return err
	}
	if len(p.Steps) == 0 || len(p.Steps) > MaxSteps {
		return fmt.Errorf("%w: a rollout of %d steps; give 1 to %d", ErrInvalid, len(p.Steps), MaxSteps)
	}
	last := Share(0)
	for i, s := range p.Steps {
		switch {
		case s.Share <= last || s.Share > All:
			return fmt.Errorf("%w: step %d is %v of the boards; each must be above the one before and at most %v", ErrInvalid, i+1, s.Share, All)
		case s.Every < 0 || s.Every > MaxTimeout:
			return fmt.Errorf("%w: step %d takes %v", ErrInvalid, i+1, s.Every)
		}
		last = s.Share
	}
	switch h := p.Halt; {
	case p.MaxUpdating < 0:
		return fmt.Errorf("%w: at most %d boards at once", ErrInvalid, p.MaxUpdating)
	case p.Timeout < 0 || p.Timeout > MaxTimeout:
		return fmt.Errorf("%w: a timeout of %v", ErrInvalid, p.Timeout)
	case h.IsZero():
	case !(h.Percent > 0 && h.Percent <= 100):
		return fmt.Errorf("%w: halt at %g %%; give more than 0 and at most 100", ErrInvalid, h.Percent)
	case h.AtLeast < 1:
		return fmt.Errorf("%w: halt after at least %d finished boards; give at least 1", ErrInvalid, h.AtLeast)
	case h.Kind != KindAll && h.Kind != KindUndone && h.Kind != KindFailed && h.Kind != KindTimedOut:
		return fmt.Errorf("%w: there is no kind of failure %q; there are %s, %s, %s and %s", ErrInvalid, h.Kind, KindAll, KindUndone, KindFailed, KindTimedOut)
	}
	if err := p.For.Check(); err != nil {
		return err
	}
	return p.Only.Check()
}

// Share returns which part of the boards are members now.
func (r *Rollout) Share() Share { return r.Plan.Steps[min(r.Step, len(r.Plan.Steps)-1)].Share }

// Includes reports whether the board, which reports rep, is a member. Once one is,
// it stays one, unless its tags or its report do not fit the plan any more.
func (r *Rollout) Includes(b *Board, rep *Report) bool {
	return r.Plan.For.Matches(b, rep) && r.Share().Includes(r.Plan.Salt, b.ID)
}

// MaxSkew is by how much the clocks of two servers may differ, or one be set back,
// before a step, or the time that a board is given, begins anew.
const MaxSkew = time.Minute

// Advance returns what becomes of the rollout by itself: it halts by its rule, it
// takes a step that is due, after the last step for all boards it is done. It
// returns false where nothing changes. One step is taken at a time, however late
// it is: a clock that is put forward, or servers that were down, must not carry a
// release past the steps at which it would have halted.
func (r Rollout) Advance(now time.Time) (Rollout, bool) {
	if r.State != Running && r.State != Paused {
		return r, false
	}
	counts := r.Counts.Minus(&r.Forgiven)
	if r.Plan.Halt.Halts(&counts) {
		r.State = Halted
		r.Reason = fmt.Sprintf("%d of %d finished boards: %s; the rule is %s", counts.Failures(r.Plan.Halt.Kind), counts.Finished(), failureNames(&counts), r.Plan.Halt)
		return r, true
	}
	if r.State != Running {
		return r, false
	}
	if r.StepSince.After(now.Add(MaxSkew)) && !r.Plan.Start.After(now) {
		r.StepSince = now
		return r, true
	}
	every := r.Plan.Steps[r.Step].Every
	if every == 0 || now.Sub(r.StepSince) < every {
		return r, false
	}
	switch {
	case r.Step+1 < len(r.Plan.Steps):
		r.Step++
		r.StepSince = now
	case r.Share() == All:
		r.State, r.Reason = Done, "after its last step"
	default:
		return r, false
	}
	return r, true
}

// failureNames tells the kinds of failures apart.
func failureNames(c *Counts) string {
	return fmt.Sprintf("%d undone, %d failed, %d timed out", c[Undone], c[Failed], c[TimedOut])
}

// Next returns when Advance has something to do by time alone, if nothing else
// happens: the zero time if never.
func (r *Rollout) Next() time.Time {
	every := r.Plan.Steps[r.Step].Every
	if r.State != Running || every == 0 || r.Step+1 == len(r.Plan.Steps) && r.Share() != All {
		return time.Time{}
	}
	return r.StepSince.Add(every)
}

// Pause lets no further board begin. Errors of this and the following methods are
// ErrState.
func (r Rollout) Pause(reason string) (Rollout, error) {
	if r.State != Running {
		return r, r.refuse("paused")
	}
	r.State, r.Reason = Paused, reason
	return r, nil
}

// Resume lets a paused or halted rollout go on, from the beginning of its step.
// The rule forgets what it has seen.
func (r Rollout) Resume(now time.Time) (Rollout, error) {
	if r.State != Paused && r.State != Halted {
		return r, r.refuse("resumed")
	}
	if r.State == Halted {
		r.Forgiven, r.ForgivenAt = r.Counts, now
	}
	r.State, r.Reason = Running, ""
	if now.After(r.StepSince) {
		r.StepSince = now
	}
	return r, nil
}

// Abort ends the rollout. Boards that run the release keep it.
func (r Rollout) Abort(reason string) (Rollout, error) {
	if !r.State.Open() {
		return r, r.refuse("aborted")
	}
	r.State, r.Reason = Aborted, reason
	return r, nil
}

// Forward takes the next step now.
func (r Rollout) Forward(now time.Time) (Rollout, error) {
	switch {
	case r.State != Running:
		return r, r.refuse("taken a step forward")
	case r.Step+1 == len(r.Plan.Steps):
		return r, fmt.Errorf("%w: rollout %d is at its last step, %v; promote gives the release to all", ErrState, r.ID, r.Share())
	}
	r.Step++
	r.StepSince = now
	return r, nil
}

// Promote gives the release to all boards of the channel at once.
func (r Rollout) Promote(reason string) (Rollout, error) {
	if !r.State.Open() {
		return r, r.refuse("promoted")
	}
	r.State, r.Reason = Done, reason
	return r, nil
}

func (r *Rollout) refuse(what string) error {
	return fmt.Errorf("%w: rollout %d is %s, so it cannot be %s", ErrState, r.ID, r.State, what)
}
