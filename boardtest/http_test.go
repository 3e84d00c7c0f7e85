// The board's HTTP client against servers that misbehave, on real sockets and real MicroPython.
package boardtest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// An op is one step of scripts/http_ops.py.
type op = []any

func get(url string) op                  { return op{"get", url} }
func getFrom(url string, start int) op   { return op{"get", url, start} }
func getIf(url string, at int, e any) op { return op{"get", url, at, e} }
func read() op                           { return op{"read", 512} }
func readBy(n int) op                    { return op{"read", n} }
func some(n int) op                      { return op{"some", n} }

// httpOptions are what scripts/http_ops.py gives the client.
type httpOptions struct {
	timeout any    // seconds; long enough for the slowest machine when nil, None when it is noTimeout
	agent   string // the client's own when empty
	ca      []byte // none when nil
	derOnly bool   // on a build of MicroPython whose TLS does not take PEM
}

type noTimeout struct{}

// runHTTP performs ops on one client on MicroPython and returns what the script printed.
func runHTTP(t *testing.T, o httpOptions, ops ...op) string {
	t.Helper()
	options := map[string]any{"timeout_s": 30}
	switch o.timeout {
	case nil:
	case noTimeout{}:
		options["timeout_s"] = nil
	default:
		options["timeout_s"] = o.timeout
	}
	if o.agent != "" {
		options["user_agent"] = o.agent
	}
	if o.ca != nil {
		options["ca"] = base64.StdEncoding.EncodeToString(o.ca)
	}
	job, err := json.Marshal(map[string]any{"options": options, "ops": ops, "der_only": o.derOnly})
	if err != nil {
		t.Fatal(err)
	}
	return runHTTPScript(t, "128K", string(job), "http_ops.py")
}

// checkHTTP performs ops and compares what the script printed with want, in which HOST stands for
// the server's host:port.
func checkHTTP(t *testing.T, s *rawServer, want string, ops ...op) {
	t.Helper()
	checkOutput(t, s, want, runHTTP(t, httpOptions{}, ops...))
}

// checkStall is checkHTTP for a server that falls silent, with a time limit of 1 s.
func checkStall(t *testing.T, s *rawServer, want string, ops ...op) {
	t.Helper()
	checkOutput(t, s, want, runHTTP(t, httpOptions{timeout: 1}, ops...))
}

func checkOutput(t *testing.T, s *rawServer, want, got string) {
	t.Helper()
	got = strings.TrimSpace(strings.ReplaceAll(got, s.addr, "HOST"))
	if want = strings.TrimSpace(want); got != want {
		t.Errorf("the client said\n%s\nwant\n%s", got, want)
	}
}

// checkCount checks how many connections and requests the server has seen.
func checkCount(t *testing.T, s *rawServer, conns, requests int) {
	t.Helper()
	if c, r := s.count(); c != conns || r != requests {
		t.Errorf("the server saw %d connections and %d requests, want %d and %d", c, r, conns, requests)
	}
}

const closedEarly = "error 0 HOST closed the connection (answer)"

