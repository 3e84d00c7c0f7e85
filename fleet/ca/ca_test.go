package ca_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cactuscon/saguarota/fleet/ca"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func newAuthority(t *testing.T) *ca.Authority {
	t.Helper()
	a, err := ca.New("test", noon, 30)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *ca.Authority, days int, names ...string) *ca.Pair {
	t.Helper()
	p, err := a.Issue(names, noon, days)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestIssue(t *testing.T) {
	a := newAuthority(t)
	p := issue(t, a, 100, "Updates.LAN.", "192.168.1.5", "fd00::1", "*.example.com", "updates.lan")
	if d := cmp.Diff([]string{"updates.lan", "*.example.com", "192.168.1.5", "fd00::1"}, ca.Names(p.Cert)); d != "" {
		t.Error(d)
	}
	// Old TLS of boards compares an address with names.
	if !slices.Contains(p.Cert.DNSNames, "192.168.1.5") {
		t.Errorf("names: %q", p.Cert.DNSNames)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.Cert)
	for name, c := range map[string]struct {
		at   time.Time
		name string
		good bool
	}{
		"now":                         {noon, "updates.lan", true},
		"by a pattern":                {noon, "a.example.com", true},
		"by an address":               {noon, "192.168.1.5", true},
		"by an address of IPv6":       {noon, "fd00::1", true},
		"by another name":             {noon, "other.lan", false},
		"by another address":          {noon, "192.168.1.6", false},
		"a clock that was never set":  {time.Unix(1, 0), "updates.lan", true},
		"a clock that begins in 2000": {time.Date(2000, 1, 1, 0, 0, 5, 0, time.UTC), "updates.lan", true},
		"on its last day":             {noon.AddDate(0, 0, 100), "updates.lan", true},
		"after it":                    {noon.AddDate(0, 0, 100).Add(time.Second), "updates.lan", false},
	} {
		_, err := p.Cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: c.at, DNSName: c.name})
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := x509.NewCertPool()
	other.AddCert(newAuthority(t).Cert)
	if _, err := p.Cert.Verify(x509.VerifyOptions{Roots: other, CurrentTime: noon}); err == nil {
		t.Error("another authority's root does for it")
	}
	for _, cert := range []*x509.Certificate{a.Cert, p.Cert} {
		if key, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
			t.Errorf("the key of %s is %T", cert.Subject, cert.PublicKey)
		}
	}
	// A server cannot issue certificates, nor can it for another server's authority.
	if p.Cert.IsCA || a.Cert.MaxPathLen != 0 || !a.Cert.MaxPathLenZero {
		t.Errorf("authorities: %v, %d", p.Cert.IsCA, a.Cert.MaxPathLen)
	}
	if last := issue(t, a, 100*365, "x").Cert; last.NotAfter.After(a.Cert.NotAfter) {
		t.Errorf("it is valid until %v, its root until %v", last.NotAfter, a.Cert.NotAfter)
	}
	if issue(t, a, 1, "x").Cert.SerialNumber.Cmp(p.Cert.SerialNumber) == 0 {
		t.Error("two certificates have one number")
	}
	key, err := p.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(p.CertPEM(), key); err != nil {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	a := newAuthority(t)
	for _, name := range []string{"", " ", "a b", "a/b", "-a", "a-", "a..b", ".a", "*", "a.*.b", "https://a", "a:80", "ä.example", "a\nb", "a,b", strings.Repeat("a", 64), strings.Repeat("a.", 130) + "a"} {
		if _, err := a.Issue([]string{"good", name}, noon, 1); !errors.Is(err, ca.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := a.Issue(nil, noon, 1); !errors.Is(err, ca.ErrName) {
		t.Errorf("no name: %v", err)
	}
	for _, name := range []string{"", strings.Repeat("x", 65)} {
		if _, err := ca.New(name, noon, 1); !errors.Is(err, ca.ErrName) {
			t.Errorf("an authority called %q: %v", name, err)
		}
	}
	long := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63)
	if p := issue(t, a, 1, long); p.Cert.VerifyHostname(long) != nil {
		t.Errorf("names: %q", p.Cert.DNSNames)
	}
}

func TestParse(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	key, err := a.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	otherKey, err := other.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	pair := issue(t, a, 1, "x")
	pairKey, err := pair.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ca.Parse(a.CertPEM(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := issue(t, again, 1, "x").Cert.CheckSignatureFrom(a.Cert); err != nil {
		t.Error(err)
	}
	for name, c := range map[string][2][]byte{
		"nothing":                   {nil, nil},
		"no key":                    {a.CertPEM(), nil},
		"no certificate":            {key, key},
		"another's key":             {a.CertPEM(), otherKey},
		"a server's":                {pair.CertPEM(), pairKey},
		"a key that is cut":         {a.CertPEM(), key[:len(key)/2]},
		"a certificate that is cut": {a.CertPEM()[:100], key},
		"the two the other way":     {key, a.CertPEM()},
		"a key of noise":            {a.CertPEM(), []byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")},
		"a certificate of noise":    {[]byte("-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n"), key},
	} {
		if _, err := ca.Parse(c[0], c[1]); !errors.Is(err, ca.ErrFormat) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
