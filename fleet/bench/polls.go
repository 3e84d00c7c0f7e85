package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
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
}

// benchPolls measures polls that change nothing but when a board was seen.
func benchPolls(ctx context.Context, o options, dir, postgres string) (list []pollResult, err error) {
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
			return nil, err
		}
		servers = append(servers, s)
		loads[i] = &load{address: s.address, connections: o.connections, request: func(i int) []byte { return requests[i] }, boards: o.boards, next: new(atomic.Int64)}
		list[i].Server = k.kind
		// At first all boards are new.
		first := *loads[i]
		first.polls = int64(o.boards)
		done, err := first.run(ctx)
		if err != nil {
			return nil, err
		}
		if k.kind != empty {
			list[i].NewPerSecond = done.rate()
		}
	}
	rates, ratios := make([][]float64, len(kinds)), make([][]float64, len(kinds))
	for range o.turns {
		for i := range kinds {
			l := *loads[i]
			l.until = time.Now().Add(o.turn)
			done, err := l.run(ctx)
			if err != nil {
				return nil, err
			}
			rates[i] = append(rates[i], done.rate())
			ratios[i] = append(ratios[i], done.rate()/rates[0][len(rates[0])-1])
			list[i].BytesPerPoll = float64(done.bytes) / float64(done.polls)
		}
	}
	for i, s := range servers {
		list[i].Rate, list[i].Ratio = median(rates[i]), median(ratios[i])
		l := *loads[i]
		l.every = time.Duration(2 * float64(time.Second) / list[i].Rate)
		l.until = time.Now().Add(2 * o.turn)
		done, err := l.run(ctx)
		if err != nil {
			return nil, err
		}
		list[i].P50, list[i].P99 = done.percentile(0.5), done.percentile(0.99)
		list[i].MemoryMB, _ = s.memory()
	}
	return list, nil
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
