package fleet

import (
	"fmt"
	"strings"
	"time"

	"github.com/cactuscon/saguarota/release"
)

// A View is what the decision for every board of an application depends on. It is
// not changed once it is in use: a server replaces it by a newer one.
type View struct {
	App      App
	Releases map[int64]*Release // by version
	Channels map[string]*Channel
}

// A Decision is what becomes of a poll.
type Decision struct {
	// Release is what the board should install; nil if nothing.
	Release *Release

	// Current is the release that the board should run, whether or not it does:
	// what a client gets that does not say what it runs. nil if there is none.
	Current *Release

	// Poll is after which time the board should ask again.
	Poll time.Duration

	// Task is the board's task from now on. Where it differs from the one before,
	// it has to be stored before the board is answered.
	Task Task

	// Moves are what changes in the counts of rollouts with it.
	Moves []Move

	begins bool // it is given a place among the boards that are being updated
}

// A Move counts a board that goes from one stage of a rollout to another, or, from or
// to Again, that it is offered the release again, or not any more.
type Move struct {
	Rollout  int64
	From, To Stage

	// Begins: with it the board begins to be updated, for the first time or again. Only
	// a rollout that runs allows that, and only for its maximum of boards; all other
	// moves tell what has happened, and cannot be refused.
	Begins bool
}

// moves returns the moves from a stored task to what a report has made of it, and
// from there to what the board is given. A task that is left under way for the next
// rollout's has timed out: nobody will hear how it ended.
func moves(stored, judged, given Task, begins bool) []Move {
	if judged.Rollout == given.Rollout {
		list := stored.Moves(&given)
		for i := range list {
			list[i].Begins = begins && (list[i].To.Updating() || list[i].To == Again)
		}
		return list
	}
	list := []Move{{given.Rollout, Waiting, given.Stage, true}}
	if judged.Stage.Updating() {
		judged.Stage = TimedOut
	}
	judged.Again = false
	return append(list, stored.Moves(&judged)...)
}

// Decide decides for a board that reports r. It looks at nothing but its
// arguments; jitter, from 0 up to but not 1, spreads boards over time.
//
// The board's task is judged first, so that the result of the release before is
// counted also where the board is offered the next one by the same answer.
func (v *View) Decide(now time.Time, b *Board, r *Report, jitter float64) Decision {
	judged := b.Task.Judge(r, now)
	d := v.decide(now, b, r, judged, jitter)
	d.Moves = moves(b.Task, judged, d.Task, d.begins)
	return d
}

func (v *View) decide(now time.Time, b *Board, r *Report, judged Task, jitter float64) Decision {
	d := Decision{Task: judged, Poll: spread(v.App.PollPeriod, jitter)}
	channel := v.Channels[follows(b, r)]
	if b.Pin != 0 {
		d.Current = v.usable(b.Pin)
		d.Release = v.toward(now, d.Current, channel, r)
		return d
	}
	if channel == nil {
		return d
	}
	d.Current = v.usable(channel.Release)
	ro := channel.Rollout
	// Who has begun, or runs the release for good, may not fit the selector any more: it may
	// be about the version, or what was free before.
	if ro != nil && ro.State.Open() && (ro.Includes(b, r) || judged.Rollout == ro.ID && (judged.Updating() || judged.Stage == Confirmed)) {
		if target := v.usable(ro.Version); target != nil && v.wants(d.Current, target) {
			p := v.member(now, b, r, channel, target, d.Task)
			if d.Release, d.Task, d.begins = p.offer, p.task, p.begins; d.Release != nil || d.Task.Rollout == ro.ID && d.Task.Stage == Confirmed {
				d.Current = target
				return d
			}
			if p.wait > 0 && p.wait < d.Poll {
				// Not all of them in the moment in which it opens.
				d.Poll = p.wait + time.Duration(jitter*float64(v.App.PollPeriod)/2)
			}
		}
	}
	d.Release = v.toward(now, d.Current, channel, r)
	return d
}

// wants reports whether a rollout to target makes sense in a channel that holds
// current: it does not where something newer was promoted meanwhile.
func (v *View) wants(current, target *Release) bool { return current == nil || target.After(current) }

// a part is what a member of a rollout gets of it.
type part struct {
	offer  *Release // nil if nothing
	task   Task
	wait   time.Duration // for what, if all that it waits for is time
	begins bool          // it is given a place among those that are being updated
}

