package release

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A PublicKey is an Ed25519 public key. Boards hold these and no others.
type PublicKey [ed25519.PublicKeySize]byte

// A KeyID names a public key in 16 hex digits, in lower case. It is no
// replacement for the key: who looks for a forgery of 64 bits finds one.
type KeyID string

const keyIDDigits = 16

// ID returns the first digits of the key's SHA-256.
func (k PublicKey) ID() KeyID {
	sum := sha256.Sum256(k[:])
	return KeyID(hex.EncodeToString(sum[:keyIDDigits/2]))
}

// String returns the key as Base64, which is how boards take it.
func (k PublicKey) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// Check reports whether signatures by the key can be verified at all: whether
// it is a point of the curve, encoded the one right way, and not of small
// order. The error is ErrKey.
func (k PublicKey) Check() error {
	if !strictPoint(k[:]) || !onCurve(k) {
		return fmt.Errorf("%w: %s is not the public key of any private key", ErrKey, k)
	}
	return nil
}

// ParsePublicKey reads a public key from the text that PublicKey.String
// returns, or from the PEM that "openssl pkey -pubout" prints. Blanks around it
// do not matter. The error is ErrKey.
func ParsePublicKey(text string) (PublicKey, error) {
	text = strings.TrimSpace(text)
	var k PublicKey
	if block, _ := pem.Decode([]byte(text)); block != nil {
		if block.Type != "PUBLIC KEY" {
			// Not what it is instead: a private key may be meant for nobody's eyes.
			return k, fmt.Errorf("%w: a PEM file, but not of a public key", ErrKey)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return k, fmt.Errorf("%w: %w", ErrKey, err)
		}
		key, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return k, fmt.Errorf("%w: a public key, but not for Ed25519", ErrKey)
		}
		k = PublicKey(key)
	} else if !decodeBase64(k[:], text) {
		return k, fmt.Errorf("%w: a public key is the Base64 of %d bytes, 44 characters", ErrKey, len(k))
	}
	return k, k.Check()
}

// A Signer makes signatures. PrivateKey is one; others ask a device or service
// that never gives its key away.
type Signer interface {
	// PublicKey returns the key that verifies the signatures.
	PublicKey() PublicKey

	// Sign returns the 64 bytes of the Ed25519 signature of message, which
	// is not hashed before.
	Sign(ctx context.Context, message []byte) ([]byte, error)
}

// A PrivateKey is a Signer that holds its key in memory. Formatting it, by
// whatever verb, shows the key's id only.
type PrivateKey struct {
	key ed25519.PrivateKey
}

// GenerateKey makes a private key from 32 bytes of random, which is
// crypto/rand.Reader outside of tests.
func GenerateKey(random io.Reader) (PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return PrivateKey{}, fmt.Errorf("generate a key: %w", err)
	}
	return PrivateKey{ed25519.NewKeyFromSeed(seed)}, nil
}

// ParsePrivateKey reads a private key from a PEM file, as Encode and OpenSSL
// write it. Errors are ErrKey and say nothing about what the file holds.
func ParsePrivateKey(data []byte) (PrivateKey, error) {
	block, rest := pem.Decode(data)
	switch {
	case block == nil:
		return PrivateKey{}, fmt.Errorf("%w: no PEM file", ErrKey)
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return PrivateKey{}, fmt.Errorf("%w: %w", ErrKey, ErrEncrypted)
	case block.Type != "PRIVATE KEY":
		return PrivateKey{}, fmt.Errorf("%w: a PEM file, but not of a PKCS #8 private key", ErrKey)
	case len(strings.TrimSpace(string(rest))) > 0:
		return PrivateKey{}, fmt.Errorf("%w: there is something after the key", ErrKey)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		// The error of a parser may quote what it parsed.
		return PrivateKey{}, fmt.Errorf("%w: its PKCS #8 structure is damaged or unknown", ErrKey)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return PrivateKey{}, fmt.Errorf("%w: a private key, but not for Ed25519", ErrKey)
	}
	return PrivateKey{key}, nil
}

// Encode returns the key as a PEM file.
func (k PrivateKey) Encode() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return nil, errors.New("encode the private key: it is not a key")
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// PublicKey implements Signer.
func (k PrivateKey) PublicKey() PublicKey { return PublicKey(k.key.Public().(ed25519.PublicKey)) }

// Sign implements Signer.
func (k PrivateKey) Sign(_ context.Context, message []byte) ([]byte, error) {
	return ed25519.Sign(k.key, message), nil
}

// Format implements fmt.Formatter.
func (k PrivateKey) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "private key of %s", k.PublicKey().ID())
}

// decodeBase64 fills dst from text if that is exactly its Base64, padded and
// with the unused bits at its end zero.
func decodeBase64(dst []byte, text string) bool {
	if len(text) != base64.StdEncoding.EncodedLen(len(dst)) || strings.ContainsAny(text, "\r\n") {
		return false // encoding/base64 skips newlines
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && copy(dst, raw) == len(dst) && len(raw) == len(dst)
}

// isHex reports whether s is n hex digits in lower case.
func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

func hexBytes(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err) // of a constant
	}
	return b
}
