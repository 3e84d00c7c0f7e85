package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

func testBoards(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	r, err := s.StartRollout(ctx, ada, NewRollout("badge"))
	must(t, err)
	for _, b := range []struct {
		id     string
		change func(*fleet.CheckIn)
	}{
		{"A1", func(c *fleet.CheckIn) { c.Board.Report.Error = "download_failed" }},
		{"a1", func(c *fleet.CheckIn) { c.Board.Report.Version = 2 }},
		{"a2", func(c *fleet.CheckIn) { c.Board.Report.Channel = "beta"; c.Board.Tags = []string{"blue", "lab"} }},
		{"a:3", func(c *fleet.CheckIn) { c.Board.Report.State = "confirm_pending"; c.Board.Report.MicroPython = "1.27" }},
		{"b1", func(c *fleet.CheckIn) { c.Board.Channel, c.Board.Report.Channel = "gamma", "beta" }},
		{"b_2", func(c *fleet.CheckIn) { c.Board.Tags = []string{"lab"}; c.Board.Report.Board = `" OR 1=1; --` }},
		{"b3", func(c *fleet.CheckIn) {
			c.Board.Task = fleet.Task{Rollout: r.ID, Target: 2, Offer: 2, Stage: fleet.Offered, Since: noon}
			c.Moves = []fleet.Move{{Rollout: r.ID, From: fleet.Waiting, To: fleet.Offered, Begins: true}}
		}},
		{"hidden", func(*fleet.CheckIn) {}},
	} {
		c := newBoard(b.id)
		b.change(&c)
		must(t, s.CheckIn(ctx, c))
	}
	_, err = s.ChangeBoards(ctx, ada, "badge", []string{"hidden"}, func(b *fleet.Board) error { b.Hidden = true; return nil })
	must(t, err)

	for _, c := range []struct {
		filter fleet.Filter
		after  string
		limit  int
		want   []string
	}{
		{fleet.Filter{}, "", 100, []string{"A1", "a1", "a2", "a:3", "b1", "b3", "b_2"}}, // by bytes
		{fleet.Filter{}, "", 3, []string{"A1", "a1", "a2"}},
		{fleet.Filter{}, "a2", 3, []string{"a:3", "b1", "b3"}},
		{fleet.Filter{}, "b2", 3, []string{"b3", "b_2"}}, // one that is not there
		{fleet.Filter{}, "b_2", 3, nil},
		{fleet.Filter{Prefix: "a"}, "", 100, []string{"a1", "a2", "a:3"}},
		{fleet.Filter{Prefix: "a"}, "a1", 1, []string{"a2"}},
		{fleet.Filter{Prefix: "a"}, "b1", 100, nil},
		{fleet.Filter{Prefix: "b_"}, "", 100, []string{"b_2"}}, // no wildcard
		{fleet.Filter{Prefix: "%"}, "", 100, nil},
		{fleet.Filter{Hidden: true}, "", 100, []string{"hidden"}},
		{fleet.Filter{By: fleet.ByVersion, Value: "2"}, "", 100, []string{"a1"}},
		{fleet.Filter{By: fleet.ByVersion, Value: "1", Prefix: "b"}, "b1", 100, []string{"b3", "b_2"}},
		{fleet.Filter{By: fleet.ByError, Value: "download_failed"}, "", 100, []string{"A1"}},
		{fleet.Filter{By: fleet.ByState, Value: "confirm_pending"}, "", 100, []string{"a:3"}},
		{fleet.Filter{By: fleet.ByMicroPython, Value: "1.27"}, "", 100, []string{"a:3"}},
		{fleet.Filter{By: fleet.ByLib, Value: "1.0"}, "", 100, nil},
		{fleet.Filter{By: fleet.ByBoard, Value: `" OR 1=1; --`}, "", 100, []string{"b_2"}},
		{fleet.Filter{By: fleet.ByChannel, Value: "beta"}, "", 100, []string{"a2"}},
		{fleet.Filter{By: fleet.ByChannel, Value: "gamma"}, "", 100, []string{"b1"}},
		{fleet.Filter{By: fleet.ByTag, Value: "lab"}, "", 100, []string{"a2", "b_2"}},
		{fleet.Filter{By: fleet.ByTag, Value: "lab"}, "a2", 100, []string{"b_2"}},
		{fleet.Filter{By: fleet.ByTag, Value: "lab", Prefix: "a"}, "", 100, []string{"a2"}},
		{fleet.Filter{Rollout: r.ID, Stage: fleet.Offered}, "", 100, []string{"b3"}},
		{fleet.Filter{Rollout: r.ID, Stage: fleet.Trial}, "", 100, nil},
	} {
		list, err := s.Boards(ctx, "badge", c.filter, c.after, c.limit)
		must(t, err)
		var got []string
		for _, b := range list {
			got = append(got, b.ID)
		}
		diff(t, fmt.Sprintf("%+v after %q", c.filter, c.after), c.want, got)
	}
	for _, f := range []fleet.Filter{{By: "odd"}, {By: fleet.ByTag, Value: "lab", Rollout: 1}, {By: fleet.ByVersion, Value: "x"}} {
		_, err := s.Boards(ctx, "badge", f, "", 1)
		want(t, fmt.Sprintf("%+v", f), err, fleet.ErrInvalid)
	}
	_, err = s.Boards(ctx, "nope", fleet.Filter{}, "", 1)
	want(t, "an app that there is not", err, fleet.ErrNotFound)
}

