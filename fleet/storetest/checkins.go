package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

func testCheckIn(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	c := newBoard("b1")
	c.Board.Channel, c.Board.Tags = "beta", []string{"blue", "lab"}
	c.Board.Report.Error, c.Board.Report.Channel = "download_failed", "gamma"
	c.Board.Task = fleet.Task{Rollout: 0, Target: 3, Offer: 2, Stage: fleet.Waiting, Since: noon.Add(-time.Hour), Before: "apply_failed"}
	must(t, s.CheckIn(ctx, c))
	got, err := s.Board(ctx, "badge", "b1")
	must(t, err)
	diff(t, "the board", &c.Board, got)

	later := noon.Add(time.Minute)
	next := fleet.CheckIn{App: "badge", Before: c.Board.Task, Board: c.Board}
	next.Board.FirstSeen = later // it is not the server's memory that counts
	next.Board.LastSeen = later
	next.Board.Report.Version, next.Board.Report.Free = 2, -1
	must(t, s.CheckIn(ctx, next))
	got, err = s.Board(ctx, "badge", "b1")
	must(t, err)
	next.Board.FirstSeen = noon
	diff(t, "the board later", &next.Board, got)

	// Polls may overtake each other.
	old := next
	old.Board.LastSeen = noon
	must(t, s.CheckIn(ctx, old))
	got, err = s.Board(ctx, "badge", "b1")
	must(t, err)
	diff(t, "the board after an old poll", &next.Board, got)

	_, err = s.Board(ctx, "badge", "b2")
	want(t, "a board that there is not", err, fleet.ErrNotFound)
	_, err = s.Board(ctx, "nope", "b1")
	want(t, "a board of another app", err, fleet.ErrNotFound)
	stranger := newBoard("b1")
	stranger.App = "nope"
	want(t, "a check-in to another app", s.CheckIn(ctx, stranger), fleet.ErrNotFound)
}

