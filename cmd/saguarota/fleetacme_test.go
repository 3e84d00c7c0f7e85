package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// tool returns the path of a program that "make services" has got.
func tool(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("SAGUAROTA_TOOLS")
	if dir == "" {
		dir = filepath.Join("..", "..", ".tools")
	}
	program, err := filepath.Abs(filepath.Join(dir, "bin", name))
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		t.Fatalf("%v; type \"make services\", which gets it", err)
	}
	return program
}

// startTool starts a program that runs until the test is over, or what it returns is called.
func startTool(t *testing.T, log *watchedLog, env []string, name string, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(tool(t, name), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // by the signal
		}
	}
	t.Cleanup(stop)
	return stop
}

// an acmeServer is a real one, pebble, for which every host name is this machine.
type acmeServer struct {
	directory string // its URL
	root      string // file with the root of its own certificate
	manage    string // URL of what is not ACME
	trust     *x509.CertPool
	stop      func()
}

// newACME starts an ACME server, which comes to the given ports to see who asks.
func newACME(t *testing.T, httpPort, tlsPort int) *acmeServer {
	t.Helper()
	a := newAuthority(t)
	cert, key := a.issue(10, "localhost", "127.0.0.1")
	s := &acmeServer{root: filepath.Join(t.TempDir(), "acme.pem"), trust: a.pool()}
	if err := os.WriteFile(s.root, a.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	names := "127.0.0.1:" + strconv.Itoa(freePort(t))
	log := newWatchedLog()
	startTool(t, log, nil, "pebble-challtestsrv", "-dnsserver", names, "-defaultIPv6", "", "-doh", "", "-http01", "", "-https01", "", "-tlsalpn01", "",
		"-management", "127.0.0.1:"+strconv.Itoa(freePort(t)))
	port, manage := freePort(t), freePort(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", port), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", manage),
		"certificate": cert, "privateKey": key, "httpPort": httpPort, "tlsPort": tlsPort, "keyAlgorithm": "ecdsa",
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"description": "x", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pebble.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := awaitNames(ctx, names); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	pebble := newWatchedLog()
	s.stop = startTool(t, pebble, []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0"}, "pebble", "-config", file, "-dnsserver", names)
	if err := pebble.await(ctx, "ACME directory available at"); err != nil {
		t.Fatal(err)
	}
	s.directory = fmt.Sprintf("https://localhost:%d/dir", port)
	s.manage = fmt.Sprintf("https://localhost:%d", manage)
	if err := s.await(ctx); err != nil {
		t.Fatalf("%v\n%s", err, pebble)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("pebble said\n%s", pebble)
		}
	})
	return s
}

// awaitNames waits until a DNS server answers.
func awaitNames(ctx context.Context, addr string) error {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	for {
		_, err := resolver.LookupIP(ctx, "ip4", "updates.example.com.")
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Millisecond) // nothing tells when it is there
	}
}

// await waits until the server answers.
func (s *acmeServer) await(ctx context.Context) error {
	for {
		_, err := s.get(ctx, s.directory)
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Millisecond) // it says that it listens before it does
	}
}

func (s *acmeServer) get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.trust}, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(resp.Body)
	return data, errors.Join(err, resp.Body.Close())
}

// roots returns the root of what the server issues.
func (s *acmeServer) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	data, err := s.get(t.Context(), s.manage+"/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		t.Fatalf("no root: %s", data)
	}
	return pool
}

// A server gets its certificate from a real ACME server, which it shows by TLS or by HTTP that it
// is who it says; it keeps the certificate, and asks for none by another name.
func TestFleetACME(t *testing.T) {
	for _, by := range []string{"TLS", "HTTP"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			port, httpPort := freePort(t), freePort(t)
			tlsPort := port
			if by == "HTTP" {
				tlsPort = freePort(t) // as where something else ends TLS
			}
			s := newACME(t, httpPort, tlsPort)
			f := &fleetProcess{t: t, dir: filepath.Join(t.TempDir(), "data")}
			const name = "updates.example.com"
			f.args = []string{
				"--port", strconv.Itoa(port), "--http-port", strconv.Itoa(httpPort),
				"--acme-domain", name, "--acme-directory", s.directory, "--acme-root", s.root, "--acme-email", "ada@example.com",
			}
			f.start()
			addr := net.JoinHostPort("localhost", strconv.Itoa(port))
			roots := s.roots(t)
			first := serial(t, addr, name, roots)
			if conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "other.example.com", RootCAs: roots}); err == nil {
				_ = conn.Close()
				t.Error("it has a certificate for any name")
			}
			f.must(f.awaitLog("other.example.com"))
			// Kept in the folder, for nobody else to read, it does without the ACME server.
			s.stop()
			f.kill()
			f.start()
			if again := serial(t, addr, name, roots); again != first {
				t.Error("it has another certificate after a restart")
			}
			entries, err := os.ReadDir(filepath.Join(f.dir, "acme"))
			f.must(err)
			for _, e := range entries {
				info, err := e.Info()
				f.must(err)
				if info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s has mode %v", e.Name(), info.Mode())
				}
			}
			if len(entries) < 2 {
				t.Errorf("kept: %v", entries)
			}
		})
	}
}
