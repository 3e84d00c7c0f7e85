package storetest

import (
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// A board can be known before it polls.
func testAddBoard(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	must(t, s.ChangeApp(ctx, ada, "badge", func(a *fleet.App) error {
		a.Enrolment.MaxBoards, a.Enrolment.MaxPerMinute = 2, 1
		return nil
	}))
	before, err := s.Snapshot(ctx, nil)
	must(t, err)
	must(t, s.AddBoard(ctx, ada, "badge", "b1"))
	must(t, s.AddBoard(ctx, ada, "badge", "b2"))
	want(t, "again", s.AddBoard(ctx, ada, "badge", "b2"), fleet.ErrExists)
	want(t, "one too many", s.AddBoard(ctx, ada, "badge", "b3"), fleet.ErrFull)
	want(t, "an odd id", s.AddBoard(ctx, ada, "badge", "b 1"), fleet.ErrInvalid)
	want(t, "an app that there is not", s.AddBoard(ctx, ada, "nope", "b1"), fleet.ErrNotFound)
	if b, err := s.Board(ctx, "badge", "b1"); err != nil || !b.FirstSeen.Equal(noon) || !b.LastSeen.IsZero() {
		t.Errorf("the board is %+v, %v", b, err)
	}
	if counts, err := s.Count(ctx, "badge", fleet.ByChannel); err != nil || counts["stable"] != 2 {
		t.Errorf("counted %v, %v", counts, err)
	}
	next, err := s.Snapshot(ctx, before)
	must(t, err)
	if len(next.Changed) != 2 || next.Changed[0].App != "badge" {
		t.Errorf("other servers hear of %v", next.Changed)
	}
	log, err := s.Audit(ctx, "badge", 0, 1)
	must(t, err)
	if len(log) != 1 || log[0].Action != "boards.add" || log[0].Object != "b2" || log[0].Actor != "ada" || log[0].After == nil {
		t.Errorf("the audit log ends with %+v", log)
	}

	// It polls, and is the same board.
	later := noon.Add(time.Hour)
	if _, err := poll(t, s, fleet.Report{ID: "b1", Version: 1}, later); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Board(ctx, "badge", "b1"); err != nil || !b.FirstSeen.Equal(noon) || !b.LastSeen.Equal(later) {
		t.Errorf("after its poll the board is %+v, %v", b, err)
	}
	if counts, err := s.Count(ctx, "badge", fleet.ByChannel); err != nil || counts["stable"] != 2 {
		t.Errorf("after its poll counted %v, %v", counts, err)
	}
}
