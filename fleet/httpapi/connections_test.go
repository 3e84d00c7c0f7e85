package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
)

// limitedWeb serves over pipes with at most so many connections while f runs. Whoever asks
// for /wait is answered when release is closed.
func limitedWeb(t *testing.T, most int, f func(l *pipes, release chan struct{})) {
	t.Helper()
	l, release := newPipes(), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) })
	mux.HandleFunc("/late", func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write(make([]byte, 1<<20))
	})
	mux.HandleFunc("/wait", func(http.ResponseWriter, *http.Request) { <-release })
	web := httpapi.NewHTTPServer(mux, slog.New(slog.DiscardHandler))
	limited := httpapi.LimitConnections(web, l, most)
	ended := make(chan error)
	go func() { ended <- web.Serve(limited) }()
	f(l, release)
	if err := web.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// a client is a connection, on which one request is sent after the other.
type client struct {
	net.Conn
	answers *bufio.Reader
}

func (p *pipes) client(from string) *client {
	c := p.dial(from)
	return &client{c, bufio.NewReader(c)}
}

// ask sends a request, and waits for its answer.
func (c *client) ask(path string) error {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return err
	}
	if _, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}

// gone reports whether the server has closed the connection.
func (c *client) gone() bool {
	_ = c.SetReadDeadline(time.Now())
	_, err := c.Read(make([]byte, 1))
	_ = c.SetReadDeadline(time.Time{})
	return errors.Is(err, io.EOF)
}

// What waits for its next request makes room at once, that which waits longest.
func TestConnectionsThatWere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limitedWeb(t, 3, func(l *pipes, _ chan struct{}) {
			var all []*client
			for range 3 {
				c := l.client("192.0.2.1:1")
				if err := c.ask("/"); err != nil {
					t.Fatal(err)
				}
				all = append(all, c)
			}
			// The first one is used again, so the second waits longest.
			if err := all[0].ask("/"); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			fourth := l.client("192.0.2.2:1")
			if err := fourth.ask("/"); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if waited := time.Since(begin); waited > 0 || all[0].gone() || !all[1].gone() || all[2].gone() {
				t.Errorf("after %v: %v %v %v", waited, all[0].gone(), all[1].gone(), all[2].gone())
			}
			for _, c := range append(all, fourth) {
				_ = c.Close()
			}
		})
	})
}

// Of those that have said nothing yet, that of the address goes which has most of them, and
// not before it had some time.
func TestConnectionsThatSayNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limitedWeb(t, 4, func(l *pipes, _ chan struct{}) {
			slow := l.client("192.0.2.1:1") // the first of all, and the only one from there
			flood := []*client{l.client("192.0.2.2:1"), l.client("192.0.2.2:2"), l.client("192.0.2.2:3")}
			begin := time.Now()
			board := l.client("192.0.2.3:1")
			if err := board.ask("/"); err != nil {
				t.Error(err)
			}
			if waited := time.Since(begin); waited != 3*time.Second {
				t.Errorf("it waited for %v", waited)
			}
			synctest.Wait()
			if slow.gone() || !flood[0].gone() || flood[1].gone() || flood[2].gone() {
				t.Errorf("gone: %v; %v %v %v", slow.gone(), flood[0].gone(), flood[1].gone(), flood[2].gone())
			}
			if err := slow.ask("/"); err != nil {
				t.Errorf("the slow one: %v", err)
			}
			for _, c := range append(flood, slow, board) {
				_ = c.Close()
			}
		})
	})
}

// Whoever asks for much and takes nothing of it makes room, too, after some time.
func TestConnectionsThatTakeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limitedWeb(t, 2, func(l *pipes, _ chan struct{}) {
			var all []*client
			for i := range 2 {
				c := l.client("192.0.2.1:1")
				if _, err := fmt.Fprint(c, "GET /long HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				all = append(all, c)
				synctest.Wait()
				time.Sleep(time.Duration(1-i) * time.Second) // the first has waited longer
			}
			begin := time.Now()
			board := l.client("192.0.2.3:1")
			if err := board.ask("/"); err != nil {
				t.Error(err)
			}
			if waited := time.Since(begin); waited != 2*time.Second {
				t.Errorf("it waited for %v", waited)
			}
			// The other one gets all of it, once it takes it.
			resp, err := http.ReadResponse(all[1].answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			if data, err := io.ReadAll(resp.Body); err != nil || len(data) != 1<<20 {
				t.Errorf("%d bytes, %v", len(data), err)
			}
			for _, c := range append(all, board) {
				_ = c.Close()
			}
		})
	})
}

