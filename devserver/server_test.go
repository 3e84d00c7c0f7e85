package devserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cactuscon/saguarota/manifest"
)

// secret is in every file that must not be served.
const secret = "SECRET: not part of the release"

// write makes files below dir: pairs of a path and a content.
func write(t testing.TB, dir string, files ...string) {
	t.Helper()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, filepath.FromSlash(files[i]))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// tree makes a source tree that has secrets beside and in it.
func tree(t testing.TB) string {
	t.Helper()
	top := t.TempDir()
	write(t, top,
		"secret.py", secret,
		"src/boot.py", "import main\n",
		"src/main.py", "print('hello')\n",
		"src/lib/badge.mpy", "M\x06\x00\x1f",
		"src/lib/deep/er.py", "x = 1\n",
		"src/100% a&b.py", "y = 2\n",
		"src/.env", secret,
		"src/notes.txt", secret,
		"src/test_main.py", secret,
		"src/tests/helper.py", secret,
		"src/lib/__pycache__/badge.py", secret,
		"src/versions.json", secret,
	)
	return filepath.Join(top, "src")
}

// running is a server that listens on a real port.
type running struct {
	*Server
	addr   string // host:port
	url    string // http://host:port
	events chan Event
	stop   context.CancelFunc
	done   chan error // what Serve returned; then closed
}

// run serves until ctx is done.
func (r *running) run(ctx context.Context, listener net.Listener) {
	r.done <- r.Serve(ctx, listener)
	close(r.done)
}

// start runs a server until the test is over.
func start(t testing.TB, config Config) *running {
	t.Helper()
	if config.Options.Extensions == nil {
		config.Options = manifest.DefaultOptions()
	}
	r := &running{events: make(chan Event, 10_000), done: make(chan error, 1)}
	config.Log = func(e Event) { r.events <- e }
	var err error
	if r.Server, err = New(config); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = listener.Addr().String()
	r.url = "http://" + r.addr
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go r.run(ctx, listener)
	t.Cleanup(func() {
		stop()
		for range r.done {
		}
	})
	return r
}

// event returns the next event that is not a warning.
func (r *running) event(t testing.TB) Event {
	t.Helper()
	for {
		if e := r.anyEvent(t); !strings.HasPrefix(e.Note, "warning: ") {
			return e
		}
	}
}

// anyEvent returns the next event.
func (r *running) anyEvent(t testing.TB) Event {
	t.Helper()
	select {
	case e := <-r.events:
		return e
	case <-time.After(time.Minute):
		t.Fatal("nothing was logged")
		return Event{}
	}
}

