package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/pack"
	"github.com/cactuscon/saguarota/release"
)

// Headers between boards and servers.
const (
	ReportHeader = "Saguarota"      // of a request: fleet.ParseReport
	PollHeader   = "Saguarota-Poll" // of an answer: after how many seconds to poll again
)

// serveBoard answers all that boards ask for.
func (s *Server) serveBoard(w http.ResponseWriter, r *http.Request) {
	name, path := r.PathValue("app"), r.PathValue("path")
	v := s.view(name)
	if v == nil {
		writeText(w, http.StatusNotFound, "there is no such application")
		return
	}
	if path == release.StatementName {
		s.servePoll(w, r, v)
		return
	}
	if n, ok := keysetNumber(path); ok {
		s.serveKeyset(w, r, name, n)
		return
	}
	if from, to, ok := pack.ParseName(path); ok {
		s.servePack(w, r, v, from, to)
		return
	}
	s.serveFile(w, r, v, path)
}

// servePoll answers a poll: with the statement of a release, or with 304 where there
// is nothing to install.
func (s *Server) servePoll(w http.ResponseWriter, r *http.Request, v *fleet.View) {
	answer := pollFailed
	s.polled.Add(1)
	defer func() { s.metrics.polls.WithLabelValues(answer).Inc() }()
	// The answer is for this board alone.
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("Vary", ReportHeader)
	jitter := s.jitter()
	if r.Header.Get(ReportHeader) != "" {
		s.setPoll(w, spread(v.App.PollPeriod, jitter)) // whatever it is answered
	}
	report, ok := s.report(w, r)
	if !ok {
		answer = pollSenseless
		return
	}
	if report == nil {
		answer = pollAnonymous
		// A board that does not say what it is, or a person with a browser.
		rel := channelRelease(v)
		if rel == nil {
			writeText(w, http.StatusNotFound, "there is no release yet")
			return
		}
		writeStatement(w, r, rel)
		return
	}
	from := s.from(r)
	mine := limitKey{address: from.address, app: v.App.Name, id: report.ID}
	if wait := s.limits.board.take(mine, s.now()); wait > 0 {
		answer = pollLimited
		s.metrics.limited.WithLabelValues("board").Inc()
		s.setPoll(w, wait+time.Second-1) // whole seconds, rounded up
		writeTooMany(w, wait)
		return
	}
	d, err := s.decide(r, v, report, jitter)
	switch {
	case errors.Is(err, fleet.ErrUnauthorized):
		answer = pollRefused
		if wait := s.limits.refused.take(from, s.now()); wait > 0 {
			s.metrics.limited.WithLabelValues("refused").Inc()
			s.setPoll(w, wait+time.Second-1)
			writeTooMany(w, wait)
			return
		}
		s.log.Warn("a board is refused", "app", v.App.Name, "board", report.ID, "error", err)
		writeText(w, http.StatusUnauthorized, "this board has no valid token")
		return
	case err != nil:
		if r.Context().Err() == nil {
			s.tell(slog.LevelError, v.App.Name, "a poll fails", "app", v.App.Name, "board", report.ID, "error", err)
		}
		writeText(w, http.StatusServiceUnavailable, "not now")
		return
	}
	s.setPoll(w, d.Poll)
	if d.Release == nil {
		answer = pollNothing
		w.WriteHeader(http.StatusNotModified)
		return
	}
	answer = pollOffered
	w.Header().Set("ETag", statementTag(d.Release))
	writeSigned(w, r, d.Release.Signed)
}

// channelRelease returns what the channel holds that boards follow which say nothing.
func channelRelease(v *fleet.View) *fleet.Release {
	c := v.Channels[release.DefaultChannel]
	if c == nil {
		return nil
	}
	if r := v.Releases[c.Release]; r != nil && !r.Withdrawn {
		return r
	}
	return nil
}

// report reads what a board says of itself: nil if nothing. Where that makes no
// sense, it answers and returns false.
func (s *Server) report(w http.ResponseWriter, r *http.Request) (*fleet.Report, bool) {
	values := r.Header.Values(ReportHeader)
	if len(values) == 0 {
		return nil, true
	}
	report, err := fleet.ParseReport(values[0])
	if err == nil && len(values) > 1 {
		err = fleet.ErrInvalid
	}
	if err != nil {
		s.tell(slog.LevelWarn, "", "a report makes no sense", "error", err)
		writeText(w, http.StatusBadRequest, "the header "+ReportHeader+" makes no sense")
		return nil, false
	}
	return &report, true
}

// maxDecisions is how often a board is decided for anew, because it was changed
// meanwhile.
const maxDecisions = 4

// spread returns a time around a period: where all boards are turned away at once, they
// do not come again at the same moment.
func spread(period time.Duration, jitter float64) time.Duration {
	return period*3/4 + time.Duration(jitter*float64(period)/2)
}

