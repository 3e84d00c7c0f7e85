package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// changed waits until a file is changed by another process, or ctx ends.
func changed(ctx context.Context, path string, since fs.FileInfo) error {
	for {
		info, err := os.Stat(path)
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		case err == nil && (info.Size() != since.Size() || !info.ModTime().Equal(since.ModTime())):
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Microsecond): // a file of another process has no event that all systems tell
		}
	}
}

// an interruption is a transport that ends the server in the middle of a request.
type interruption struct {
	f      *fleetProcess
	after  int  // requests that go well
	writes bool // not as soon as the request was sent, but when the server begins to write what it asks for
}

// RoundTrip implements http.RoundTripper.
func (i *interruption) RoundTrip(r *http.Request) (*http.Response, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	if i.after--; i.after != -1 {
		return transport.RoundTrip(r)
	}
	journal := filepath.Join(i.f.dir, "fleet.db-wal")
	before, err := os.Stat(journal)
	if err != nil {
		return nil, err
	}
	sent := make(chan struct{})
	ctx, answered := context.WithCancel(r.Context())
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }}
	server, killed := i.f.cmd.Process, make(chan struct{})
	defer func() {
		answered()
		<-killed
	}()
	go func() {
		defer close(killed)
		select {
		case <-sent:
		case <-ctx.Done():
			return
		}
		if i.writes {
			_ = changed(ctx, journal, before) // or it was answered
		}
		_ = server.Kill()
	}()
	return transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
}

// A server that is killed in the middle of any call of a publication has, when it is back, all
// releases that were accepted, and each of those whole.
func TestFleetKilledInPublish(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	accepted := map[int64]bool{f.build(): true}
	f.must(f.publish(nil))
	// A publication asks which files are missing, uploads three, and publishes.
	const calls = 5
	for round := range calls + 2 {
		i := &interruption{f: f, after: min(round, calls-1), writes: round >= calls}
		version := f.build()
		err := f.publish(i)
		f.kill()
		f.start()
		got := f.releases()
		if err == nil || got[version] {
			// Without an answer, either is right. Nothing else may be there or gone.
			accepted[version] = true
		}
		if d := cmp.Diff(accepted, got); d != "" {
			t.Errorf("killed in call %d: %s", i.after, d)
		}
		// What is there of it is in nobody's way.
		if err := f.publish(nil); err != nil {
			t.Errorf("again, after call %d: %v", i.after, err)
		}
		accepted[version] = true
	}
	if d := cmp.Diff(accepted, f.releases()); d != "" {
		t.Error(d)
	}
}

// startRollout publishes two releases, gives the first to the channel and starts a rollout of
// the second.
func (f *fleetProcess) startRollout(steps ...api.Step) (id, first, second int64) {
	f.t.Helper()
	ctx := f.t.Context()
	first = f.build()
	f.must(f.publish(nil))
	f.must(done(f.client(nil).SetChannelWithResponse(ctx, "badge", "stable", api.ChannelChange{Version: first})))
	second = f.build()
	f.must(f.publish(nil))
	ro, err := f.client(nil).StartRolloutWithResponse(ctx, "badge", api.NewRollout{Channel: "stable", Version: second, Plan: api.Plan{Steps: steps}})
	f.must(done(ro, err))
	return ro.JSON200.ID, first, second
}

// check compares what the server knows of the boards with what they have told it.
func (s *storm) check(boards map[string]api.Board) {
	s.f.t.Helper()
	for id, b := range s.known {
		got, ok := boards[id]
		n, _ := strconv.Atoi(got.Lib)
		if !ok && b.answered > 0 || !s.quiet && (n < b.answered || n > b.polls) {
			s.f.t.Errorf("board %s was answered at poll %d of %d, and is known as of poll %d", id, b.answered, b.polls, n)
		}
	}
}

