package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cactuscon/saguarota/devserver"
)

// background is the "saguarota serve" that a script runs. The commands are
//
//	serve ARG...        start "saguarota serve ARG..." and wait until it listens;
//	                    $URL is where, $PORT the port
//	end interrupt|terminate|stdin
//	                    tell it to stop, by a signal or by closing its standard
//	                    input, and wait; fails unless its exit status is 0.
//	                    What it printed is then in serve.out and serve.err
//	exec http METHOD URL ["NAME: VALUE"...]
//	                    print the status, the headers and the body of an answer
type background struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	ready  *bufio.Reader
	out    bytes.Buffer
	errors bytes.Buffer
}

// backgroundKey is where testscript keeps a script's *background.
type backgroundKey struct{}

func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	b := ts.Value(backgroundKey{}).(*background)
	if neg || b.cmd != nil {
		ts.Fatalf("serve: one at a time, and it has to start")
	}
	program, err := exec.LookPath("saguarota")
	ts.Check(err)
	b.out.Reset()
	b.errors.Reset()
	b.cmd = exec.Command(program, append([]string{"serve"}, args...)...)
	b.cmd.Dir = ts.Getenv("WORK")
	b.cmd.Env = append(os.Environ(), "OTA_KEY="+ts.Getenv("OTA_KEY"))
	b.cmd.Stderr = &b.errors
	b.stdin, err = b.cmd.StdinPipe()
	ts.Check(err)
	stdout, err := b.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(b.cmd.Start())
	ts.Defer(func() {
		if b.cmd != nil {
			_ = b.cmd.Process.Kill()
			_ = b.cmd.Wait()
		}
	})
	b.ready = bufio.NewReader(io.TeeReader(stdout, &b.out))
	line, err := b.ready.ReadString('\n')
	if err != nil {
		_ = b.cmd.Wait()
		b.cmd = nil
		ts.Fatalf("serve did not start: %s", b.errors.String())
	}
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		ts.Fatalf("the first line is %q", line)
	}
	ts.Setenv("URL", url)
	ts.Setenv("PORT", url[strings.LastIndexByte(url, ':')+1:])
}

func scriptEnd(ts *testscript.TestScript, neg bool, args []string) {
	b := ts.Value(backgroundKey{}).(*background)
	if neg || b.cmd == nil || len(args) != 1 {
		ts.Fatalf("usage: end interrupt|terminate|stdin")
	}
	switch args[0] {
	case "interrupt":
		ts.Check(b.cmd.Process.Signal(os.Interrupt))
	case "terminate":
		ts.Check(b.cmd.Process.Signal(syscall.SIGTERM))
	case "stdin":
		ts.Check(b.stdin.Close())
	default:
		ts.Fatalf("end: by what?")
	}
	_, err := io.Copy(io.Discard, b.ready)
	ts.Check(err)
	ts.Check(b.cmd.Wait())
	b.cmd = nil
	ts.Check(os.WriteFile(ts.MkAbs("serve.out"), b.out.Bytes(), 0o666))
	ts.Check(os.WriteFile(ts.MkAbs("serve.err"), b.errors.Bytes(), 0o666))
}

// httpMain is the program "http" of the scripts. Redirects are not followed.
func httpMain() {
	if err := httpRequest(os.Stdout, os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func httpRequest(w io.Writer, method, url string, headers []string) error {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	fmt.Fprintln(w, resp.StatusCode)
	var lines []string
	for name, values := range resp.Header {
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(lines)
	fmt.Fprintf(w, "%s\n\n", strings.Join(lines, "\n"))
	_, err = io.Copy(w, resp.Body)
	return err
}

func TestRequestLog(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	at := time.Date(2026, 1, 1, 12, 30, 0, 0, time.UTC)
	events := []devserver.Event{
		{Time: at, Note: "warning: odd"},
		{Time: at, Remote: "10.0.0.7", Board: "Pico W", Method: "GET", Path: "/ota/main.py", Status: 200, Bytes: 1500, Duration: time.Second, Note: "file 1"},
		{Time: at, Remote: "10.0.0.123", Method: "GET", Path: "/ota/" + strings.Repeat("x", 60), Status: 404},
		{Time: at, Remote: "10.0.0.7", Board: "Pico W", Method: "GET", Path: "/ota/a.py", Status: 200},
		{Time: at, Remote: "10.0.0.7", Note: "sent nothing"},
	}
	for _, test := range []struct {
		name  string
		fancy bool
		want  string
	}{
		{"terminal", true, "12:30:00  warning: odd\n" +
			"12:30:00  10.0.0.7  Pico W  GET /ota/main.py  200     1.5 kB    1.0 s  file 1\n" +
			"12:30:00  10.0.0.123        GET /ota/" + strings.Repeat("x", 60) + "  \x1b[31m404\x1b[0m        0 B     0 ms\n" +
			"12:30:00  10.0.0.7  Pico W  GET /ota/a.py                             200        0 B     0 ms\n" +
			"12:30:00  10.0.0.7  sent nothing\n"},
		{"file", false, "12:30:00 warning: odd\n" +
			"12:30:00 10.0.0.7 Pico W GET /ota/main.py 200 1.5 kB 1.0 s, file 1\n" +
			"12:30:00 10.0.0.123 GET /ota/" + strings.Repeat("x", 60) + " 404 0 B 0 ms\n" +
			"12:30:00 10.0.0.7 Pico W GET /ota/a.py 200 0 B 0 ms\n" +
			"12:30:00 10.0.0.7 sent nothing\n"},
	} {
		var out strings.Builder
		log := requestLog{w: &out, fancy: test.fancy}
		for _, e := range events {
			log.print(e)
		}
		if out.String() != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, out.String(), test.want)
		}
	}
}

func TestColoursCanBeTurnedOff(t *testing.T) {
	for _, env := range []struct{ name, value string }{{"NO_COLOR", "1"}, {"TERM", "dumb"}} {
		t.Run(env.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", "")
			t.Setenv("TERM", "xterm")
			t.Setenv(env.name, env.value)
			if colours() {
				t.Error("they are on")
			}
		})
	}
}

func TestWelcomeNamesEveryAddress(t *testing.T) {
	text := welcome{src: "src", host: "0.0.0.0", port: 8000, lan: []string{"192.168.1.5", "10.0.0.9"}}.text()
	for _, want := range []string{
		"listening on http://0.0.0.0:8000\n",
		"Manifest URL: http://192.168.1.5:8000/ota/versions.json\n",
		"Manifest URL: http://10.0.0.9:8000/ota/versions.json\n",
		"manifest_url=\"http://192.168.1.5:8000/ota/versions.json\",\n",
		"base_file_url=\"http://192.168.1.5:8000/ota/\",\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "--host") {
		t.Errorf("a hint that does not apply:\n%s", text)
	}
	if text := (welcome{host: "::1", port: 80}).text(); !strings.HasPrefix(text, "listening on http://[::1]:80\n") || !strings.Contains(text, "add --host 0.0.0.0") {
		t.Errorf("IPv6:\n%s", text)
	}
}

func TestAnyAddress(t *testing.T) {
	for host, want := range map[string]bool{"": true, "0.0.0.0": true, "::": true, "localhost": false, "127.0.0.1": false, "192.168.1.5": false, "badge.local": false} {
		if anyAddress(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
	for _, a := range lanAddresses("0.0.0.0") {
		if strings.Contains(a, ":") || strings.HasPrefix(a, "127.") {
			t.Errorf("%s is no address for a board", a)
		}
	}
}