// Answers that are in order, each the only one on its connection.
func TestHTTPGood(t *testing.T) {
	for _, tt := range []struct{ name, answer, want string }{
		{"length", answer("200 OK", "Content-Length: 5", `ETag: "x-1"`, "hello"),
			"head 200 5 0 5 \"x-1\"\nbody 5 b'hello'"},
		{"body until close", answer("200 OK", "hello"), "head 200 None 0 None None\nbody 5 b'hello'"},
		{"empty body until close", answer("200 OK", ""), "head 200 None 0 None None\nbody 0 b''"},
		{"Python's http.server", "HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6 Python/3.12.1\r\n" +
			"Date: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Type: application/json\r\n\r\n{}",
			"head 200 None 0 None None\nbody 2 b'{}'"},
		{"chunks", answer("200 OK", "Transfer-Encoding: chunked", "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
			"head 200 None 0 None None\nbody 5 b'hello'"},
		{"chunk extensions, trailers and large digits", answer("200 OK", "Transfer-Encoding: Chunked",
			"3;a=b;c=\"d\"\r\nhel\r\n00A ; e\r\nlo, boards\r\n000\r\nChecksum: 1\r\nMore: 2\r\n\r\n"),
			"head 200 None 0 None None\nbody 13 b'hello, boards'"},
		{"chunked and a length: chunked wins", answer("200 OK", "Content-Length: 3",
			"Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
			"head 200 None 0 None None\nbody 5 b'hello'"},
		{"informational answers first", "HTTP/1.1 100 Continue\r\n\r\n" +
			"HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n" + plain("hello"),
			"head 200 5 0 5 None\nbody 5 b'hello'"},
		{"204", answer("204 No Content", "Content-Length: 9", ""), "head 204 0 0 None None\nbody 0 b''"},
		{"304", answer("304 Not Modified", "Content-Length: 9", `ETag: "x"`, ""),
			"head 304 0 0 None \"x\"\nbody 0 b''"},
		{"no body", answer("200 OK", "Content-Length: 0", ""), "head 200 0 0 0 None\nbody 0 b''"},
		{"404", answer("404 Not Found", "Content-Length: 4", "gone"), "head 404 4 0 None None\nbody 4 b'gone'"},
		{"500", answer("500 Oh no", "oops"), "head 500 None 0 None None\nbody 4 b'oops'"},
		{"same length twice", answer("200 OK", "Content-Length: 5", "content-length:5", "hello"),
			"head 200 5 0 5 None\nbody 5 b'hello'"},
		{"bare newlines, odd case, no blanks", "HTTP/1.1 200\nCONTENT-length:5\nEtaG:\"e\"\n\nhello",
			"head 200 5 0 5 \"e\"\nbody 5 b'hello'"},
		{"Latin-1 text", "HTTP/1.1 200 tr\xe8s bien\r\nServer: caf\xe9\r\nContent-Length: 5\r\n\r\nhello",
			"head 200 5 0 5 None\nbody 5 b'hello'"},
		{"identity encoding", answer("200 OK", "Content-Encoding: Identity", "Content-Length: 5", "hello"),
			"head 200 5 0 5 None\nbody 5 b'hello'"},
		{"weak ETag", answer("200 OK", "Content-Length: 5", `ETag: W/"x"`, "hello"),
			"head 200 5 0 5 W/\"x\"\nbody 5 b'hello'"},
		{"ETag unfit to be sent back", answer("200 OK", "Content-Length: 5", "ETag: \"x\r\x01y\"", "hello"),
			"head 200 5 0 5 None\nbody 5 b'hello'"},
		{"longest line", answer("200 OK", "X: "+strings.Repeat("x", 1019), "Content-Length: 5", "hello"),
			"head 200 5 0 5 None\nbody 5 b'hello'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveAnswer(t, tt.answer)
			checkHTTP(t, s, tt.want, get(s.url("/")), read())
			checkCount(t, s, 1, 1)
		})
		// However the network cuts an answer, it means the same.
		t.Run(tt.name+", byte by byte", func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, func(c *rawConn) {
				if c.request() == nil {
					return
				}
				for i := range len(tt.answer) {
					c.send(tt.answer[i : i+1])
				}
			})
			checkHTTP(t, s, tt.want, get(s.url("/")), readBy(3))
		})
	}
}

