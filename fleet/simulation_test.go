package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cactuscon/saguarota/fleet"
)

// TestSimulation lets a fleet of boards that do whatever comes to their minds live
// through rollouts that people and rules steer, and checks after every event what
// must never be otherwise.
func TestSimulation(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		states := []string{"idle", "installing", "confirm_pending"}
		errs := []string{"", "trial_failed", "version_rejected", "download_failed", "statement_fetch_failed"}
		releases := []*fleet.Release{newRelease(1), newRelease(2), newRelease(3), newRelease(4), newRelease(5)}
		releases[2].StepThrough = rapid.Bool().Draw(rt, "step through")
		v := newView(nil, releases...)
		counts := map[int64]*fleet.Counts{}
		plans := map[int64]fleet.Plan{}
		begun := map[int64]map[string]bool{} // by rollout
		boards := make([]*fleet.Board, rapid.IntRange(1, 8).Draw(rt, "boards"))
		for i := range boards {
			boards[i] = &fleet.Board{ID: fmt.Sprint("b", i)}
		}
		now := noon
		channel := v.Channels["stable"]

		advance := func() {
			ro := channel.Rollout
			if ro == nil {
				return
			}
			if counts[ro.ID] != nil {
				ro.Counts = *counts[ro.ID]
			}
			next, _ := ro.Advance(now)
			if next.Share() < ro.Share() {
				rt.Fatalf("the share shrinks from %v to %v", ro.Share(), next.Share())
			}
			if channel.Rollout = &next; next.State == fleet.Done {
				channel.Release = next.Version
			}
		}
		poll := func(b *fleet.Board) {
			r := &fleet.Report{
				ID:      b.ID,
				Version: int64(rapid.IntRange(0, 6).Draw(rt, "version")),
				State:   rapid.SampledFrom(states).Draw(rt, "state"),
				Error:   rapid.SampledFrom(errs).Draw(rt, "error"),
			}
			ro := channel.Rollout
			d := v.Decide(now, b, r, rapid.Float64Range(0, 0.999).Draw(rt, "jitter"))
			if d.Poll <= 0 || d.Poll > v.App.PollPeriod*2 {
				rt.Fatalf("poll again after %v", d.Poll)
			}
			if d.Release != nil {
				if d.Release.Version() <= r.Version {
					rt.Fatalf("%d is offered to a board with %d", d.Release.Version(), r.Version)
				}
				if step := releases[2]; step.StepThrough && r.Version > 0 && r.Version < 3 && d.Release.Version() > 3 {
					rt.Fatalf("%d is offered past %d", d.Release.Version(), step.Version())
				}
				if d.Release.Version() > channel.Release {
					if ro == nil || d.Release.Version() > ro.Version || ro.State == fleet.Halted || !ro.State.Open() {
						rt.Fatalf("%d is offered, and the channel has %d", d.Release.Version(), channel.Release)
					}
					if d.Task.Rollout != ro.ID || d.Task.Stage == fleet.Waiting || d.Task.Stage == fleet.Undone {
						rt.Fatalf("%d is offered to a board with the task %+v", d.Release.Version(), d.Task)
					}
					if ro.Plan.MaxUpdating > 0 && !d.Task.Updating() {
						rt.Fatalf("%d is offered to a board without a place: %+v", d.Release.Version(), d.Task)
					}
				}
			}
			for _, m := range d.Moves {
				if !m.Begins {
					continue
				}
				if ro == nil || m.Rollout != ro.ID || ro.State != fleet.Running || ro.Plan.Start.After(now) {
					rt.Fatalf("a board begins in %+v", ro)
				}
				if !ro.Share().Includes(ro.Plan.Salt, b.ID) {
					rt.Fatalf("a board begins that is no member at %v", ro.Share())
				}
				if begun[m.Rollout] == nil {
					begun[m.Rollout] = map[string]bool{}
				}
				begun[m.Rollout][b.ID] = true
				if most := ro.Plan.MaxUpdating; most > 0 && ro.Counts.Updating() >= most {
					rt.Fatalf("a board begins, and %d of %d are at it", ro.Counts.Updating(), most)
				}
			}
			apply(t, counts, d.Moves)
			b.Task, b.Report = d.Task, *r
			// Whoever asks twice gets the same answer, and begins once.
			again := v.Decide(now, b, r, 0)
			if offered(again) != offered(d) {
				rt.Fatalf("asked again, the answer is %d, not %d", offered(again), offered(d))
			}
			for _, m := range again.Moves {
				if m.Begins {
					rt.Fatalf("asked again, the board begins again: %+v", m)
				}
			}
		}

		rt.Repeat(map[string]func(*rapid.T){
			"start": func(rt *rapid.T) {
				if channel.Rollout != nil && channel.Rollout.State.Open() {
					return
				}
				ro := &fleet.Rollout{
					ID: int64(len(plans) + 1), Version: int64(rapid.IntRange(2, 5).Draw(rt, "target")),
					State: fleet.Running,
					Plan: fleet.Plan{
						Salt:  fmt.Sprint("salt", len(plans)),
						Start: now.Add(time.Duration(rapid.IntRange(0, 1).Draw(rt, "start")) * time.Hour),
						Steps: []fleet.Step{
							{Share: fleet.Share(rapid.IntRange(1, 9000).Draw(rt, "share")), Every: time.Hour},
							{Share: fleet.All, Every: time.Hour},
						},
						MaxUpdating: int64(rapid.IntRange(0, 3).Draw(rt, "most")),
						Timeout:     time.Hour,
						Halt:        fleet.HaltRule{Percent: 30, AtLeast: 2, Kind: fleet.KindAll},
					},
				}
				ro.StepSince = ro.Plan.Start
				plans[ro.ID] = ro.Plan
				channel.Rollout = ro
			},
			"operate": func(rt *rapid.T) {
				if channel.Rollout == nil {
					return
				}
				ro := *channel.Rollout
				switch rapid.IntRange(0, 3).Draw(rt, "operation") {
				case 0:
					ro, _ = ro.Pause("")
				case 1:
					ro, _ = ro.Resume(now)
				case 2:
					ro, _ = ro.Abort("")
				case 3:
					ro, _ = ro.Forward(now)
				}
				channel.Rollout = &ro
			},
			"time": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(rt, "minutes")) * time.Minute)
				for _, b := range boards {
					if after := plans[b.Task.Rollout].Timeout; after > 0 {
						late := b.Task.TimeOut(now, after)
						apply(t, counts, b.Task.Moves(&late))
						b.Task = late
					}
				}
			},
			"poll": func(rt *rapid.T) { poll(rapid.SampledFrom(boards).Draw(rt, "board")) },
			"": func(rt *rapid.T) {
				advance()
				want := map[int64]*fleet.Counts{}
				for _, b := range boards {
					if b.Task.Rollout == 0 || b.Task.Stage == fleet.Waiting {
						continue
					}
					if want[b.Task.Rollout] == nil {
						want[b.Task.Rollout] = new(fleet.Counts)
					}
					want[b.Task.Rollout].Move(fleet.Waiting, b.Task.Stage)
					if b.Task.Again {
						want[b.Task.Rollout][fleet.Again]++
					}
				}
				for id, c := range counts {
					if ro := channel.Rollout; ro != nil && ro.ID == id {
						// Of the newest rollout, every board still has its task.
						w := want[id]
						if w == nil {
							w = new(fleet.Counts)
						}
						if *c != *w {
							rt.Fatalf("rollout %d: counted %v, there are %v", id, *c, *w)
						}
					}
					for stage, n := range c {
						if n < 0 {
							rt.Fatalf("rollout %d: %d boards are %v", id, n, fleet.Stage(stage))
						}
					}
					if total := c.Updating() + c.Finished() - c[fleet.Again]; total > int64(len(begun[id])) {
						rt.Fatalf("rollout %d: %d boards, and %d have begun", id, total, len(begun[id]))
					}
				}
			},
		})
	})
}
