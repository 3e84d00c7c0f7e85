package devserver

import (
	"fmt"
	"strings"
	"testing"
)

// get is a whole request for a target, written as it is.
func get(target string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
}

// Every way of asking for something that is not a file of the release, none of
// which http.Client would send.
func TestTraversal(t *testing.T) {
	dir := tree(t)
	write(t, dir, "a%2fb.py", secret, "lib/..py", "fine")
	s := start(t, Config{Dir: dir})
	for _, target := range []string{
		// Out of the tree.
		"/ota/../secret.py",
		"/ota/lib/../../secret.py",
		"/ota/%2e%2e/secret.py",
		"/ota/%2E%2E/secret.py",
		"/ota/.%2e/secret.py",
		"/ota/..%2fsecret.py",
		"/ota/..%2Fsecret.py",
		"/ota/%2e%2e%2fsecret.py",
		"/ota/%252e%252e/secret.py",
		"/ota/%252e%252e%252fsecret.py",
		"/ota/..%255csecret.py",
		`/ota/..\secret.py`,
		`/ota/lib\..\..\secret.py`,
		"/ota/..%5csecret.py",
		"/ota/..%5Csecret.py",
		"/ota/%c0%ae%c0%ae/secret.py",
		"/ota/%e0%80%ae%e0%80%ae/secret.py",
		"/ota/%uff0e%uff0e/secret.py",
		"/ota/．．/secret.py",
		"/ota//../secret.py",
		"/ota/..;/secret.py",
		"/ota/lib/.../secret.py",
		"/ota/" + strings.Repeat("../", 20) + "etc/passwd",
		"/ota//etc/passwd",
		"/ota/%2fetc/passwd",
		"/ota/file:///etc/passwd",
		"/ota/C:/secret.py",
		"/ota/C:%5csecret.py",
		"/ota/..",
		"/ota/../",
		"/ota/%2e%2e/",
		"/../ota/main.py",
		"/./ota/main.py",
		"//ota/main.py",
		"/secret.py",
		"/",
		"/versions.json",
		"/OTA/main.py",
		"/otamain.py",
		"/ota%2fmain.py",
		"/ota%5cmain.py",
		"/%6fta%2fmain.py",
		"http://h/ota/../secret.py",
		// In the tree, by a path that is not the canonical one.
		"/ota/./main.py",
		"/ota/%2e/main.py",
		"/ota/lib/../main.py",
		"/ota/lib//badge.mpy",
		"/ota/lib%2fbadge.mpy",
		"/ota/lib%5cbadge.mpy",
		`/ota/lib%2fbadge.mpy"`,
		"/ota//main.py",
		"/ota/main.py/",
		"/ota/main.py/.",
		"/ota/main.py/x.py",
		"/ota/main.py%00",
		"/ota/main.py%00.txt",
		"/ota/%00main.py",
		"/ota/main.py%0a",
		"/ota/main.py%0d%0aX-Injected:%20yes",
		"/ota/main.py%20",
		"/ota/main.py.",
		"/ota/main.py::$DATA",
		"/ota/main.py;x=1",
		"/ota/MAIN.PY",
		"/ota/Main.py",
		"/ota/%ff.py",
		"/ota/a/b.py",
		"/ota/versions.json/",
		"/ota/VERSIONS.JSON",
		"/ota/lib/versions.json",
		"/ota/" + strings.Repeat("a", 300) + ".py",
		"/ota/" + strings.Repeat("a/", 3000),
		// In the tree, but not of the release.
		"/ota/.env",
		"/ota/notes.txt",
		"/ota/test_main.py",
		"/ota/tests",
		"/ota/tests/",
		"/ota/tests/helper.py",
		"/ota/lib/__pycache__/",
		"/ota/lib/__pycache__/badge.py",
		"/ota/nope.py",
		"/ota/nope/",
	} {
		answer := s.raw(t, get(target))
		if !strings.HasPrefix(answer, "HTTP/1.1 404 ") && !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
			t.Errorf("%.60q: %.120q", target, answer)
		}
		if strings.HasPrefix(answer, "HTTP/1.1 400 ") && !strings.Contains(target, "%u") {
			t.Errorf("%.60q is a request, got %.120q", target, answer)
		}
		if strings.Contains(answer, secret) || strings.Contains(answer, "hello") || strings.Contains(answer, "X-Injected") {
			t.Errorf("%.60q gives away\n%s", target, answer)
		}
	}
	// The odd names that are names.
	for _, target := range []string{"/ota/lib/..py", "/ota/lib/%2e.py", "http://h/ota/main.py", "/%6fta/main.py"} {
		if answer := s.raw(t, get(target)); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
			t.Errorf("%s: %s", target, answer)
		}
	}
}