// do sends a request with headers given as "Name: value".
func (r *running) do(t testing.TB, method, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// raw sends bytes as they are and returns the answers up to the end of the
// connection, which the client's half-close brings about.
func (r *running) raw(t testing.TB, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func etagOf(content string) string { return quoteSum(sha256.Sum256([]byte(content))) }

// wantCommon checks the headers that are on every answer.
func wantCommon(t *testing.T, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "*",
		"Cache-Control":               "no-store, no-cache, must-revalidate, max-age=0",
		"Pragma":                      "no-cache",
		"Expires":                     "0",
	} {
		if got := h.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if h.Get("Last-Modified") != "" {
		t.Error("there is a Last-Modified, by which a download could be resumed within one second of an edit")
	}
}

func TestManifestIsServed(t *testing.T) {
	dir := tree(t)
	when := time.Unix(1_700_000_000, 0)
	for _, f := range []string{"boot.py", "main.py", "lib/badge.mpy", "lib/deep/er.py", "100% a&b.py"} {
		if err := os.Chtimes(filepath.Join(dir, f), when, when); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, Config{Dir: dir, Key: []byte("k"), SignatureField: "mac", Indent: 2})
	resp, body := s.do(t, "GET", "/ota/versions.json")
	wantCommon(t, resp.Header)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("ETag") != etagOf(body) {
		t.Errorf("%s, %v", resp.Status, resp.Header)
	}
	m, err := manifest.ReadField(strings.NewReader(body), "mac")
	if err != nil {
		t.Fatalf("%v in\n%s", err, body)
	}
	if err := m.Verify([]byte("k")); err != nil {
		t.Error(err)
	}
	var paths []string
	signed := fmt.Sprint("v=", m.Version)
	for _, f := range m.Files {
		paths = append(paths, f.Path)
		content, err := os.ReadFile(filepath.Join(dir, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		sum := md5.Sum(content)
		if f.MD5 != hex.EncodeToString(sum[:]) || f.Version != when.Unix() {
			t.Errorf("%s: %+v", f.Path, f)
		}
		signed += fmt.Sprintf("\n%s\t%d\t%s", f.Path, f.Version, f.MD5)
	}
	want := []string{"100% a&b.py", "boot.py", "lib/badge.mpy", "lib/deep/er.py", "main.py"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	mac := hmac.New(sha256.New, []byte("k"))
	mac.Write([]byte(signed))
	if m.Signature != hex.EncodeToString(mac.Sum(nil)) {
		t.Error("the signature is not what the original computes")
	}
	if e := s.event(t); e.Note != "polls: offered 1700000000, 5 files" || e.Status != 200 || e.Bytes != int64(len(body)) {
		t.Errorf("logged %+v", e)
	}
	s.do(t, "GET", "/ota/versions.json", "If-None-Match: "+resp.Header.Get("ETag"))
	if e := s.event(t); e.Note != "polls: version 1700000000, up to date" || e.Status != 304 || e.Bytes != 0 {
		t.Errorf("logged %+v", e)
	}
}

// A board that loses patience while a big tree is read for the first time would
// never get a manifest if its leaving stopped the reading.
func TestManifestIsFinishedForWhomeverLeft(t *testing.T) {
	s, err := New(Config{Dir: tree(t), Options: manifest.DefaultOptions()})
	if err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(gone, "GET", "/ota/versions.json", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "main.py") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

func TestFilesAreServed(t *testing.T) {
	s := start(t, Config{Dir: tree(t)})
	for _, test := range []struct{ path, body, contentType string }{
		{"main.py", "print('hello')\n", "text/plain"},
		{"lib/badge.mpy", "M\x06\x00\x1f", "application/octet-stream"},
		{"lib/deep/er.py", "x = 1\n", "text/plain"},
		{"100%25%20a&b.py", "y = 2\n", "text/plain"},
		{"main.py?nocache=1", "print('hello')\n", "text/plain"},
		{"%6dain.py", "print('hello')\n", "text/plain"},
	} {
		resp, body := s.do(t, "GET", "/ota/"+test.path)
		wantCommon(t, resp.Header)
		if resp.StatusCode != 200 || body != test.body {
			t.Errorf("%s: %s, %q", test.path, resp.Status, body)
		}
		if resp.Header.Get("Content-Type") != test.contentType || resp.Header.Get("ETag") != etagOf(body) ||
			resp.ContentLength != int64(len(test.body)) || resp.Header.Get("Accept-Ranges") != "bytes" {
			t.Errorf("%s: %v", test.path, resp.Header)
		}
	}
}

// What the manifest lists can be fetched, and is what the manifest says; what
// the listings lead to is the same set of files.
func TestManifestListingsAndFilesAgree(t *testing.T) {
	dir := tree(t)
	write(t, dir, "ü/日本 #1?.py", "z", "lib/a;b=c,d+e.py", "", "lib/%2e%2e.py", "q", "lib/empty/readme.txt", secret)
	s := start(t, Config{Dir: dir})
	m, err := s.Manifest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{} // path: SHA-256
	for _, f := range m.Files {
		listed[f.Path] = f.SHA256
	}
	crawled := map[string]string{}
	var crawl func(url, path string)
	crawl = func(url, path string) {
		resp, page := s.do(t, "GET", url)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Fatalf("%s: %s", url, resp.Status)
		}
		for _, href := range hrefs(page) {
			if href == "../" {
				continue
			}
			req, err := http.NewRequest("GET", "http://h"+url+href, nil)
			if err != nil {
				t.Fatal(err)
			}
			full := path + strings.TrimPrefix(req.URL.Path, mustPath(t, url))
			if strings.HasSuffix(href, "/") {
				crawl(url+href, full)
				continue
			}
			resp, body := s.do(t, "GET", url+href)
			if resp.StatusCode != 200 {
				t.Errorf("%s: %s", url+href, resp.Status)
			}
			sum := sha256.Sum256([]byte(body))
			crawled[full] = hex.EncodeToString(sum[:])
		}
	}
	crawl("/ota/", "")
	if diff := cmp.Diff(listed, crawled); diff != "" {
		t.Errorf("(-manifest +crawled)\n%s", diff)
	}
	if len(listed) != 8 {
		t.Errorf("%d files: %v", len(listed), listed)
	}
}

func mustPath(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequest("GET", "http://h"+url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req.URL.Path
}

func TestListingHoldsOnlyTheRelease(t *testing.T) {
	s := start(t, Config{Dir: tree(t)})
	_, page := s.do(t, "GET", "/ota/")
	want := []string{"../", "lib/", "100%25%20a%26b.py", "boot.py", "main.py"}
	if diff := cmp.Diff(want, hrefs(page)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	_, page = s.do(t, "GET", "/ota/lib/")
	if diff := cmp.Diff([]string{"../", "deep/", "badge.mpy"}, hrefs(page)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestFoldersWithoutSlashAreRedirected(t *testing.T) {
	dir := tree(t)
	write(t, dir, "a b%/x.py", "")
	s := start(t, Config{Dir: dir})
	for path, want := range map[string]string{
		"/ota":            "/ota/",
		"/ota?x=1":        "/ota/?x=1",
		"/ota/lib":        "/ota/lib/",
		"/ota/lib/deep":   "/ota/lib/deep/",
		"/ota/a%20b%25":   "/ota/a%20b%25/",
		"/ota/lib?a=b%26": "/ota/lib/?a=b%26",
	} {
		resp, _ := s.do(t, "GET", path)
		wantCommon(t, resp.Header)
		if got := resp.Header.Get("Location"); resp.StatusCode != 301 || got != want {
			t.Errorf("%s: %s, %s, want %s", path, resp.Status, got, want)
		}
	}
}

// MicroPython's requests module speaks HTTP/1.0, needs a whole URL and leaves
// the port out of Host.
func TestRedirectsOfOldClientsAreWhole(t *testing.T) {
	s := start(t, Config{Dir: tree(t)})
	_, port, _ := net.SplitHostPort(s.addr)
	for host, want := range map[string]string{
		"desk":        "http://desk:" + port + "/ota/lib/",
		"desk:80":     "http://desk:80/ota/lib/",
		"127.0.0.1":   "http://127.0.0.1:" + port + "/ota/lib/",
		"[::1]":       "http://[::1]:" + port + "/ota/lib/",
		"[::1]:12345": "http://[::1]:12345/ota/lib/",
		"":            "/ota/lib/",
	} {
		answer := s.raw(t, "GET /ota/lib HTTP/1.0\r\nHost: "+host+"\r\n\r\n")
		if !strings.Contains(answer, "\r\nLocation: "+want+"\r\n") {
			t.Errorf("%q: %s", host, answer)
		}
	}
}

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

// An edit shows at once, also one that keeps size and modification time.
func TestEditsBetweenRequests(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "main.py", "a = 1\n")
	s := start(t, Config{Dir: dir})
	info, err := os.Stat(filepath.Join(dir, "main.py"))
	if err != nil {
		t.Fatal(err)
	}
	_, before := s.do(t, "GET", "/ota/versions.json")
	for i, content := range []string{"a = 2\n", "a = 3\n", "longer = 4\n", ""} {
		write(t, dir, "main.py", content)
		if err := os.Chtimes(filepath.Join(dir, "main.py"), info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		_, after := s.do(t, "GET", "/ota/versions.json")
		sum := sha256.Sum256([]byte(content))
		if after == before || !strings.Contains(after, hex.EncodeToString(sum[:])) {
			t.Errorf("edit %d: the manifest is still\n%s", i, after)
		}
		if resp, body := s.do(t, "GET", "/ota/main.py"); body != content || resp.Header.Get("ETag") != etagOf(content) {
			t.Errorf("edit %d: %q, %v", i, body, resp.Header)
		}
		before = after
	}
	write(t, dir, "new.py", "n")
	if _, after := s.do(t, "GET", "/ota/versions.json"); !strings.Contains(after, "new.py") {
		t.Errorf("a new file is not in\n%s", after)
	}
	if err := os.Remove(filepath.Join(dir, "main.py")); err != nil {
		t.Fatal(err)
	}
	// The board holds a manifest that lists the file.
	if resp, _ := s.do(t, "GET", "/ota/main.py"); resp.StatusCode != 404 {
		t.Errorf("a deleted file: %s", resp.Status)
	}
	if _, after := s.do(t, "GET", "/ota/versions.json"); strings.Contains(after, "main.py") {
		t.Errorf("a deleted file is in\n%s", after)
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

// A manifest that cannot be built is an error for the board and a line on the
// terminal, and over once the tree is mended.
func TestBrokenTree(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "lib/Main.py", "a", "lib/main.py", "b")
	s := start(t, Config{Dir: dir})
	resp, body := s.do(t, "GET", "/ota/versions.json")
	wantCommon(t, resp.Header)
	if resp.StatusCode != 500 || !strings.Contains(body, "the manifest could not be built") || !strings.Contains(body, "lib/main.py") {
		t.Errorf("%s: %s", resp.Status, body)
	}
	if strings.Contains(body, dir) {
		t.Errorf("the client is told where the tree is: %s", body)
	}
	if resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" || resp.Header.Get("ETag") != "" {
		t.Errorf("%v", resp.Header)
	}
	if e := s.event(t); e.Status != 500 || !strings.Contains(e.Note, "lib/main.py") {
		t.Errorf("logged %v", e)
	}
	if err := os.Remove(filepath.Join(dir, "lib/Main.py")); err != nil {
		t.Fatal(err)
	}
	if resp, body := s.do(t, "GET", "/ota/versions.json"); resp.StatusCode != 200 {
		t.Errorf("mended: %s, %s", resp.Status, body)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if resp, body := s.do(t, "GET", "/ota/versions.json"); resp.StatusCode != 500 || strings.Contains(body, dir) {
		t.Errorf("the tree is gone: %s, %s", resp.Status, body)
	}
	if resp, _ := s.do(t, "GET", "/ota/lib/main.py"); resp.StatusCode != 404 {
		t.Errorf("the tree is gone: %s", resp.Status)
	}
}

func TestEmptyTreeIsAnEmptyRelease(t *testing.T) {
	s := start(t, Config{Dir: t.TempDir()})
	resp, body := s.do(t, "GET", "/ota/versions.json")
	m, err := manifest.Read(strings.NewReader(body))
	if resp.StatusCode != 200 || err != nil || m.Version != 0 || len(m.Files) != 0 {
		t.Errorf("%s, %s, %v", resp.Status, body, err)
	}
	if _, page := s.do(t, "GET", "/ota/"); len(hrefs(page)) != 1 {
		t.Errorf("listing: %s", page)
	}
}

func TestLinks(t *testing.T) {
	dir := tree(t)
	outside := filepath.Dir(dir)
	write(t, outside, "beside/x.py", secret)
	for name, target := range map[string]string{
		"in.py":       "main.py",
		"abs.py":      filepath.Join(dir, "main.py"),
		"inlib":       "lib",
		"out.py":      "../secret.py",
		"absout.py":   filepath.Join(outside, "secret.py"),
		"outdir":      "../beside",
		"twice.py":    "out.py",
		"excluded.py": "tests/helper.py",
		"txt.py":      "notes.txt",
		"nowhere.txt": "nothing",
		"loop":        ".",
		"lib/up":      "../lib",
		"self.txt":    "self.txt",
		"nottext.txt": "main.py",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	get := func(s *running, path string) int {
		resp, body := s.do(t, "GET", "/ota/"+path)
		if path != "excluded.py" && path != "txt.py" && strings.Contains(body, secret) {
			t.Errorf("%s gives the secret away", path)
		}
		return resp.StatusCode
	}
	s := start(t, Config{Dir: dir})
	for path, want := range map[string]int{
		"in.py": 200, "abs.py": 200, "inlib/badge.mpy": 200, "inlib/": 200,
		// The link's own name decides, as in the original: the tree's owner made it.
		"excluded.py": 200, "txt.py": 200, "nottext.txt": 404,
		"out.py": 404, "absout.py": 404, "twice.py": 404, "outdir/": 404, "outdir": 404, "outdir/x.py": 404,
		"nowhere.txt": 404, "self.txt": 404,
		"loop/": 404, "loop/main.py": 404, "loop/loop/main.py": 404, "lib/up/": 404, "lib/up/badge.mpy": 404,
	} {
		if got := get(s, path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	_, page := s.do(t, "GET", "/ota/")
	for _, name := range []string{"out.py", "absout.py", "twice.py", "outdir/", "loop/", "nowhere.txt", "self.txt"} {
		if strings.Contains(page, `"`+name+`"`) {
			t.Errorf("%s is listed", name)
		}
	}

	// Nothing that cannot be fetched is offered.
	_, body := s.do(t, "GET", "/ota/versions.json")
	m, err := manifest.Read(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Files {
		if got := get(s, strings.NewReplacer("%", "%25", " ", "%20").Replace(f.Path)); got != 200 {
			t.Errorf("%s is offered and then %d", f.Path, got)
		}
	}

	options := manifest.DefaultOptions()
	options.NoFollowLinks = true
	s = start(t, Config{Dir: dir, Options: options})
	for path, want := range map[string]int{"in.py": 200, "inlib/": 404, "inlib/badge.mpy": 404, "out.py": 404} {
		if got := get(s, path); got != want {
			t.Errorf("links to folders are not followed, %s: %d, want %d", path, got, want)
		}
	}
}

// Warnings about the tree come with every build and are logged once.
func TestWarningsComeOnce(t *testing.T) {
	dir := tree(t)
	if err := os.Symlink("../secret.py", filepath.Join(dir, "out.py")); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Dir: dir})
	for range 3 {
		s.do(t, "GET", "/ota/versions.json")
	}
	if e := s.anyEvent(t); !strings.HasPrefix(e.Note, "warning: out.py is left out") {
		t.Errorf("logged %v", e)
	}
	for range 3 {
		if e := s.anyEvent(t); e.Path != "/ota/versions.json" {
			t.Errorf("logged %v", e)
		}
	}
}

func TestFiltersDecide(t *testing.T) {
	dir := tree(t)
	s := start(t, Config{Dir: dir, Options: manifest.Options{Extensions: []string{".txt", ".JSON"}, ExcludePrefixes: []string{"x"}}})
	write(t, dir, "A.TXT", "upper", "conf.json", "{}", "x.txt", secret, "tests/t.txt", "fine", "deep/versions.json", "[]")
	for path, want := range map[string]int{
		"A.TXT": 200, "conf.json": 200, "tests/t.txt": 200, "deep/versions.json": 200, "notes.txt": 200,
		"x.txt": 404, "main.py": 404, "tests/helper.py": 404, ".env": 404,
	} {
		resp, _ := s.do(t, "GET", "/ota/"+path)
		if resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
		if path == "conf.json" && resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
	// The tree's own versions.json never hides the manifest, nor is it offered.
	_, body := s.do(t, "GET", "/ota/versions.json")
	m, err := manifest.Read(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Lookup("versions.json"); ok {
		t.Error("the manifest offers itself")
	}
}

func TestBoardsProgressIsLogged(t *testing.T) {
	dir := tree(t)
	s := start(t, Config{Dir: dir})
	agent := "User-Agent: saguarota/0.2.0 (ESP32_GENERIC_S3; micropython 1.25.0)"
	for _, step := range []struct {
		path, note string
		status     int
	}{
		{"/ota/versions.json", "", 200},
		{"/ota/boot.py", "file 1, 12 B of this update so far", 200},
		{"/ota/main.py", "file 2, 27 B of this update so far", 200},
		{"/ota/nope.py", "", 404},
		{"/ota/lib/badge.mpy", "file 3, 31 B of this update so far", 200},
		{"/ota/", "listing, 4 entries", 200},
		{"/ota/main.py", "file 1, 15 B of this update so far", 200},
	} {
		s.do(t, "GET", step.path, agent)
		e := s.event(t)
		if e.Remote != "127.0.0.1" || e.Board != "ESP32_GENERIC_S3" || e.Method != "GET" || e.Path != step.path || e.Status != step.status {
			t.Errorf("%s: logged %+v", step.path, e)
		}
		if step.path != "/ota/versions.json" && e.Note != step.note {
			t.Errorf("%s: logged %q, want %q", step.path, e.Note, step.note)
		}
	}
}

func TestClockIsInjected(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var mu sync.Mutex
	s := start(t, Config{Dir: tree(t), Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}})
	s.do(t, "GET", "/nowhere")
	if e := s.event(t); e.Duration != time.Second || e.Time.Year() != 2026 {
		t.Errorf("%+v", e)
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	dir := tree(t)
	s := start(t, Config{Dir: dir})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			answers := bufio.NewReader(conn)
			for j := range 12 {
				path := []string{"versions.json", "main.py", "lib/", "nope"}[(i+j)%4]
				fmt.Fprintf(conn, "GET /ota/%s HTTP/1.1\r\nHost: h\r\nUser-Agent: board%d\r\n\r\n", path, i)
				resp, err := http.ReadResponse(answers, nil)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || (resp.StatusCode == 200) != (path != "nope") {
					t.Errorf("%s: %s, %v", path, resp.Status, err)
				}
				if etag := resp.Header.Get("ETag"); etag != "" && etag != etagOf(string(body)) {
					t.Errorf("%s: the ETag is not that of the body", path)
				}
				if path == "main.py" && i == 0 {
					if err := os.WriteFile(filepath.Join(dir, "main.py"), fmt.Appendf(nil, "edit = %d\n", j), 0o644); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for range 16 * 12 {
		s.event(t)
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

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file", "")
	for name, config := range map[string]Config{
		"no folder":    {Dir: filepath.Join(dir, "nope"), Options: manifest.DefaultOptions()},
		"a file":       {Dir: filepath.Join(dir, "file"), Options: manifest.DefaultOptions()},
		"no extension": {Dir: dir},
		"an empty key": {Dir: dir, Options: manifest.DefaultOptions(), Key: []byte{}},
	} {
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), config.Dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
