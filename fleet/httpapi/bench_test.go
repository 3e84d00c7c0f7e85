package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
	"github.com/cactuscon/saguarota/fleet/storetest"
)

// benchBoards is how many boards poll in turn.
const benchBoards = 20_000

// BenchmarkPoll compares polls that change nothing but when the board was seen, and
// are answered 304, with what an empty handler answers to the same requests. The
// generator of the load runs in the same process.
func BenchmarkPoll(b *testing.B) {
	b.Run("EmptyHandler", func(b *testing.B) {
		load(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }))
	})
	b.Run("SQLite", func(b *testing.B) {
		h := benchServer(b).Handler()
		pollAll(b, h) // so that they are in memory
		load(b, h)
	})
}

// benchServer returns a server whose boards have all polled once.
func benchServer(b *testing.B) *httpapi.Server {
	b.Helper()
	ctx := context.Background()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	store, err := sqlstore.Open(ctx, filepath.Join(b.TempDir(), "fleet.db"))
	must(err)
	b.Cleanup(func() { must(store.Close()) })
	blobs, err := blob.Open(b.TempDir())
	must(err)
	by := fleet.Actor{Name: "ada", At: time.Now()}
	must(store.AddApp(ctx, by, storetest.NewApp("badge")))
	must(store.AddRelease(ctx, by, storetest.NewRelease(b, "badge", 1), nil))
	must(store.SetChannel(ctx, by, "badge", "stable", 1))
	s, err := httpapi.New(ctx, httpapi.Config{Store: store, Blobs: blobs, Now: time.Now, Jitter: rand.Float64, Log: slog.New(slog.DiscardHandler)})
	must(err)
	// As many at a time as one batch of the store takes.
	work := make(chan int)
	done := make(chan error, 128)
	for range cap(done) {
		go func() {
			var last error
			for i := range work {
				r := benchReport(i)
				err := store.CheckIn(ctx, fleet.CheckIn{App: "badge", New: true, Board: fleet.Board{ID: r.ID, FirstSeen: by.At, LastSeen: by.At, Report: r}})
				last = errors.Join(last, err)
			}
			done <- last
		}()
	}
	for i := range benchBoards {
		work <- i
	}
	close(work)
	for range cap(done) {
		must(<-done)
	}
	return s
}

func benchReport(i int) fleet.Report {
	return fleet.Report{ID: fmt.Sprintf("e66058388358%04x", i), Version: 1, State: "idle", Board: "Raspberry Pi Pico W with RP2040", MicroPython: "1.26.1", Lib: "2.0.0", Free: 412000}
}

// load polls over connections that stay open, each board after the other.
func load(b *testing.B, h http.Handler) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := httpapi.NewHTTPServer(h, slog.New(slog.DiscardHandler))
	go func() { _ = server.Serve(listener) }() // until it is closed
	defer server.Close()
	requests := make([][]byte, benchBoards)
	for i := range requests {
		requests[i] = fmt.Appendf(nil, "GET /ota/badge/versions.json.sig HTTP/1.1\r\nHost: localhost\r\nSaguarota: %s\r\n\r\n", benchReport(i))
	}
	var next atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for pb.Next() {
			if _, err := conn.Write(requests[next.Add(1)%benchBoards]); err != nil {
				b.Error(err)
				return
			}
			if err := readHead(in); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "polls/s")
}

// readHead reads an answer 304, which has no body.
func readHead(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 || string(line[9:12]) != "304" {
		return fmt.Errorf("the answer is %q", line)
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if len(line) == 2 {
			return nil
		}
	}
}

// BenchmarkMemory tells how much a board takes in the memory of a server.
func BenchmarkMemory(b *testing.B) {
	s := benchServer(b)
	h := s.Handler()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for b.Loop() {
		pollAll(b, h)
	}
	b.ReportMetric(float64(heap()-before)/benchBoards, "bytes/board")
	runtime.KeepAlive(s)
}

// pollAll lets every board poll once.
func pollAll(b *testing.B, h http.Handler) {
	b.Helper()
	for i := range benchBoards {
		req, err := http.NewRequest(http.MethodGet, "/ota/badge/versions.json.sig", nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set(httpapi.ReportHeader, benchReport(i).String())
		h.ServeHTTP(discard{http.Header{}}, req)
	}
}

// discard is a ResponseWriter that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
