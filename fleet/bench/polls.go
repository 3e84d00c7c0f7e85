package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cactuscon/saguarota/fleet/sqlstore"
)

// A pollResult is what was measured of one kind of server.
type pollResult struct {
	Server       string  `json:"server"`
	Rate         float64 `json:"pollsPerSecond"` // the median of its turns
	Ratio        float64 `json:"ofEmptyHandler"` // the median of what it was in each turn
	P50          float64 `json:"p50Milliseconds"`
	P99          float64 `json:"p99Milliseconds"` // at half of that rate, from when a poll was due
	BytesPerPoll float64 `json:"bytesPerPoll"`
	MemoryMB     float64 `json:"memoryMB"`
	NewPerSecond float64 `json:"newBoardsPerSecond"`
	BytesStored  float64 `json:"databaseBytesPerBoard"`
}

// benchPolls measures polls that change nothing but when a board was seen.
func benchPolls(ctx context.Context, o options, dir, postgres string) (list []pollResult, lines []lineResult, err error) {
	requests := make([][]byte, o.boards)
	for i := range requests {
		requests[i] = request(i)
	}
	kinds := []struct{ kind, where string }{{empty, ""}, {"SQLite", filepath.Join(dir, "fleet.db")}, {"PostgreSQL", postgres}}
	var servers []*server
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.stop())
		}
	}()
	loads := make([]*load, len(kinds))
	list = make([]pollResult, len(kinds))
	for i, k := range kinds {
		s, err := startServer(ctx, k.kind, k.where)
		if err != nil {
			return nil, nil, err
		}
		servers = append(servers, s)
		loads[i] = &load{address: s.address, connections: o.connections, request: func(i int) []byte { return requests[i] }, boards: o.boards, next: new(atomic.Int64)}
		list[i].Server = k.kind
		// At first all boards are new.
		first := *loads[i]
		first.polls = int64(o.boards)
		done, err := first.run(ctx)
		if err != nil {
			return nil, nil, err
		}
		if k.kind != empty {
			list[i].NewPerSecond = done.rate()
			size, err := databaseSize(ctx, k.where)
			if err != nil {
				return nil, nil, err
			}
			list[i].BytesStored = float64(size) / float64(o.boards)
		}
	}
	rates, ratios := make([][]float64, len(kinds)), make([][]float64, len(kinds))
	for range o.turns {
		for i := range kinds {
			l := *loads[i]
			l.until = time.Now().Add(o.turn)
			done, err := l.run(ctx)
			if err != nil {
				return nil, nil, err
			}
			rates[i] = append(rates[i], done.rate())
			ratios[i] = append(ratios[i], done.rate()/rates[0][len(rates[0])-1])
			list[i].BytesPerPoll = float64(done.bytes) / float64(done.polls)
		}
	}
	halves := make([]struct{ p50, p99 []float64 }, len(kinds))
	for i := range servers {
		list[i].Rate, list[i].Ratio = median(rates[i]), median(ratios[i])
	}
	for range o.turns {
		for i := range servers {
			l := *loads[i]
			l.every = time.Duration(2 * float64(time.Second) / list[i].Rate)
			l.until = time.Now().Add(o.turn)
			done, err := l.run(ctx)
			if err != nil {
				return nil, nil, err
			}
			halves[i].p50, halves[i].p99 = append(halves[i].p50, done.percentile(0.5)), append(halves[i].p99, done.percentile(0.99))
		}
	}
	for i, s := range servers {
		list[i].P50, list[i].P99 = median(halves[i].p50), median(halves[i].p99)
		list[i].MemoryMB, _ = s.memory()
	}
	lines, err = benchLines(ctx, o, loads[1], servers[1])
	return list, lines, err
}

// A lineResult is what polls cost over one kind of connection.
type lineResult struct {
	Line         string  `json:"connection"`
	Rate         float64 `json:"pollsPerSecond"`
	BytesPerPoll float64 `json:"bytesPerPoll"`
}

// benchLines measures what it costs that boards make a new connection for each poll.
func benchLines(ctx context.Context, o options, base *load, s *server) ([]lineResult, error) {
	kinds := []struct {
		name    string
		address string
		fresh   bool
		tls     *tls.Config
	}{
		{"kept", s.address, false, nil}, {"new each time", s.address, true, nil},
		// What is measured is the server's side: nothing depends on who it is.
		{"new each time, TLS 1.3", s.secure, true, &tls.Config{InsecureSkipVerify: true}},
		{"new each time, TLS 1.2", s.secure, true, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}},
	}
	list := make([]lineResult, len(kinds))
	rates := make([][]float64, len(kinds))
	for range o.turns {
		for i, k := range kinds {
			l := *base
			l.address, l.fresh, l.tls, l.until = k.address, k.fresh, k.tls, time.Now().Add(o.turn)
			done, err := l.run(ctx)
			if err != nil {
				return nil, err
			}
			rates[i] = append(rates[i], done.rate())
			list[i] = lineResult{k.name, median(rates[i]), float64(done.bytes) / float64(done.polls)}
		}
	}
	return list, nil
}

// databaseSize returns how many bytes of disk a database takes.
func databaseSize(ctx context.Context, where string) (size int64, err error) {
	if !sqlstore.IsPostgres(where) {
		for _, file := range []string{where, where + "-wal"} {
			info, err := os.Stat(file)
			if err != nil {
				return 0, err
			}
			size += info.Size()
		}
		return size, nil
	}
	db, err := sql.Open("pgx", where)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.QueryRowContext(ctx, "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'").Scan(&size)
	return size, err
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
