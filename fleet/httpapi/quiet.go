package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// linesPerMinute is how many lines of one kind are logged a minute, for each
// application, of what anybody can bring about as often as he likes.
const linesPerMinute = 20

// tell logs what a stranger may have brought about, if there were not too many lines
// of the kind lately. app may be "".
func (s *Server) tell(level slog.Level, app, text string, args ...any) {
	if s.lines.take(limitKey{app: app, id: text}, s.now()) == 0 {
		s.log.Log(context.Background(), level, text, args...)
	}
}

// readyFor is how long it is believed that a server works.
const readyFor = time.Second

// readiness is what was found out last about whether a server works.
type readiness struct {
	asked atomic.Int64 // how often it was found out

	mu  sync.Mutex
	at  time.Time
	err error
}

// ready reports whether the server can do all of its work. However many ask, it is
// found out once at a time; that all is well is believed for a moment.
func (s *Server) ready(ctx context.Context) error {
	r := &s.readiness
	before := r.asked.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	now := s.now()
	age := now.Sub(r.at)
	if n := r.asked.Load(); n != before || n > 0 && r.err == nil && age >= 0 && age < readyFor {
		return r.err
	}
	// Others wait for this, too, whoever asked first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	r.at, r.err = now, errors.Join(s.store.Ping(ctx), s.blobs.Ping(ctx))
	r.asked.Add(1)
	if r.err != nil {
		s.tell(slog.LevelError, "", "not ready", "error", r.err)
	}
	return r.err
}

// serveReady tells a load balancer whether this server can do all of its work.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	if s.ready(r.Context()) != nil {
		writeText(w, http.StatusServiceUnavailable, "not ready; the log of this server says why")
		return
	}
	writeText(w, http.StatusOK, "ok")
}
