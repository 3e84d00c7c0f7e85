package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// Nobody can fill the disk with the log: of what strangers bring about, as many lines are written
// as a person can read.
func TestLogCannotBeFlooded(t *testing.T) {
	for name, c := range map[string]struct {
		before func(r *rig)
		header func(i int) string
		status int
		text   string
	}{
		"reports that make no sense": {func(*rig) {}, func(int) string { return "version=1" }, http.StatusBadRequest, "makes no sense"},
		"boards that are invented":   {func(*rig) {}, func(i int) string { return fmt.Sprint("id=x", i) }, http.StatusOK, "not taken in"},
		"polls without a database":   {func(r *rig) { r.must(r.store.Close()) }, func(i int) string { return fmt.Sprint("id=x", i) }, http.StatusServiceUnavailable, "a poll fails"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(a *fleet.App) { a.Enrolment.MaxBoards = 1 })
			r.give("stable", r.publish("one"))
			r.poll(fleet.Report{ID: "b1"})
			c.before(r)
			lines := func() int { return strings.Count(r.log.String(), c.text) }
			ask := func(n int) {
				for i := range n {
					if a := r.get(pollPath, httpapi.ReportHeader+": "+c.header(i)); a.status != c.status {
						t.Fatalf("%d %s", a.status, a.body)
					}
				}
			}
			ask(200)
			if n := lines(); n < 1 || n > 30 {
				t.Errorf("200 requests made %d lines", n)
			}
			before := lines()
			r.clock.Add(60)
			ask(1)
			if n := lines(); n != before+1 {
				t.Errorf("a minute later, one more made %d lines", n-before)
			}
		})
	}
}

// pinged counts how often blobs are asked whether they work, and how many ask at a time.
type pinged struct {
	blob.Store
	calls, now, most atomic.Int64
	slow             chan struct{}
}

// Ping implements blob.Store.
func (p *pinged) Ping(ctx context.Context) error {
	p.calls.Add(1)
	n := p.now.Add(1)
	defer p.now.Add(-1)
	for m := p.most.Load(); n > m && !p.most.CompareAndSwap(m, n); m = p.most.Load() {
	}
	<-p.slow
	return p.Store.Ping(ctx)
}

// opened counts how often blobs are opened.
type opened struct {
	blob.Store
	calls atomic.Int64
}

// Open implements blob.Store.
func (o *opened) Open(ctx context.Context, sum blob.Sum) (io.ReadSeekCloser, int64, error) {
	o.calls.Add(1)
	return o.Store.Open(ctx, sum)
}

// To ask for one file a thousand times in one call has it read once.
func TestMissingBlobsReadsEachOnce(t *testing.T) {
	r := newRig(t)
	r.publish("one")
	o := &opened{Store: r.blobs}
	r.serve(r.newServer(func(c *httpapi.Config) { c.Blobs = o }))
	there, gone := blob.SumOf([]byte("X = 1\n")).String(), blob.SumOf([]byte("nothing")).String()
	var sums []string
	for range 1000 {
		sums = append(sums, there, gone)
	}
	got, err := r.client(r.token("ci", fleet.ScopePublish)).MissingBlobsWithResponse(t.Context(), "badge", api.Sums{Sums: sums})
	ok(t, got.StatusCode(), got.Body, err)
	if len(got.JSON200.Sums) != 1 || got.JSON200.Sums[0] != gone || o.calls.Load() != 2 {
		t.Errorf("missing %d, files opened %d times", len(got.JSON200.Sums), o.calls.Load())
	}
}

// To be asked whether it works, which writes to the disk, is no work for a server however often
// it is asked.
func TestReadyIsCheap(t *testing.T) {
	r := newRig(t)
	p := &pinged{Store: r.blobs, slow: make(chan struct{})}
	r.serve(r.newServer(func(c *httpapi.Config) { c.Blobs = p }))
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if a := r.get("/readyz"); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	close(p.slow)
	all.Wait()
	if p.calls.Load() != 1 || p.most.Load() != 1 {
		t.Errorf("%d questions, %d at a time", p.calls.Load(), p.most.Load())
	}
	r.clock.Add(2)
	r.get("/readyz")
	if n := p.calls.Load(); n != 2 {
		t.Errorf("later: %d questions", n)
	}
	// That it does not work is told as long as it is so, and no longer.
	r.must(r.store.Close())
	r.clock.Add(2)
	for range 2 {
		if a := r.get("/readyz"); a.status != http.StatusServiceUnavailable {
			t.Errorf("without a database: %d", a.status)
		}
	}
}
