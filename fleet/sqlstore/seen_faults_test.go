package sqlstore_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
	"github.com/cactuscon/saguarota/fleet/storetest"
)

// Whenever a server is killed, what it saw MaxUnwritten before is in the database: another
// server, which shares nothing else with it, reads it there.
func TestSeenIsWrittenInTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fleet.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlstore.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		other, err := sqlstore.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		if err := s.AddApp(t.Context(), ada, storetest.NewApp("badge")); err != nil {
			t.Fatal(err)
		}
		const boards = 5
		for i := range boards {
			id := fmt.Sprint("b", i)
			c := fleet.CheckIn{App: "badge", New: true, Board: fleet.Board{ID: id, FirstSeen: ada.At, LastSeen: ada.At, Report: fleet.Report{ID: id}}}
			if err := s.CheckIn(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		// At moments that no ticker of the server shares.
		for i := range 40 {
			id := fmt.Sprint("b", i%boards)
			at := ada.At.Add(time.Duration(i+1) * time.Hour)
			s.Seen("badge", id, at, 7)
			time.Sleep(fleet.MaxUnwritten) // within the bubble, no time at all
			synctest.Wait()
			b, err := other.Board(t.Context(), "badge", id)
			if err != nil {
				t.Fatal(err)
			}
			if b.LastSeen.Before(at) {
				t.Errorf("%d: a server that is killed now has lost more than %v", i, fleet.MaxUnwritten)
			}
			time.Sleep(270 * time.Millisecond)
		}
	})
}
