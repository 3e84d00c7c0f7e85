package release

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reissueBench returns a site of version 1 and one of version 2, and what they are.
func reissueBench(t *testing.T) (b *bench, one, two string, o ReissueOptions) {
	t.Helper()
	b = newBench(t)
	b.o.Files.ReuseUnchanged = true
	b.o.Statement.Name, b.o.Statement.Channels = "1.0", []string{"stable"}
	b.build(map[string]string{"main.py": "1", "same.py": "s", "gone.py": "g"})
	one = b.site + "1"
	if err := os.CopyFS(one, os.DirFS(b.site)); err != nil {
		t.Fatal(err)
	}
	b.o.Statement.Name = "2.0"
	b.build(map[string]string{"main.py": "2", "same.py": "s", "new.py": "n"})
	two = b.site
	var err error
	if o.Old, err = VerifySite(t.Context(), Dir(one), b.root, Board{App: "badge"}); err != nil {
		t.Fatal(err)
	}
	if o.Newest, err = VerifySigned(t.Context(), Dir(two), b.root, Board{App: "badge"}); err != nil {
		t.Fatal(err)
	}
	o.Indent, o.Signers = 2, b.o.Signers
	return b, one, two, o
}

func TestReissue(t *testing.T) {
	b, one, _, o := reissueBench(t)
	o.Time, o.Expires = 7, 8
	built, err := Reissue(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	third := old.Unix() + 2
	s := built.Statement
	if s.Version != third || s.Name != "1.0" || s.Keyset != 1 || s.Time != 7 || s.Expires != 8 || built.Missing != 0 || len(s.Channels) != 1 {
		t.Errorf("%+v, missing %d", s, built.Missing)
	}
	versions := map[string]int64{}
	for _, f := range built.Manifest.Files {
		versions[f.Path] = f.Version
	}
	// What boards have keeps its version.
	if diff := cmp.Diff(map[string]int64{"main.py": third, "gone.py": third, "same.py": old.Unix()}, versions); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	o.Taken = map[int64]bool{third: true, third + 1: true}
	if next, err := Reissue(t.Context(), o); err != nil || next.Statement.Version != third+2 {
		t.Errorf("where two versions are taken: %+v, %v", next, err)
	}

	// As a site it is what boards take.
	b.site += "3"
	if err := built.WriteSite(t.Context(), b.site, Dir(one), nil); err != nil {
		t.Fatal(err)
	}
	if r := b.mustVerify(); r.Statement.Version != third || r.Files != 3 || r.Notes != nil {
		t.Errorf("%+v", r)
	}
	if err := built.WriteSite(t.Context(), b.site, Dir(one), nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a site: %v", err)
	}
	// The next release can be built on it.
	b.o.From = nil
	if next := b.build(map[string]string{"main.py": "4"}); next.Statement.Version != third+1 {
		t.Errorf("the next one is version %d", next.Statement.Version-old.Unix())
	}
}

func TestReissueForOtherSigners(t *testing.T) {
	b, one, _, o := reissueBench(t)
	o.Signers = nil
	built, err := Reissue(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if built.Missing != 1 {
		t.Errorf("%d signatures are missing", built.Missing)
	}
	b.site += "3"
	if err := built.WriteSite(t.Context(), b.site, Dir(one), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.verify(); !errors.Is(err, ErrThreshold) {
		t.Errorf("without signature: %v", err)
	}
	if _, _, missing, err := SignSite(context.Background(), b.site, b.o.Signers...); err != nil || missing != 0 {
		t.Fatalf("%d missing, %v", missing, err)
	}
	b.mustVerify()

	o.Signers = []Signer{testKey(t, "b")}
	if _, err := Reissue(t.Context(), o); !errors.Is(err, ErrNoMember) {
		t.Errorf("by a key that boards do not know: %v", err)
	}
}

func TestReissueAuthKey(t *testing.T) {
	_, _, _, o := reissueBench(t)
	o.AuthKey, o.SignatureField = []byte("secret"), "mac"
	built, err := Reissue(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readManifest(built.Encoded, "mac")
	if err == nil {
		err = m.Verify(o.AuthKey)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestReissueRefuses(t *testing.T) {
	_, one, two, o := reissueBench(t)
	newest := o
	newest.Old = o.Newest
	if _, err := Reissue(t.Context(), newest); !errors.Is(err, ErrSame) {
		t.Errorf("the newest itself: %v", err)
	}
	newest.Anew = true
	if built, err := Reissue(t.Context(), newest); err != nil || built.Statement.Version != o.Newest.Statement.Version+1 {
		t.Errorf("the newest itself, anew: %+v, %v", built, err)
	}
	last := *o.Newest
	m := *last.Manifest
	m.Version = math.MaxInt64
	last.Manifest = &m
	newest = o
	newest.Newest = &last
	if _, err := Reissue(t.Context(), newest); !errors.Is(err, ErrFormat) {
		t.Errorf("after the last version: %v", err)
	}

	built, err := Reissue(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "site")
	// The other site has the same paths, but not the same content.
	if err := built.WriteSite(t.Context(), dir, Dir(two), nil); !errors.Is(err, ErrChanged) && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("other files than those that are signed: %v", err)
	}
	if err := os.WriteFile(filepath.Join(one, "main.py"), []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := built.WriteSite(t.Context(), dir, Dir(one), nil); !errors.Is(err, ErrChanged) {
		t.Errorf("a file that was changed: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a site that is not whole is there: %v", err)
	}
}

// VerifySigned finds what VerifySite does, but for the files.
func TestVerifySigned(t *testing.T) {
	b, one, _, _ := reissueBench(t)
	if err := os.Remove(filepath.Join(one, "main.py")); err != nil {
		t.Fatal(err)
	}
	if r, err := VerifySigned(t.Context(), Dir(one), b.root, Board{App: "badge"}); err != nil || r.Files != 0 || r.Manifest == nil {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := VerifySite(t.Context(), Dir(one), b.root, Board{App: "badge"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file is missing: %v", err)
	}
	if err := os.WriteFile(filepath.Join(one, ManifestName), []byte(`{"version":1,"files":[]}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifySigned(t.Context(), Dir(one), b.root, Board{App: "badge"}); !errors.Is(err, ErrContent) {
		t.Errorf("another manifest: %v", err)
	}
}
