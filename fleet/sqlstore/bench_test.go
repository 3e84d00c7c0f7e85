package sqlstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/internal/postgrestest"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
	"github.com/cactuscon/saguarota/fleet/storetest"
)

// BenchmarkSeen tells how many boards a database can be told of in a second that they
// were seen, which is what nearly all polls come to.
func BenchmarkSeen(b *testing.B) {
	for name, database := range map[string]func(b *testing.B) string{
		"SQLite":     func(b *testing.B) string { return b.TempDir() + "/fleet.db" },
		"PostgreSQL": func(b *testing.B) string { return postgrestest.New(b) },
	} {
		b.Run(name, func(b *testing.B) {
			const boards = 20_000
			s := seenStore(b, database(b), boards)
			at := time.Now()
			for b.Loop() {
				b.StopTimer()
				at = at.Add(time.Second)
				for i := range boards {
					s.Seen("badge", fmt.Sprintf("e660%012x", i), at, int64(i))
				}
				b.StartTimer()
				if err := s.FlushSeen(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(boards*float64(b.N)/b.Elapsed().Seconds(), "boards/s")
		})
	}
}

// seenStore returns a store that has so many boards.
func seenStore(b *testing.B, where string, boards int) *sqlstore.Store {
	b.Helper()
	s, err := sqlstore.Open(context.Background(), where)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	now := time.Now()
	if err := s.AddApp(context.Background(), fleet.Actor{Name: "ada", At: now}, storetest.NewApp("badge")); err != nil {
		b.Fatal(err)
	}
	const atOnce = 200
	done := make(chan error, atOnce)
	next := make(chan int)
	for range atOnce {
		go func() {
			var failed error
			for i := range next {
				board := fleet.Board{ID: fmt.Sprintf("e660%012x", i), FirstSeen: now, LastSeen: now}
				board.Report.ID = board.ID
				if err := s.CheckIn(context.Background(), fleet.CheckIn{App: "badge", New: true, Board: board}); err != nil {
					failed = err
				}
			}
			done <- failed
		}()
	}
	for i := range boards {
		next <- i
	}
	close(next)
	for range atOnce {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	return s
}