func testChangeBoards(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	for i := range 3 {
		must(t, s.CheckIn(ctx, newBoard(fmt.Sprint("b", i))))
	}
	change := func(f func(*fleet.Board) error, ids ...string) (int, error) {
		return s.ChangeBoards(ctx, ada, "badge", ids, f)
	}
	lab := func(b *fleet.Board) error {
		b.Channel, b.Tags, b.Pin, b.Revoked = "beta", []string{"lab"}, 2, true
		b.Report.Version, b.Task.Stage, b.LastSeen = 77, fleet.Undone, noon.Add(time.Hour) // not for people
		return nil
	}
	if n, err := change(lab, "b2", "b1", "nope", "b1"); n != 2 || err != nil {
		t.Errorf("changed %d, %v", n, err)
	}
	if n, err := change(lab, "b1", "b2"); n != 0 || err != nil {
		t.Errorf("changed %d that are so already, %v", n, err)
	}
	expected := newBoard("b1").Board
	expected.Channel, expected.Tags, expected.Pin, expected.Revoked = "beta", []string{"lab"}, 2, true
	got, err := s.Board(ctx, "badge", "b1")
	must(t, err)
	diff(t, "a changed board", &expected, got)

	// It is all or nothing.
	mine := errors.New("mine")
	n, err := change(func(b *fleet.Board) error {
		if b.Tags = []string{"new"}; b.ID == "b2" {
			return mine
		}
		return nil
	}, "b0", "b2")
	want(t, "a change that fails", err, mine)
	for what, f := range map[string]func(*fleet.Board) error{
		"tags out of order": func(b *fleet.Board) error { b.Tags = []string{"z", "a"}; return nil },
		"an odd channel":    func(b *fleet.Board) error { b.Channel = "\n"; return nil },
	} {
		_, err := change(f, "b0")
		want(t, what, err, fleet.ErrInvalid)
	}
	_, err = change(func(b *fleet.Board) error { b.Pin = 9; return nil }, "b0")
	want(t, "a pin to what was never published", err, fleet.ErrNotFound)
	if b, err := s.Board(ctx, "badge", "b0"); err != nil || b.Tags != nil || n != 0 {
		t.Errorf("changed %d, the board that was first has %v, %v", n, b.Tags, err)
	}
	_, err = s.ChangeBoards(ctx, ada, "nope", []string{"b1"}, lab)
	want(t, "an app that there is not", err, fleet.ErrNotFound)

	// A poll brings a hidden board back.
	if _, err := change(func(b *fleet.Board) error { b.Hidden = true; return nil }, "b0"); err != nil {
		t.Fatal(err)
	}
	b, err := s.Board(ctx, "badge", "b0")
	must(t, err)
	must(t, s.CheckIn(ctx, fleet.CheckIn{App: "badge", Board: *b}))
	if b, err := s.Board(ctx, "badge", "b0"); err != nil || b.Hidden {
		t.Errorf("hidden after a poll: %v, %v", b.Hidden, err)
	}
}

