package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/pack"
	"github.com/cactuscon/saguarota/release"
)

// closedBlobs opens none until it is told to, and tells what it was asked for.
type closedBlobs struct {
	blob.Store
	asked chan struct{}
	open  chan struct{}
}

// Open implements blob.Store.
func (c *closedBlobs) Open(ctx context.Context, sum blob.Sum) (io.ReadSeekCloser, int64, error) {
	select {
	case c.asked <- struct{}{}:
	default:
	}
	select {
	case <-c.open:
		return c.Store.Open(ctx, sum)
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
}

// releases publishes releases and returns their manifests' IDs.
func (r *rig) releases(n int) []string {
	r.t.Helper()
	var ids []string
	for i := range n {
		r.publish(fmt.Sprint("release ", i))
		ids = append(ids, pack.ID(r.read(release.ManifestName)))
		r.clock.Add(1)
	}
	return ids
}

// asking is a request that goes on until it is answered or given up.
type asking struct {
	give context.CancelFunc
	done chan answer
}

func (r *rig) asking(from, path string) *asking {
	ctx, cancel := context.WithCancel(r.t.Context())
	a := &asking{cancel, make(chan answer, 1)}
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	req.RemoteAddr = from
	go func() {
		w := httptest.NewRecorder()
		r.server.Handler().ServeHTTP(w, req)
		a.done <- answer{w.Code, w.Header(), w.Body.String()}
	}()
	return a
}

// However many packs one address asks for, the server makes one for it at a time; what it
// does not wait for is not made, and another address gets its own.
func TestStrangerAsksForPacks(t *testing.T) {
	r := newRig(t)
	ids := r.releases(4)
	closed := &closedBlobs{r.blobs, make(chan struct{}, 1), make(chan struct{})}
	r.server = r.newServer(func(c *httpapi.Config) { c.Blobs, c.MaxConnections = closed, 64 })
	path := func(from, to int) string { return "/ota/badge/packs/" + ids[from] + "-" + ids[to] }
	const stranger, honest = "192.0.2.1:1", "192.0.2.2:1"
	first := r.asking(stranger, path(0, 1))
	<-closed.asked
	for range 20 {
		a := r.ask(stranger, path(0, 2))
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "2" || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("the second: %d %v", a.status, a.header)
		}
	}
	// 64 connections: 16 may wait for packs, two of one address.
	refusals := make(chan answer)
	var waiting []*asking
	ask := func(from string) {
		a := r.asking(from, path(0, 1))
		waiting = append(waiting, &asking{a.give, make(chan answer, 1)})
		w := waiting[len(waiting)-1]
		go func() {
			got := <-a.done
			if got.status == http.StatusServiceUnavailable {
				refusals <- got
			}
			w.done <- got
		}()
	}
	for range 5 {
		ask(stranger)
	}
	for range 4 {
		<-refusals
	}
	for i := range 40 {
		ask(fmt.Sprintf("192.0.2.%d:1", 100+i))
	}
	for range 40 - 14 {
		<-refusals
	}
	for _, w := range append(waiting, first) {
		w.give()
		<-w.done
	}
	board := r.asking(honest, path(2, 3))
	<-closed.asked
	close(closed.open)
	if a := <-board.done; a.status != http.StatusOK {
		t.Errorf("a board's: %d %s", a.status, a.body)
	}
	if log := r.log.String(); strings.Contains(log, "ERROR") {
		t.Error(log)
	}
}

// A pack that would be made of too much is not made: boards fetch files.
func TestPackOfTooMuch(t *testing.T) {
	r := newRig(t)
	ids := r.releases(2)
	r.server = r.newServer(func(c *httpapi.Config) { c.MaxPackInput = 100 })
	for _, name := range []string{ids[0] + "-" + ids[1], ids[1]} {
		for range 2 {
			a := r.ask("192.0.2.1:1", "/ota/badge/packs/"+name)
			if a.status != http.StatusNotFound || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %v", name, a.status, a.header)
			}
		}
	}
	// Nor is there any from a release to itself, and that is nothing to be told.
	if a := r.ask("192.0.2.1:1", "/ota/badge/packs/"+ids[0]+"-"+ids[0]); a.status != http.StatusNotFound {
		t.Errorf("to itself: %d", a.status)
	}
	if log := r.log.String(); strings.Contains(log, "a pack cannot be made") {
		t.Error(log)
	}
}

// Pieces of a pack do not have the whole of it read: its ETag is known.
func TestPiecesOfPacks(t *testing.T) {
	r := newRig(t)
	ids := r.releases(2)
	path := "/ota/badge/packs/" + ids[0] + "-" + ids[1]
	whole := r.ask("192.0.2.1:1", path)
	if want := `"` + blob.SumOf([]byte(whole.body)).String() + `"`; whole.status != http.StatusOK || whole.header.Get("ETag") != want {
		t.Fatalf("%d %v", whole.status, whole.header)
	}
	var all sync.WaitGroup
	for i := range len(whole.body) {
		all.Go(func() {
			a := r.ask("192.0.2.1:1", path, fmt.Sprintf("Range: bytes=%d-%d", i, i), "If-Range: "+whole.header.Get("ETag"))
			if a.status != http.StatusPartialContent || a.body != whole.body[i:i+1] {
				t.Errorf("byte %d: %d %q", i, a.status, a.body)
			}
		})
	}
	all.Wait()
}