func testCheckInConflicts(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	must(t, s.CheckIn(ctx, newBoard("b1")))
	b, err := s.Board(ctx, "badge", "b1")
	must(t, err)
	_, err = s.ChangeBoards(ctx, ada, "badge", []string{"b1"}, func(b *fleet.Board) error { b.Tags = []string{"lab"}; return nil })
	must(t, err)

	tagged := *b
	tagged.Tags = []string{"lab"}
	for name, c := range map[string]fleet.CheckIn{
		"new, and it is there":    newBoard("b1"),
		"old, and it is not":      {App: "badge", Board: newBoard("b2").Board},
		"another task":            {App: "badge", Before: fleet.Task{Rollout: 1, Stage: fleet.Offered}, Board: tagged},
		"people have changed it":  {App: "badge", Board: *b},
		"and in the same moments": {App: "badge", Board: fleet.Board{ID: "b1", Tags: []string{"lab"}, Pin: 2}},
	} {
		want(t, name, s.CheckIn(ctx, c), fleet.ErrConflict)
	}
	got, err := s.Board(ctx, "badge", "b1")
	must(t, err)
	diff(t, "the board", &tagged, got)

	// Many servers, and one board that asks them all at once: it is new once.
	servers := []fleet.Store{s, open(t), open(t)}
	var all sync.WaitGroup
	var stored, refused atomic.Int64
	for i := range 12 {
		all.Go(func() {
			switch err := servers[i%3].CheckIn(ctx, newBoard("b3")); {
			case err == nil:
				stored.Add(1)
			case errors.Is(err, fleet.ErrConflict):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if stored.Load() != 1 || refused.Load() != 11 {
		t.Errorf("stored %d times, refused %d times", stored.Load(), refused.Load())
	}

	// And it begins with a rollout once, also where one server stores all that it is told
	// at once.
	ro, err := s.StartRollout(ctx, ada, NewRollout("badge"))
	must(t, err)
	begins := newBoard("b3")
	begins.New = false
	begins.Board.Task = fleet.Task{Rollout: ro.ID, Target: 2, Offer: 2, Stage: fleet.Offered, Since: noon}
	begins.Moves = []fleet.Move{{Rollout: ro.ID, From: fleet.Waiting, To: fleet.Offered, Begins: true}}
	stored.Store(0)
	for range 12 {
		all.Go(func() {
			switch err := s.CheckIn(ctx, begins); {
			case err == nil:
				stored.Add(1)
			case !errors.Is(err, fleet.ErrConflict):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := rollout(t, s, ro.ID).Counts; stored.Load() != 1 || got != (fleet.Counts{fleet.Offered: 1}) {
		t.Errorf("begun %d times, counted as %v", stored.Load(), got)
	}
}

func testEnrolment(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := open(t)
	ctx := t.Context()
	app := NewApp("badge")
	app.Enrolment.MaxBoards, app.Enrolment.MaxPerMinute = 5, 3
	must(t, s.AddApp(ctx, ada, app))
	for i, c := range []struct {
		id    string
		after time.Duration
		want  error
	}{
		{"b1", 0, nil},
		{"b2", 30 * time.Second, nil},
		{"b3", 59 * time.Second, nil},
		{"b4", 59 * time.Second, fleet.ErrFull},
		{"b4", time.Minute, nil},
		{"b5", time.Minute, nil},
		{"b6", 2 * time.Minute, fleet.ErrFull},
	} {
		board := newBoard(c.id)
		board.Board.LastSeen = noon.Add(c.after)
		want(t, fmt.Sprintf("%d: %s after %v", i, c.id, c.after), s.CheckIn(ctx, board), c.want)
	}
	// Who is in is not kept out.
	b, err := s.Board(ctx, "badge", "b1")
	must(t, err)
	must(t, s.CheckIn(ctx, fleet.CheckIn{App: "badge", Board: *b}))
	// Whoever goes makes room.
	if n, err := s.DeleteBoards(ctx, ada, "badge", []string{"b1"}); n != 1 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
	board := newBoard("b6")
	board.Board.LastSeen = noon.Add(3 * time.Minute)
	must(t, s.CheckIn(ctx, board))
}

// As many boards begin as may, on however many servers they ask.
func testMaxUpdating(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	r, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) { r.Plan.MaxUpdating = 7 }))
	must(t, err)
	servers := []fleet.Store{s, open(t)}
	task := fleet.Task{Rollout: r.ID, Target: 2, Offer: 2, Stage: fleet.Offered, Since: noon}
	var began, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			c := newBoard(fmt.Sprint("b", i))
			c.Board.Task = task
			c.Moves = []fleet.Move{{Rollout: r.ID, From: fleet.Waiting, To: fleet.Offered, Begins: true}}
			switch err := servers[i%2].CheckIn(ctx, c); {
			case err == nil:
				began.Add(1)
			case errors.Is(err, fleet.ErrBusy):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if began.Load() != 7 || refused.Load() != 23 {
		t.Errorf("%d boards began, %d were refused", began.Load(), refused.Load())
	}
	if got := rollout(t, s, r.ID).Counts; got != (fleet.Counts{fleet.Offered: 7}) {
		t.Errorf("the counts are %v", got)
	}
	// Nothing of those that were refused is stored.
	list, err := s.Boards(ctx, "badge", fleet.Filter{}, "", 100)
	must(t, err)
	if len(list) != 7 {
		t.Errorf("%d boards are stored", len(list))
	}
}

// One bad board halts the rollout for all that come after it, also on servers that
// have not heard of it.
func testHalt(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	other := open(t)
	ctx := t.Context()
	r, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) {
		r.Plan.Halt = fleet.HaltRule{Percent: 50, AtLeast: 1, Kind: fleet.KindUndone}
	}))
	must(t, err)
	for i, c := range []struct {
		report fleet.Report
		offer  bool
	}{
		{fleet.Report{ID: "b1", Version: 1}, true},
		{fleet.Report{ID: "b1", Version: 2, State: "confirm_pending"}, false},
		{fleet.Report{ID: "b2", Version: 1}, true},
		{fleet.Report{ID: "b1", Version: 1}, false}, // it was undone
	} {
		d, err := poll(t, s, c.report, noon.Add(time.Duration(i)*time.Minute))
		if err != nil || (d.Release != nil) != c.offer {
			t.Fatalf("poll %d: offered %v, %v", i, d.Release, err)
		}
	}
	if got := rollout(t, other, r.ID); got.State != fleet.Halted || got.Counts[fleet.Undone] != 1 || got.Counts[fleet.Offered] != 1 {
		t.Errorf("the rollout is %s: %v", got.State, got.Counts)
	}
	begins := newBoard("b3")
	begins.Board.Task = fleet.Task{Rollout: r.ID, Target: 2, Offer: 2, Stage: fleet.Offered, Since: noon}
	begins.Moves = []fleet.Move{{Rollout: r.ID, From: fleet.Waiting, To: fleet.Offered, Begins: true}}
	want(t, "a board that a server with an old view lets begin", other.CheckIn(ctx, begins), fleet.ErrState)
	// What has happened is counted still.
	if _, err := poll(t, s, fleet.Report{ID: "b2", Version: 2}, noon.Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if got := rollout(t, s, r.ID); got.Counts != (fleet.Counts{fleet.Undone: 1, fleet.Confirmed: 1}) {
		t.Errorf("the counts are %v", got.Counts)
	}
}

func testSeen(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	must(t, s.CheckIn(ctx, newBoard("b1")))
	must(t, s.CheckIn(ctx, newBoard("b2")))
	last := noon.Add(time.Hour)
	for i := range 100 {
		s.Seen("badge", "b1", noon.Add(time.Duration(i)*time.Second), int64(i))
	}
	s.Seen("badge", "b1", last, 500)
	s.Seen("badge", "b1", noon, 400) // overtaken
	s.Seen("badge", "b2", noon.Add(-time.Hour), 300)
	s.Seen("badge", "b3", last, 200) // there is none
	s.Seen("nope", "b1", last, 200)
	// What was told before a server stops is written.
	must(t, s.Close())
	again := open(t)
	for id, want := range map[string]fleet.Board{
		"b1": {LastSeen: last, Report: fleet.Report{Free: 500}},
		"b2": {LastSeen: noon, Report: fleet.Report{Free: 300}},
	} {
		b, err := again.Board(ctx, "badge", id)
		must(t, err)
		if !b.LastSeen.Equal(want.LastSeen) || b.Report.Free != want.Report.Free {
			t.Errorf("%s was seen at %v, with %d bytes free", id, b.LastSeen, b.Report.Free)
		}
	}
	_, err := again.Board(ctx, "badge", "b3")
	want(t, "a board that was only seen", err, fleet.ErrNotFound)
}

func testOpenedAtOnce(t *testing.T, open func(t *testing.T) fleet.Store) {
	var all sync.WaitGroup
	stores := make([]fleet.Store, 4)
	for i := range stores {
		all.Go(func() { stores[i] = open(t) })
	}
	all.Wait()
	must(t, stores[0].AddApp(t.Context(), ada, NewApp("badge")))
	for i, s := range stores {
		if apps, err := s.Apps(t.Context()); err != nil || len(apps) != 1 {
			t.Errorf("server %d sees %d applications, %v", i, len(apps), err)
		}
	}
}

func testClosed(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	must(t, s.Close())
	must(t, s.Close())
	if err := s.CheckIn(t.Context(), newBoard("b1")); err == nil {
		t.Error("a closed store stores")
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a closed store answers")
	}
	s.Seen("badge", "b1", noon, 1)
}
