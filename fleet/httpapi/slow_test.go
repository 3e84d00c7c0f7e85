package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// pipes is a listener in memory, so that a server's timeouts pass in no time.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	ended chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), ended: make(chan struct{})} }

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.ended) })
	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// a pipe is one end of a connection that comes from an address.
type pipe struct {
	net.Conn
	from net.Addr
}

// RemoteAddr implements net.Conn.
func (p pipe) RemoteAddr() net.Addr { return p.from }

// dial connects from an address.
func (p *pipes) dial(from string) net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- pipe{theirs, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
	return ours
}

// serveOn serves on a listener until the test's part in f is over.
func (r *rig) serveOn(l net.Listener, f func()) {
	r.t.Helper()
	web := httpapi.NewHTTPServer(r.server.Handler(), slog.New(slog.DiscardHandler))
	ended := make(chan error)
	go func() { ended <- web.Serve(l) }()
	f()
	r.must(web.Close())
	if err := <-ended; err != http.ErrServerClosed {
		r.t.Error(err)
	}
}

// However slowly a client sends, or takes, what it asks for: it is cut off before long, and not
// while it gets on.
func TestSlowClientsAreCut(t *testing.T) {
	r := newRig(t)
	r.build(map[string]string{"main.py": strings.Repeat("# 0123456789abcdef\n", 100_000)}, r.key)
	rel, err := r.server.Publish(t.Context(), r.ada(), "badge", r.publication())
	r.must(err)
	r.give("stable", rel.Version())
	token := r.token("ada", fleet.ScopeAdmin)
	upload := []byte(strings.Repeat("# 0123456789abcdef\n", 1000))

	for name, c := range map[string]struct {
		send  string        // at once, and then a byte
		every time.Duration // at a time
		read  bool          // what comes back
		cut   time.Duration // after at most this
	}{
		"a connection":                   {"", time.Hour, true, time.Minute},
		"a head":                         {"GET /ota/badge/versions.json.sig HTTP/1.1\r\nHost: h\r\nX: ", 5 * time.Second, true, time.Minute},
		"a body for a board's request":   {"GET /ota/badge/versions.json.sig HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n", 5 * time.Second, true, time.Minute},
		"a body in chunks":               {"GET /ota/badge/versions.json.sig HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n", 5 * time.Second, true, time.Minute},
		"a body for nothing":             {"POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n", 5 * time.Second, true, time.Minute},
		"a body without a token":         {"POST /api/v1/apps HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n", 5 * time.Second, true, time.Minute},
		"a body with a token, one piece": {"POST /api/v1/apps HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nAuthorization: Bearer " + token + "\r\nContent-Length: 1000\r\n\r\n{", time.Hour, true, time.Minute},
		"a body with a token":            {"POST /api/v1/apps HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nAuthorization: Bearer " + token + "\r\nContent-Length: 1000\r\n\r\n{\"name\":\"", 5 * time.Second, true, 15 * time.Minute},
		"an upload": {"PUT /api/v1/apps/badge/blobs/" + blob.SumOf(upload).String() + " HTTP/1.1\r\nHost: h\r\nContent-Type: application/octet-stream\r\nAuthorization: Bearer " + token +
			fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n#", len(upload)), 5 * time.Second, true, 15 * time.Minute},
		"an answer that nobody takes": {"GET /ota/badge/main.py HTTP/1.1\r\nHost: h\r\n\r\n", time.Hour, false, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				r.serveOn(l, func() {
					begin := time.Now()
					conn := l.dial("192.0.2.1:1")
					gone := make(chan struct{})
					if c.read {
						go func() {
							defer close(gone)
							_, _ = io.Copy(io.Discard, conn)
						}()
					}
					_, err := io.WriteString(conn, c.send)
					for err == nil && time.Since(begin) < 3*time.Hour {
						select {
						case <-gone:
							err = io.EOF
						case <-time.After(c.every):
							_, err = conn.Write([]byte("x"))
						}
					}
					if c.read {
						_ = conn.Close()
						<-gone
					}
					if after := time.Since(begin); err == nil || c.read && after > c.cut {
						t.Errorf("after %v: %v", after, err)
					}
				})
			})
		})
	}
}

// slowBlobs are blobs that take a minute to be opened.
type slowBlobs struct{ blob.Store }

// Open implements blob.Store.
func (s slowBlobs) Open(ctx context.Context, sum blob.Sum) (io.ReadSeekCloser, int64, error) {
	select {
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	case <-time.After(time.Minute):
	}
	return s.Store.Open(ctx, sum)
}

// A client has nothing to send while the server works for it, however long that takes.
func TestSlowWorkIsDone(t *testing.T) {
	r := newRig(t)
	token := r.token("ada", fleet.ScopeAdmin)
	r.build(map[string]string{"main.py": "one\n", "lib/a.py": "two\n"}, r.key)
	p := r.publication()
	r.server = r.newServer(func(c *httpapi.Config) { c.Blobs = slowBlobs{c.Blobs} })
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		r.serveOn(l, func() {
			transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return l.dial("192.0.2.1:1"), nil }}
			defer transport.CloseIdleConnections()
			c, err := api.NewClientWithResponses("http://h"+api.Path, api.WithHTTPClient(&http.Client{Transport: transport}),
				api.WithRequestEditorFn(func(_ context.Context, req *http.Request) error {
					req.Header.Set("Authorization", "Bearer "+token)
					return nil
				}))
			r.must(err)
			got, err := c.PublishWithResponse(t.Context(), "badge", api.Publication{Statement: string(p.Statement), Manifest: string(p.Manifest), Keysets: []string{}})
			r.must(err)
			ok(t, got.StatusCode(), got.Body, nil)
		})
	})
}
