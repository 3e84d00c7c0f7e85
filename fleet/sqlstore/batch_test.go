package sqlstore

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/internal/postgrestest"
	"github.com/cactuscon/saguarota/fleet/storetest"
)

// What comes in with one check-in of a batch counts for the next one already.
func TestBatch(t *testing.T) {
	ctx := t.Context()
	s, err := Open(ctx, filepath.Join(t.TempDir(), "fleet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := storetest.NewRelease(t, "badge", 1).Published
	by := fleet.Actor{Name: "ada", At: at}
	if err := s.AddApp(ctx, by, storetest.NewApp("badge")); err != nil {
		t.Fatal(err)
	}
	for v := int64(1); v <= 2; v++ {
		if err := s.AddRelease(ctx, by, storetest.NewRelease(t, "badge", v), nil); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.StartRollout(ctx, by, storetest.NewRollout("badge", func(r *fleet.Rollout) {
		r.Plan.Halt = fleet.HaltRule{Percent: 1, AtLeast: 1, Kind: fleet.KindAll}
	}))
	if err != nil {
		t.Fatal(err)
	}
	checkin := func(id string, stage fleet.Stage, begins bool) *checkIn {
		c := fleet.CheckIn{App: "badge", New: true, Board: fleet.Board{ID: id, FirstSeen: at, LastSeen: at, Report: fleet.Report{ID: id}}}
		c.Board.Task = fleet.Task{Rollout: r.ID, Target: 2, Offer: 2, Stage: stage, Since: at}
		c.Moves = []fleet.Move{{Rollout: r.ID, From: fleet.Waiting, To: stage, Begins: begins}}
		return &checkIn{CheckIn: c}
	}
	undone, begins, stranger := checkin("b1", fleet.Undone, false), checkin("b2", fleet.Offered, true), checkin("b3", fleet.Offered, true)
	stranger.App = "nope"
	halts, err := s.commitAll(ctx, []*checkIn{begins, undone, stranger})
	if err != nil || undone.err != nil {
		t.Fatal(err, undone.err)
	}
	if !errors.Is(begins.err, fleet.ErrState) {
		t.Errorf("a board begins after another has been undone: %v", begins.err)
	}
	if !errors.Is(stranger.err, fleet.ErrNotFound) {
		t.Errorf("a board of another application: %v", stranger.err)
	}
	if len(halts) != 1 || halts[0].ID != r.ID {
		t.Errorf("to halt: %v", halts)
	}

	// One that the database refuses is not the others' misfortune.
	odd, good := checkin("b4", fleet.Confirmed, false), checkin("b5", fleet.Confirmed, false)
	odd.Moves[0].Rollout = 99
	s.commit([]*checkIn{odd, good})
	if odd.err == nil || good.err != nil {
		t.Errorf("the odd one: %v; the good one: %v", odd.err, good.err)
	}
}

// A board that is in a batch twice is what the first of the two has made of it.
func TestBatchOfOneBoard(t *testing.T) {
	ctx := t.Context()
	for name, where := range map[string]string{"SQLite": filepath.Join(t.TempDir(), "fleet.db"), "PostgreSQL": postgrestest.New(t)} {
		s, err := Open(ctx, where)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		at := storetest.NewRelease(t, "badge", 1).Published
		if err := s.AddApp(ctx, fleet.Actor{Name: "ada", At: at}, storetest.NewApp("badge")); err != nil {
			t.Fatal(err)
		}
		checkin := func(isNew bool, before, task fleet.Task) *checkIn {
			return &checkIn{CheckIn: fleet.CheckIn{App: "badge", New: isNew, Before: before, Board: fleet.Board{ID: "b1", LastSeen: at, Report: fleet.Report{ID: "b1"}, Task: task}}}
		}
		first, second := fleet.Task{Rollout: 1, Stage: fleet.Offered}, fleet.Task{Rollout: 1, Stage: fleet.Trial}
		list := []*checkIn{
			checkin(true, fleet.Task{}, fleet.Task{}), checkin(true, fleet.Task{}, fleet.Task{}),
			checkin(false, fleet.Task{}, first), checkin(false, fleet.Task{}, first), checkin(false, first, second),
		}
		if _, err := s.commitAll(ctx, list); err != nil {
			t.Fatal(err)
		}
		for i, conflict := range []bool{false, true, false, true, false} {
			if got := errors.Is(list[i].err, fleet.ErrConflict); got != conflict || !conflict && list[i].err != nil {
				t.Errorf("%s: check-in %d: %v", name, i, list[i].err)
			}
		}
		if b, err := s.Board(ctx, "badge", "b1"); err != nil || b.Task.Stage != fleet.Trial {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
}
