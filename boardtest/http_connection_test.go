package boardtest

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// One connection serves many requests, where the server lets it, and no answer is ever taken for
// another's.
func TestHTTPKeepAlive(t *testing.T) {
	const hello = "head 200 5 0 5 None\nbody 5 b'hello'\n"
	three := func(s *rawServer) []op {
		return []op{get(s.url("/1")), read(), get(s.url("/2")), read(), get(s.url("/3")), read()}
	}
	t.Run("one connection", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, plain("hello"), plain("hello"), plain("hello"))
		checkHTTP(t, s, hello+hello+hello, three(s)...)
		checkCount(t, s, 1, 3)
	})
	t.Run("one connection for chunks and answers without a body", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, answer("200 OK", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nX: y\r\n\r\n"),
			answer("304 Not Modified", "Content-Length: 3", ""), plain("hello"))
		checkHTTP(t, s, "head 200 None 0 None None\nbody 5 b'hello'\nhead 304 0 0 None None\nbody 0 b''\n"+hello,
			three(s)...)
		checkCount(t, s, 1, 3)
	})
	t.Run("request headers", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, plain("hello"))
		checkOutput(t, s, hello, runHTTP(t, httpOptions{agent: "saguarota/0.2 (x)"}, get(s.url("/a?b=c#d")), read()))
		r := s.asked(0)
		if r == nil {
			t.Fatal("no request")
		}
		got := fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Proto, " ", r.Host, " ", r.Header)
		want := "GET /a?b=c HTTP/1.1 " + s.addr + " map[Accept-Encoding:[identity] User-Agent:[saguarota/0.2 (x)]]"
		if got != want {
			t.Errorf("the server was asked\n%s\nwant\n%s", got, want)
		}
	})
	t.Run("a short rest is read away", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, plain(strings.Repeat("x", 1000)), plain("hello"))
		checkHTTP(t, s, "head 200 1000 0 1000 None\n"+hello, get(s.url("/1")), get(s.url("/2")), read())
		checkCount(t, s, 1, 2)
	})
	t.Run("a short rest of chunks is read away", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, answer("200 OK", "Transfer-Encoding: chunked", "a\r\n0123456789\r\n3\r\nabc\r\n0\r\n\r\n"),
			plain("hello"))
		checkHTTP(t, s, "head 200 None 0 None None\n"+hello, get(s.url("/1")), some(4), get(s.url("/2")), read())
		checkCount(t, s, 1, 2)
	})
	// In each of these the second request needs a connection of its own.
	for _, tt := range []struct {
		name   string
		first  string
		head   string // what the client says of the first answer
		reads  bool   // whether the client reads its body
		closes bool   // whether the server closes after it
	}{
		{"a long rest", plain(strings.Repeat("x", 1500)), "head 200 1500 0 1500 None", false, false},
		{"a long rest that has yet to come", answer("200 OK", "Content-Length: 1500", ""),
			"head 200 1500 0 1500 None", false, false},
		{"a long rest of chunks", answer("200 OK", "Transfer-Encoding: chunked",
			strings.Repeat("7\r\n1234567\r\n", 200)), "head 200 None 0 None None", false, false},
		{"a rest until close", answer("200 OK", "x"), "head 200 None 0 None None", false, false},
		{"a rest that is cut short", answer("200 OK", "Content-Length: 9", "x"), "head 200 9 0 9 None", false, true},
		{"a rest that does not come", answer("200 OK", "Content-Length: 9", "x"), "head 200 9 0 9 None", false, false},
		{"a rest that is malformed", answer("200 OK", "Transfer-Encoding: chunked", "what\r\n"),
			"head 200 None 0 None None", false, false},
		{"stray bytes after a body", plain("hello") + plain("stray"), "head 200 5 0 5 None\nbody 5 b'hello'", true, false},
		{"Connection: close", answer("200 OK", "Connection: Close, x", "Content-Length: 5", "hello"),
			"head 200 5 0 5 None\nbody 5 b'hello'", true, false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
			"head 200 5 0 5 None\nbody 5 b'hello'", true, false},
		{"chunked and a length", answer("200 OK", "Transfer-Encoding: chunked", "Content-Length: 5",
			"5\r\nhello\r\n0\r\n\r\n"), "head 200 None 0 None None\nbody 5 b'hello'", true, false},
		{"closed while idle", plain("hello"), "head 200 5 0 5 None\nbody 5 b'hello'", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, func(c *rawConn) {
				if c.request() == nil {
					return
				}
				if c.n > 0 {
					c.send(plain("hello"))
					c.hold()
					return
				}
				c.send(tt.first)
				if !tt.closes {
					c.hold()
				}
			})
			ops := []op{get(s.url("/1"))}
			if tt.reads {
				ops = append(ops, read())
			}
			check := checkHTTP
			if strings.Contains(tt.name, "does not come") {
				check = checkStall
			}
			check(t, s, tt.head+"\n"+hello, append(ops, get(s.url("/2")), read())...)
			checkCount(t, s, 2, 2)
		})
	}
	t.Run("closed as the next request arrives", func(t *testing.T) {
		t.Parallel()
		s := serveRaw(t, func(c *rawConn) {
			if c.request() == nil {
				return
			}
			c.send(plain("hello"))
			if c.request() != nil && c.n > 0 {
				c.send(plain("hello"))
				c.hold()
			}
		})
		// Both of its first two connections end like this, but only the second request is repeated.
		checkHTTP(t, s, hello+hello+hello, three(s)...)
		checkCount(t, s, 2, 4)
	})
	t.Run("reset as the next request arrives", func(t *testing.T) {
		t.Parallel()
		s := serveRaw(t, func(c *rawConn) {
			if c.request() == nil {
				return
			}
			c.send(plain("hello"))
			if c.n == 0 {
				c.r.ReadByte() // the rest stays unread, so that the kernel resets the connection
				c.reset()
				return
			}
			c.hold()
		})
		checkHTTP(t, s, hello+hello, get(s.url("/1")), read(), get(s.url("/2")), read())
		if conns, _ := s.count(); conns != 2 {
			t.Errorf("%d connections, want 2", conns)
		}
	})
	t.Run("closed after one byte of the next answer", func(t *testing.T) {
		t.Parallel()
		s := serveRaw(t, func(c *rawConn) {
			if c.request() != nil && c.send(plain("hello")) && c.request() != nil {
				c.send("H")
			}
		})
		checkHTTP(t, s, hello+closedEarly, get(s.url("/1")), read(), get(s.url("/2")))
		checkCount(t, s, 1, 2)
	})
	t.Run("silent on a connection that was kept", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, plain("hello"))
		checkStall(t, s, hello+"error 0 no answer from HOST within 1 s (answer)",
			get(s.url("/1")), read(), get(s.url("/2")))
		if conns, _ := s.count(); conns != 1 {
			t.Errorf("%d connections, want 1: what took too long is not to be tried again", conns)
		}
	})
	t.Run("every connection is closed unanswered", func(t *testing.T) {
		t.Parallel()
		s := serveRaw(t, func(c *rawConn) { c.request() })
		checkHTTP(t, s, closedEarly+"\n"+closedEarly, get(s.url("/1")), get(s.url("/2")))
		checkCount(t, s, 2, 2)
	})
	t.Run("every connection is reset", func(t *testing.T) {
		t.Parallel()
		s := serveRaw(t, func(c *rawConn) {
			c.request()
			c.reset()
		})
		checkHTTP(t, s, closedEarly, get(s.url("/1")))
		checkCount(t, s, 1, 1)
	})
	t.Run("usable after close", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, plain("hello"))
		checkHTTP(t, s, hello+"head 200 5 0 5 None\nbody 0 b''\nerror 0 no body\n"+hello,
			get(s.url("/1")), read(), op{"close"}, op{"close"},
			get(s.url("/2")), op{"close"}, read(), get(s.url("/3")), read())
		checkCount(t, s, 3, 3)
	})
	t.Run("a name's case does not matter", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, plain("hello"), plain("hello"))
		_, port, _ := net.SplitHostPort(s.addr)
		checkHTTP(t, s, hello+hello, get("http://LocalHost:"+port+"/1"), read(), get("http://localhost:"+port+"/2"), read())
		checkCount(t, s, 1, 2)
	})
	t.Run("an end stays an end", func(t *testing.T) {
		t.Parallel()
		s := serveAnswer(t, answer("200 OK", "hello"))
		checkHTTP(t, s, "head 200 None 0 None None\nbody 5 b'hello'\nbody 0 b''",
			get(s.url("/")), read(), op{"close"}, read())
	})
	t.Run("another server needs another connection", func(t *testing.T) {
		t.Parallel()
		a, b := serveAnswers(t, plain("hello")), serveAnswers(t, plain("hello"))
		checkHTTP(t, a, hello+hello, get(a.url("/1")), read(), get(b.url("/2")), read())
		checkCount(t, a, 1, 1)
		checkCount(t, b, 1, 1)
	})
}

