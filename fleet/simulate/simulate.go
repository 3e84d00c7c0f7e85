// Package simulate plays a fleet of boards against a real server: they poll, update,
// fail and come back, as the protocol has it. It is the load test of a fleet server,
// and shows how a rollout will go.
package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/release"
)

// Config says what to play. Shares are from 0 to 1.
type Config struct {
	URL         string // of the application: "http://localhost:8080/ota/badge/"
	Boards      int
	Rounds      int // how often each board polls
	Connections int // at a time

	Fail   float64 // of the attempts to install a release, so many fail
	Undo   float64 // of the trials, so many are undone
	Reboot float64 // before so many polls the board has forgotten its last error

	// Files also gets the manifest and the files of what is offered, and checks them.
	Files bool

	Seed uint64           // the same boards do the same
	Now  func() time.Time // usually time.Now
}

// Check reports whether c makes sense.
func (c *Config) Check() error {
	switch {
	case c.Boards < 1 || c.Rounds < 1 || c.Connections < 1:
		return fmt.Errorf("%w: %d boards, %d rounds, %d connections; give at least one of each", fleet.ErrInvalid, c.Boards, c.Rounds, c.Connections)
	case !strings.HasSuffix(c.URL, "/"):
		return fmt.Errorf("%w: the URL %q does not end with a slash", fleet.ErrInvalid, c.URL)
	}
	for _, share := range []float64{c.Fail, c.Undo, c.Reboot} {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("%w: a share of %g", fleet.ErrInvalid, share)
		}
	}
	return nil
}

// A Result is what has happened.
type Result struct {
	Polls     int
	Offers    int // polls that were answered with a release
	Nothing   int // polls that were answered 304
	Refused   int // polls that were answered otherwise, or not at all
	Confirmed int
	Undone    int
	Failed    int
	Files     int // that were fetched
	Bytes     int64
	Elapsed   time.Duration
	Latencies []time.Duration // of all polls, sorted
	Versions  map[int64]int   // how many boards run which version at the end
	Problem   error           // the first thing that went wrong
}

// Percentile returns how long at most p of the polls took; p is from 0 to 1.
func (r *Result) Percentile(p float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	return r.Latencies[min(len(r.Latencies)-1, int(p*float64(len(r.Latencies))))]
}

// Rate returns how many polls there were in a second.
func (r *Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Polls) / r.Elapsed.Seconds()
}

// add adds what one worker has seen.
func (r *Result) add(o *Result) {
	r.Polls += o.Polls
	r.Offers += o.Offers
	r.Nothing += o.Nothing
	r.Refused += o.Refused
	r.Confirmed += o.Confirmed
	r.Undone += o.Undone
	r.Failed += o.Failed
	r.Files += o.Files
	r.Bytes += o.Bytes
	r.Latencies = append(r.Latencies, o.Latencies...)
	for v, n := range o.Versions {
		r.Versions[v] += n
	}
	if r.Problem == nil {
		r.Problem = o.Problem
	}
}

// Run plays until every board has polled as often as it was to, or ctx ends.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	transport := new(http.Transport)
	if usual, ok := http.DefaultTransport.(*http.Transport); ok && usual.TLSClientConfig != nil {
		transport.TLSClientConfig = usual.TLSClientConfig.Clone() // whom this program trusts
	}
	transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost, transport.DisableCompression = c.Connections, c.Connections, true
	defer transport.CloseIdleConnections()
	begin := c.Now()
	total := &Result{Versions: map[int64]int{}}
	var mu sync.Mutex
	var all sync.WaitGroup
	for worker := range c.Connections {
		all.Go(func() {
			w := &player{Config: c, transport: transport, result: Result{Versions: map[int64]int{}}}
			w.play(ctx, worker)
			mu.Lock()
			defer mu.Unlock()
			total.add(&w.result)
		})
	}
	all.Wait()
	total.Elapsed = c.Now().Sub(begin)
	slices.Sort(total.Latencies)
	return total, ctx.Err()
}

// a player plays a part of the boards, one after the other.
type player struct {
	Config
	transport http.RoundTripper
	result    Result
}

// a board is what a board knows.
type board struct {
	report fleet.Report
	before int64          // version to go back to
	bad    map[int64]bool // it has undone these
	random *rand.Rand
}

func (p *player) play(ctx context.Context, worker int) {
	var boards []*board
	for i := worker; i < p.Boards; i += p.Connections {
		boards = append(boards, &board{
			report: fleet.Report{ID: fmt.Sprintf("sim-%08d", i), State: fleet.StateIdle, Board: "simulated", MicroPython: "1.26.1", Lib: "2.0", Free: 400_000},
			bad:    map[int64]bool{},
			random: rand.New(rand.NewPCG(p.Seed, uint64(i))),
		})
	}
	for range p.Rounds {
		for _, b := range boards {
			if ctx.Err() != nil {
				return
			}
			p.live(ctx, b)
		}
	}
	for _, b := range boards {
		p.result.Versions[b.report.Version]++
	}
}

// live is one poll of a board, with what happens before and after it.
func (p *player) live(ctx context.Context, b *board) {
	r := &b.report
	if b.random.Float64() < p.Reboot {
		r.Error = ""
	}
	offer, err := p.poll(ctx, r)
	if err != nil {
		p.result.Refused++
		p.problem(fmt.Errorf("board %s: %w", r.ID, err))
		return
	}
	switch {
	case r.State == fleet.StateConfirmPending && b.random.Float64() < p.Undo:
		p.result.Undone++
		b.bad[r.Version] = true
		r.Version, r.State, r.Error = b.before, fleet.StateIdle, "trial_failed"
		return
	case r.State == fleet.StateConfirmPending:
		p.result.Confirmed++
		r.State = fleet.StateIdle
		return
	case offer == nil:
		return
	case b.bad[offer.Version]:
		r.Error = "version_rejected"
		return
	}
	if p.Files {
		if err := p.fetch(ctx, r, offer); err != nil {
			p.problem(fmt.Errorf("board %s: %w", r.ID, err))
			r.Error = "download_failed"
			return
		}
	}
	if b.random.Float64() < p.Fail {
		p.result.Failed++
		r.Error = "download_failed"
		return
	}
	b.before = r.Version
	r.Version, r.State, r.Error = offer.Version, fleet.StateConfirmPending, ""
}

func (p *player) problem(err error) {
	if p.result.Problem == nil {
		p.result.Problem = err
	}
}

// poll polls, and returns what is offered: nil if nothing.
func (p *player) poll(ctx context.Context, r *fleet.Report) (*release.Statement, error) {
	p.result.Polls++
	begin := p.Now()
	status, body, err := p.get(ctx, release.StatementName, r, release.MaxStatementBytes)
	p.result.Latencies = append(p.result.Latencies, p.Now().Sub(begin))
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusNotModified:
		p.result.Nothing++
		return nil, nil
	case status != http.StatusOK:
		return nil, fmt.Errorf("the server answers %d", status)
	}
	p.result.Offers++
	s, _, err := release.ReadStatement(body)
	return s, err
}

// get asks for a file as a board does.
func (p *player) get(ctx context.Context, path string, r *fleet.Report, limit int64) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+path, nil)
	if err != nil {
		return 0, nil, err
	}
	header := r.String()
	req.Header.Set(httpapi.ReportHeader, header)
	resp, err := p.transport.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	p.result.Bytes += int64(len(header) + len(body))
	if err == nil && int64(len(body)) > limit {
		err = errors.New("the answer is longer than it should be")
	}
	return resp.StatusCode, body, err
}
