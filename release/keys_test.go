package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "openssl", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What OpenSSL wrote is read, and written in the same way; both sign alike.
func TestOpenSSL(t *testing.T) {
	key, err := ParsePrivateKey(fixture(t, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	written, err := key.Encode()
	if err != nil || !bytes.Equal(written, fixture(t, "key.pem")) {
		t.Errorf("not written as OpenSSL does: %v\n%s", err, written)
	}
	pub, err := ParsePublicKey(string(fixture(t, "pub.pem")))
	if err != nil || pub != key.PublicKey() {
		t.Errorf("public key %v, want %v: %v", pub, key.PublicKey(), err)
	}
	_, d, err := ReadStatement(fixture(t, "statement"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(d.Message(), fixture(t, "message")) {
		t.Errorf("message %q", d.Message())
	}
	signature, err := key.Sign(t.Context(), d.Message())
	if err != nil || !bytes.Equal(signature, fixture(t, "signature")) {
		t.Errorf("signature %x: %v", signature, err)
	}
}

func TestBadPrivateKeys(t *testing.T) {
	good := string(fixture(t, "key.pem"))
	lines := strings.Split(good, "\n")
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"nothing":           {"", ErrKey},
		"no PEM":            {"MC4CAQAwBQYDK2VwBCIEIA==", ErrKey},
		"a public key":      {string(fixture(t, "pub.pem")), ErrKey},
		"encrypted":         {string(fixture(t, "encrypted.pem")), ErrEncrypted},
		"Ed448":             {string(fixture(t, "ed448.pem")), ErrKey},
		"of another kind":   {strings.ReplaceAll(good, "PRIVATE KEY", "EC PRIVATE KEY"), ErrKey},
		"two":               {good + good, ErrKey},
		"cut":               {lines[0] + "\n" + lines[1][:40] + "\n" + lines[2] + "\n", ErrKey},
		"something after":   {good + "secret", ErrKey},
		"damaged structure": {strings.Replace(good, "MC4C", "MC4D", 1), ErrKey},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePrivateKey([]byte(test.text))
			if !errors.Is(err, test.want) || !errors.Is(err, ErrKey) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			for _, line := range lines[1:2] {
				for i := 0; i+8 <= len(line); i++ {
					if strings.Contains(err.Error(), line[i:i+8]) {
						t.Errorf("the error shows a part of the key: %v", err)
					}
				}
			}
		})
	}
}

func TestBadPublicKeys(t *testing.T) {
	good := testKey(t, "a").PublicKey().String()
	raw := make([]byte, 32)
	raw[0] = 1
	for name, text := range map[string]string{
		"nothing":          "",
		"no Base64":        strings.Repeat("!", 44),
		"short":            good[1:],
		"without padding":  strings.TrimSuffix(good, "="),
		"hex":              hex.EncodeToString(raw),
		"unused bits":      good[:42] + flipUnused(good[42]) + "=",
		"a newline in it":  good[:20] + "\n" + good[20:],
		"small order":      base64.StdEncoding.EncodeToString(raw),
		"all zeros":        base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"no point":         base64.StdEncoding.EncodeToString(append([]byte{2}, make([]byte, 31)...)),
		"y not reduced":    base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 32)),
		"a private key":    string(fixture(t, "key.pem")),
		"Ed448":            string(fixture(t, "ed448.pub.pem")),
		"a PEM of garbage": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
	} {
		if _, err := ParsePublicKey(text); !errors.Is(err, ErrKey) {
			t.Errorf("%s: error %v, want %v", name, err, ErrKey)
		}
	}
	for _, text := range []string{good, good + "\n", "  " + good + "\r\n"} {
		if k, err := ParsePublicKey(text); err != nil || k.String() != good {
			t.Errorf("%q: %v, %v", text, k, err)
		}
	}
}

// flipUnused returns the digit that differs from c in the lowest bit.
func flipUnused(c byte) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	return string(digits[strings.IndexByte(digits, c)^1])
}

func TestKeyID(t *testing.T) {
	key := testKey(t, "a").PublicKey()
	sum := sha256.Sum256(key[:])
	if want := hex.EncodeToString(sum[:8]); string(key.ID()) != want {
		t.Errorf("id %s, want %s", key.ID(), want)
	}
}

// However a private key is printed, its secret is not.
func TestPrivateKeysAreNotPrinted(t *testing.T) {
	key := testKey(t, "a")
	seed := key.key.Seed()
	encoded, err := json.Marshal(struct{ Key PrivateKey }{key})
	if err != nil {
		t.Fatal(err)
	}
	forms := []string{string(encoded), fmt.Sprint(key), fmt.Sprint(&key), fmt.Sprint([]PrivateKey{key}), fmt.Sprint(struct{ K Signer }{key})}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		forms = append(forms, fmt.Sprintf(verb, key), fmt.Sprintf(verb, &key), fmt.Sprintf(verb, struct{ K PrivateKey }{key}))
	}
	for _, form := range forms {
		for _, secret := range []string{hex.EncodeToString(seed[:6]), strings.ToUpper(hex.EncodeToString(seed[:6])), strings.Trim(fmt.Sprint(seed[:6]), "[]"), string(seed[:6]), base64.StdEncoding.EncodeToString(seed[:6])} {
			if strings.Contains(form, secret) {
				t.Errorf("%q shows the key", form)
			}
		}
	}
}

func TestGenerateKeyNeedsRandomness(t *testing.T) {
	if _, err := GenerateKey(iotest.ErrReader(errors.New("no entropy"))); err == nil || !strings.Contains(err.Error(), "no entropy") {
		t.Errorf("error %v", err)
	}
}

