package httpapi

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// DefaultMaxConnections is how many connections a server has at most if nothing is
// said. One takes some 15 kB, with TLS some 50 kB.
const DefaultMaxConnections = 4096

// grace is how long a new connection may take to send a request, and any to take a
// piece of an answer, before it may have to make room for another one: longer than the
// TLS handshake of a small board.
const grace = 3 * time.Second

// LimitConnections returns a listener for web that has at most so many connections
// at a time. Those at which a request is answered are left alone, as long as the answer
// is taken. For one more, room is made by that which waits for its next request longest;
// else, after some grace, by that which waits for its first one longest, of the address
// that has most of these, or by that which has taken nothing longest. So boards that power up at once are served one after the other, and whoever
// opens connections and says nothing on them loses his own.
//
// Call it before web serves; it changes its Handler, ConnContext and ConnState. TLS goes
// on top of the listener.
func LimitConnections(web *http.Server, l net.Listener, most int) net.Listener {
	c := &connections{
		Listener: l, most: max(1, most),
		kept: list.New(), taking: list.New(), fresh: map[netip.Addr]*list.List{},
		changed: make(chan struct{}, 1),
	}
	web.Handler = c.watch(web.Handler)
	web.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, below(conn))
	}
	web.ConnState = func(conn net.Conn, state http.ConnState) {
		if l := below(conn); l != nil && state == http.StateIdle {
			c.rest(l)
		}
	}
	return c
}

// below returns what counts of a connection.
func below(conn net.Conn) *limitedConn {
	if layered, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = layered.NetConn()
	}
	l, _ := conn.(*limitedConn)
	return l
}

// connKey is where a request's context has its connection.
type connKey struct{}

// connections are a listener with its connections.
type connections struct {
	net.Listener
	most int

	mu      sync.Mutex
	n       int
	kept    *list.List                // of *limitedConn that wait for another request, longest first
	fresh   map[netip.Addr]*list.List // of *limitedConn that wait for their first
	taking  *list.List                // of *limitedConn that are to take a piece of an answer, longest first
	blind   bool                      // Accept waits, and does not know for whom
	closed  bool
	changed chan struct{} // Accept is to look again
}

// a limitedConn is a connection that counts.
type limitedConn struct {
	net.Conn
	of   *connections
	from netip.Addr
	// Under of.mu:
	since time.Time     // it waits
	in    *list.List    // that it waits in; nil: the server works for it, or it is closed
	at    *list.Element // of in
	ended bool
}

// Accept implements net.Listener.
func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			_ = conn.Close()
			return nil, net.ErrClosed
		}
		if c.n < c.most {
			l := &limitedConn{Conn: conn, of: c, from: peer(conn)}
			c.n++
			c.wait(l, c.freshOf(l.from))
			c.mu.Unlock()
			return l, nil
		}
		goes, wait := c.leaves(time.Now())
		c.blind = goes == nil
		c.mu.Unlock()
		if goes != nil && wait <= 0 {
			_ = goes.Close()
			continue
		}
		var due <-chan time.Time // never, if all are busy
		if goes != nil {
			due = time.After(wait)
		}
		select {
		case <-c.changed:
		case <-due:
		}
	}
}

// leaves returns which connection makes room, and in what time: nil if none does yet.
func (c *connections) leaves(now time.Time) (*limitedConn, time.Duration) {
	if front := c.kept.Front(); front != nil {
		return front.Value.(*limitedConn), 0
	}
	var most *list.List
	for _, l := range c.fresh {
		if most == nil || l.Len() > most.Len() {
			most = l
		}
	}
	// Of the one and the other, that which has waited longer.
	var goes *limitedConn
	for _, l := range []*list.List{most, c.taking} {
		if l == nil || l.Len() == 0 {
			continue
		}
		if first := l.Front().Value.(*limitedConn); goes == nil || first.since.Before(goes.since) {
			goes = first
		}
	}
	if goes == nil {
		return nil, 0
	}
	return goes, goes.since.Add(grace).Sub(now)
}

// Close implements net.Listener.
func (c *connections) Close() error {
	c.mu.Lock()
	c.closed = true
	c.tell()
	c.mu.Unlock()
	return c.Listener.Close()
}

// tell makes Accept look again, now or when it waits next.
func (c *connections) tell() {
	select {
	case c.changed <- struct{}{}:
	default: // it was told
	}
}

func (c *connections) freshOf(from netip.Addr) *list.List {
	l := c.fresh[from]
	if l == nil {
		l = list.New()
		c.fresh[from] = l
	}
	return l
}

// wait puts a connection at the end of those that wait.
func (c *connections) wait(l *limitedConn, in *list.List) {
	l.since, l.in = time.Now(), in
	l.at = in.PushBack(l)
}

// goOn takes a connection out of those that wait.
func (c *connections) goOn(l *limitedConn) {
	if l.in == nil {
		return
	}
	l.in.Remove(l.at)
	if l.in != c.kept && l.in != c.taking && l.in.Len() == 0 {
		delete(c.fresh, l.from)
	}
	l.in, l.at = nil, nil
}

// watch notes at which connections a request is answered.
func (c *connections) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l, _ := r.Context().Value(connKey{}).(*limitedConn); l != nil {
			c.mu.Lock()
			c.goOn(l)
			c.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

// rest notes that an answer was sent whole.
func (c *connections) rest(l *limitedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.in == nil && !l.ended {
		c.wait(l, c.kept)
		c.tell()
	}
}

// Write implements net.Conn.
func (l *limitedConn) Write(p []byte) (int, error) {
	c := l.of
	c.mu.Lock()
	// Of a handshake, too, pieces are written: then it waits as it did.
	answers := l.in == nil && !l.ended
	if answers {
		c.wait(l, c.taking)
		if c.blind {
			c.blind = false
			c.tell()
		}
	}
	c.mu.Unlock()
	n, err := l.Conn.Write(p)
	if answers {
		c.mu.Lock()
		if l.in == c.taking {
			c.goOn(l)
		}
		c.mu.Unlock()
	}
	return n, err
}

// Close implements net.Conn.
func (l *limitedConn) Close() error {
	err := l.Conn.Close()
	c := l.of
	c.mu.Lock()
	defer c.mu.Unlock()
	if !l.ended {
		l.ended = true
		c.goOn(l)
		c.n--
		c.tell()
	}
	return err
}

// peer returns the address that a connection comes from.
func peer(conn net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}