// Answers that cannot be made sense of.
func TestHTTPBadAnswer(t *testing.T) {
	const (
		bad     = "error 0 bad answer from HOST: "
		bad200  = "error 200 bad answer from HOST: "
		chunked = "Transfer-Encoding: chunked"
	)
	for _, tt := range []struct{ name, answer, want string }{
		{"nothing", "", closedEarly},
		{"half a status line", "HTTP/1.1 200", closedEarly},
		{"end inside the headers", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
			"error 200 HOST closed the connection (answer)"},
		{"garbage", "\x16\x03\x01\x00\xff\xfe\r\n\r\n", bad + "not HTTP"},
		{"HTML without a header", "<html><body>Log in</body></html>\n", bad + "not HTTP"},
		{"another protocol", "220 mail.example ESMTP\r\n", bad + "not HTTP"},
		{"another protocol much like it", "RTSP/1.0 200 OK\r\n\r\n", bad + "not HTTP"},
		{"HTTP/2", "HTTP/2 200\r\n\r\n", bad + "not HTTP"},
		{"status of two digits", "HTTP/1.1 20 OK\r\n\r\n", bad + "not HTTP"},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", bad + "not HTTP"},
		{"negative status", "HTTP/1.1 -200 OK\r\n\r\n", bad + "not HTTP"},
		{"status 999", "HTTP/1.1 999 OK\r\n\r\n", bad + "not HTTP"},
		{"blank line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", bad + "not HTTP"},
		{"negative length", answer("200 OK", "Content-Length: -5", "hello"), bad200 + "bad length"},
		{"signed length", answer("200 OK", "Content-Length: +5", "hello"), bad200 + "bad length"},
		{"hexadecimal length", answer("200 OK", "Content-Length: 0x5", "hello"), bad200 + "bad length"},
		{"length with an underscore", answer("200 OK", "Content-Length: 1_0", "hello"), bad200 + "bad length"},
		{"list of lengths", answer("200 OK", "Content-Length: 5, 5", "hello"), bad200 + "bad length"},
		{"no length", answer("200 OK", "Content-Length:", "hello"), bad200 + "bad length"},
		{"huge length", answer("200 OK", "Content-Length: 18446744073709551621", "hello"), bad200 + "bad length"},
		{"two lengths", answer("200 OK", "Content-Length: 5", "Content-Length: 6", "hello"), bad200 + "bad length"},
		{"compressed", answer("200 OK", "Content-Encoding: gzip", "x"), bad200 + "encoding"},
		{"compressed error page", answer("404 No", "Content-Encoding: br", "x"),
			"error 404 bad answer from HOST: encoding"},
		{"compressed transfer", answer("200 OK", "Transfer-Encoding: gzip, chunked", "x"), bad200 + "encoding"},
		{"chunked twice", answer("200 OK", chunked, chunked, "0\r\n\r\n"), bad200 + "encoding"},
		{"header without a colon", answer("200 OK", "Content-Length 5", "hello"), bad200 + "bad header"},
		{"header without a name", answer("200 OK", ": 5", "hello"), bad200 + "bad header"},
		{"blank before the colon", answer("200 OK", "Content-Length : 5", "hello"), bad200 + "bad header"},
		{"folded header", answer("200 OK", "X: a", "\tContent-Length: 5", "hello"), bad200 + "bad header"},
		{"line one byte too long", answer("200 OK", "X: "+strings.Repeat("x", 1020), ""), bad200 + "long line"},
		{"headers of 9 kB", answer("200 OK", strings.Repeat("X: "+strings.Repeat("x", 90)+"\r\n", 94), ""),
			bad200 + "headers"},
		{"unasked part", answer("206 Partial Content", "Content-Range: bytes 0-4/9", "hello"),
			"error 206 bad answer from HOST: bad range"},
		{"switched protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nxxx\r\n",
			"error 101 bad answer from HOST: not HTTP"},

		{"body cut short", answer("200 OK", "Content-Length: 50", "hello"),
			"head 200 50 0 50 None\nbody 5 b'hello'\n" + bad200 + "cut short"},
		{"body missing", answer("200 OK", "Content-Length: 50", ""),
			"head 200 50 0 50 None\nbody 0 b''\n" + bad200 + "cut short"},
		{"HTTP/1.0 body cut short", "HTTP/1.0 200 OK\r\nContent-Length: 50\r\n\r\nhello",
			"head 200 50 0 50 None\nbody 5 b'hello'\n" + bad200 + "cut short"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveAnswer(t, tt.answer)
			want := tt.want
			ops := []op{get(s.url("/"))}
			if strings.HasPrefix(want, "head") {
				ops = append(ops, read())
			}
			// What failed once stays failed: no end of the body may be reported after it.
			want += "\nbody 0 b''\nerror 0 no body"
			checkHTTP(t, s, want, append(ops, read())...)
			checkCount(t, s, 1, 1)
		})
	}
	for _, tt := range []struct{ name, body, want string }{
		{"nothing", "", "HOST closed the connection (body)"},
		{"cut short in a chunk's size", "5\r\nhello\r\n1", "HOST closed the connection (body)"},
		{"cut short in a chunk", "10\r\nhello", "bad answer from HOST: cut short"},
		{"cut short after a chunk's data", "5\r\nhello", "HOST closed the connection (body)"},
		{"cut short between chunks", "5\r\nhello\r\n", "HOST closed the connection (body)"},
		{"cut short before the trailers' end", "5\r\nhello\r\n0\r\n", "HOST closed the connection (body)"},
		{"cut short in the trailers", "5\r\nhello\r\n0\r\nX: y", "HOST closed the connection (body)"},
		{"data longer than its chunk", "5\r\nhello!\r\n0\r\n\r\n", "bad answer from HOST: bad chunk"},
		{"huge size", "5\r\nhello\r\nFFFFFFFFFFFFFFFF\r\n", "bad answer from HOST: bad chunk"},
		{"size that wraps around 32 bits", "5\r\nhello\r\n100000005\r\n", "bad answer from HOST: bad chunk"},
		{"negative size", "5\r\nhello\r\n-1\r\nx\r\n", "bad answer from HOST: bad chunk"},
		{"signed size", "5\r\nhello\r\n+1\r\nx\r\n", "bad answer from HOST: bad chunk"},
		{"prefixed size", "5\r\nhello\r\n0x1\r\nx\r\n", "bad answer from HOST: bad chunk"},
		{"underscored size", "5\r\nhello\r\n0_1\r\nx\r\n", "bad answer from HOST: bad chunk"},
		{"no size", "5\r\nhello\r\n\r\n", "bad answer from HOST: bad chunk"},
		{"extension only", "5\r\nhello\r\n;x\r\n", "bad answer from HOST: bad chunk"},
		{"not chunked at all", "<html>\n", "bad answer from HOST: bad chunk"},
		{"extension of 2 kB", "5\r\nhello\r\n1;" + strings.Repeat("x", 2048) + "\r\nx\r\n",
			"bad answer from HOST: long line"},
		{"trailers of 9 kB", "5\r\nhello\r\n0\r\n" + strings.Repeat("X: "+strings.Repeat("x", 90)+"\r\n", 94) + "\r\n",
			"bad answer from HOST: headers"},
	} {
		t.Run("chunks: "+tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveAnswer(t, answer("200 OK", chunked, tt.body))
			body := "body 0 b''"
			if strings.Contains(tt.body, "hello") {
				body = "body 5 b'hello'"
			}
			checkHTTP(t, s, "head 200 None 0 None None\n"+body+"\nerror 200 "+tt.want+"\nbody 0 b''\nerror 0 no body",
				get(s.url("/")), read(), read())
		})
	}
}

