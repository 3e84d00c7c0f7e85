package boardtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// An authority is a certificate authority that exists for one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	der  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	now := time.Now()
	a.der, a.key = a.sign(&x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	})
	cert, err := x509.ParseCertificate(a.der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert = cert
	return a
}

// sign issues a certificate for a new key; an authority's first is its own.
func (a *authority) sign(cert *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = cert, key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	return der, key
}

// server returns the TLS configuration of a server whose certificate is for localhost, or for
// another name, and is valid from and to the given times from now.
func (a *authority) server(name string, from, to time.Duration) *tls.Config {
	a.t.Helper()
	now := time.Now()
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(from),
		NotAfter:     now.Add(to),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		cert.IPAddresses = []net.IP{ip}
	} else {
		cert.DNSNames = []string{name}
	}
	der, key := a.sign(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.der})
}

// serveTLS starts a server that says hello to every request of a connection.
func serveTLS(t *testing.T, config *tls.Config) *rawServer {
	t.Helper()
	return serveRawOn(t, "127.0.0.1:0", config, func(c *rawConn) {
		for c.request() != nil {
			c.send(plain("hello"))
		}
	})
}

// secure returns a https URL for s by the name localhost.
func secure(s *rawServer, path string) string { return "https://localhost:" + port(s) + path }

func port(s *rawServer) string {
	_, port, _ := net.SplitHostPort(s.addr)
	return port
}

// checkTLS is checkHTTP with the given authorities.
func checkTLS(t *testing.T, s *rawServer, ca []byte, want string, ops ...op) {
	t.Helper()
	got := runHTTP(t, httpOptions{ca: ca}, ops...)
	checkOutput(t, s, want, strings.ReplaceAll(got, "localhost:"+port(s), "HOST"))
}

// Which certificates are accepted.
func TestHTTPCertificate(t *testing.T) {
	const hello = "head 200 5 0 5 None\nbody 5 b'hello'\n"
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	good := ours.server("localhost", -time.Hour, time.Hour)
	for _, tt := range []struct {
		name   string
		config *tls.Config
		ca     []byte
		want   string
	}{
		{"DER", good, ours.der, hello},
		{"PEM", good, ours.pem(), hello},
		{"PEM of several authorities", good, append(theirs.pem(), ours.pem()...), hello},
		{"not to be verified", theirs.server("other.example", -2*time.Hour, -time.Hour), nil, hello},
		{"another authority's", good, theirs.der,
			"error 0 HOST: The certificate is not correctly signed by the trusted CA (sending)"},
		{"expired", ours.server("localhost", -2*time.Hour, -time.Hour), ours.der,
			"error 0 HOST: The certificate validity has expired (sending)"},
		{"not yet valid", ours.server("localhost", time.Hour, 2*time.Hour), ours.der,
			"error 0 HOST: The certificate validity starts in the future (is the clock set?) (sending)"},
		{"another host's", ours.server("other.example", -time.Hour, time.Hour), ours.der,
			"error 0 HOST: The certificate Common Name (CN) does not match with the expected CN (sending)"},
		{"authority missing", good, []byte{}, "error 0 HOST: invalid cert (connecting)"},
		{"authority malformed", good, []byte("not a certificate"), "error 0 HOST: invalid cert (connecting)"},
		{"authority's PEM cut short", good, ours.pem()[:200], "error 0 HOST: incorrect padding (connecting)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveTLS(t, tt.config)
			ops := []op{get(secure(s, "/"))}
			if tt.want == hello {
				ops = append(ops, read())
			}
			checkTLS(t, s, tt.ca, tt.want, ops...)
			if _, n := s.count(); (n > 0) != (tt.want == hello) {
				t.Errorf("the server was sent %d requests", n)
			}
		})
	}
	t.Run("an address's", func(t *testing.T) {
		t.Parallel()
		s := serveTLS(t, ours.server("127.0.0.1", -time.Hour, time.Hour))
		checkTLS(t, s, ours.der, hello, get("https://"+s.addr+"/"), read())
	})
	for _, tt := range []struct {
		name, want string
		ca         []byte
	}{
		{"PEM", hello, ours.pem()},
		{"PEM of several authorities", hello, append(theirs.pem(), ours.pem()...)},
		{"another authority's PEM", "error 0 HOST: The certificate is not correctly signed by the trusted CA (sending)",
			theirs.pem()},
		{"DER", hello, ours.der},
		{"authority malformed", "error 0 HOST: invalid cert (connecting)", []byte("not a certificate")},
	} {
		t.Run(tt.name+" where TLS takes DER only", func(t *testing.T) {
			t.Parallel()
			s := serveTLS(t, good)
			ops := []op{get(secure(s, "/"))}
			if tt.want == hello {
				ops = append(ops, read())
			}
			got := runHTTP(t, httpOptions{ca: tt.ca, derOnly: true}, ops...)
			checkOutput(t, s, tt.want, strings.ReplaceAll(got, "localhost:"+port(s), "HOST"))
		})
	}
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(v)+" keeps its connection", func(t *testing.T) {
			t.Parallel()
			config := good.Clone()
			config.MinVersion, config.MaxVersion = v, v
			s := serveTLS(t, config)
			checkTLS(t, s, ours.der, hello+hello+hello,
				get(secure(s, "/1")), read(), get(secure(s, "/2")), read(), get(secure(s, "/3")), read())
			checkCount(t, s, 1, 3)
		})
	}
}