// The same, where nobody was to be cut yet when the next one came.
func TestConnectionsThatTakeNothingLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limitedWeb(t, 1, func(l *pipes, release chan struct{}) {
			c := l.client("192.0.2.1:1")
			if _, err := fmt.Fprint(c, "GET /late HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			time.AfterFunc(time.Second, func() { close(release) })
			begin := time.Now()
			board := l.client("192.0.2.3:1")
			if err := board.ask("/"); err != nil {
				t.Error(err)
			}
			if waited := time.Since(begin); waited != 4*time.Second {
				t.Errorf("it waited for %v", waited)
			}
			_, _ = c.Close(), board.Close()
		})
	})
}

// While a request is answered, its connection stays, and others wait.
func TestConnectionsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limitedWeb(t, 2, func(l *pipes, release chan struct{}) {
			var all sync.WaitGroup
			for range 2 {
				c := l.client("192.0.2.1:1")
				all.Go(func() {
					if err := c.ask("/wait"); err != nil {
						t.Error(err)
					}
					_ = c.Close()
				})
			}
			synctest.Wait()
			third := l.client("192.0.2.1:1")
			var served atomic.Bool
			all.Go(func() {
				if err := third.ask("/"); err != nil {
					t.Error(err)
				}
				served.Store(true)
			})
			time.Sleep(20 * time.Second) // within the bubble, no time at all
			if served.Load() {
				t.Error("there was room for it")
			}
			close(release)
			all.Wait()
			_ = third.Close()
		})
	})
}

// A server that stops while a connection waits for room does stop.
func TestConnectionsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inUse, waits *client
		limitedWeb(t, 1, func(l *pipes, release chan struct{}) {
			inUse, waits = l.client("192.0.2.1:1"), nil
			go func() { _ = inUse.ask("/wait") }()
			synctest.Wait()
			waits = l.client("192.0.2.1:1")
			go func() { _ = waits.ask("/") }()
			synctest.Wait()
			time.AfterFunc(time.Minute, func() { close(release) })
		})
		time.Sleep(2 * time.Minute)
		_, _ = inUse.Close(), waits.Close()
	})
}

// Many slow connections take no board its turn: neither those that say nothing, nor those that
// drip their heads, nor those that drip what nobody wants.
func TestSlowlorisKeepsNobodyOut(t *testing.T) {
	const patient = 9 * time.Second // by the clock of the bubble; two waits of a new connection, and something
	r := newRig(t)
	v := r.publish("one")
	r.give("stable", v)
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		web := httpapi.NewHTTPServer(r.server.Handler(), slog.New(slog.DiscardHandler))
		limited := httpapi.LimitConnections(web, l, 20)
		ended := make(chan error)
		go func() { ended <- web.Serve(limited) }()
		stop := make(chan struct{})
		var slow sync.WaitGroup
		for i := range 60 {
			slow.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					ours, theirs := net.Pipe()
					select {
					case l.conns <- pipe{theirs, &net.TCPAddr{IP: net.IPv4(192, 0, 2, byte(i%3)), Port: i}}:
					case <-stop:
						return
					}
					go func() { _, _ = io.Copy(io.Discard, ours) }()
					_, err := io.WriteString(ours, []string{"", "GET /ota/badge/versions.json.sig HTTP/1.1\r\nHost: h\r\nX: ", "POST /ota/badge/versions.json.sig HTTP/1.1\r\nHost: h\r\nContent-Length: 9999\r\n\r\n"}[i%3])
					for err == nil {
						select {
						case <-stop:
							err = io.EOF
						case <-time.After(500 * time.Millisecond):
							if i%3 != 0 {
								_, err = ours.Write([]byte("x"))
							} else {
								_, err = ours.Write(nil)
							}
						}
					}
					_ = ours.Close()
				}
			})
		}
		synctest.Wait()
		for i := range 10 {
			begin := time.Now()
			c := l.client("198.51.100.1:1")
			// What it says of itself is for the store, which is outside of the bubble.
			if err := c.ask("/ota/badge/versions.json.sig"); err != nil {
				t.Errorf("board %d: %v", i, err)
			}
			_ = c.Close()
			if waited := time.Since(begin); waited > patient {
				t.Errorf("board %d waited for %v", i, waited)
			}
		}
		close(stop)
		slow.Wait()
		_ = web.Close()
		<-ended
	})
}