// What takes too long is given up, whatever the server is up to.
func TestHTTPTimeout(t *testing.T) {
	t.Run("connecting", func(t *testing.T) {
		t.Parallel()
		s := &rawServer{addr: fullListener(t)}
		checkStall(t, s, "error 0 no answer from HOST within 1 s (connecting)", get(s.url("/")))
	})
	t.Run("never accepted", func(t *testing.T) {
		t.Parallel()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		s := &rawServer{addr: ln.Addr().String()}
		checkStall(t, s, "error 0 no answer from HOST within 1 s (answer)", get(s.url("/")))
	})
	t.Run("fraction of a second", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, plain("hello"))
		checkOutput(t, s, "head 200 5 0 5 None\nbody 5 b'hello'\nerror 0 no answer from HOST within 0.99 s (answer)",
			runHTTP(t, httpOptions{timeout: 0.99}, get(s.url("/1")), read(), get(s.url("/2"))))
	})
	t.Run("no time at all", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, plain("hello"))
		checkOutput(t, s, "error 0 no answer from HOST within 0 s (connecting)",
			runHTTP(t, httpOptions{timeout: 0}, get(s.url("/"))))
	})
	t.Run("no limit", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, plain("hello"), plain("world"))
		checkOutput(t, s, "head 200 5 0 5 None\nbody 5 b'hello'\nhead 200 5 0 5 None\nbody 5 b'world'",
			runHTTP(t, httpOptions{timeout: noTimeout{}}, get(s.url("/1")), read(), get(s.url("/2")), read()))
	})
	const head = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct{ name, answer, want string }{
		{"in the status line", "HTTP/1", "error 0 no answer from HOST within 1 s (answer)"},
		{"in a header", head + "Content-Len", "error 200 no answer from HOST within 1 s (answer)"},
		{"after an informational answer", "HTTP/1.1 100 Continue\r\n\r\n",
			"error 100 no answer from HOST within 1 s (answer)"},
		{"in a body of known length", head + "Content-Length: 9\r\n\r\nhello",
			"head 200 9 0 9 None\nbody 5 b'hello'\nerror 200 no answer from HOST within 1 s (body)"},
		{"in a body until close", head + "\r\nhello",
			"head 200 None 0 None None\nbody 5 b'hello'\nerror 200 no answer from HOST within 1 s (body)"},
		{"in a chunk's size", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1",
			"head 200 None 0 None None\nbody 5 b'hello'\nerror 200 no answer from HOST within 1 s (body)"},
		{"in a chunk", head + "Transfer-Encoding: chunked\r\n\r\n9\r\nhello",
			"head 200 None 0 None None\nbody 5 b'hello'\nerror 200 no answer from HOST within 1 s (body)"},
		{"in the trailers", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
			"head 200 None 0 None None\nbody 5 b'hello'\nerror 200 no answer from HOST within 1 s (body)"},
	} {
		t.Run("stalled "+tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveAnswers(t, tt.answer)
			ops := []op{get(s.url("/"))}
			if strings.HasPrefix(tt.want, "head") {
				ops = append(ops, read())
			}
			checkStall(t, s, tt.want, ops...)
		})
	}
	// A byte now and then keeps every single read from timing out; the limit holds all the same.
	for _, tt := range []struct{ name, first, want string }{
		{"header", head + "X: ", "error 200 no answer from HOST within 1 s (answer)"},
		{"chunk's size", head + "Transfer-Encoding: chunked\r\n\r\n1;",
			"head 200 None 0 None None\nbody 0 b''\nerror 200 no answer from HOST within 1 s (body)"},
	} {
		t.Run("dripping "+tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, func(c *rawConn) {
				if c.request() == nil || !c.send(tt.first) {
					return
				}
				tick := time.NewTicker(100 * time.Millisecond)
				defer tick.Stop()
				for range tick.C {
					if !c.send("x") {
						return
					}
				}
			})
			ops := []op{get(s.url("/"))}
			if strings.HasPrefix(tt.want, "head") {
				ops = append(ops, read())
			}
			checkStall(t, s, tt.want, ops...)
		})
	}
	t.Run("a dripping body is handed over as it comes", func(t *testing.T) {
		t.Parallel()
		more := make(chan bool)
		s := serveRaw(t, func(c *rawConn) {
			if c.request() == nil {
				return
			}
			c.send(answer("200 OK", "he"))
			// The next byte comes only when the client has acted on the first ones.
			<-more
			c.send("llo")
		})
		gate := serveRaw(t, func(c *rawConn) {
			if c.request() != nil {
				close(more)
				c.send(plain(""))
			}
		})
		got := runHTTPScript(t, "128K", "", "http_drip.py", s.url("/"), gate.url("/"))
		checkOutput(t, s, "b'he' b'llo'", got)
	})
}