// A board has few sockets, so a failed handshake must not leave one behind.
func TestHTTPCertificateRefusedClosesSocket(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	config := theirs.server("localhost", -time.Hour, time.Hour)
	closed := make(chan bool)
	s := serveRaw(t, func(c *rawConn) {
		tls.Server(c.Conn, config).Handshake() // fails, for the client does not trust it
		io.Copy(io.Discard, c.Conn)
		close(closed)
	})
	gate := serveRaw(t, func(c *rawConn) {
		if c.request() == nil {
			return
		}
		// Only now is the client known to be still running.
		select {
		case <-closed:
			c.send(plain("closed"))
		case <-t.Context().Done():
		}
	})
	checkTLS(t, s, ours.der, "error 0 HOST: The certificate is not correctly signed by the trusted CA (sending)\n"+
		"head 200 6 0 6 None\nbody 6 b'closed'", get(secure(s, "/")), get(gate.url("/")), read())
}

// Where TLS goes wrong other than by a certificate.
func TestHTTPTLS(t *testing.T) {
	ours := newAuthority(t, "ours")
	good := ours.server("localhost", -time.Hour, time.Hour)
	t.Run("redirect from https to http", func(t *testing.T) {
		t.Parallel()
		open := serveAnswers(t, plain("stolen"))
		s := serveRawOn(t, "127.0.0.1:0", good, func(c *rawConn) {
			if c.request() != nil {
				c.send(answer("302 Found", "Location: "+open.url("/"), "Content-Length: 0", ""))
			}
		})
		checkTLS(t, s, ours.der, "error 302 bad answer from HOST: redirect from https to http", get(secure(s, "/")))
		checkCount(t, open, 0, 0)
	})
	t.Run("redirect from http to https", func(t *testing.T) {
		t.Parallel()
		s := serveTLS(t, good)
		open := serveAnswers(t, answer("302 Found", "Location: "+secure(s, "/"), "Content-Length: 0", ""))
		checkTLS(t, s, ours.der, "head 200 5 0 5 None\nbody 5 b'hello'", get(open.url("/")), read())
	})
	t.Run("body until close", func(t *testing.T) {
		t.Parallel()
		s := serveRawOn(t, "127.0.0.1:0", good, func(c *rawConn) {
			if c.request() != nil {
				c.send(answer("200 OK", "hello"))
				c.Close()
			}
		})
		checkTLS(t, s, ours.der, "head 200 None 0 None None\nbody 5 b'hello'", get(secure(s, "/")), read())
	})
	// Whoever sits between can end the connection, but not pass the end off as the body's.
	for _, tt := range []struct{ name, answer, want string }{
		{"length", answer("200 OK", "Content-Length: 9", "hello"),
			"head 200 9 0 9 None\nbody 5 b'hello'\nerror 200 bad answer from HOST: cut short"},
		{"chunks", answer("200 OK", "Transfer-Encoding: chunked", "5\r\nhello\r\n"),
			"head 200 None 0 None None\nbody 5 b'hello'\nerror 200 HOST closed the connection (body)"},
	} {
		t.Run(tt.name+", cut by someone between", func(t *testing.T) {
			t.Parallel()
			s := serveRawOn(t, "127.0.0.1:0", good, func(c *rawConn) {
				if c.request() != nil {
					c.send(tt.answer)
					c.Conn.(*tls.Conn).NetConn().Close()
				}
			})
			checkTLS(t, s, ours.der, tt.want, get(secure(s, "/")), read())
		})
	}
	t.Run("closed while idle, without saying so", func(t *testing.T) {
		t.Parallel()
		s := serveRawOn(t, "127.0.0.1:0", good, func(c *rawConn) {
			if c.request() != nil {
				c.send(plain("hello"))
				c.Conn.(*tls.Conn).NetConn().Close()
			}
		})
		checkTLS(t, s, ours.der, "head 200 5 0 5 None\nbody 5 b'hello'\nhead 200 5 0 5 None\nbody 5 b'hello'",
			get(secure(s, "/")), read(), get(secure(s, "/")), read())
		checkCount(t, s, 2, 2)
	})
	t.Run("closed as the next request arrives", func(t *testing.T) {
		t.Parallel()
		s := serveRawOn(t, "127.0.0.1:0", good, func(c *rawConn) {
			if c.request() == nil {
				return
			}
			c.send(plain("hello"))
			if c.request() == nil {
				return
			}
			c.Conn.(*tls.Conn).NetConn().Close()
		})
		checkTLS(t, s, ours.der, "head 200 5 0 5 None\nbody 5 b'hello'\nhead 200 5 0 5 None\nbody 5 b'hello'",
			get(secure(s, "/")), read(), get(secure(s, "/")), read())
		checkCount(t, s, 2, 3)
	})
	t.Run("no TLS on this port", func(t *testing.T) {
		t.Parallel()
		s := serveRaw(t, func(c *rawConn) {
			c.send("HTTP/1.1 400 The plain HTTP request was sent to HTTPS port\r\n\r\n")
			c.hold()
		})
		got := runHTTP(t, httpOptions{}, get("https://"+s.addr+"/"))
		if !strings.HasPrefix(got, "error 0 "+s.addr+": ") || !strings.Contains(got, "SSL") {
			t.Errorf("the client said %q, want an error of TLS", got)
		}
	})
	t.Run("closed during the handshake", func(t *testing.T) {
		t.Parallel()
		s := serveRaw(t, func(c *rawConn) { c.r.ReadByte() })
		checkHTTP(t, s, "error 0 HOST closed the connection (sending)", get("https://"+s.addr+"/"))
	})
	t.Run("silent during the handshake", func(t *testing.T) {
		t.Parallel()
		s := serveRaw(t, (*rawConn).hold)
		checkStall(t, s, "error 0 no answer from HOST within 1 s (sending)", get("https://"+s.addr+"/"))
	})
	t.Run("dripping during the handshake", func(t *testing.T) {
		t.Parallel()
		s := serveRaw(t, func(c *rawConn) {
			c.send("\x16\x03\x03\x3f\xff") // a record of 16 kB, which will take half an hour
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				if !c.send("\x02") {
					return
				}
			}
		})
		checkStall(t, s, "error 0 no answer from HOST within 1 s (sending)", get("https://"+s.addr+"/"))
	})
}