// member decides for a member of the channel's rollout, whose report has made t of its
// task.
func (v *View) member(now time.Time, b *Board, r *Report, channel *Channel, target *Release, t Task) part {
	ro := channel.Rollout
	offer := v.toward(now, target, channel, r)
	mine := t.Rollout == ro.ID
	if mine && t.Updating() && (b.Task.Updating() || t.Stage == Trial) {
		// It has begun, so that it is neither the maximum's nor the schedule's
		// matter. Only what has not been fetched yet can wait for the window.
		open, next := ro.Plan.Only.Open(now)
		switch {
		case ro.State == Halted || t.Stage == Trial:
			return part{task: t}
		case !open && t.Stage != Downloading:
			return part{task: t, wait: next.Sub(now)}
		case offer != nil:
			t = t.offered(offer, r)
		}
		return part{offer: offer, task: t}
	}
	// Whose update had ended, and who says that it is at it again, begins again: until it
	// may, it has ended.
	stays, resumes := t, mine && t.Stage.Updating()
	if resumes {
		stays = b.Task
	}
	if offer == nil || mine && (t.Stage == Undone || t.Stage == Confirmed) || ro.State != Running {
		return part{task: stays}
	}
	if wait := ro.Plan.Start.Sub(now); wait > 0 {
		return part{task: stays, wait: wait}
	}
	if open, next := ro.Plan.Only.Open(now); !open && !(resumes && t.Stage == Downloading) {
		return part{task: stays, wait: next.Sub(now)}
	}
	most := ro.Plan.MaxUpdating
	if most > 0 && ro.Counts.Updating() >= most {
		return part{task: stays}
	}
	switch {
	case resumes:
	case mine && t.Stage.Finished():
		// It failed or timed out, and is counted so until it reports more. Its place is
		// of interest only where places are few.
		if most > 0 {
			t.Again, t.Since = true, now
		}
	default:
		next := Task{Rollout: ro.ID, Target: target.Version(), Stage: Offered, Since: now}
		if t.Target == next.Target {
			next.Told = t.Told
		}
		t = next
	}
	return part{offer: offer, task: t.offered(offer, r), begins: true}
}

// offered returns the task of a board that is offered a release, maybe another
// than before, while it reports r.
func (t Task) offered(offer *Release, r *Report) Task {
	if t.Offer != offer.Version() {
		t.Offer, t.Before = offer.Version(), r.Error
	}
	return t
}

// Fallback is Decide for a board whose new task could not be stored, because the
// rollout has halted or has as many boards as it may: it is not begun.
func (v *View) Fallback(now time.Time, b *Board, r *Report, jitter float64) Decision {
	without := *v
	if c := v.Channels[follows(b, r)]; c != nil && c.Rollout != nil {
		ro := *c.Rollout
		if ro.State == Running {
			ro.State = Paused
		}
		channel := *c
		channel.Rollout = &ro
		without.Channels = map[string]*Channel{c.Name: &channel}
	}
	return without.Decide(now, b, r, jitter)
}

// follows returns the name of the channel that a board follows that reports r.
func follows(b *Board, r *Report) string {
	now := Board{Channel: b.Channel, Report: Report{Channel: r.Channel}}
	return now.Follows()
}

// usable returns a release that may be offered, or nil.
func (v *View) usable(version int64) *Release {
	r := v.Releases[version]
	if r == nil || r.Withdrawn {
		return nil
	}
	return r
}

// toward returns what the board has to install next to come to target: target
// itself, or a release before it that every board must step through; nil where
// there is nothing to install, or the board would refuse it.
func (v *View) toward(now time.Time, target *Release, channel *Channel, r *Report) *Release {
	if target == nil || !v.newer(target, r.Version) {
		return nil
	}
	board := release.Board{MicroPython: numbers(r.MicroPython), Time: now.Unix()}
	if channel != nil {
		board.Channel = channel.Name
	}
	for _, s := range v.Releases {
		// One for other channels only is in nobody's way here.
		if s.StepThrough && !s.Withdrawn && r.Version != 0 && target.After(s) && v.newer(s, r.Version) &&
			(release.Board{Channel: board.Channel}).Accepts(&s.Statement) == nil {
			target = s
		}
	}
	if board.Accepts(&target.Statement) != nil {
		return nil
	}
	return target
}

// newer reports whether a board that runs the given version accepts r. The server
// need not know that version: then its number has to do, and a release of a later
// keyset is newer than all.
func (v *View) newer(r *Release, version int64) bool {
	if r.Version() == version {
		return false
	}
	if old := v.Releases[version]; old != nil {
		return r.After(old)
	}
	return r.Version() > version || r.Statement.Keyset > v.App.Root.Version
}

// numbers returns the part of a MicroPython version that statements compare:
// "1.26.0" of "1.26.0-preview"; "" if there is none.
func numbers(version string) string {
	end := strings.IndexFunc(version, func(c rune) bool { return c != '.' && (c < '0' || c > '9') })
	if end >= 0 {
		version = version[:end]
	}
	var a, b, c int
	switch n, _ := fmt.Sscanf(version, "%d.%d.%d", &a, &b, &c); n {
	case 2, 3:
		if max(a, b, c) <= 999 {
			return fmt.Sprintf("%d.%d.%d", a, b, c)
		}
	}
	return ""
}

// spread returns a time around period, from 3/4 to 5/4 of it. So boards that all
// power up in one second are spread over half a period by their second poll.
func spread(period time.Duration, jitter float64) time.Duration {
	return period*3/4 + time.Duration(jitter*float64(period)/2)
}
