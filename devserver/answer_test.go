package devserver

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMethods(t *testing.T) {
	s := start(t, Config{Dir: tree(t)})
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "get", "BREW"} {
		for _, path := range []string{"/ota/versions.json", "/ota/main.py", "/ota/", "/nowhere"} {
			answer := s.raw(t, method+" "+path+" HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
			if !strings.HasPrefix(answer, "HTTP/1.1 405 ") || !strings.Contains(answer, "\r\nAllow: GET, HEAD, OPTIONS\r\n") {
				t.Errorf("%s %s: %s", method, path, answer)
			}
		}
	}
	for _, path := range []string{"/ota/main.py", "/nowhere"} {
		resp, body := s.do(t, "OPTIONS", path, "Origin: http://x", "Access-Control-Request-Method: GET")
		wantCommon(t, resp.Header)
		if resp.StatusCode != 204 || body != "" || resp.Header.Get("Access-Control-Allow-Methods") != allowed ||
			!strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "If-Range") {
			t.Errorf("%s: %s %v", path, resp.Status, resp.Header)
		}
	}
	if answer := s.raw(t, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 204 ") {
		t.Errorf("OPTIONS *: %s", answer)
	}
}

func TestHeadHasTheHeadersOfGet(t *testing.T) {
	s := start(t, Config{Dir: tree(t)})
	for _, path := range []string{"/ota/versions.json", "/ota/main.py", "/ota/lib/", "/ota/lib", "/ota/nope.py", "/"} {
		for _, header := range []string{"X: y", "Range: bytes=3-5", "Range: bytes=99999-"} {
			get, body := s.do(t, "GET", path, header)
			head, nothing := s.do(t, "HEAD", path, header)
			get.Header.Del("Date")
			head.Header.Del("Date")
			if diff := cmp.Diff(get.Header, head.Header); diff != "" || get.StatusCode != head.StatusCode {
				t.Errorf("%s, %s: %s and %s (-GET +HEAD)\n%s", path, header, get.Status, head.Status, diff)
			}
			if nothing != "" || head.ContentLength != int64(len(body)) {
				t.Errorf("%s, %s: HEAD has %d bytes and tells of %d, GET has %d", path, header, len(nothing), head.ContentLength, len(body))
			}
		}
	}
}

func TestRanges(t *testing.T) {
	const body = "0123456789"
	dir := t.TempDir()
	write(t, dir, "a.py", body, "empty.py", "")
	s := start(t, Config{Dir: dir})
	etag, other := etagOf(body), etagOf("other")
	for _, test := range []struct {
		header, ifRange string
		status          int
		body, is        string // is: Content-Range
	}{
		{"bytes=0-", "", 206, body, "bytes 0-9/10"},
		{"bytes=4-", "", 206, "456789", "bytes 4-9/10"},
		{"bytes=4-6", "", 206, "456", "bytes 4-6/10"},
		{"bytes=9-9", "", 206, "9", "bytes 9-9/10"},
		{"bytes=4-100", "", 206, "456789", "bytes 4-9/10"},
		{"bytes=-3", "", 206, "789", "bytes 7-9/10"},
		{"bytes=-100", "", 206, body, "bytes 0-9/10"},
		{"bytes=10-", "", 416, "", "bytes */10"},
		{"bytes=99-", "", 416, "", "bytes */10"},
		{"bytes=6-4", "", 416, "", ""},
		{"bytes=a-b", "", 416, "", ""},
		{"bytes=99999999999999999999999-", "", 416, "", ""},
		{"bytes=--1", "", 416, "", ""},
		{"lines=1-2", "", 416, "", ""},
		{"", "", 200, body, ""},
		// A download that is resumed goes on only if the file is the same.
		{"bytes=4-", etag, 206, "456789", "bytes 4-9/10"},
		{"bytes=4-", other, 200, body, ""},
		{"bytes=99-", other, 200, body, ""},
		{"bytes=4-", "W/" + etag, 200, body, ""},
		{"bytes=4-", strings.Trim(etag, `"`), 200, body, ""},
		{"bytes=4-", "Tue, 24 Nov 2026 08:00:00 GMT", 200, body, ""},
		{"bytes=4-", "Fri, 01 Jan 2100 00:00:00 GMT", 200, body, ""},
		{"bytes=4-", "*", 200, body, ""},
	} {
		var headers []string
		if test.header != "" {
			headers = append(headers, "Range: "+test.header)
		}
		if test.ifRange != "" {
			headers = append(headers, "If-Range: "+test.ifRange)
		}
		resp, got := s.do(t, "GET", "/ota/a.py", headers...)
		wantCommon(t, resp.Header)
		if resp.StatusCode != test.status || resp.Header.Get("Content-Range") != test.is {
			t.Errorf("%q: %s, %q, want %d, %q", headers, resp.Status, resp.Header.Get("Content-Range"), test.status, test.is)
		}
		if test.status != 416 && (got != test.body || resp.Header.Get("ETag") != etag) {
			t.Errorf("%q: %q, %v", headers, got, resp.Header)
		}
	}
	if resp, got := s.do(t, "GET", "/ota/a.py", "Range: bytes=0-1,8-9"); resp.StatusCode != 206 ||
		!strings.HasPrefix(resp.Header.Get("Content-Type"), "multipart/byteranges") || !strings.Contains(got, "\r\n89\r\n") {
		t.Errorf("two ranges: %s, %q", resp.Status, got)
	}
	if resp, got := s.do(t, "GET", "/ota/empty.py", "Range: bytes=0-"); resp.StatusCode > 299 || got != "" {
		t.Errorf("a range of an empty file: %s, %q", resp.Status, got)
	}
}