func testDeleteBoards(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	r, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) {
		r.Plan.MaxUpdating = 1
		r.Plan.Halt = fleet.HaltRule{Percent: 1, AtLeast: 1, Kind: fleet.KindAll}
	}))
	must(t, err)
	if _, err := poll(t, s, fleet.Report{ID: "b1", Version: 1}, noon); err != nil {
		t.Fatal(err)
	}
	_, err = s.ChangeBoards(ctx, ada, "badge", []string{"b1"}, func(b *fleet.Board) error { b.Tags = []string{"lab"}; return nil })
	must(t, err)
	if n, err := s.DeleteBoards(ctx, ada, "badge", []string{"b1", "nope"}); n != 1 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
	if n, err := s.DeleteBoards(ctx, ada, "badge", []string{"b1"}); n != 0 || err != nil {
		t.Errorf("deleted %d again, %v", n, err)
	}
	_, err = s.Board(ctx, "badge", "b1")
	want(t, "the board", err, fleet.ErrNotFound)
	if list, err := s.Boards(ctx, "badge", fleet.Filter{By: fleet.ByTag, Value: "lab"}, "", 9); err != nil || len(list) != 0 {
		t.Errorf("with its tag there are %d, %v", len(list), err)
	}
	// Its place in the rollout is another's now, and nothing has gone wrong.
	_, err = s.Advance(ctx, noon)
	must(t, err)
	if got := rollout(t, s, r.ID); got.Counts != (fleet.Counts{}) || got.State != fleet.Running {
		t.Errorf("the rollout is %s, the counts are %v", got.State, got.Counts)
	}
	if d, err := poll(t, s, fleet.Report{ID: "b2", Version: 1}, noon); err != nil || d.Release == nil {
		t.Errorf("the next is offered %v, %v", d.Release, err)
	}
}

// A board that is revoked stays so: deleted, it would be taken in again.
func testDeleteRevokedBoards(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	for _, id := range []string{"b1", "b2"} {
		must(t, s.CheckIn(ctx, newBoard(id)))
	}
	revoke := func(on bool) {
		t.Helper()
		_, err := s.ChangeBoards(ctx, ada, "badge", []string{"b1"}, func(b *fleet.Board) error { b.Revoked = on; return nil })
		must(t, err)
	}
	revoke(true)
	if n, err := s.DeleteBoards(ctx, ada, "badge", []string{"b1", "b2"}); n != 1 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
	if b, err := s.Board(ctx, "badge", "b1"); err != nil || !b.Revoked {
		t.Errorf("the board that is revoked: %+v, %v", b, err)
	}
	revoke(false)
	if n, err := s.DeleteBoards(ctx, ada, "badge", []string{"b1"}); n != 1 || err != nil {
		t.Errorf("deleted %d that are not revoked any more, %v", n, err)
	}
}

// The counts are those that counting all boards would give, whatever happens.
func testCounts(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	for range 200 {
		id := pick("b1", "b2", "b3", "b4", "b5")
		switch random.IntN(8) {
		case 0:
			_, err := s.DeleteBoards(ctx, ada, "badge", []string{id})
			must(t, err)
		case 1:
			_, err := s.ChangeBoards(ctx, ada, "badge", []string{id, pick("b1", "b2")}, func(b *fleet.Board) error {
				b.Hidden, b.Channel = !b.Hidden, pick("", "beta")
				b.Tags = fleet.SortTags([]string{pick("lab", "blue"), pick("lab", "red")})
				return nil
			})
			must(t, err)
		default:
			_, err := poll(t, s, fleet.Report{
				ID: id, Version: random.Int64N(3), State: pick("idle", "installing"), Error: pick("", "apply_failed"),
				Board: pick("Pico W", "ESP32"), MicroPython: pick("1.26", "1.27"), Lib: pick("2.0", "2.1"), Channel: pick("", "gamma"),
			}, noon)
			must(t, err)
		}
	}
	list, err := s.Boards(ctx, "badge", fleet.Filter{}, "", 100)
	must(t, err)
	if len(list) == 0 {
		t.Fatal("there is nothing to count")
	}
	for _, by := range fleet.Attributes {
		expected := map[string]int64{}
		for _, b := range list {
			for _, v := range b.Values(by) {
				expected[v]++
			}
		}
		got, err := s.Count(ctx, "badge", by)
		must(t, err)
		diff(t, "boards by "+string(by), expected, got)
	}
}

