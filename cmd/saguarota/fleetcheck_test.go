package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A port that another program has is told of; that the server itself runs is no fault.
func TestFleetCheckPorts(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("saguarota")
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	check := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), program, append([]string{"fleet", "check", "--data", data}, args...)...).CombinedOutput()
		return string(out), err
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	_, port, err := net.SplitHostPort(other.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := check("--host", "127.0.0.1", "--port", port); err == nil || !strings.Contains(out, "port "+port+" of 127.0.0.1 is taken") {
		t.Errorf("a port of another program: %v\n%s", err, out)
	}
	free := strconv.Itoa(freePort(t))
	if out, err := check("--host", "127.0.0.1", "--port", free); err != nil || !strings.Contains(out, "address: http://127.0.0.1:"+free+"\n") {
		t.Errorf("a free port: %v\n%s", err, out)
	}

	a := newAuthority(t)
	cert, key := a.issue(100, "localhost")
	secure := []string{"--tls-cert", cert, "--tls-key", key}
	if out, err := check(append(secure, "--host", "127.0.0.1", "--port", free, "--http-port", port)...); err == nil || !strings.Contains(out, "--http-port: port "+port) {
		t.Errorf("--http-port: %v\n%s", err, out)
	}
	f := newFleet(t, func(f *fleetProcess) { f.args, f.tls = secure, &tls.Config{RootCAs: a.pool()} })
	u, err := url.Parse(f.url)
	f.must(err)
	if out, err := check(append(secure, "--port", u.Port())...); err != nil || !strings.Contains(out, "address: "+f.url+", where a fleet server runs now") {
		t.Errorf("while the server runs: %v\n%s", err, out)
	}
}

// Who calls by HTTP is told that it takes HTTPS, at either port.
func TestCallsByHTTP(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("saguarota")
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t)
	cert, key := a.issue(100, "localhost")
	open := strconv.Itoa(freePort(t))
	f := newFleet(t, func(f *fleetProcess) {
		f.args, f.tls = []string{"--tls-cert", cert, "--tls-key", key, "--http-port", open}, &tls.Config{RootCAs: a.pool()}
	})
	for _, server := range []string{"http://localhost:" + open, strings.Replace(f.url, "https:", "http:", 1)} {
		cmd := exec.CommandContext(t.Context(), program, "fleet", "app", "list", "--server", server)
		cmd.Env = append(cmd.Environ(), "SAGUAROTA_TOKEN="+f.token)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "takes calls by HTTPS only") || !strings.Contains(string(out), "hint: give its URL with https://") {
			t.Errorf("%s: %v\n%s", server, err, out)
		}
	}
}