// Hosts that cannot be reached.
func TestHTTPUnreachable(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &rawServer{addr: ln.Addr().String()}
		ln.Close()
		checkHTTP(t, s, "error 0 connection refused by HOST (connecting)", get(s.url("/")))
	})
	t.Run("unknown name", func(t *testing.T) {
		t.Parallel()
		// A label of 64 letters cannot exist, so no resolver needs to be asked.
		host := strings.Repeat("a", 64) + ".invalid"
		checkHTTP(t, &rawServer{addr: "no server"}, "error 0 cannot find host "+host, get("http://"+host+"/"))
	})
}

// IPv6 addresses, whether or not this machine's loopback has one.
func TestHTTPIPv6(t *testing.T) {
	ln, err := net.Listen("tcp", "[::1]:0")
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		got := runHTTP(t, httpOptions{}, get("http://[::1]:8000/"))
		if !strings.HasPrefix(got, "error 0 ") || !strings.Contains(got, "[::1]:8000") {
			t.Errorf("without IPv6 the client said %q", got)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	s := serveRawOn(t, "[::1]:0", nil, func(c *rawConn) {
		for c.request() != nil {
			c.send(plain("hello"))
		}
	})
	checkHTTP(t, s, "head 200 5 0 5 None\nbody 5 b'hello'", get(s.url("/")), read())
	if r := s.asked(0); r == nil || r.Host != s.addr {
		t.Errorf("the server was asked %+v, want the host %s", r, s.addr)
	}
}
