package dashboard

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// Pages move by server-sent events, each of which has the part of the page that moves
// as it is now. It is made at most once in Dashboard.every, however many look at it.

// maxStreams is how many pages move at once. One more does not, until there is room.
const maxStreams = 256

// fragments are the moving parts of pages, as they were last made.
type fragments struct {
	mu      sync.Mutex
	last    map[string]*fragment
	streams atomic.Int64
}

type fragment struct {
	mu   sync.Mutex
	at   time.Time
	html []byte
}

// maxFragments is how many are kept; more are few, and are made anew.
const maxFragments = 64

func (f *fragments) of(key string) *fragment {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == nil || len(f.last) >= maxFragments && f.last[key] == nil {
		f.last = map[string]*fragment{}
	}
	if f.last[key] == nil {
		f.last[key] = new(fragment)
	}
	return f.last[key]
}

// forget has all be made anew, since something was changed.
func (f *fragments) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = nil
}

// get returns the fragment, made by render where it is older than age.
func (f *fragment) get(now time.Time, age time.Duration, render func() ([]byte, error)) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := now.Sub(f.at); f.html != nil && d >= 0 && d < age {
		return f.html, nil
	}
	html, err := render()
	if err != nil {
		return nil, err
	}
	f.at, f.html = now, html
	return html, nil
}

// streamWrite is how long a browser may take for a piece of a stream, and streamQuiet
// after which time one is sent though nothing has changed, so that proxies and browsers
// know that the stream is alive.
const (
	streamWrite = 30 * time.Second
	streamQuiet = 20 * time.Second
)

// stream sends the moving part of a page whenever it has changed.
func (q *request) stream(key string, make func() (view, error)) error {
	d := q.d
	if d.fragments.streams.Add(1) > maxStreams {
		d.fragments.streams.Add(-1)
		q.w.Header().Set("Retry-After", "30")
		http.Error(q.w, "as many pages as can are kept up to date already", http.StatusServiceUnavailable)
		return nil
	}
	defer d.fragments.streams.Add(-1)
	key = fmt.Sprint(key, " ", q.token.Scope) // there are buttons in it
	ctx, cancel := context.WithCancel(q.ctx)
	defer cancel()
	defer context.AfterFunc(d.stopping, cancel)()
	q.ctx, q.r = ctx, q.r.WithContext(ctx)
	conn := http.NewResponseController(q.w)
	send := func(text []byte) error {
		_ = conn.SetWriteDeadline(time.Now().Add(streamWrite)) // writers of tests have none to set
		if _, err := q.w.Write(text); err != nil {
			return err
		}
		return conn.Flush()
	}
	h := q.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	var last []byte
	quiet := 0
	for {
		if err := q.authenticate(); err != nil {
			_ = send(event("live", []byte(signedOut))) // who asked may have gone
			return nil
		}
		html, err := d.fragments.of(key).get(d.now(), d.every/2, func() ([]byte, error) {
			v, err := make()
			if err != nil {
				return nil, err
			}
			return q.fragment(v)
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if last == nil {
				return err // nothing is sent yet
			}
			d.log.Error("a page of the dashboard stops moving", "page", q.r.URL.Path, "error", err)
			return nil // the browser comes again
		case !bytes.Equal(html, last):
			if send(event("live", html)) != nil {
				return nil
			}
			last, quiet = html, 0
		case time.Duration(quiet)*d.every >= streamQuiet:
			if send([]byte(": still here\n\n")) != nil {
				return nil
			}
			quiet = 0
		}
		quiet++
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

const signedOut = `<p class="banner bad" role="alert">The sign-in has ended, so this page does not move any more. <a href="/ui/sign-in?again=1">Sign in again</a></p>`

// event returns a server-sent event.
func event(name string, data []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\n", name)
	for line := range bytes.Lines(data) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	_ = b.WriteByte('\n')
	return b.Bytes()
}

// rate finds out how many polls a second there are, from how many there were.
type rate struct {
	mu     sync.Mutex
	at     time.Time
	polls  int64
	second float64
	known  bool
}

// of returns how many polls a second there were lately; false where it is not known
// yet.
func (r *rate) of(now time.Time, polls int64) (float64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	const lately, old = 2 * time.Second, 30 * time.Second
	switch d := now.Sub(r.at); {
	case r.at.IsZero() || d > old || d < 0:
		r.at, r.polls, r.known = now, polls, false
	case d >= lately:
		r.second, r.known = float64(polls-r.polls)/d.Seconds(), true
		r.at, r.polls = now, polls
	}
	return r.second, r.known
}

// surveys are which boards are silent. That is in no index, since it changes with every
// poll, so all boards are looked at: in the background, and not often.
type surveys struct {
	mu  sync.Mutex
	app map[string]*survey
}

// a survey is what was found when all boards of an application were looked at.
type survey struct {
	Done    time.Time // zero: not yet
	Took    time.Duration
	After   time.Duration // how long a silent board was not heard of
	Boards  int64         // that were looked at
	Silent  int64
	Never   int64 // were added, and have not polled yet
	IDs     []fleet.Board
	running bool
}

// How silent boards are looked for.
const (
	silentPolls = 3           // so many polls are missed
	surveyAge   = time.Minute // before it is done again; longer where it takes long
	surveyPage  = 1000
	maxSilent   = 500 // that are named
)

// of returns the last survey of an application, and begins another one where it is old.
func (d *Dashboard) survey(app string, period time.Duration) survey {
	d.silent.mu.Lock()
	defer d.silent.mu.Unlock()
	if d.silent.app == nil {
		d.silent.app = map[string]*survey{}
	}
	s := d.silent.app[app]
	if s == nil {
		s = new(survey)
		d.silent.app[app] = s
	}
	age := max(surveyAge, 20*s.Took)
	if now := d.now(); !s.running && (s.Done.IsZero() || now.Sub(s.Done) >= age || now.Before(s.Done)) {
		s.running = true
		go d.look(app, silentPolls*period)
	}
	return *s
}

// look looks at all boards of an application.
func (d *Dashboard) look(app string, after time.Duration) {
	begin := d.now()
	found := survey{After: after}
	last := ""
	var err error
	for {
		var boards []fleet.Board
		if boards, err = d.store.Boards(d.stopping, app, fleet.Filter{}, last, surveyPage); err != nil || len(boards) == 0 {
			break
		}
		last = boards[len(boards)-1].ID
		for _, b := range boards {
			found.Boards++
			switch {
			case b.LastSeen.IsZero():
				found.Never++
			case begin.Sub(b.LastSeen) >= after:
				found.Silent++
				if len(found.IDs) < maxSilent {
					found.IDs = append(found.IDs, b)
				}
			}
		}
	}
	d.silent.mu.Lock()
	defer d.silent.mu.Unlock()
	if err != nil {
		d.silent.app[app].running = false
		if d.stopping.Err() == nil {
			d.log.Error("silent boards cannot be looked for", "app", app, "error", err)
		}
		return
	}
	found.Done = d.now()
	found.Took = found.Done.Sub(begin)
	*d.silent.app[app] = found
}
