package devserver

import (
	"bufio"
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
