package devserver

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

// FuzzHandler asks for whatever the fuzzer comes up with. However it is
// written, the answer is a file of the release as it is on disk, a page of the
// server's own, or a refusal; and its line in the log is one line.
func FuzzHandler(f *testing.F) {
	for _, target := range []string{
		"/ota/versions.json", "/ota/versions.json.sig", "/ota/keys/1.json", "/ota/keys/%31.json", "/ota/main.py", "/ota/lib/", "/ota/lib", "/ota", "/ota/", "/",
		"/ota/../secret.py", "/ota/%2e%2e/secret.py", "/ota/..%2fsecret.py", "/ota/%252e%252e/secret.py",
		`/ota/..\secret.py`, "/ota/..%5csecret.py", "/ota/out.py", "/ota/outdir/x.py", "/ota/loop/loop/main.py",
		"/ota/main.py%00", "/ota/main.py/", "/ota//main.py", "/ota/./main.py", "/ota/tests/helper.py", "/ota/.env",
		"http://h/ota/../secret.py", "*", "//ota/main.py", "/ota/lib%2fbadge.mpy", "/ota/%ff", "/ota/C:/secret.py",
		"/ota/main.py?../secret.py", "/ota/main.py#x", "/ota/100%25%20a&b.py", "/ota/" + strings.Repeat("../", 30) + "etc/passwd",
	} {
		f.Add("GET", target, "", "")
		f.Add("HEAD", target, "bytes=1-2", "saguarota/0.2.0 (esp32; micropython 1.25.0)")
	}
	f.Add("GET", "/ota/main.py", "bytes=-1", `"0123456789abcdef"`)
	f.Add("GET", "/ota/main.py", "bytes=0-0,2-3,-1", `W/"x"`)
	f.Add("GET", "/ota/versions.json", "", "*")
	f.Add("GET", "/ota/versions.json.sig", "", "\x1b[2J\xff")
	f.Add("OPTIONS", "*", "", "")
	f.Add("POST", "/ota/main.py", "", "")

	dir := tree(f)
	write(f, filepath.Dir(dir), "beside/x.py", secret)
	for name, target := range map[string]string{"out.py": "../secret.py", "outdir": "../beside", "loop": "."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			f.Fatal(err)
		}
	}
	var line string
	config, _ := signing(f, dir)
	config.Options, config.Log = manifest.DefaultOptions(), func(e Event) { line = e.String() }
	config.Keysets = [][]byte{[]byte("a keyset")}
	s, err := New(config)
	if err != nil {
		f.Fatal(err)
	}
	m, err := s.Manifest(f.Context())
	if err != nil {
		f.Fatal(err)
	}

	f.Fuzz(func(t *testing.T, method, target, ranges, header string) {
		head := method + " " + target + " HTTP/1.1\r\nHost: h\r\n\r\n"
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			return // net/http turns it away
		}
		if ranges != "" {
			req.Header.Set("Range", ranges)
		}
		if header != "" {
			for _, name := range []string{"User-Agent", "If-None-Match", "If-Range", "X-Forwarded-For", "Accept-Encoding"} {
				req.Header.Set(name, header)
			}
		}
		line = ""
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		body := w.Body.String()

		if strings.Contains(body, secret) {
			t.Fatalf("%q gives away a file that is not of the release", head)
		}
		switch w.Code {
		case 200, 204, 206, 301, 304, 404, 405, 416:
		default:
			t.Errorf("%q: status %d: %s", head, w.Code, body)
		}
		if line == "" || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q: logged %q", head, line)
		}
		for name, values := range w.Header() {
			for _, v := range values {
				if strings.ContainsAny(v, "\r\n\x00") {
					t.Errorf("%q: the header %s is %q", head, name, v)
				}
			}
		}
		if to := w.Header().Get("Location"); w.Code == 301 && !strings.HasPrefix(to, "http://") && !strings.HasPrefix(to, "/ota") {
			t.Errorf("%q: sent on to %q", head, to)
		}
		if w.Code != 200 || req.Method != "GET" || strings.HasSuffix(req.URL.Path, "/") ||
			slices.Contains([]string{prefix + ManifestName, prefix + release.StatementName, prefix + release.KeysetName(1)}, req.URL.Path) {
			return
		}
		path := strings.TrimPrefix(req.URL.Path, prefix)
		if _, ok := m.Lookup(path); !ok {
			t.Errorf("%q is answered with a file that the manifest does not list", head)
		}
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
		if err != nil || body != string(content) || w.Header().Get("ETag") != etagOf(body) {
			t.Errorf("%q: %q is not the file, or has not its ETag: %v", head, body, err)
		}
	})
}