// A server that is killed while boards poll it knows, when it is back, all that it has answered,
// and its counts are those of its boards.
func TestFleetKilledInPolls(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	id, first, second := f.startRollout(api.Step{Percent: 100})
	s := &storm{f: f, name: "b", old: first, new: second, known: map[string]*stormyBoard{}}
	for _, at := range []int{20, 100, 170} {
		s.rage(30, at, func() { _ = f.cmd.Process.Kill() })
		f.kill()
		f.start()
		s.check(f.boards())
		f.rollout(id)
		counts, err := f.client(nil).CountBoardsWithResponse(t.Context(), "badge", "version")
		f.must(done(counts, err))
		versions := map[string]int64{}
		for _, b := range f.boards() {
			versions[strconv.FormatInt(b.Version, 10)]++
		}
		if d := cmp.Diff(versions, *counts.JSON200); d != "" {
			t.Errorf("the counts by version (-boards +counts): %s", d)
		}
	}
}

// A server that is told to stop while boards poll it has stored all that it has answered: also
// when it saw them last.
func TestFleetStopsInPolls(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	_, first, second := f.startRollout(api.Step{Percent: 100})
	loud := &storm{f: f, name: "loud", old: first, new: second, known: map[string]*stormyBoard{}}
	quiet := &storm{f: f, name: "quiet", old: first, quiet: true, known: map[string]*stormyBoard{}}
	var both sync.WaitGroup
	both.Go(func() { loud.rage(10, 100, func() { _ = f.cmd.Process.Signal(syscall.SIGTERM) }) })
	both.Go(func() { quiet.rage(10, 0, nil) })
	both.Wait()
	if err := f.wait(); err != nil {
		t.Errorf("it stops with %v: %s", err, f.log)
	}
	f.start()
	boards := f.boards()
	for _, s := range []*storm{loud, quiet} {
		s.check(boards)
		for id, b := range s.known {
			if b.answered > 0 && boards[id].LastSeen.Before(b.sent.Truncate(time.Microsecond)) {
				t.Errorf("board %s has polled at %v, and was seen last at %v", id, b.sent, boards[id].LastSeen)
			}
		}
	}
}

// Of two servers on one database, one is killed as soon as anything of a rollout's step is
// written. Each step is taken once, and the rollout comes to its end.
func TestFleetKilledInRolloutStep(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	other := &fleetProcess{t: t, dir: f.dir}
	other.start()
	var steps []api.Step
	for _, percent := range []float64{1, 10, 50, 100} {
		steps = append(steps, api.Step{Percent: percent, Seconds: 1})
	}
	id, _, second := f.startRollout(steps...)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	journal := filepath.Join(f.dir, "fleet.db-wal")
	for last := ""; last != "done"; {
		before, err := os.Stat(journal)
		f.must(err)
		f.must(changed(ctx, journal, before))
		f.kill()
		f.start()
		last = f.rollout(id).State
	}
	entries, err := f.client(nil).ListAuditWithResponse(t.Context(), &api.ListAuditParams{})
	f.must(done(entries, err))
	var taken []string
	for _, e := range *entries.JSON200 {
		if e.Action != "rollout.step" && e.Action != "rollout.finish" {
			continue
		}
		taken = append(taken, fmt.Sprintf("%s: %v → %v", e.Actor, state(t, e.Before), state(t, e.After)))
	}
	if d := cmp.Diff([]string{"rule: 3 running → 3 done", "rule: 2 running → 3 running", "rule: 1 running → 2 running", "rule: 0 running → 1 running"}, taken); d != "" {
		t.Error(d)
	}
	channels, err := f.client(nil).ListChannelsWithResponse(t.Context(), "badge")
	f.must(done(channels, err))
	if d := cmp.Diff([]api.Channel{{Name: "stable", Version: second}}, *channels.JSON200); d != "" {
		t.Error(d)
	}
}

// state returns the step and the state of a rollout in an entry of the audit log.
func state(t *testing.T, entry any) string {
	t.Helper()
	data, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	var ro struct {
		Step  int
		State string
	}
	if err := json.Unmarshal(data, &ro); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(ro.Step, " ", ro.State)
}