// decide decides for a board and stores what has changed by that.
func (s *Server) decide(r *http.Request, v *fleet.View, report *fleet.Report, jitter float64) (fleet.Decision, error) {
	ctx, now := r.Context(), s.now()
	key := fleet.BoardKey{App: v.App.Name, ID: report.ID}
	if v.App.Enrolment.Tokens {
		if err := v.App.Enrolment.CheckBoardToken(key.App, key.ID, bearer(r)); err != nil {
			return fleet.Decision{}, err
		}
	}
	decide := v.Decide
	if r.Method == http.MethodHead {
		decide = v.Fallback // it begins with nothing
	}
	for range maxDecisions {
		b, isNew, err := s.board(ctx, key)
		if err != nil {
			return fleet.Decision{}, err
		}
		if b.Revoked {
			s.store.Seen(key.App, key.ID, now, report.Free) // it is not silent
			return fleet.Decision{}, fleet.ErrUnauthorized
		}
		d := decide(now, b, report, jitter)
		if r.Method == http.MethodHead {
			return d, nil // whoever only looks is no board, and changes nothing
		}
		if !isNew && !changes(b, report, &d) {
			s.store.Seen(key.App, key.ID, now, report.Free)
			return d, nil
		}
		next := *b
		next.Report, next.Task, next.LastSeen, next.Hidden = *report, d.Task, now, false
		if isNew {
			next.FirstSeen = now
		}
		err = s.store.CheckIn(ctx, fleet.CheckIn{App: key.App, New: isNew, Before: b.Task, Board: next, Moves: d.Moves})
		switch {
		case err == nil:
			s.boards.put(key, &next)
			return d, nil
		case errors.Is(err, fleet.ErrBusy), errors.Is(err, fleet.ErrState):
			decide = v.Fallback
		case errors.Is(err, fleet.ErrConflict):
			s.boards.remove(key)
		case errors.Is(err, fleet.ErrFull):
			// It gets what every board gets, without being one of the fleet: a full list
			// must keep nobody from the next release.
			s.tell(slog.LevelWarn, key.App, "a board is not taken in", "app", key.App, "board", key.ID, "error", err)
			return v.Fallback(now, b, report, jitter), nil
		default:
			return fleet.Decision{}, err
		}
	}
	return fleet.Decision{}, fleet.ErrConflict
}

// changes reports whether anything is to be stored but that the board was seen.
func changes(b *fleet.Board, r *fleet.Report, d *fleet.Decision) bool {
	before := b.Report
	before.Free = r.Free
	return before != *r || d.Task != b.Task || b.Hidden
}

// board returns what is known of a board.
func (s *Server) board(ctx context.Context, key fleet.BoardKey) (b *fleet.Board, isNew bool, err error) {
	if b := s.boards.get(key); b != nil {
		return b, false, nil
	}
	b, err = s.store.Board(ctx, key.App, key.ID)
	if errors.Is(err, fleet.ErrNotFound) {
		return &fleet.Board{ID: key.ID}, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	s.boards.put(key, b)
	return b, false, nil
}

// bearer returns the token of a request, "" if it has none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// setPoll tells a board when to poll again, in whole seconds and at least one.
func (s *Server) setPoll(w http.ResponseWriter, after time.Duration) {
	w.Header().Set(PollHeader, strconv.FormatInt(max(1, int64(after/time.Second)), 10))
}

// statementTag returns the ETag of a release's statement.
func statementTag(r *fleet.Release) string {
	sum := sha256.Sum256(r.Signed)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// writeStatement answers with a statement, or 304 if the client has it.
func writeStatement(w http.ResponseWriter, r *http.Request, rel *fleet.Release) {
	tag := statementTag(rel)
	w.Header().Set("ETag", tag)
	for _, has := range strings.Split(r.Header.Get("If-None-Match"), ",") {
		if has = strings.TrimPrefix(strings.TrimSpace(has), "W/"); has == tag || has == "*" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	writeSigned(w, r, rel.Signed)
}

// writeSigned answers with a signed document.
func writeSigned(w http.ResponseWriter, r *http.Request, data []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // the board will poll again
	}
}

// keysetNumber returns which keyset has the path.
func keysetNumber(path string) (int64, bool) {
	rest, ok := strings.CutPrefix(path, "keys/")
	if !ok {
		return 0, false
	}
	number, ok := strings.CutSuffix(rest, ".json")
	n, err := strconv.ParseInt(number, 10, 64)
	return n, ok && err == nil && n > 0 && release.KeysetName(n) == path
}

// serveKeyset answers with a keyset of the application.
func (s *Server) serveKeyset(w http.ResponseWriter, r *http.Request, app string, n int64) {
	data, err := s.store.Keyset(r.Context(), app, n)
	if errors.Is(err, fleet.ErrNotFound) {
		writeText(w, http.StatusNotFound, "there is no such keyset")
		return
	}
	if err != nil {
		s.tell(slog.LevelError, app, "a keyset cannot be read", "app", app, "keyset", n, "error", err)
		writeText(w, http.StatusServiceUnavailable, "not now")
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=300") // signatures may still be added
	writeSigned(w, r, data)
}