// Answers that would never end are given up.
func TestHTTPEndless(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct{ name, first, again, want string }{
		{"status line", "HTTP/1.1 200 ", "OK", "error 0 bad answer from HOST: long line"},
		{"header line", head + "X: ", "xxxxxxxx", "error 200 bad answer from HOST: long line"},
		{"headers", head, "X: y\r\n", "error 200 bad answer from HOST: headers"},
		{"informational answers", "", "HTTP/1.1 100 Continue\r\n\r\n", "error 100 bad answer from HOST: headers"},
		{"chunk extension", head + "Transfer-Encoding: chunked\r\n\r\n1;", "x",
			"head 200 None 0 None None\nbody 0 b''\nerror 200 bad answer from HOST: long line"},
		{"trailers", head + "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n",
			"head 200 None 0 None None\nbody 0 b''\nerror 200 bad answer from HOST: headers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveUntilGone(t, tt.first, tt.again)
			ops := []op{get(s.url("/"))}
			if strings.HasPrefix(tt.want, "head") {
				ops = append(ops, read())
			}
			checkHTTP(t, s, tt.want, ops...)
		})
	}
	t.Run("body: the caller decides", func(t *testing.T) {
		t.Parallel()
		s := serveUntilGone(t, answer("200 OK", ""), strings.Repeat("x", 1000))
		checkHTTP(t, s, "head 200 None 0 None None", get(s.url("/")), some(512), some(512), op{"close"})
	})
}

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

