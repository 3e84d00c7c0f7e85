// Package httpapi speaks HTTP for a fleet: to boards, below /ota/, and to people and
// their programs, below /api/.
//
// A Server keeps in memory what decisions depend on (a fleet.Snapshot, read again
// every second) and the boards that polled last; all else is in the store and the
// blobs. So any number of servers can do the same work, and none has to stay.
package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/internal/packcache"
)

// Config is what a Server works with.
type Config struct {
	Store fleet.Store
	Blobs blob.Store

	Now    func() time.Time // usually time.Now
	Jitter func() float64   // a random number from 0 up to 1: usually rand.Float64
	Log    *slog.Logger

	// MaxBoards is how many boards are kept in memory at most: 0 for
	// DefaultMaxBoards. A board that is not costs a query.
	MaxBoards int

	// MaxPackInput is of how many bytes a pack is made at most: 0 for
	// DefaultMaxPackInput. Of more there is none, and boards fetch files.
	MaxPackInput int64
	// MaxConnections is how many connections the server has at most: 0 for
	// DefaultMaxConnections. A part of them may wait for packs.
	MaxConnections int

	Limits Limits
	// Proxies are the addresses of proxies before the server. What they say in
	// X-Forwarded-For is who asks.
	Proxies []netip.Prefix

	// WebhooksLocal lets webhooks lead to the server's own machine and link.
	WebhooksLocal bool
	// Interfaces returns the addresses of the server's machine, to which webhooks may not
	// lead otherwise: nil for net.InterfaceAddrs.
	Interfaces func() ([]net.Addr, error)
}

// DefaultMaxBoards is how many boards are kept in memory if nothing is said: some 200 MB.
const DefaultMaxBoards = 1_000_000

// A Server answers requests. Its methods are safe for concurrent use.
type Server struct {
	store  fleet.Store
	blobs  blob.Store
	now    func() time.Time
	jitter func() float64
	log    *slog.Logger

	snapshot  atomic.Pointer[fleet.Snapshot]
	boards    *boardCache
	manifests *manifestCache
	contents  *contentCache
	packs     *packcache.Cache
	limits    limits
	lines     *limiter // of the log: see tell
	readiness readiness
	proxies   []netip.Prefix
	metrics   *metrics
	handler   http.Handler

	webhooksLocal bool
	interfaces    func() ([]net.Addr, error)

	pages  http.Handler // for people; nil: none
	polled atomic.Int64
}

// New returns a Server that knows what is in the store now.
func New(ctx context.Context, c Config) (*Server, error) {
	if c.MaxBoards == 0 {
		c.MaxBoards = DefaultMaxBoards
	}
	c.MaxPackInput = cmp.Or(c.MaxPackInput, DefaultMaxPackInput)
	c.MaxConnections = cmp.Or(c.MaxConnections, DefaultMaxConnections)
	s := &Server{
		store: c.Store, blobs: c.Blobs, now: c.Now, jitter: c.Jitter, log: c.Log,
		boards:    newBoardCache(c.MaxBoards),
		manifests: newManifestCache(),
		contents:  newContentCache(),
		limits:    newLimits(c.Limits),
		lines:     newLimiter(linesPerMinute),
		proxies:   c.Proxies,

		webhooksLocal: c.WebhooksLocal,
		interfaces:    c.Interfaces,
	}
	if s.interfaces == nil {
		s.interfaces = net.InterfaceAddrs
	}
	s.metrics = newMetrics(rolloutCollector{s})
	s.log = slog.New(countedErrors{c.Log.Handler(), s.metrics.errors})
	s.packs = packcache.New(packConfig(&c), s.packed)
	if err := s.Refresh(ctx); err != nil {
		return nil, err
	}
	var err error
	s.handler, err = s.newHandler()
	return s, err
}

// Refresh reads what has changed in the store since it was called last.
func (s *Server) Refresh(ctx context.Context) error {
	before := s.snapshot.Load()
	next, err := s.store.Snapshot(ctx, before)
	if err != nil {
		return err
	}
	if next == before {
		return nil
	}
	// In this order: a board that is read between the two is read again.
	s.snapshot.Store(next)
	if next.All {
		s.boards.clear()
	}
	for _, key := range next.Changed {
		s.boards.remove(key)
	}
	return nil
}

// refreshEvery is how old what a Server knows can be. Whether a board may begin is
// judged by the store, so nothing depends on it but how soon good news arrives.
const refreshEvery = time.Second

// Run refreshes, and advances rollouts, until ctx ends. Errors are logged: the
// database may be gone, and come back.
func (s *Server) Run(ctx context.Context) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.step(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("the fleet does not advance", "error", err)
		}
	}
}

func (s *Server) step(ctx context.Context) error {
	changed, err := s.store.Advance(ctx, s.now())
	for _, r := range changed {
		level := slog.LevelInfo
		if r.State == fleet.Halted {
			level = slog.LevelWarn
		}
		s.log.Log(ctx, level, "rollout", "id", r.ID, "app", r.App, "channel", r.Channel, "version", r.Version,
			"state", r.State, "share", r.Share().String(), "reason", r.Reason)
	}
	return errors.Join(err, s.Refresh(ctx))
}

// Handler returns what answers requests.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) newHandler() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ota/{app}/{path...}", s.serveBoard)
	mux.HandleFunc("GET /release/{app}/{id}/{path...}", s.serveRelease)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.serveReady)
	mux.HandleFunc("GET /metrics", s.serveMetrics)
	mux.HandleFunc("GET /{$}", s.servePages)
	mux.HandleFunc(PagesPath, s.servePages)
	return secure(s.limitAddress(mux)), s.handleAdmin(mux)
}

// view returns the view of an application, nil if there is none.
func (s *Server) view(app string) *fleet.View { return s.snapshot.Load().Views[app] }

// drain is how long a client has to send a body that nobody wants, so that the next
// request can come over the same connection.
const drain = time.Second

// secure puts on every answer the header that all of them carry, and waits for no body.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.ContentLength != 0 {
			// Calls that want it give it more time.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drain))
		}
		next.ServeHTTP(w, r)
	})
}

// writeText answers with one line.
func writeText(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}

// Timeouts of a server that speaks to boards on slow lines and to people who mean
// it no good.
const (
	headerTimeout = 10 * time.Second // for the head of a request
	idleTimeout   = 75 * time.Second // between two requests on a connection
	maxHeader     = 8 << 10
)

// NewHTTPServer returns a server for the handler with limits on what a client can
// take up. Long answers and bodies get more time as they get on: see patientWriter
// and patientReader.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       patience, // with the body, which gets more time where it is wanted
		WriteTimeout:      patience,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong
	}
}