func testSnapshot(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	r, err := s.StartRollout(ctx, ada, NewRollout("badge"))
	must(t, err)
	first, err := s.Snapshot(ctx, nil)
	must(t, err)
	if !first.All {
		t.Error("who has no snapshot may know no board")
	}
	app := NewApp("badge")
	diff(t, "the view", &fleet.View{
		App:      app,
		Releases: map[int64]*fleet.Release{1: NewRelease(t, "badge", 1), 2: NewRelease(t, "badge", 2)},
		Channels: map[string]*fleet.Channel{"stable": {Name: "stable", Release: 1, Rollout: &r}},
	}, first.Views["badge"])

	second, err := s.Snapshot(ctx, first)
	must(t, err)
	if second.All || second.Changed != nil {
		t.Errorf("nothing has changed: %+v", second)
	}
	third, err := s.Snapshot(ctx, second)
	must(t, err)
	if third != second {
		t.Error("there is a new snapshot where nothing has changed")
	}

	// Counts are no change, but they are fresh.
	if _, err := poll(t, s, fleet.Report{ID: "b1", Version: 1}, noon); err != nil {
		t.Fatal(err)
	}
	fourth, err := s.Snapshot(ctx, third)
	must(t, err)
	if got := fourth.Views["badge"].Channels["stable"].Rollout.Counts; fourth.Epoch != third.Epoch || got != (fleet.Counts{fleet.Offered: 1}) {
		t.Errorf("epoch %d after %d, counts %v", fourth.Epoch, third.Epoch, got)
	}
	if got := third.Views["badge"].Channels["stable"].Rollout.Counts; got != (fleet.Counts{}) {
		t.Errorf("the snapshot before was changed: %v", got)
	}
}

func testSnapshotChanges(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	other := open(t)
	ctx := t.Context()
	must(t, s.CheckIn(ctx, newBoard("b1")))
	must(t, s.CheckIn(ctx, newBoard("b2")))
	first, err := other.Snapshot(ctx, nil)
	must(t, err)
	_, err = s.ChangeBoards(ctx, ada, "badge", []string{"b1"}, func(b *fleet.Board) error { b.Pin = 2; return nil })
	must(t, err)
	_, err = s.DeleteBoards(ctx, ada, "badge", []string{"b2"})
	must(t, err)
	second, err := other.Snapshot(ctx, first)
	must(t, err)
	diff(t, "the boards that were changed", []fleet.BoardKey{{App: "badge", ID: "b1"}, {App: "badge", ID: "b2"}}, second.Changed)

	// What else changes is no board.
	must(t, s.SetChannel(ctx, ada, "badge", "stable", 2))
	third, err := other.Snapshot(ctx, second)
	must(t, err)
	if third.All || third.Changed != nil || third.Views["badge"].Channels["stable"].Release != 2 {
		t.Errorf("%+v", third)
	}
	if third.Views["badge"].Releases[1] != second.Views["badge"].Releases[1] {
		t.Error("a statement that has not changed is read again")
	}

	// Who was away for long may know nothing.
	for i := range 1001 {
		must(t, s.ChangeApp(ctx, ada, "badge", func(a *fleet.App) error { a.Enrolment.MaxBoards = int64(i + 1); return nil }))
	}
	fourth, err := other.Snapshot(ctx, third)
	must(t, err)
	if !fourth.All {
		t.Error("after a thousand changes, it is told which boards were changed")
	}
}