// Parts of a resource.
func TestHTTPRange(t *testing.T) {
	t.Run("net/http", func(t *testing.T) {
		t.Parallel()
		const text = "hello, boards of the world"
		var tag string
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", tag)
			http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader(text))
		}))
		defer srv.Close()
		tag = `"one"`
		s := &rawServer{addr: srv.Listener.Addr().String()}
		checkHTTP(t, s, `
head 206 19 7 26 "one"
body 19 b'boards of the world'
head 206 19 7 26 "one"
body 19 b'boards of the world'
head 200 26 0 26 "one"
body 26 b'hello, boards of the world'
head 416 33 0 26 None
body 33 b'invalid range: failed to overlap\n'`,
			getFrom(s.url("/"), 7), read(),
			getIf(s.url("/"), 7, tag), read(),
			getIf(s.url("/"), 7, `"two"`), read(),
			getFrom(s.url("/"), 26), read())
	})
	const part = "206 Partial Content"
	for _, tt := range []struct{ name, answer, want string }{
		{"to the end", answer(part, "Content-Range: bytes 4-8/9", "Content-Length: 5", "hello"),
			"head 206 5 4 9 None\nbody 5 b'hello'"},
		{"unknown total", answer(part, "Content-Range: bytes 4-8/*", "Content-Length: 5", "hello"),
			"head 206 5 4 None None\nbody 5 b'hello'"},
		{"chunked", answer(part, "Content-Range: bytes 4-8/9", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
			"head 206 None 4 9 None\nbody 5 b'hello'"},
		{"length from the range alone", answer(part, "Content-Range: bytes 4-8/9", "hello"),
			"head 206 5 4 9 None\nbody 5 b'hello'"},
		{"cut short, known from the range alone", answer(part, "Content-Range: bytes 4-9/10", "hello"),
			"head 206 6 4 10 None\nbody 5 b'hello'\nerror 206 bad answer from HOST: cut short"},
		{"whole instead", plain("all of it"), "head 200 9 0 9 None\nbody 9 b'all of it'"},
		{"416", answer("416 No", "Content-Range: bytes */4", "Content-Length: 0", ""),
			"head 416 0 0 4 None\nbody 0 b''"},
		{"416 without a total", answer("416 No", "Content-Length: 0", ""), "head 416 0 0 None None\nbody 0 b''"},
		{"later start", answer(part, "Content-Range: bytes 5-8/9", "Content-Length: 4", "ello"), ""},
		{"earlier start", answer(part, "Content-Range: bytes 0-8/9", "Content-Length: 9", "all hello"), ""},
		{"end before start", answer(part, "Content-Range: bytes 4-3/9", "Content-Length: 0", ""), ""},
		{"end after the total", answer(part, "Content-Range: bytes 4-9/9", "Content-Length: 6", "hello!"), ""},
		{"other length", answer(part, "Content-Range: bytes 4-8/9", "Content-Length: 6", "hello!"), ""},
		{"no range", answer(part, "Content-Length: 5", "hello"), ""},
		{"another unit", answer(part, "Content-Range: lines 4-8/9", "Content-Length: 5", "hello"), ""},
		{"no numbers", answer(part, "Content-Range: bytes four-eight/nine", "hello"), ""},
		{"no end", answer(part, "Content-Range: bytes 4-/9", "hello"), ""},
		{"negative", answer(part, "Content-Range: bytes -4-8/9", "hello"), ""},
		{"several parts", answer(part, "Content-Type: multipart/byteranges; boundary=b", "--b"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveAnswer(t, tt.answer)
			want, ops := tt.want, []op{getFrom(s.url("/"), 4), read()}
			if want == "" {
				want, ops = "error 206 bad answer from HOST: bad range", ops[:1]
			}
			checkHTTP(t, s, want, ops...)
			if r := s.asked(0); r == nil || r.Header.Get("Range") != "bytes=4-" {
				t.Errorf("the server was asked %+v, want bytes from 4 on", r)
			}
		})
	}
	t.Run("changed, If-Range overlooked", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, answer(part, "Content-Range: bytes 4-8/9", "Content-Length: 5", `ETag: "new"`, "hello"),
			answer("200 OK", "Content-Length: 9", `ETag: "new"`, "new hello"))
		checkHTTP(t, s, "head 200 9 0 9 \"new\"\nbody 9 b'new hello'", getIf(s.url("/"), 4, `"old"`), read())
		checkCount(t, s, 1, 2)
		if r := s.asked(1); r == nil || r.Header.Get("Range") != "" {
			t.Errorf("the second request was %+v, want one for the whole", r)
		}
	})
	t.Run("which ETags are sent", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, plain(""), plain(""), plain(""), plain(""), plain(""))
		runHTTP(t, httpOptions{}, getIf(s.url("/"), 4, `"good-1"`), getIf(s.url("/"), 4, `W/"weak"`),
			getIf(s.url("/"), 4, "\"x\"\r\nInjected: 1"), getIf(s.url("/"), 4, ""), getIf(s.url("/"), 0, `"unneeded"`))
		for i, want := range []string{`"good-1"`, "", "", "", ""} {
			r := s.asked(i)
			if r == nil || r.Header.Get("If-Range") != want || r.Header.Get("Injected") != "" {
				t.Errorf("request %d was %+v, want If-Range: %s", i, r, want)
			}
		}
	})
}

