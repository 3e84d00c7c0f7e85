package devserver

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// limits are how long the server waits for what. A board on a bad network is
// slow, and one that writes to flash pauses; but every wait has an end.
type limits struct {
	header time.Duration // for the head of a request
	stall  time.Duration // for the client to take the next piece of an answer
	idle   time.Duration // for the next request on a connection
	grace  time.Duration // for downloads under way when the server is stopped
}

var defaultLimits = limits{
	header: 10 * time.Second,
	stall:  30 * time.Second,
	idle:   2 * time.Minute,
	grace:  5 * time.Second,
}

// maxHeaderBytes is ample for a board, and for a browser with cookies of every
// other thing that ever ran on localhost.
const maxHeaderBytes = 32 << 10

// Serve answers the connections of a listener until ctx is done. Then it lets
// downloads that are under way go on for a few seconds, cuts them if that was
// not enough, and returns nil. It closes the listener in any case. What it
// returns otherwise is the listener's failure.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	watch := connections{server: s}
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.limits.header,
		// Only until the handler runs, which has its own way; see response.
		WriteTimeout:   s.limits.stall,
		IdleTimeout:    s.limits.idle,
		MaxHeaderBytes: maxHeaderBytes,
		ConnContext:    watch.accepted,
		ConnState:      watch.changed,
		ErrorLog:       log.New(errorLines{s}, "", 0),
		// "OPTIONS *" is answered like every other OPTIONS.
		DisableGeneralOptionsHandler: true,
	}

	stopped := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
		case <-finished:
			return
		}
		watch.closeUnused()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.grace)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			_ = server.Close()
			s.note("", "cut the downloads that were still under way")
		}
	}()
	err := server.Serve(listener)
	close(finished)
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	_ = server.Close()
	return fmt.Errorf("serve %s: %w", listener.Addr(), err)
}

// note logs something that is not a request.
func (s *Server) note(remote, text string) {
	s.log(Event{Time: s.config.Now(), Remote: remote, Note: text})
}

// connections watches for clients whose request never becomes one: net/http
// turns them away without calling the handler, so without a line in the log,
// while somebody wonders why the board gets nowhere.
type connections struct {
	server *Server
	open   sync.Map // net.Conn to *conn
}

// conn is what is known of a connection.
type conn struct {
	used       atomic.Bool // something has arrived
	unanswered atomic.Bool // a request has begun to arrive and was not handled yet
}

// connKey is where a request's context holds its *conn.
type connKey struct{}

func (c *connections) accepted(ctx context.Context, nc net.Conn) context.Context {
	state := new(conn)
	c.open.Store(nc, state)
	return context.WithValue(ctx, connKey{}, state)
}

func (c *connections) changed(nc net.Conn, state http.ConnState) {
	switch state {
	case http.StateActive:
		if v, ok := c.open.Load(nc); ok {
			v.(*conn).used.Store(true)
			v.(*conn).unanswered.Store(true)
		}
	case http.StateClosed, http.StateHijacked:
		v, ok := c.open.LoadAndDelete(nc)
		if ok && v.(*conn).unanswered.Load() {
			c.server.note(remoteHost(nc.RemoteAddr().String()),
				"sent no whole HTTP request (does its URL start with https://? only http:// is spoken here)")
		}
	}
}

// closeUnused closes the connections over which nothing came yet. Browsers keep
// such in reserve, and http.Server.Shutdown would wait for them.
func (c *connections) closeUnused() {
	c.open.Range(func(nc, state any) bool {
		if !state.(*conn).used.Load() {
			_ = nc.(net.Conn).Close()
		}
		return true
	})
}

// errorLines passes what net/http has to say on to the log.
type errorLines struct{ server *Server }

func (l errorLines) Write(p []byte) (int, error) {
	text, _, _ := strings.Cut(string(p), "\n")
	l.server.note("", printableText(text))
	return len(p), nil
}
