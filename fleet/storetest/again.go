package storetest

import (
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// A board whose update had ended badly is offered the release again only where the
// maximum has room for it, and then takes that room.
func testMaxUpdatingAgain(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	r, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) {
		r.Plan.MaxUpdating, r.Plan.Timeout = 1, 10*time.Minute
	}))
	must(t, err)
	idle := func(id string) fleet.Report { return fleet.Report{ID: id, Version: 1, State: "idle"} }
	at := func(id, state, code string) fleet.Report {
		return fleet.Report{ID: id, Version: 1, State: state, Error: code}
	}
	has := func(id string) fleet.Report { return fleet.Report{ID: id, Version: 2, State: "idle"} }
	for _, c := range []struct {
		minute   int
		report   fleet.Report
		offer    bool
		stage    fleet.Stage
		updating int64
	}{
		{0, idle("b1"), true, fleet.Offered, 1},
		{11, idle("b2"), true, fleet.Offered, 1}, // b1 has timed out
		{12, idle("b1"), false, fleet.TimedOut, 1},
		{13, at("b1", "installing", ""), false, fleet.TimedOut, 1}, // it was only slow, and waits now
		{14, at("b1", "installing", "download_failed"), false, fleet.Failed, 1},
		{15, has("b2"), false, fleet.Confirmed, 0},
		{16, idle("b1"), true, fleet.Failed, 1},
		{17, idle("b1"), true, fleet.Failed, 1}, // the answer got lost
		{18, idle("b3"), false, fleet.Waiting, 1},
		{19, at("b1", "idle", "apply_failed"), false, fleet.Failed, 0}, // others first
		{20, idle("b3"), true, fleet.Offered, 1},
		{21, at("b1", "idle", "apply_failed"), false, fleet.Failed, 1},
		{22, has("b3"), false, fleet.Confirmed, 0},
		{23, at("b1", "idle", "apply_failed"), true, fleet.Failed, 1},
		{24, at("b1", "installing", ""), true, fleet.Downloading, 1},
		{25, idle("b4"), false, fleet.Waiting, 1},
		{36, idle("b4"), true, fleet.Offered, 1},                                                  // b1 has timed out again
		{37, fleet.Report{ID: "b1", Version: 2, State: "confirm_pending"}, false, fleet.Trial, 2}, // nobody can stop it
		{38, has("b1"), false, fleet.Confirmed, 1},
	} {
		now := noon.Add(time.Duration(c.minute) * time.Minute)
		_, err := s.Advance(ctx, now)
		must(t, err)
		d, err := poll(t, s, c.report, now)
		must(t, err)
		b, err := s.Board(ctx, "badge", c.report.ID)
		must(t, err)
		counts := rollout(t, s, r.ID).Counts
		if (d.Release != nil) != c.offer || b.Task.Stage != c.stage || counts.Updating() != c.updating {
			t.Errorf("minute %d, %s: offered %v, it is %v, %d are updating; want %v, %v, %d", c.minute, c.report.ID, d.Release != nil, b.Task.Stage, counts.Updating(), c.offer, c.stage, c.updating)
		}
		if b.Report.State != c.report.State || b.Report.Error != c.report.Error {
			t.Errorf("minute %d, %s: its report is not stored: %+v", c.minute, c.report.ID, b.Report)
		}
	}
}