// Redirects, good and bad.
func TestHTTPRedirect(t *testing.T) {
	// A server that redirects each path to what locations says and serves all others.
	serve := func(t *testing.T, status string, locations map[string]string) *rawServer {
		return serveRaw(t, func(c *rawConn) {
			for {
				r := c.request()
				if r == nil {
					return
				}
				a := plain("hello")
				if to, ok := locations[r.RequestURI]; ok {
					a = answer(status, "Location: "+to, "Content-Length: 4", "away")
				}
				if !c.send(a) {
					return
				}
			}
		})
	}
	for _, tt := range []struct{ name, from, location, want string }{
		{"path", "/a/b", "/c/d", "/c/d"},
		{"path beside", "/a/b", "c", "/a/c"},
		{"path below", "/a/b/", "c/d", "/a/b/c/d"},
		{"path with a query that has a URL", "/a/b", "c?u=http://x/", "/a/c?u=http://x/"},
		{"only a query", "/a/b?x=y", "?z=1", "/a/b?z=1"},
		{"query forgotten", "/a/b?x=/y/z", "c", "/a/c"},
		{"fragment dropped", "/a/b", "/c#d", "/c"},
		{"blank and letters beyond ASCII", "/a/b", "/c d/é%41", "/c%20d/%C3%A9%41"},
		{"Latin-1", "/a/b", "/\xe9", "/%C3%A9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "302 Found", map[string]string{tt.from: tt.location})
			checkHTTP(t, s, "head 200 5 0 5 None\nbody 5 b'hello'", get(s.url(tt.from)), read())
			if got, want := s.paths(), tt.from+" "+tt.want; got != want {
				t.Errorf("the server was asked for %s, want %s", got, want)
			}
			checkCount(t, s, 1, 2)
		})
	}
	for _, status := range []string{"301 Moved", "303 See Other", "307 Temporary", "308 Permanent"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			s := serve(t, status, map[string]string{"/a": "/b"})
			checkHTTP(t, s, "head 200 5 0 5 None", get(s.url("/a")))
		})
	}
	t.Run("from the root", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "302 Found", map[string]string{"/": "c", "/?q": "d"})
		checkHTTP(t, s, "head 200 5 0 5 None\nhead 200 5 0 5 None", get("http://"+s.addr), get("http://"+s.addr+"?q"))
		if got := s.paths(); got != "/ /c /?q /d" {
			t.Errorf("the server was asked for %s", got)
		}
	})
	t.Run("from a URL with a fragment", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "302 Found", map[string]string{"/a/b": "c"})
		checkHTTP(t, s, "head 200 5 0 5 None", get(s.url("/a/b#x/y")))
		if got := s.paths(); got != "/a/b /a/c" {
			t.Errorf("the server was asked for %s", got)
		}
	})
	t.Run("to another server", func(t *testing.T) {
		t.Parallel()
		b := serve(t, "", nil)
		a := serve(t, "302 Found", map[string]string{"/1": b.url("/x"), "/2": "//" + b.addr + "/y"})
		checkHTTP(t, a, "head 200 5 0 5 None\nhead 200 5 0 5 None", get(a.url("/1")), get(a.url("/2")))
		if got := b.paths(); got != "/x /y" {
			t.Errorf("the second server was asked for %s", got)
		}
	})
	t.Run("keeps the range", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "302 Found", map[string]string{"/a": "/b"})
		checkHTTP(t, s, "head 200 5 0 5 None", getIf(s.url("/a"), 3, `"e"`))
		if r := s.asked(1); r == nil || r.Header.Get("Range") != "bytes=3-" || r.Header.Get("If-Range") != `"e"` {
			t.Errorf("the second request was %+v, want its range kept", r)
		}
	})
	t.Run("five in a row", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "302 Found", map[string]string{"/0": "/1", "/1": "/2", "/2": "/3", "/3": "/4", "/4": "/5"})
		checkHTTP(t, s, "head 200 5 0 5 None", get(s.url("/0")))
	})
	t.Run("without end", func(t *testing.T) {
		t.Parallel()
		s := serveRaw(t, func(c *rawConn) {
			for i := 0; c.request() != nil; i++ {
				c.send(answer("302 Found", "Location: /"+itoa(i), "Content-Length: 0", ""))
			}
		})
		checkHTTP(t, s, "error 302 bad answer from HOST: too many redirects", get(s.url("/")))
		checkCount(t, s, 1, 6)
	})
	t.Run("in a circle", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "301 Moved", map[string]string{"/a": "/b", "/b": "/a"})
		checkHTTP(t, s, "error 301 bad answer from HOST: too many redirects", get(s.url("/a")))
		checkCount(t, s, 1, 6)
	})
	for _, tt := range []struct{ name, location, want string }{
		{"to another scheme", "ftp://x/y", "error 0 not http(s)://host[:port]/path: 'ftp://x/y'"},
		{"to a file", "file:///boot.py", "error 0 not http(s)://host[:port]/path: 'file:///boot.py'"},
		{"with a control character", "http://HOST/\x01",
			`error 0 not http(s)://host[:port]/path: 'http://HOST/\x01'`},
		{"with a carriage return", "http://HOST/\rX: y",
			`error 0 not http(s)://host[:port]/path: 'http://HOST/\rX: y'`},
		{"to no port", "http://HOST:99999999/", "error 0 not http(s)://host[:port]/path: 'http://HOST:99999999/'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, func(c *rawConn) {
				if c.request() != nil {
					c.send(answer("302 Found", "Location: "+strings.ReplaceAll(tt.location, "HOST", c.s.addr),
						"Content-Length: 0", ""))
				}
			})
			checkHTTP(t, s, tt.want, get(s.url("/")))
			checkCount(t, s, 1, 1)
		})
	}
	t.Run("to nowhere: the caller sees the status", func(t *testing.T) {
		t.Parallel()
		s := serveAnswers(t, answer("302 Found", "Content-Length: 0", ""), answer("300 Choose", "Content-Length: 0", ""),
			answer("304 Not Modified", "Location: /x", ""), answer("201 Created", "Location: /x", "Content-Length: 0", ""))
		checkHTTP(t, s, "head 302 0 0 None None\nhead 300 0 0 None None\nhead 304 0 0 None None\nhead 201 0 0 None None",
			get(s.url("/")), get(s.url("/")), get(s.url("/")), get(s.url("/")))
	})
}

