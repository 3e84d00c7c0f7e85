package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// A registerResult is what was measured of a server with many registered boards.
type registerResult struct {
	Boards       int           `json:"boards"`
	NewPerSecond float64       `json:"newBoardsPerSecond"`
	DatabaseMB   float64       `json:"databaseMB"`
	MemoryMB     float64       `json:"memoryMB"`
	PeakMB       float64       `json:"peakMemoryMB"`
	Rate         float64       `json:"pollsPerSecond"`
	P99          float64       `json:"p99Milliseconds"`
	Queries      []queryResult `json:"queries"`
}

// A queryResult is how many milliseconds a call of the administration took.
type queryResult struct {
	Name    string  `json:"name"`
	Times   int     `json:"times"`
	Median  float64 `json:"medianMilliseconds"`
	Slowest float64 `json:"slowestMilliseconds"`
}

// queryTimes is how often each is asked.
const queryTimes = 20

// benchRegistered takes in boards by their polls, lets a fresh server hear of each of
// them, and asks what people ask.
func benchRegistered(ctx context.Context, o options, dir string) (_ *registerResult, err error) {
	r := &registerResult{Boards: o.million}
	where := filepath.Join(dir, "registered.db")
	// Of these requests there are too many to be kept.
	polls := func(address string) *load {
		return &load{address: address, connections: 4 * o.connections, request: request, boards: o.million, polls: int64(o.million), next: new(atomic.Int64)}
	}
	first, err := startServer(ctx, "SQLite", where)
	if err != nil {
		return nil, err
	}
	done, err := polls(first.address).run(ctx)
	if err := errors.Join(err, first.stop()); err != nil {
		return nil, err
	}
	r.NewPerSecond = done.rate()
	if info, err := os.Stat(where); err == nil {
		r.DatabaseMB = float64(info.Size()) / (1 << 20)
	}
	s, err := startServer(ctx, "SQLite", where)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	// The first round is from the database, the second from memory.
	for range 2 {
		l := polls(s.address)
		l.connections = o.connections
		if done, err = l.run(ctx); err != nil {
			return nil, err
		}
	}
	r.Rate = done.rate()
	r.MemoryMB, r.PeakMB = s.memory()
	single := &load{address: s.address, connections: 1, request: request, boards: o.million, next: new(atomic.Int64), until: time.Now().Add(o.turn)}
	if done, err = single.run(ctx); err != nil {
		return nil, err
	}
	r.P99 = done.percentile(0.99)
	middle := report(o.million / 2).ID
	base := "http://" + s.address + api.Path + "/apps/" + app
	for _, q := range []struct{ name, path string }{
		{"list the first 100", "/boards?limit=100"},
		{"list 1000 from the middle", "/boards?limit=1000&after=" + middle},
		{"search by the beginning of an id", "/boards?limit=100&prefix=" + middle[:len(middle)-2]},
		{"search by the version", "/boards?limit=100&by=version&value=1"},
		{"search by a version that none has", "/boards?limit=100&by=version&value=2"},
		{"search by an error and an id", "/boards?limit=100&by=error&value=&prefix=" + middle[:len(middle)-2]},
		{"one board", "/board/" + middle},
		{"count by version", "/counts/version"},
		{"count by kind of board", "/counts/board"},
	} {
		one, err := ask(ctx, q.name, base+q.path, s.token)
		if err != nil {
			return nil, err
		}
		r.Queries = append(r.Queries, one)
	}
	return r, nil
}

// ask makes a call of the administration again and again.
func ask(ctx context.Context, name, url, token string) (queryResult, error) {
	var took []float64
	for range queryTimes {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return queryResult{}, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		start := time.Now()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return queryResult{}, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		err = errors.Join(err, resp.Body.Close())
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: the answer is %s", name, resp.Status)
		}
		if err != nil {
			return queryResult{}, err
		}
		took = append(took, time.Since(start).Seconds()*1000)
	}
	return queryResult{name, queryTimes, median(took), slices.Max(took)}, nil
}