// A signerFunc is a Signer that does what a test wants.
type signerFunc struct {
	key  PublicKey
	sign func(message []byte) ([]byte, error)
}

func (s signerFunc) PublicKey() PublicKey { return s.key }
func (s signerFunc) Sign(_ context.Context, message []byte) ([]byte, error) {
	return s.sign(message)
}

// A signer is not believed.
func TestSignVerifies(t *testing.T) {
	a, b := testKey(t, "a"), testKey(t, "b")
	honest, _ := a.Sign(t.Context(), []byte("another message"))
	for name, sign := range map[string]func(message []byte) ([]byte, error){
		"another key":     func(m []byte) ([]byte, error) { return b.Sign(t.Context(), m) },
		"another message": func([]byte) ([]byte, error) { return honest, nil },
		"nothing":         func([]byte) ([]byte, error) { return nil, nil },
		"too much":        func([]byte) ([]byte, error) { return append(honest, 0), nil },
	} {
		d := statementDocument(t)
		if err := d.Sign(t.Context(), signerFunc{a.PublicKey(), sign}); !errors.Is(err, ErrSigner) {
			t.Errorf("%s: error %v, want %v", name, err, ErrSigner)
		}
		if len(d.Signatures()) != 0 {
			t.Errorf("%s: it is signed", name)
		}
	}
	broken := errors.New("no such slot")
	d := statementDocument(t)
	if err := d.Sign(t.Context(), signerFunc{a.PublicKey(), func([]byte) ([]byte, error) { return nil, broken }}); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

func statementDocument(t testing.TB) *Document {
	t.Helper()
	s := Statement{App: "badge", Version: 7, Manifest: PinOf([]byte("{}\n")), Keyset: 1}
	d, err := s.Document()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Signing again replaces the signature, and there is a limit to how many fit.
func TestSignaturesAreSortedAndBounded(t *testing.T) {
	d := statementDocument(t)
	for i := range MaxStatementSignatures {
		for range 2 {
			if err := d.Sign(t.Context(), testKey(t, fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if _, again, err := ReadStatement(d.Bytes()); err != nil || len(again.Signatures()) != i+1 {
			t.Fatalf("after signer %d: %v", i, err)
		}
	}
	if err := d.Sign(t.Context(), testKey(t, "one more")); !errors.Is(err, ErrFormat) {
		t.Errorf("error %v, want %v", err, ErrFormat)
	}
	if err := d.Sign(t.Context(), testKey(t, "3")); err != nil {
		t.Errorf("a signer that is in it: %v", err)
	}

	long := `saguarota-release 1` + "\n" + strings.TrimSuffix(string(d.Object()), "}") + `,"x":"` + strings.Repeat("x", 3900) + `"}` + "\n"
	_, d, err := ReadStatement([]byte(long))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Sign(t.Context(), testKey(t, "a")); !errors.Is(err, ErrFormat) {
		t.Errorf("a statement that becomes too long: error %v, want %v", err, ErrFormat)
	}
	if len(d.Signatures()) != 0 {
		t.Error("it is signed nevertheless")
	}
}

// What crypto/ed25519 accepts and this package does not, so that nobody puts it
// in verifyStrict's place.
func TestStricterThanTheStandardLibrary(t *testing.T) {
	var list []signatureVector
	readVectors(t, "ed25519/hostile.json", &list)
	differs := 0
	for _, v := range list {
		public := unhex(t, v.Public)
		if len(public) != 32 {
			continue
		}
		if accepted := standardVerify(public, unhex(t, v.Message), unhex(t, v.Signature)); accepted != v.Valid {
			differs++
			if !strings.Contains(v.About, "small order") && !strings.Contains(v.About, "key") && !strings.Contains(v.About, "R is") {
				t.Errorf("%s: crypto/ed25519 says %v", v.About, accepted)
			}
		}
	}
	if differs == 0 {
		t.Error("no vector shows the difference")
	}
}

func TestCommandSigner(t *testing.T) {
	key := testKey(t, "a")
	signature, err := key.Sign(t.Context(), []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	raw := file("raw", signature)
	text := file("text", []byte(base64.StdEncoding.EncodeToString(signature)+"\n"))
	check := file("message", []byte("message"))
	for name, command := range map[string]string{
		"raw":                "cat >/dev/null; cat " + raw,
		"Base64":             "cat >/dev/null; cat " + text,
		"without reading":    "cat " + raw,
		"checks the message": "cmp - " + check + " >&2 && cat " + raw,
	} {
		c := CommandSigner{Key: key.PublicKey(), Command: command}
		got, err := c.Sign(t.Context(), []byte("message"))
		if err != nil || !bytes.Equal(got, signature) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	for name, test := range map[string]struct{ command, want string }{
		"fails":    {"echo wrong PIN >&2; exit 3", "exit status 3"},
		"silent":   {"true", "0 bytes"},
		"garbage":  {"echo hello", "6 bytes"},
		"endless":  {"head -c 1000000 /dev/zero", "4096 bytes"},
		"no shell": {"no-such-command-here --pin 1234", "exit status 127"},
	} {
		var stderr strings.Builder
		c := CommandSigner{Key: key.PublicKey(), Command: test.command, Stderr: &stderr}
		_, err := c.Sign(t.Context(), []byte("message"))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "1234") {
			t.Errorf("%s: error %v", name, err)
		}
		if name == "fails" && stderr.String() != "wrong PIN\n" {
			t.Errorf("what it says is lost: %q", stderr.String())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&CommandSigner{Command: "cat"}).Sign(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}
