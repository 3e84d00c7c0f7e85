package release

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

// vectors is the folder of test data that other implementations share; see the
// README in it.
const vectors = "../testdata/vectors"

var update = flag.Bool("update", false, "write testdata/vectors/{ed25519,statements,keysets} anew")

// classes are the errors that the vectors name.
var classes = map[string]error{
	"format":      ErrFormat,
	"signature":   ErrSignature,
	"threshold":   ErrThreshold,
	"sequence":    ErrSequence,
	"app":         ErrApp,
	"channel":     ErrChannel,
	"board":       ErrBoard,
	"mpy":         ErrMPY,
	"micropython": ErrMicroPython,
	"expired":     ErrExpired,
	"rollback":    ErrRollback,
}

// vectorKeys are the keys of keys.json.
type vectorKey struct {
	Name   string `json:"name"`
	ID     string `json:"id"`
	Public string `json:"public"` // as text
	Secret string `json:"secret"` // the 32 bytes of the seed, in hex
}

// signatureVector is one case of the files in ed25519/. All values are hex.
type signatureVector struct {
	About     string `json:"about"`
	Public    string `json:"public"`
	Message   string `json:"message"`
	Signature string `json:"signature"`
	Valid     bool   `json:"valid"`
}

type statementVector struct {
	File      string       `json:"file"`
	About     string       `json:"about"`
	Keys      []string     `json:"keys"` // names from keys.json
	Threshold int          `json:"threshold"`
	Board     *vectorBoard `json:"board,omitempty"`
	Error     string       `json:"error,omitempty"`
	Strict    bool         `json:"strict,omitempty"`
	Version   *int64       `json:"version,omitempty"`
	Signers   []string     `json:"signers,omitempty"` // names
}

type vectorBoard struct {
	App         string           `json:"app,omitempty"`
	Channel     string           `json:"channel,omitempty"`
	Name        string           `json:"name,omitempty"`
	Platform    string           `json:"platform,omitempty"`
	MPY         string           `json:"mpy,omitempty"`
	MicroPython string           `json:"micropython,omitempty"`
	Time        int64            `json:"time,omitempty"`
	Installed   *vectorInstalled `json:"installed,omitempty"`
}

type vectorInstalled struct {
	Keyset  int64  `json:"keyset"`
	Version int64  `json:"version"`
	SHA256  string `json:"sha256"`
	Size    int64  `json:"size"`
}

type keysetVector struct {
	File   string `json:"file"`
	About  string `json:"about"`
	After  string `json:"after,omitempty"` // the file of the keyset that is trusted; "" for a first one
	Error  string `json:"error,omitempty"`
	Strict bool   `json:"strict,omitempty"`
}

func readVectors(t testing.TB, path string, v any) {
	t.Helper()
	data := readVector(t, path)
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func readVector(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vectors, path))
	if err != nil {
		t.Fatal(err)
	}
	if len(data) >= 16000 {
		t.Errorf("%s has %d bytes, too many for a board's JSON module", path, len(data))
	}
	return data
}

// keysByName reads keys.json.
func keysByName(t testing.TB) map[string]PublicKey {
	t.Helper()
	var list []vectorKey
	readVectors(t, "keys.json", &list)
	keys := map[string]PublicKey{}
	for _, k := range list {
		pub, err := ParsePublicKey(k.Public)
		if err != nil {
			t.Fatal(err)
		}
		private := PrivateKey{ed25519Seed(t, k.Secret)}
		if string(pub.ID()) != k.ID || private.PublicKey() != pub {
			t.Errorf("key %s: id, public and secret do not belong together", k.Name)
		}
		keys[k.Name] = pub
	}
	return keys
}

func TestEd25519Vectors(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectors, "ed25519", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, file := range files {
		var list []signatureVector
		readVectors(t, filepath.Join("ed25519", filepath.Base(file)), &list)
		if len(list) == 0 {
			t.Errorf("%s is empty", file)
		}
		for _, v := range list {
			if got := verifyStrict(unhex(t, v.Public), unhex(t, v.Message), unhex(t, v.Signature)); got != v.Valid {
				t.Errorf("%s: %s: valid is %v, want %v", filepath.Base(file), v.About, got, v.Valid)
			}
		}
	}
}

