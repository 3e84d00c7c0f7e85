package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// report is what the i-th board says of itself.
func report(i int) fleet.Report {
	return fleet.Report{ID: fmt.Sprintf("e660%012x", i), Version: 1, State: "idle", Board: "Raspberry Pi Pico W with RP2040", MicroPython: "1.26.1", Lib: "2.0.0", Free: 412000}
}

// request is the i-th board's poll.
func request(i int) []byte {
	return fmt.Appendf(nil, "GET /ota/%s/versions.json.sig HTTP/1.1\r\nHost: localhost\r\nSaguarota: %s\r\n\r\n", app, report(i))
}

// A load polls a server, each board after the other.
type load struct {
	address     string
	fresh       bool        // a new connection for each poll, as boards make it
	tls         *tls.Config // nil: plain HTTP
	connections int
	request     func(i int) []byte
	boards      int
	next        *atomic.Int64 // number of the next poll

	// One of these: until when, or how many polls there are in all.
	until time.Time
	polls int64

	// every, if set, is between two polls, over all connections. Those that are late
	// count as taking that much longer.
	every time.Duration
}

// what a load has done.
type loaded struct {
	polls   int64
	elapsed time.Duration
	bytes   int64           // of both directions, without those of TCP and IP
	took    []time.Duration // sorted
}

func (l *loaded) rate() float64 { return float64(l.polls) / l.elapsed.Seconds() }

// percentile returns how many milliseconds at most that share of the polls took.
func (l *loaded) percentile(p float64) float64 {
	if len(l.took) == 0 {
		return 0
	}
	return l.took[min(len(l.took)-1, int(p*float64(len(l.took))))].Seconds() * 1000
}

func (l *load) run(ctx context.Context) (*loaded, error) {
	start := time.Now()
	var all loaded
	var mu sync.Mutex
	var wait sync.WaitGroup
	var problems []error
	for range l.connections {
		wait.Go(func() {
			one, err := l.connection(ctx, start)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				problems = append(problems, err)
				return
			}
			all.polls += one.polls
			all.bytes += one.bytes
			all.took = append(all.took, one.took...)
		})
	}
	wait.Wait()
	all.elapsed = time.Since(start)
	slices.Sort(all.took)
	return &all, errors.Join(problems...)
}

func (l *load) connection(ctx context.Context, start time.Time) (*loaded, error) {
	done := &loaded{}
	var conn net.Conn
	var in *bufio.Reader
	counted := &countedConn{bytes: &done.bytes}
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	first := l.next.Load()
	for ctx.Err() == nil {
		n := l.next.Add(1) - 1
		if l.polls > 0 && n >= l.polls {
			break
		}
		begun := time.Now()
		if l.every > 0 {
			due := start.Add(time.Duration(n-first) * l.every)
			if wait := due.Sub(begun); wait > 0 {
				time.Sleep(wait)
			}
			begun = due
		}
		if !l.until.IsZero() && begun.After(l.until) {
			break
		}
		if conn == nil {
			var err error
			if counted.Conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", l.address); err != nil {
				return nil, err
			}
			if tcp, ok := counted.Conn.(*net.TCPConn); ok && l.fresh {
				_ = tcp.SetLinger(0) // or closed ones would take all ports of this machine
			}
			conn = counted
			if l.tls != nil {
				conn = tls.Client(counted, l.tls)
			}
			in = bufio.NewReader(conn)
		}
		if _, err := conn.Write(l.request(int(n) % l.boards)); err != nil {
			return nil, err
		}
		if err := readHead(in); err != nil {
			return nil, err
		}
		if l.fresh {
			if err := conn.Close(); err != nil {
				return nil, err
			}
			conn = nil
		}
		done.took = append(done.took, time.Since(begun))
		done.polls++
	}
	return done, ctx.Err()
}

// a countedConn counts what goes over it.
type countedConn struct {
	net.Conn
	bytes *int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	*c.bytes += int64(n)
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	*c.bytes += int64(n)
	return n, err
}

// readHead reads an answer 304, which has no body.
func readHead(in *bufio.Reader) error {
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if first && (len(line) < 12 || string(line[9:12]) != "304") {
			return fmt.Errorf("the answer is %q", line)
		}
		if len(line) == 2 {
			return nil
		}
	}
}
