package boardtest

import (
	"strings"
	"testing"
)

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
		{"garbage", "\x16\x03\x01\x00\xff\xfe\r\n\r\n", bad + "this is not HTTP"},
		{"HTML without a header", "<html><body>Log in</body></html>\n", bad + "this is not HTTP"},
		{"another protocol", "220 mail.example ESMTP\r\n", bad + "this is not HTTP"},
		{"another protocol much like it", "RTSP/1.0 200 OK\r\n\r\n", bad + "this is not HTTP"},
		{"HTTP/2", "HTTP/2 200\r\n\r\n", bad + "this is not HTTP"},
		{"status of two digits", "HTTP/1.1 20 OK\r\n\r\n", bad + "this is not HTTP"},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", bad + "this is not HTTP"},
		{"negative status", "HTTP/1.1 -200 OK\r\n\r\n", bad + "this is not HTTP"},
		{"status 999", "HTTP/1.1 999 OK\r\n\r\n", bad + "this is not HTTP"},
		{"blank line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", bad + "this is not HTTP"},
		{"negative length", answer("200 OK", "Content-Length: -5", "hello"), bad200 + "bad content length"},
		{"signed length", answer("200 OK", "Content-Length: +5", "hello"), bad200 + "bad content length"},
		{"hexadecimal length", answer("200 OK", "Content-Length: 0x5", "hello"), bad200 + "bad content length"},
		{"length with an underscore", answer("200 OK", "Content-Length: 1_0", "hello"), bad200 + "bad content length"},
		{"list of lengths", answer("200 OK", "Content-Length: 5, 5", "hello"), bad200 + "bad content length"},
		{"no length", answer("200 OK", "Content-Length:", "hello"), bad200 + "bad content length"},
		{"huge length", answer("200 OK", "Content-Length: 18446744073709551621", "hello"), bad200 + "bad content length"},
		{"two lengths", answer("200 OK", "Content-Length: 5", "Content-Length: 6", "hello"), bad200 + "bad content length"},
		{"compressed", answer("200 OK", "Content-Encoding: gzip", "x"), bad200 + "unknown encoding"},
		{"compressed error page", answer("404 No", "Content-Encoding: br", "x"),
			"error 404 bad answer from HOST: unknown encoding"},
		{"compressed transfer", answer("200 OK", "Transfer-Encoding: gzip, chunked", "x"), bad200 + "unknown encoding"},
		{"chunked twice", answer("200 OK", chunked, chunked, "0\r\n\r\n"), bad200 + "unknown encoding"},
		{"header without a colon", answer("200 OK", "Content-Length 5", "hello"), bad200 + "bad header line"},
		{"header without a name", answer("200 OK", ": 5", "hello"), bad200 + "bad header line"},
		{"blank before the colon", answer("200 OK", "Content-Length : 5", "hello"), bad200 + "bad header line"},
		{"folded header", answer("200 OK", "X: a", "\tContent-Length: 5", "hello"), bad200 + "bad header line"},
		{"line one byte too long", answer("200 OK", "X: "+strings.Repeat("x", 1020), ""), bad200 + "a line is too long"},
		{"headers of 9 kB", answer("200 OK", strings.Repeat("X: "+strings.Repeat("x", 90)+"\r\n", 94), ""),
			bad200 + "too many headers"},
		{"unasked part", answer("206 Partial Content", "Content-Range: bytes 0-4/9", "hello"),
			"error 206 bad answer from HOST: bad content range"},
		{"switched protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nxxx\r\n",
			"error 101 bad answer from HOST: this is not HTTP"},

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
		{"data longer than its chunk", "5\r\nhello!\r\n0\r\n\r\n", "bad answer from HOST: bad chunk size"},
		{"huge size", "5\r\nhello\r\nFFFFFFFFFFFFFFFF\r\n", "bad answer from HOST: bad chunk size"},
		{"size that wraps around 32 bits", "5\r\nhello\r\n100000005\r\n", "bad answer from HOST: bad chunk size"},
		{"negative size", "5\r\nhello\r\n-1\r\nx\r\n", "bad answer from HOST: bad chunk size"},
		{"signed size", "5\r\nhello\r\n+1\r\nx\r\n", "bad answer from HOST: bad chunk size"},
		{"prefixed size", "5\r\nhello\r\n0x1\r\nx\r\n", "bad answer from HOST: bad chunk size"},
		{"underscored size", "5\r\nhello\r\n0_1\r\nx\r\n", "bad answer from HOST: bad chunk size"},
		{"no size", "5\r\nhello\r\n\r\n", "bad answer from HOST: bad chunk size"},
		{"extension only", "5\r\nhello\r\n;x\r\n", "bad answer from HOST: bad chunk size"},
		{"not chunked at all", "<html>\n", "bad answer from HOST: bad chunk size"},
		{"extension of 2 kB", "5\r\nhello\r\n1;" + strings.Repeat("x", 2048) + "\r\nx\r\n",
			"bad answer from HOST: a line is too long"},
		{"trailers of 9 kB", "5\r\nhello\r\n0\r\n" + strings.Repeat("X: "+strings.Repeat("x", 90)+"\r\n", 94) + "\r\n",
			"bad answer from HOST: too many headers"},
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
		{"status line", "HTTP/1.1 200 ", "OK", "error 0 bad answer from HOST: a line is too long"},
		{"header line", head + "X: ", "xxxxxxxx", "error 200 bad answer from HOST: a line is too long"},
		{"headers", head, "X: y\r\n", "error 200 bad answer from HOST: too many headers"},
		{"informational answers", "", "HTTP/1.1 100 Continue\r\n\r\n", "error 100 bad answer from HOST: too many headers"},
		{"chunk extension", head + "Transfer-Encoding: chunked\r\n\r\n1;", "x",
			"head 200 None 0 None None\nbody 0 b''\nerror 200 bad answer from HOST: a line is too long"},
		{"trailers", head + "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n",
			"head 200 None 0 None None\nbody 0 b''\nerror 200 bad answer from HOST: too many headers"},
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