func TestStatementVectors(t *testing.T) {
	keys := keysByName(t)
	var index []statementVector
	readVectors(t, "statements/index.json", &index)
	listed := map[string]bool{"index.json": true}
	for _, v := range index {
		listed[v.File] = true
		t.Run(v.File, func(t *testing.T) {
			err := checkStatementVector(t, v, keys)
			checkVector(t, v.About, v.Error, err)
		})
	}
	checkListed(t, "statements", listed)
}

func checkStatementVector(t *testing.T, v statementVector, keys map[string]PublicKey) error {
	s, d, err := ReadStatement(readVector(t, "statements/"+v.File))
	if err != nil {
		return err
	}
	if !bytes.Equal(d.Bytes(), readVector(t, "statements/"+v.File)) {
		t.Error("written again, it is another text")
	}
	ks := &Keyset{App: s.App, Version: s.Keyset, Threshold: v.Threshold}
	names := map[KeyID]string{}
	for _, name := range v.Keys {
		ks.Keys = append(ks.Keys, keys[name])
		names[keys[name].ID()] = name
	}
	signers, err := ks.Verify(d)
	if err != nil {
		return err
	}
	if v.Board != nil {
		b := Board{App: v.Board.App, Channel: v.Board.Channel, Name: v.Board.Name, Platform: v.Board.Platform,
			MPY: v.Board.MPY, MicroPython: v.Board.MicroPython, Time: v.Board.Time}
		if old := v.Board.Installed; old != nil {
			b.Installed = &Statement{Keyset: old.Keyset, Version: old.Version,
				Manifest: Pin{[32]byte(unhex(t, old.SHA256)), old.Size}}
		}
		if err := b.Accepts(s); err != nil {
			return err
		}
	}
	if v.Version != nil && s.Version != *v.Version {
		t.Errorf("version %d, want %d", s.Version, *v.Version)
	}
	if v.Signers != nil {
		if len(signers) != len(v.Signers) {
			t.Errorf("%d signers, want %d", len(signers), len(v.Signers))
		}
		for i, id := range signers {
			if names[id] != v.Signers[i] {
				t.Errorf("signer %d is %s, want %s", i, names[id], v.Signers[i])
			}
		}
	}
	return nil
}

func TestKeysetVectors(t *testing.T) {
	var index []keysetVector
	readVectors(t, "keysets/index.json", &index)
	listed := map[string]bool{"index.json": true}
	for _, v := range index {
		listed[v.File] = true
		t.Run(v.File, func(t *testing.T) {
			checkVector(t, v.About, v.Error, checkKeysetVector(t, v))
		})
	}
	checkListed(t, "keysets", listed)
}

func checkKeysetVector(t *testing.T, v keysetVector) error {
	k, d, err := ReadKeyset(readVector(t, "keysets/"+v.File))
	if err != nil {
		return err
	}
	if v.After == "" {
		_, err = k.Verify(d)
		return err
	}
	before, _, err := ReadKeyset(readVector(t, "keysets/"+v.After))
	if err != nil {
		t.Fatal(err)
	}
	_, err = before.Next(d)
	return err
}

func checkVector(t *testing.T, about, class string, err error) {
	t.Helper()
	if class == "" && err != nil {
		t.Errorf("%s: %v", about, err)
	}
	if class == "" {
		return
	}
	want, ok := classes[class]
	if !ok {
		t.Fatalf("no error is called %q", class)
	}
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", about, err, want)
	}
}

// checkListed reports files in a folder of vectors that its index does not list.
func checkListed(t *testing.T, folder string, listed map[string]bool) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(vectors, folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !listed[e.Name()] {
			t.Errorf("%s/%s is in no index", folder, e.Name())
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ed25519Seed(t testing.TB, seed string) ed25519.PrivateKey {
	t.Helper()
	return ed25519.NewKeyFromSeed(unhex(t, seed))
}
