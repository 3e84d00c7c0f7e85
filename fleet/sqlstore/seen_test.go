package sqlstore

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/storetest"
)

// Notes that are written in parts are all written; where that is broken off, the others
// are written the next time.
func TestSeenInParts(t *testing.T) {
	opened, err := Open(t.Context(), filepath.Join(t.TempDir(), "fleet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	// Without what writes notes by itself.
	s := &Store{read: opened.read, write: opened.write, d: opened.d, seen: seen{notes: map[fleet.BoardKey]note{}}}
	noon := storetest.NewRelease(t, "badge", 1).Published
	if err := s.AddApp(t.Context(), fleet.Actor{Name: "ada", At: noon}, storetest.NewApp("badge")); err != nil {
		t.Fatal(err)
	}
	const boards = 3 * seenLeast
	var list []*checkIn
	for i := range boards {
		id := fmt.Sprintf("b%04d", i)
		list = append(list, &checkIn{CheckIn: fleet.CheckIn{App: "badge", New: true, Board: fleet.Board{ID: id, FirstSeen: noon, LastSeen: noon, Report: fleet.Report{ID: id}}}})
	}
	if _, err := s.commitAll(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	written := func(at time.Time) (n int) {
		t.Helper()
		if err := s.read.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM boards WHERE last_seen = $1", unix(at)).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	tell := func(at time.Time) {
		for _, c := range list {
			s.Seen("badge", c.Board.ID, at, 1)
		}
	}
	later := noon.Add(time.Hour)
	tell(later)
	if err := s.flushSeen(t.Context(), time.Millisecond); err != nil || written(later) != boards {
		t.Errorf("%d of %d were written, %v", written(later), boards, err)
	}
	later = later.Add(time.Hour)
	tell(later)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.flushSeen(ctx, time.Hour); err == nil || written(later) == boards {
		t.Errorf("broken off, %d of %d were written, %v", written(later), boards, err)
	}
	if err := s.FlushSeen(t.Context()); err != nil || written(later) != boards {
		t.Errorf("the next time: %d of %d, %v", written(later), boards, err)
	}
}
