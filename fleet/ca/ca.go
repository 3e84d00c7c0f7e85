// Package ca is a private authority for certificates: a fleet server in a network
// without internet gets its certificate from it, and boards have its root built in.
//
// Everything is made for the TLS of small boards: keys are ECDSA P-256, which all of
// them have; all is valid from 1970 on, because a board whose clock was never set
// lives there, or in 2000; and an IP address is named twice, as address and as name,
// because their TLS compares it with names only unless it is new.
package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"
)

// Validities if nobody says.
const (
	RootYears  = 30
	ServerDays = 5 * 365
)

// since is when all certificates begin to be valid.
var since = time.Unix(0, 0).UTC()

// Errors to test for with errors.Is.
var (
	// ErrName: what no server can be called.
	ErrName = errors.New("no name for a server")

	// ErrFormat: no certificate or key, or not one of an authority.
	ErrFormat = errors.New("not what an authority has")
)

// An Authority can issue certificates.
type Authority struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority that is valid for some years from now on.
func New(name string, now time.Time, years int) (*Authority, error) {
	if name == "" || len(name) > 64 {
		return nil, fmt.Errorf("%w: an authority's name has 1 to 64 bytes", ErrName)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             since,
		NotAfter:              now.AddDate(years, 0, 0).UTC(),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it issues to servers, not to other authorities
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the root: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert, key}, err
}

// serial returns a number that no other certificate has.
func serial() *big.Int {
	var random [16]byte
	_, _ = rand.Read(random[:]) // it never fails
	random[0] &= 0x7f           // positive, in as many bytes
	return new(big.Int).SetBytes(random[:])
}

// A Pair is a certificate with its private key.
type Pair struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Issue makes a certificate for a server that is called by these names: host names,
// "*.example.com", IP addresses. Errors are ErrName.
func (a *Authority) Issue(names []string, now time.Time, days int) (*Pair, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrName)
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: commonName(names[0])},
		NotBefore:             since,
		NotAfter:              now.AddDate(0, 0, days).UTC(),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if template.NotAfter.After(a.Cert.NotAfter) {
		template.NotAfter = a.Cert.NotAfter // nothing outlives the root
	}
	for _, name := range names {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			name = ip.String()
		} else if !isHost(name) {
			return nil, fmt.Errorf("%w: %q; give host names and IP addresses", ErrName, name)
		}
		if !slices.Contains(template.DNSNames, name) && !strings.Contains(name, ":") {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", strings.Join(names, ", "), err)
	}
	cert, err := x509.ParseCertificate(der)
	return &Pair{cert, key}, err
}

// commonName returns what a certificate is called by those that show them to people.
func commonName(name string) string {
	const most = 64
	return name[:min(len(name), most)]
}

// Names returns by which names a server with the certificate can be called.
func Names(cert *x509.Certificate) []string {
	var names []string
	for _, name := range cert.DNSNames {
		if net.ParseIP(name) == nil {
			names = append(names, name)
		}
	}
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// isHost reports whether name can be a host's, or a pattern "*.example.com".
func isHost(name string) bool {
	if len(name) > 253 {
		return false
	}
	for i, label := range strings.Split(name, ".") {
		if label == "*" && i == 0 && strings.Contains(name, ".") {
			continue
		}
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// CertPEM returns the root as a PEM file.
func (a *Authority) CertPEM() []byte { return encode(certificateBlock, a.Cert.Raw) }

// KeyPEM returns the authority's private key as a PEM file.
func (a *Authority) KeyPEM() ([]byte, error) { return encodeKey(a.key) }

// CertPEM returns the certificate as a PEM file.
func (p *Pair) CertPEM() []byte { return encode(certificateBlock, p.Cert.Raw) }

// KeyPEM returns the private key as a PEM file.
func (p *Pair) KeyPEM() ([]byte, error) { return encodeKey(p.key) }

const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
)

func encode(block string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return encode(keyBlock, der), nil
}

// ParseCert reads a certificate from a PEM file. The error is ErrFormat.
func ParseCert(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != certificateBlock {
		return nil, fmt.Errorf("%w: there is no certificate in it", ErrFormat)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return cert, nil
}

// Parse reads what CertPEM and KeyPEM of an authority return. The error is ErrFormat;
// it says nothing of what is in the key's file.
func Parse(cert, key []byte) (*Authority, error) {
	root, err := ParseCert(cert)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(key)
	if block == nil || block.Type != keyBlock {
		return nil, fmt.Errorf("%w: there is no private key in the key's file", ErrFormat)
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: the private key cannot be read", ErrFormat)
	}
	signer, ok := private.(*ecdsa.PrivateKey)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: the private key is not an ECDSA one", ErrFormat)
	case !signer.PublicKey.Equal(root.PublicKey):
		return nil, fmt.Errorf("%w: the private key is another certificate's", ErrFormat)
	case !root.IsCA:
		return nil, fmt.Errorf("%w: the certificate is a server's", ErrFormat)
	}
	return &Authority{root, signer}, nil
}
