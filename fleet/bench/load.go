package main

import (
	"bufio"
	"context"
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

// A load polls a server over connections that stay open, each board after the other.
type load struct {
	address     string
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
	bytes   int64           // of requests and answers, without those of TCP and IP
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
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	done := &loaded{}
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
		text := l.request(int(n) % l.boards)
		if _, err := conn.Write(text); err != nil {
			return nil, err
		}
		got, err := readHead(in)
		if err != nil {
			return nil, err
		}
		done.took = append(done.took, time.Since(begun))
		done.polls++
		done.bytes += int64(len(text) + got)
	}
	return done, ctx.Err()
}

// readHead reads an answer 304, which has no body, and returns how long it is.
func readHead(in *bufio.Reader) (int, error) {
	length := 0
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		length += len(line)
		if first && (len(line) < 12 || string(line[9:12]) != "304") {
			return 0, fmt.Errorf("the answer is %q", line)
		}
		if len(line) == 2 {
			return length, nil
		}
	}
}