// A server with an old view cannot give a place again that another one has given away.
func testMaxUpdatingAgainElsewhere(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	other := open(t)
	ctx := t.Context()
	r, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) { r.Plan.MaxUpdating = 1 }))
	must(t, err)
	for _, report := range []fleet.Report{{ID: "b1", Version: 1}, {ID: "b1", Version: 1, Error: "download_failed"}} {
		_, err := poll(t, s, report, noon)
		must(t, err)
	}
	old, err := other.Snapshot(ctx, nil)
	must(t, err)
	if d, err := poll(t, s, fleet.Report{ID: "b2", Version: 1}, noon); err != nil || d.Release == nil {
		t.Fatalf("the next is offered %v, %v", d.Release, err)
	}
	b, err := other.Board(ctx, "badge", "b1")
	must(t, err)
	report := fleet.Report{ID: "b1", Version: 1, Error: "apply_failed"}
	checkIn := func(d fleet.Decision) error {
		c := fleet.CheckIn{App: "badge", Before: b.Task, Board: *b, Moves: d.Moves}
		c.Board.Report, c.Board.Task = report, d.Task
		return other.CheckIn(ctx, c)
	}
	want(t, "a board that begins again", checkIn(old.Views["badge"].Decide(noon, b, &report, 0)), fleet.ErrBusy)
	d := old.Views["badge"].Fallback(noon, b, &report, 0)
	want(t, "its report alone", checkIn(d), nil)
	b, err = s.Board(ctx, "badge", "b1")
	must(t, err)
	if d.Release != nil || b.Task.Stage != fleet.Failed || b.Report.Error != "apply_failed" {
		t.Errorf("offered %v, stored is %v, %q", d.Release, b.Task.Stage, b.Report.Error)
	}
	counts := rollout(t, s, r.ID).Counts
	if counts[fleet.Failed] != 1 || counts[fleet.Offered] != 1 || counts.Updating() != 1 {
		t.Errorf("the counts are %v", counts)
	}
}

// A board that is offered the release again, and is not heard of, leaves its place when
// it would if it were offered it for the first time.
func testAgainTimesOut(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	r, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) {
		r.Plan.MaxUpdating, r.Plan.Timeout = 1, 10*time.Minute
	}))
	must(t, err)
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	for minute, code := range []string{"", "download_failed", ""} {
		_, err := poll(t, s, fleet.Report{ID: "b1", Version: 1, Error: code}, at(minute))
		must(t, err)
	}
	for _, c := range []struct {
		minute, updating int
		stage            fleet.Stage
	}{{11, 1, fleet.Failed}, {12, 0, fleet.TimedOut}} {
		_, err := s.Advance(ctx, at(c.minute))
		must(t, err)
		b, err := s.Board(ctx, "badge", "b1")
		must(t, err)
		counts := rollout(t, s, r.ID).Counts
		if b.Task.Stage != c.stage || counts[c.stage] != 1 || counts.Updating() != int64(c.updating) {
			t.Errorf("minute %d: it is %v, the counts are %v", c.minute, b.Task.Stage, counts)
		}
	}
}

// Who is deleted while it is offered the release again leaves its place, and so does who
// begins with the next rollout.
func testAgainEnds(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	r, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) { r.Plan.MaxUpdating = 2 }))
	must(t, err)
	for _, id := range []string{"b1", "b2"} {
		for _, code := range []string{"", "download_failed", ""} {
			_, err := poll(t, s, fleet.Report{ID: id, Version: 1, Error: code}, noon)
			must(t, err)
		}
	}
	if counts := rollout(t, s, r.ID).Counts; counts[fleet.Failed] != 2 || counts.Updating() != 2 {
		t.Fatalf("the counts are %v", counts)
	}
	_, err = s.DeleteBoards(ctx, ada, "badge", []string{"b1"})
	must(t, err)
	if counts := rollout(t, s, r.ID).Counts; counts[fleet.Failed] != 2 || counts.Updating() != 1 {
		t.Errorf("after one was deleted, the counts are %v", counts)
	}
	_, err = s.ChangeRollout(ctx, ada, r.ID, func(r fleet.Rollout) (fleet.Rollout, error) { return r.Abort("") })
	must(t, err)
	_, err = s.StartRollout(ctx, ada, NewRollout("badge"))
	must(t, err)
	_, err = poll(t, s, fleet.Report{ID: "b2", Version: 1}, noon)
	must(t, err)
	if counts := rollout(t, s, r.ID).Counts; counts[fleet.Failed] != 2 || counts.Updating() != 0 {
		t.Errorf("after the other has begun with the next rollout, the counts are %v", counts)
	}
}