func TestConditions(t *testing.T) {
	dir := tree(t)
	s := start(t, Config{Dir: dir})
	etag := etagOf("print('hello')\n")
	for _, test := range []struct {
		header string
		status int
	}{
		{"If-None-Match: " + etag, 304},
		{"If-None-Match: W/" + etag, 304},
		{`If-None-Match: "x", ` + etag, 304},
		{"If-None-Match: *", 304},
		{`If-None-Match: "x"`, 200},
		{"If-None-Match: garbage", 200},
		{"If-Match: " + etag, 200},
		{`If-Match: "x"`, 412},
		{"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", 200},
	} {
		resp, body := s.do(t, "GET", "/ota/main.py", test.header)
		wantCommon(t, resp.Header)
		if resp.StatusCode != test.status || test.status == 200 && body != "print('hello')\n" {
			t.Errorf("%s: %s, want %d", test.header, resp.Status, test.status)
		}
	}
}

func TestResumeAcrossAnEditStartsOver(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "main.py", "the old content")
	s := start(t, Config{Dir: dir})
	resp, first := s.do(t, "GET", "/ota/main.py", "Range: bytes=0-6")
	write(t, dir, "main.py", "a newer content")
	resumed, rest := s.do(t, "GET", "/ota/main.py", "Range: bytes=7-", "If-Range: "+resp.Header.Get("ETag"))
	if first != "the old" || resumed.StatusCode != 200 || rest != "a newer content" || resumed.Header.Get("ETag") == resp.Header.Get("ETag") {
		t.Errorf("%q, then %s %q", first, resumed.Status, rest)
	}
}

func TestBigFile(t *testing.T) {
	const size = 12<<20 + 12345
	dir := t.TempDir()
	data := pattern(size)
	if err := os.WriteFile(filepath.Join(dir, "big.raw"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Dir: dir})
	resp, body := s.do(t, "GET", "/ota/big.raw")
	if !bytes.Equal([]byte(body), data) || resp.Header.Get("ETag") != quoteSum(sha256.Sum256(data)) {
		t.Errorf("%d bytes, %v", len(body), resp.Header)
	}
	resp, body = s.do(t, "GET", "/ota/big.raw", "Range: bytes=12000000-", "If-Range: "+resp.Header.Get("ETag"))
	if resp.StatusCode != 206 || !bytes.Equal([]byte(body), data[12000000:]) {
		t.Errorf("resumed: %s, %d bytes", resp.Status, len(body))
	}
}