// a countedListener counts the connections that are open.
type countedListener struct {
	net.Listener
	open, most atomic.Int64
}

// Accept implements net.Listener.
func (l *countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := l.open.Add(1)
	for m := l.most.Load(); n > m && !l.most.CompareAndSwap(m, n); m = l.most.Load() {
	}
	return &countedConn{Conn: c, of: l}, nil
}

type countedConn struct {
	net.Conn
	of   *countedListener
	once sync.Once
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.once.Do(func() { c.of.open.Add(-1) })
	return c.Conn.Close()
}

// a fleetBefore is a store in which most boards are, as they were when the power went.
type fleetBefore struct {
	fleet.Store
	version int64
}

const knownBefore = "known-"

// Board implements fleet.Store.
func (s fleetBefore) Board(ctx context.Context, app, id string) (*fleet.Board, error) {
	if strings.HasPrefix(id, knownBefore) {
		return &fleet.Board{ID: id, FirstSeen: noon, LastSeen: noon, Report: fleet.Report{ID: id, Version: s.version, Free: -1}}, nil
	}
	return s.Store.Board(ctx, app, id)
}

// 10,000 boards power up in the same second, each with a connection of its own, and some of them
// for the first time. The server has a few connections at a time, and all are served.
func TestPowerUp(t *testing.T) {
	const boards, newBoards, most, atOnce = 10_000, 200, 500, 2000
	r := newRig(t)
	v := r.publish("one")
	r.give("stable", v)
	r.server = r.newServer(func(c *httpapi.Config) { c.Store = fleetBefore{c.Store, v} })
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	counted := &countedListener{Listener: tcp}
	web := httpapi.NewHTTPServer(r.server.Handler(), slog.New(slog.DiscardHandler))
	limited := httpapi.LimitConnections(web, counted, most)
	ended := make(chan error)
	go func() { ended <- web.Serve(limited) }()

	var all sync.WaitGroup
	var offered, nothing, again atomic.Int64
	sockets := make(chan struct{}, atOnce) // as many as the machine of a test has
	for i := range boards {
		report := fmt.Sprintf("id=%s%d; version=%d", knownBefore, i, v)
		if i%(boards/newBoards) == 0 {
			report = fmt.Sprint("id=new-", i)
		}
		all.Go(func() {
			// A board whose connection fails polls again.
			for {
				sockets <- struct{}{}
				status, err := pollOnce(tcp.Addr().String(), report)
				<-sockets
				switch {
				case err != nil:
					again.Add(1)
					continue
				case status == http.StatusOK:
					offered.Add(1)
				case status == http.StatusNotModified:
					nothing.Add(1)
				}
				return
			}
		})
	}
	all.Wait()
	r.must(web.Close())
	<-ended
	if offered.Load() != newBoards || nothing.Load() != boards-newBoards {
		t.Errorf("of %d boards, %d are offered a release and %d nothing; %d times one had to try again\n%.2000s",
			boards, offered.Load(), nothing.Load(), again.Load(), r.log.String())
	}
	if n := counted.most.Load(); n > most+1 { // one more waits for room
		t.Errorf("%d connections at once", n)
	}
	n, err := r.store.Count(t.Context(), "badge", fleet.ByChannel)
	r.must(err)
	if n["stable"] != newBoards {
		t.Errorf("new boards: %v", n)
	}
}

// pollOnce polls over a connection of its own.
func pollOnce(addr, report string) (int, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	c := &client{conn, bufio.NewReader(conn)}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET /ota/badge/versions.json.sig HTTP/1.1\r\nHost: h\r\nSaguarota: %s\r\n\r\n", report); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}
