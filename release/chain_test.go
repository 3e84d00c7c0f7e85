package release

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A statement can be signed elsewhere, by as many as the threshold says.
func TestSignSite(t *testing.T) {
	b := newBench(t)
	signers, keys := testKeys(t, "a", "b", "c")
	if link, err := NewChain(t.Context(), b.site, Keyset{App: "badge", Threshold: 2, Keys: keys[:2]}, signers[0]); err != nil || !errors.Is(link.Pending, ErrThreshold) {
		t.Fatalf("%v, %v", link.Pending, err)
	}
	b.o.Signers = nil
	b.root.Threshold, b.root.Keys = 2, keys[:2]
	b.buildError(map[string]string{"main.py": "1"}, ErrThreshold)
	if link, err := SignChain(t.Context(), b.site, signers[1]); err != nil || link.Pending != nil {
		t.Fatalf("%v, %v", link.Pending, err)
	}
	if built := b.build(map[string]string{"main.py": "1"}); built.Missing != 2 {
		t.Errorf("%d signatures are missing", built.Missing)
	}
	if _, err := b.verify(); !errors.Is(err, ErrThreshold) {
		t.Errorf("without signatures: %v", err)
	}
	if _, _, missing, err := SignSite(t.Context(), b.site, signers[0]); err != nil || missing != 1 {
		t.Errorf("%d are missing, %v", missing, err)
	}
	if _, _, missing, err := SignSite(t.Context(), b.site, signers[0]); err != nil || missing != 1 {
		t.Errorf("after the same once more, %d are missing, %v", missing, err)
	}
	if _, err := b.verify(); !errors.Is(err, ErrThreshold) {
		t.Errorf("with one signature: %v", err)
	}
	if _, _, _, err := SignSite(t.Context(), b.site, signers[2]); !errors.Is(err, ErrNoMember) {
		t.Errorf("a stranger's: %v", err)
	}
	if _, _, missing, err := SignSite(t.Context(), b.site, signers[1]); err != nil || missing != 0 {
		t.Errorf("%d are missing, %v", missing, err)
	}
	b.mustVerify()

	// Nobody signs for files that are not there to be looked at.
	if err := os.WriteFile(filepath.Join(b.site, ManifestName), []byte(`{"version": 1, "files": []}`), 0o666); err != nil {
		t.Fatal(err)
	}
	before := readTree(t, b.site)
	if _, _, _, err := SignSite(t.Context(), b.site, signers[0]); !errors.Is(err, ErrContent) {
		t.Errorf("for another manifest: %v", err)
	}
	if diff := cmp.Diff(before, readTree(t, b.site)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestChain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	signers, keys := testKeys(t, "a", "b", "c", "d")
	if _, err := SignChain(t.Context(), dir, signers[0]); !errors.Is(err, ErrNoKeysets) {
		t.Errorf("no chain to sign: %v", err)
	}
	if _, err := ExtendChain(t.Context(), dir, 1, keys, signers...); !errors.Is(err, ErrNoKeysets) {
		t.Errorf("no chain to extend: %v", err)
	}
	if _, err := NewChain(t.Context(), dir, Keyset{App: "badge", Threshold: 1, Keys: keys[:1]}, signers[1]); !errors.Is(err, ErrNoMember) {
		t.Errorf("a stranger's first keyset: %v", err)
	}
	if _, err := NewChain(t.Context(), dir, Keyset{App: "badge", Threshold: 2, Keys: keys[:1]}, signers[0]); !errors.Is(err, ErrFormat) {
		t.Errorf("a threshold that nobody can meet: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused keyset leaves something behind")
	}
	if _, err := NewChain(t.Context(), dir, Keyset{App: "badge", Threshold: 1, Keys: keys[:1]}, signers[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := NewChain(t.Context(), dir, Keyset{App: "badge", Threshold: 1, Keys: keys[:1]}, signers[0]); !errors.Is(err, ErrSequence) {
		t.Errorf("a second first keyset: %v", err)
	}
	// b and c take over, both must sign; a and b have signed, c is missing.
	link, err := ExtendChain(t.Context(), dir, 2, keys[1:3], signers[:2]...)
	if err != nil || !errors.Is(link.Pending, ErrThreshold) {
		t.Fatalf("%v, %v", link.Pending, err)
	}
	if _, err := ExtendChain(t.Context(), dir, 1, keys[3:], signers[1:]...); !errors.Is(err, ErrThreshold) {
		t.Errorf("a keyset after one that is not in force: %v", err)
	}
	if _, err := SignChain(t.Context(), dir, signers[3]); !errors.Is(err, ErrNoMember) {
		t.Errorf("a stranger's signature: %v", err)
	}
	if link, err = SignChain(t.Context(), dir, signers[2]); err != nil || link.Pending != nil {
		t.Fatalf("%v, %v", link.Pending, err)
	}
	chain, err := ReadChain(t.Context(), Dir(dir))
	if err != nil || len(chain) != 2 || chain[1].Pending != nil || chain[1].Keyset.Threshold != 2 {
		t.Fatalf("%+v, %v", chain, err)
	}

	// A chain that does not hang together.
	third := Keyset{App: "badge", Version: 4, Threshold: 1, Keys: keys[3:]}
	doc, err := third.Document()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys", "3.json"), doc.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadChain(t.Context(), Dir(dir)); !errors.Is(err, ErrSequence) {
		t.Errorf("number 4 as number 3: %v", err)
	}
}