// What is and is not a URL, and that none of them can smuggle anything into a request.
func TestHTTPURL(t *testing.T) {
	t.Run("good", func(t *testing.T) {
		t.Parallel()
		s := serveRaw(t, func(c *rawConn) {
			for c.request() != nil {
				c.send(plain(""))
			}
		})
		var ops []op
		for _, u := range []string{"http://" + s.addr, "HTTP://" + s.addr + "/", s.url("?a=/b"), s.url("/a b"),
			s.url("/é?ü#ö"), s.url("/a%20b"), s.url("/[x]'\"\\^`{|}\x7f"), s.url("/a?b?c#d#e"), s.url("//a//../b")} {
			ops = append(ops, get(u))
		}
		checkHTTP(t, s, strings.Repeat("head 200 0 0 0 None\n", len(ops)), ops...)
		want := "/ / /?a=/b /a%20b /%C3%A9?%C3%BC /a%20b /[x]'%22%5C%5E%60%7B%7C%7D%7F /a?b?c //a//../b"
		if got := s.paths(); got != want {
			t.Errorf("the server was asked for\n%s\nwant\n%s", got, want)
		}
		checkCount(t, s, 1, len(ops))
	})
	t.Run("bad", func(t *testing.T) {
		t.Parallel()
		s := serveRaw(t, (*rawConn).hold)
		var ops []op
		for _, u := range []string{"", "x", "/x", "http:/" + s.addr, "//" + s.addr, "ftp://" + s.addr, "http://",
			"http:///x", "http://:80/", "http://?x", "http://user@" + s.addr, "http://user:pass@" + s.addr,
			"http://" + s.addr + "@x.invalid/", "http://127.0.0.1:0/", "http://127.0.0.1:65536/", "http://127.0.0.1:-1/",
			"http://127.0.0.1:+80/", "http://127.0.0.1:8 0/", "http://127.0.0.1:80:80/", "http://127.0.0.1:99999999999/",
			"http://a b/", "http://é/", "http://a%41/", "http://a\\b/", "http://[::1/", "http://[::1]x/", "http://[]/",
			"http://::1/",
			s.url("/\r\nX: y"), s.url("/ HTTP/1.1\r\n\r\nGET /2"), s.url("/\n"), s.url("/\x00"), s.url("/\t"),
			s.url("/?\r\n"), s.url("/#\r\n"), "http://" + s.addr + "\r\nX: y/"} {
			ops = append(ops, get(u))
		}
		got := strings.Split(strings.TrimSpace(runHTTP(t, httpOptions{}, ops...)), "\n")
		if len(got) != len(ops) {
			t.Fatalf("%d answers to %d URLs: %q", len(got), len(ops), got)
		}
		for i, line := range got {
			if !strings.HasPrefix(line, "error 0 not http(s)://host[:port]/path: ") {
				t.Errorf("%q: %s", ops[i][1], line)
			}
		}
		checkCount(t, s, 0, 0)
	})
	t.Run("quote", func(t *testing.T) {
		t.Parallel()
		checkHTTP(t, &rawServer{addr: "no server"}, "quote lib/a_b-c.d~0.py\nquote \nquote a%20b/%C3%A9%F0%9F%8C%B5%25%3F%23%26%2B%0D%0A%00%7F",
			op{"quote", "lib/a_b-c.d~0.py"}, op{"quote", ""}, op{"quote", "a b/é🌵%?#&+\r\n\x00\x7f"})
	})
}

