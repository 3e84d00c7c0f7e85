package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cactuscon/saguarota/fleet/ca"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
	"github.com/cactuscon/saguarota/internal/releases"
	"github.com/cactuscon/saguarota/rehearse"
)

// an authority is one that issues into a folder.
type authority struct {
	t   *testing.T
	dir string
	*ca.Authority
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a, err := ca.New("test", time.Now(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, t.TempDir(), a}
}

// issue makes a certificate and its key, in the same files each time, and returns their names.
// What is issued for a negative number of days has expired.
func (a *authority) issue(days int, names ...string) (cert, key string) {
	a.t.Helper()
	p, err := a.Issue(names, time.Now(), days)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := p.KeyPEM()
	if err != nil {
		a.t.Fatal(err)
	}
	cert, key = filepath.Join(a.dir, "server.pem"), filepath.Join(a.dir, "server.key")
	if err := writeFiles(true, []newFile{{key, private, 0o600}, {cert, p.CertPEM(), 0o644}}); err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// pool returns the root as whom a client trusts.
func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Cert)
	return pool
}

// serial returns the number of the certificate that a server shows by a name.
func serial(t *testing.T, addr, name string, roots *x509.CertPool) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// Files that change are read again; while they are no good, the old ones do.
func TestCertificateIsReadAgain(t *testing.T) {
	a := newAuthority(t)
	now := time.Now()
	var log strings.Builder
	cert, key := a.issue(100, "one.lan")
	f := &certFiles{cert: cert, key: key, now: func() time.Time { return now }, log: slog.New(slog.NewTextHandler(&log, nil))}
	if err := f.load(); err != nil {
		t.Fatal(err)
	}
	shows := func(want string) {
		t.Helper()
		pair, err := f.get(nil)
		if err != nil || !slices.Equal(pair.Leaf.DNSNames, []string{want}) {
			t.Errorf("it shows %v, %v, not %s\n%s", pair.Leaf.DNSNames, err, want, log.String())
		}
	}
	age := func() { // so that each change has a time of its own, whatever the file system
		now = now.Add(time.Second)
		for _, name := range []string{cert, key} {
			if err := os.Chtimes(name, now, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	shows("one.lan")
	now = now.Add(time.Second)
	shows("one.lan")
	a.issue(100, "two.lan")
	shows("one.lan") // nobody looks twice within a second
	age()
	shows("two.lan")

	private, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := newAuthority(t).issue(100, "three.lan")
	certificate, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func() error{
		"another's certificate": func() error { return os.WriteFile(cert, certificate, 0o600) },
		"half of a key":         func() error { return os.WriteFile(key, private[:len(private)/2], 0o600) },
		"no certificate":        func() error { return os.Truncate(cert, 0) },
	} {
		log.Reset()
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		age()
		shows("two.lan")
		now = now.Add(time.Second)
		shows("two.lan")
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("%s: the log tells it %d times:\n%s", name, n, log.String())
		}
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	shows("two.lan")
	a.issue(100, "four.lan")
	age()
	shows("four.lan")
	a.issue(100, "five.lan")
	f.reread()
	shows("five.lan")
}

// The real server takes a new certificate without a restart: connections stay.
func TestFleetTakesANewCertificate(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue(100, "localhost")
	f := newFleet(t, func(f *fleetProcess) {
		f.args, f.tls = []string{"--tls-cert", cert, "--tls-key", key}, &tls.Config{RootCAs: a.pool()}
	})
	addr := strings.TrimPrefix(f.url, "https://")
	old, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "localhost", RootCAs: a.pool()})
	f.must(err)
	defer old.Close()
	first := serial(t, addr, "localhost", a.pool())
	a.issue(100, "localhost")
	f.must(f.cmd.Process.Signal(syscall.SIGHUP))
	f.must(f.awaitLog("a new certificate"))
	if second := serial(t, addr, "localhost", a.pool()); second == first {
		t.Error("it shows the old one")
	}
	_, err = io.WriteString(old, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
	f.must(err)
	head := make([]byte, 15)
	if _, err := io.ReadFull(old, head); err != nil || string(head) != "HTTP/1.1 200 OK" {
		t.Errorf("an old connection: %q, %v", head, err)
	}
}

// ports are those that freePort has given away.
var ports sync.Map

// freePort returns a port for a program that cannot take any: one that nobody listens on, and
// that no outgoing connection is given, as those from the system's range are.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 20_000 + rand.IntN(12_000)
		if _, taken := ports.LoadOrStore(port, true); taken {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("there is no free port")
	return 0
}

// By HTTP there is nothing but the way to HTTPS, and by HTTPS browsers are told to stay.
func TestFleetHTTPLeadsToHTTPS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue(100, "localhost")
	port := freePort(t)
	f := newFleet(t, func(f *fleetProcess) {
		f.args, f.tls = []string{"--tls-cert", cert, "--tls-key", key, "--http-port", strconv.Itoa(port)}, &tls.Config{RootCAs: a.pool()}
	})
	open := "http://localhost:" + strconv.Itoa(port)
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: a.pool()}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ask := func(method, url, host string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("{}"))
		f.must(err)
		if host != "" {
			req.Host = host
		}
		resp, err := client.Do(req)
		f.must(err)
		f.must(resp.Body.Close())
		return resp
	}
	secure := strings.TrimPrefix(f.url, "https://localhost:")
	for _, c := range []struct{ method, path, host, to string }{
		{"GET", "/ota/badge/versions.json.sig?x=1", "", "https://localhost:" + secure + "/ota/badge/versions.json.sig?x=1"},
		{"HEAD", "/ota/badge/a%20b%2Fc.py", "", "https://localhost:" + secure + "/ota/badge/a%20b%2Fc.py"},
		{"GET", "//elsewhere/x", "", "https://localhost:" + secure + "//elsewhere/x"},
		{"GET", "/", "updates.lan:80", "https://updates.lan:" + secure + "/"},
		{"GET", "/", "[::1]:80", "https://[::1]:" + secure + "/"},
		{"POST", "/ota/badge/versions.json.sig", "", ""},
		{"GET", "/api/v1/apps", "", ""}, // its token was sent openly
		{"POST", "/api/v1/apps", "", ""},
	} {
		resp := ask(c.method, open+c.path, c.host)
		want := http.StatusMovedPermanently
		if c.to == "" {
			want = http.StatusBadRequest
		}
		if resp.StatusCode != want || resp.Header.Get("Location") != c.to {
			t.Errorf("%s %s of %q: %d to %q", c.method, c.path, c.host, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	for _, path := range []string{"/healthz", "/ota/badge/versions.json.sig", "/api/openapi.json", "/nowhere"} {
		if got := ask("GET", f.url+path, "").Header.Get("Strict-Transport-Security"); got != "max-age=31536000" {
			t.Errorf("%s: %q", path, got)
		}
	}
	// What speaks HTTP to the port of HTTPS is told so, and nothing more.
	resp := ask("GET", strings.Replace(f.url, "https:", "http:", 1)+"/healthz", "")
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("HTTP to the port of HTTPS: %d", resp.StatusCode)
	}
	// Nobody gets an older TLS.
	if _, err := tls.Dial("tcp", strings.TrimPrefix(f.url, "https://"), &tls.Config{RootCAs: a.pool(), MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("it speaks TLS 1.1")
	}
	f.must(f.cmd.Process.Signal(syscall.SIGTERM))
	if err := f.wait(); err != nil {
		t.Errorf("it stops with %v", err)
	}
}

// Real boards update from the real server with the root of a private authority built in, by its
// name and by its address, and refuse one whose certificate is not for them.
func TestFleetTLSBoards(t *testing.T) {
	t.Parallel()
	library, err := releases.Compiled(t.Context(), releases.Library(""))
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := newAuthority(t), newAuthority(t)
	cert, key := ours.issue(100, "localhost", "127.0.0.1")
	f := newFleet(t, func(f *fleetProcess) {
		f.args, f.tls = []string{"--tls-cert", cert, "--tls-key", key}, &tls.Config{InsecureSkipVerify: true} // boards do not
	})
	version := f.build()
	f.must(f.publish(nil))
	f.must(done(f.client(nil).SetChannelWithResponse(t.Context(), "badge", "stable", api.ChannelChange{Version: version})))
	port := f.url[strings.LastIndexByte(f.url, ':')+1:]
	serve := func(a *authority, days int, names ...string) {
		t.Helper()
		cert, key := a.issue(days, names...)
		if a != ours {
			for from, to := range map[string]string{cert: filepath.Join(ours.dir, "server.pem"), key: filepath.Join(ours.dir, "server.key")} {
				data, err := os.ReadFile(from)
				f.must(err)
				f.must(os.WriteFile(to, data, 0o600))
			}
		}
		f.must(f.cmd.Process.Signal(syscall.SIGHUP))
		f.must(f.awaitLog("a new certificate"))
	}
	for i, c := range []struct {
		name   string
		change func()
		host   string
		want   string // in the error; "": it is updated
	}{
		{"by name", nil, "localhost", ""},
		{"by address", nil, "127.0.0.1", ""},
		{"after a renewal", func() { serve(ours, 200, "localhost") }, "localhost", ""},
		{"another authority's", func() { serve(theirs, 100, "localhost") }, "localhost", "not correctly signed by the trusted CA"},
		{"expired", func() { serve(ours, -1, "localhost") }, "localhost", "validity has expired"},
		{"for another name", func() { serve(ours, 100, "other.lan") }, "localhost", "does not match with the expected CN"},
		{"for another address", func() { serve(ours, 100, "192.168.1.5") }, "127.0.0.1", "does not match with the expected CN"},
	} {
		if c.change != nil {
			c.change()
		}
		id := fmt.Sprint("board", i)
		base := (&url.URL{Scheme: "https", Host: net.JoinHostPort(c.host, port), Path: "/ota/badge/"}).String()
		tree := fstest.MapFS{"ca.der": {Data: ours.Cert.Raw}, "boot.py": {Data: fmt.Appendf(nil, `from saguarota import OTAUpdater
base = %q
ota = OTAUpdater(base + "versions.json", base, public_keys=[%q], app="badge", device_id=%q, trial_boots=1, ca="ca.der", http_timeout_s=120)
ota.check_and_perform_ota()
print("boot", ota.last_error_message)
`, base, f.key.PublicKey(), id)}}
		for name, text := range library {
			tree[name] = &fstest.MapFile{Data: []byte(text)}
		}
		board := &rehearse.Board{Image: filepath.Join(t.TempDir(), id+".img")}
		f.must(board.Format(t.Context(), tree))
		results, err := board.Run(t.Context(), 10)
		f.must(err)
		var said strings.Builder
		for _, r := range results {
			said.WriteString(r.Output)
		}
		known := f.boards()[id]
		switch {
		case c.want == "" && (known.Version != version || !strings.Contains(said.String(), "OTA: installed; restarting")):
			t.Errorf("%s: the server knows of it %+v, and it said\n%s", c.name, known, said.String())
		case c.want != "" && (known.ID != "" || !strings.Contains(said.String(), c.want)):
			t.Errorf("%s: the server knows of it %+v, and it said\n%s", c.name, known, said.String())
		}
	}
}
