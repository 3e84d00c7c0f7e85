package boardtest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A rawServer is a server that says exactly what a test tells it to, byte for byte, which no
// well-behaved server library would do. It listens on a loopback port.
type rawServer struct {
	addr string // host:port

	mu       sync.Mutex
	conns    int
	requests []*http.Request
	open     map[net.Conn]bool
	closed   bool
}

// A rawConn is a connection to a rawServer.
type rawConn struct {
	net.Conn
	n int // which connection to the server this is, from 0
	r *bufio.Reader
	s *rawServer
}

// serveRaw starts a server that calls handle for each connection, and closes the connection when
// handle returns. The server stops when the test ends.
func serveRaw(t *testing.T, handle func(c *rawConn)) *rawServer {
	t.Helper()
	return serveRawOn(t, "127.0.0.1:0", nil, handle)
}

// serveRawOn is like serveRaw, for the given listening address and over TLS unless config is nil.
func serveRawOn(t *testing.T, address string, config *tls.Config, handle func(c *rawConn)) *rawServer {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{addr: ln.Addr().String(), open: make(map[net.Conn]bool)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			n := s.add(nc)
			if n < 0 {
				nc.Close()
				return
			}
			wg.Go(func() {
				defer s.remove(nc)
				c := &rawConn{Conn: nc, n: n, r: bufio.NewReader(nc), s: s}
				if config != nil {
					c.Conn = tls.Server(nc, config)
					c.r = bufio.NewReader(c.Conn)
				}
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		s.shut()
		wg.Wait()
	})
	return s
}

// serveAnswer starts a server that answers each connection's first request with the given bytes
// and closes the connection.
func serveAnswer(t *testing.T, answer string) *rawServer {
	t.Helper()
	return serveRaw(t, func(c *rawConn) {
		if c.request() != nil {
			c.send(answer)
		}
	})
}

// serveAnswers starts a server that answers a connection's requests with the given bytes, one
// after the other, and then waits for the client to hang up.
func serveAnswers(t *testing.T, answers ...string) *rawServer {
	t.Helper()
	return serveRaw(t, func(c *rawConn) {
		for _, a := range answers {
			if c.request() == nil {
				return
			}
			c.send(a)
		}
		c.hold()
	})
}

// serveUntilGone starts a server that answers a request with first, and then sends again for as
// long as the client takes it.
func serveUntilGone(t *testing.T, first, again string) *rawServer {
	t.Helper()
	return serveRaw(t, func(c *rawConn) {
		if c.request() == nil || !c.send(first) {
			return
		}
		for c.send(again) {
		}
	})
}

func (s *rawServer) add(c net.Conn) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return -1
	}
	s.open[c] = true
	s.conns++
	return s.conns - 1
}

func (s *rawServer) remove(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

func (s *rawServer) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.open {
		c.Close()
	}
}

// url returns the URL of a path on the server.
func (s *rawServer) url(path string) string { return "http://" + s.addr + path }

// count returns how many connections the server has had so far, and how many whole requests.
func (s *rawServer) count() (conns, requests int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns, len(s.requests)
}

// asked returns the i-th request. It is nil if there were fewer.
func (s *rawServer) asked(i int) *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i >= len(s.requests) {
		return nil
	}
	return s.requests[i]
}

// paths returns the targets of all requests, separated by blanks.
func (s *rawServer) paths() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var p []string
	for _, r := range s.requests {
		p = append(p, r.RequestURI)
	}
	return strings.Join(p, " ")
}

// request waits for a request and returns it, or nil when the client has gone.
func (c *rawConn) request() *http.Request {
	r, err := http.ReadRequest(c.r)
	if err != nil {
		return nil
	}
	c.s.mu.Lock()
	c.s.requests = append(c.s.requests, r)
	c.s.mu.Unlock()
	return r
}

// send sends data and reports whether the connection took it.
func (c *rawConn) send(data string) bool {
	_, err := c.Write([]byte(data))
	return err == nil
}

// hold keeps the connection open, and says nothing, until the client hangs up.
func (c *rawConn) hold() {
	for {
		if _, err := c.r.ReadByte(); err != nil {
			return
		}
	}
}

// reset makes the connection end with a TCP reset instead of an orderly close.
func (c *rawConn) reset() { c.Conn.(*net.TCPConn).SetLinger(0) }

// answer builds an HTTP/1.1 answer: a status line's end, header lines, a body.
func answer(status string, headers ...string) string {
	body := headers[len(headers)-1]
	s := "HTTP/1.1 " + status + "\r\n"
	for _, h := range headers[:len(headers)-1] {
		s += h + "\r\n"
	}
	return s + "\r\n" + body
}

// plain is an answer with a body of known length, after which the connection can be used again.
func plain(body string) string {
	return answer("200 OK", "Content-Length: "+itoa(len(body)), body)
}

// fullListener returns the address of a socket that no further connection can be made to: it
// listens, but its queue of connections to be accepted is full, so that a client waits in connect.
func fullListener(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := "127.0.0.1:" + itoa(sa.(*syscall.SockaddrInet4).Port)
	for range 16 {
		c, err := net.DialTimeout("tcp", addr, 300*time.Millisecond)
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			return addr
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue of a listening socket does not fill up")
	return ""
}