// What is no request is turned away, is a line in the log, and leaves the
// server as it was.
func TestMalformedRequests(t *testing.T) {
	s := start(t, Config{Dir: tree(t)})
	for _, test := range []struct{ name, request, answer string }{
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00\r\n", 50), "HTTP/1.1 400 "},
		{"noise", "\x00\xff\x00\xff\r\n\r\n", "HTTP/1.1 400 "},
		{"no version", "GET /ota/main.py\r\n\r\n", "HTTP/1.1 400 "},
		{"unknown version", "GET /ota/main.py HTTP/7.3\r\nHost: h\r\n\r\n", "HTTP/1.1 505 "},
		{"no host", "GET /ota/main.py HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
		{"two hosts", "GET /ota/main.py HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "HTTP/1.1 400 "},
		{"bad host", "GET /ota/lib HTTP/1.1\r\nHost: a b\r\n\r\n", "HTTP/1.1 400 "},
		{"bad escape", "GET /ota/%zz HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 "},
		{"control character", "GET /ota/\x01 HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 "},
		{"NUL", "GET /ota/main.py\x00 HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 "},
		{"relative target", "GET ota/main.py HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 "},
		{"header without colon", "GET /ota/main.py HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n", "HTTP/1.1 400 "},
		{"folded header name", "GET /ota/main.py HTTP/1.1\r\nHost: h\r\nA b: c\r\n\r\n", "HTTP/1.1 400 "},
		{"escape sequence", "GET /ota/main.py HTTP/1.1\r\nHost: h\r\nUser-Agent: \x1b]0;owned\x07\r\n\r\n", "HTTP/1.1 400 "},
		{"negative length", "GET /ota/main.py HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n", "HTTP/1.1 400 "},
		{"length and chunks", "GET /ota/main.py HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, x\r\n\r\n", "HTTP/1.1 501 "},
		{"endless header", "GET /ota/main.py HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 40_000) + "\r\n\r\n", "HTTP/1.1 431 "},
		{"endless target", "GET /ota/" + strings.Repeat("x", 40_000) + " HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 431 "},
		{"cut off", "GET /ota/main.py HTT", ""},
		{"cut off in a header", "GET /ota/main.py HTTP/1.1\r\nHost", ""},
	} {
		answer := s.raw(t, test.request)
		if !strings.HasPrefix(answer, test.answer) || strings.Contains(answer, "hello") {
			t.Errorf("%s: %q, want %q", test.name, answer, test.answer)
		}
		if e := s.event(t); e.Method != "" || !strings.Contains(e.Note, "sent no whole HTTP request") || e.Remote != "127.0.0.1" {
			t.Errorf("%s: logged %v", test.name, e)
		}
	}
	// A client that says nothing is nothing to talk about.
	s.raw(t, "")
	if resp, _ := s.do(t, "GET", "/ota/main.py"); resp.StatusCode != 200 {
		t.Errorf("afterwards: %s", resp.Status)
	}
	if e := s.event(t); e.Path != "/ota/main.py" {
		t.Errorf("afterwards: logged %v", e)
	}
}

func TestOldAndUnusualRequestsWork(t *testing.T) {
	s := start(t, Config{Dir: tree(t)})
	for name, request := range map[string]string{
		// MicroPython's requests module, which the original library uses.
		"HTTP/1.0":          "GET /ota/main.py HTTP/1.0\r\nHost: h\r\n\r\n",
		"no host in 1.0":    "GET /ota/main.py HTTP/1.0\r\n\r\n",
		"bare newlines":     "GET /ota/main.py HTTP/1.1\nHost: h\nConnection: close\n\n",
		"whole URL":         "GET http://elsewhere/ota/main.py HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"a body":            "GET /ota/main.py HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
		"spaces at the end": "GET /ota/main.py HTTP/1.1\r\nHost: h  \r\nConnection: close\r\n\r\n",
		"port in the host":  "GET /ota/main.py HTTP/1.1\r\nHost: h:8000\r\nConnection: close\r\n\r\n",
	} {
		answer := s.raw(t, request)
		if !strings.Contains(answer, " 200 OK\r\n") || !strings.HasSuffix(answer, "\r\n\r\nprint('hello')\n") {
			t.Errorf("%s: %q", name, answer)
		}
	}
}

// One connection carries a whole update, also past errors.
func TestConnectionIsKept(t *testing.T) {
	s := start(t, Config{Dir: tree(t)})
	var requests strings.Builder
	targets := []string{"/ota/versions.json", "/ota/main.py", "/ota/nope.py", "/ota/lib/", "/ota/lib", "/ota/../x", "/ota/boot.py"}
	for _, target := range targets {
		fmt.Fprintf(&requests, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", target)
	}
	answer := s.raw(t, requests.String())
	if got := strings.Count(answer, "HTTP/1.1 "); got != len(targets) || !strings.HasSuffix(answer, "import main\n") {
		t.Errorf("%d answers to %d requests:\n%s", got, len(targets), answer)
	}
}

func TestNothingThatIsSentHarmsTheTerminal(t *testing.T) {
	s := start(t, Config{Dir: tree(t)})
	s.raw(t, "GET /ota/\x9b2J\xe2\x80\xae.py HTTP/1.1\r\nHost: h\r\nUser-Agent: a\xc2\x9b2J\xe2\x80\xae\r\nConnection: close\r\n\r\n")
	e := s.event(t)
	if e.Path != "/ota/?2J?.py" || e.Board != "a?2J?" || e.Status != 404 {
		t.Errorf("logged %+q", e)
	}
	s.raw(t, get("/ota/"+strings.Repeat("x", 5000)))
	if e := s.event(t); len(e.String()) > 300 {
		t.Errorf("a line of %d bytes", len(e.String()))
	}
}