// A large body in a small heap, which is no fuller after it than before.
func TestHTTPBig(t *testing.T) {
	body := make([]byte, 1<<20)
	for i := range body {
		body[i] = byte(i * 7 >> 3)
	}
	want := fmt.Sprintf("%d %x", len(body), sha256.Sum256(body))
	for _, tt := range []struct {
		name string
		head []string
	}{{"length", []string{"Content-Length: " + itoa(len(body))}}, {"chunks", []string{"Transfer-Encoding: chunked"}}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, func(c *rawConn) {
				for c.request() != nil {
					c.send(answer("200 OK", append(tt.head, "")...))
					rest := body
					for len(rest) > 0 {
						n := min(len(rest), 3001)
						if tt.name == "chunks" {
							c.send(fmt.Sprintf("%x\r\n%s\r\n", n, rest[:n]))
						} else {
							c.send(string(rest[:n]))
						}
						rest = rest[n:]
					}
					if tt.name == "chunks" {
						c.send("0\r\n\r\n")
					}
				}
			})
			checkOutput(t, s, want+"\n"+want+"\nflat True", runHTTPScript(t, "48K", "", "http_big.py", s.url("/")))
			checkCount(t, s, 1, 2)
		})
	}
}

// What the client costs a board. The limits are a little over what was measured on the 64-bit unix
// port, whose objects are twice the size of a board's: 9.1 kB for the module and 10 kB in use.
func TestHTTPHeap(t *testing.T) {
	s := serveAnswers(t, plain("hello"))
	got := runHTTPScript(t, "48K", "", "http_heap.py", s.url("/"))
	var module, connected int
	if _, err := fmt.Sscan(got, &module, &connected); err != nil {
		t.Fatalf("the script printed %q", got)
	}
	t.Logf("module %d B, with an open connection %d B", module, connected)
	if module > 9800 || connected > 10800 {
		t.Errorf("the client takes %d B of heap, with an open connection %d B", module, connected)
	}
}
