package boardtest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

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
				want, ops = "error 206 bad answer from HOST: bad content range", ops[:1]
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
