package release

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
)

// buildPacks builds a site of a single file, with packs.
func buildPacks(t *testing.T, dir, text string, version string, from ...Source) *Build {
	t.Helper()
	src := t.TempDir()
	if err := os.WriteFile(filepath.Join(src, "main.py"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1700000000+int64(version[0]), 0)
	if err := os.Chtimes(filepath.Join(src, "main.py"), at, at); err != nil {
		t.Fatal(err)
	}
	b, err := BuildSite(t.Context(), dir, BuildOptions{
		Source: src, Files: manifest.DefaultOptions(), Indent: 2, From: from,
		Statement: Statement{App: "badge", Name: version}, Packs: new(pack.Options),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Packs from all releases before, each once, and only to the release that is in the
// site.
func TestBuildPacks(t *testing.T) {
	top := t.TempDir()
	place := func(name string) string { return filepath.Join(top, name) }
	text := strings.Repeat("print('a line of the program')\n", 40)
	buildPacks(t, place("one"), text, "1")
	buildPacks(t, place("site"), text, "1")
	buildPacks(t, place("two"), text+"two = 2\n", "2", Dir(place("one")))
	buildPacks(t, place("site"), text+"two = 2\n", "2")
	b := buildPacks(t, place("site"), text+"three = 3\n", "3", Dir(place("one")), Dir(place("two")), Dir(place("one")))
	// The whole, from one, and from two, which is also what was in the site.
	if len(b.Packs) != 3 || len(b.Notes) > 0 {
		t.Errorf("packs %+v, notes %q", b.Packs, b.Notes)
	}
	packs, err := SitePacks(t.Context(), Dir(place("site")))
	if err != nil || len(packs) != len(b.Packs) {
		t.Errorf("packs in the site: %+v, %v; built: %+v", packs, err, b.Packs)
	}
	_, encoded, err := SiteManifest(t.Context(), Dir(place("site")), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		if p.To != pack.ID(encoded) {
			t.Errorf("%s leads to another release", p.Path)
		}
	}
	n, notes, err := VerifyPacks(t.Context(), Dir(place("site")), Dir(place("one")), Dir(place("two")))
	if err != nil || n != 3 || len(notes) > 0 {
		t.Errorf("%d are good, notes %q, %v", n, notes, err)
	}
}

// Whatever byte of a pack is changed, verify finds it, or it makes no difference.
func TestVerifyPacksFindsSpoiltOnes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	b := buildPacks(t, dir, "print('hello')\n", "1")
	name := filepath.Join(dir, filepath.FromSlash(b.Packs[0].Path))
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for i := range data {
		spoilt := bytes.Clone(data)
		spoilt[i] ^= 0x55
		if err := os.WriteFile(name, spoilt, 0o666); err != nil {
			t.Fatal(err)
		}
		_, _, err := VerifyPacks(t.Context(), Dir(dir))
		switch {
		case err == nil:
		case errors.Is(err, pack.ErrFormat), errors.Is(err, pack.ErrContent), errors.Is(err, pack.ErrBase), errors.Is(err, pack.ErrTooLarge), errors.Is(err, ErrContent):
			found++
		default:
			t.Errorf("byte %d: %v", i, err)
		}
	}
	if found < len(data)*9/10 {
		t.Errorf("of %d spoilt packs %d were found", len(data), found)
	}
}

// A good pack of another release is found, too.
func TestVerifyPacksComparesTheRelease(t *testing.T) {
	top := t.TempDir()
	one, two := filepath.Join(top, "one"), filepath.Join(top, "two")
	a, b := buildPacks(t, one, "a = 1\n", "1"), buildPacks(t, two, "a = 2\n", "2")
	data, err := os.ReadFile(filepath.Join(one, filepath.FromSlash(a.Packs[0].Path)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(two, filepath.FromSlash(b.Packs[0].Path)), data, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, _, err := VerifyPacks(t.Context(), Dir(two)); !errors.Is(err, ErrContent) {
		t.Errorf("error %v", err)
	}
}

// Files that belong to nobody stay where packs are, as everywhere in a site.
func TestBuildLeavesStrangersAmongPacks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	buildPacks(t, dir, "a = 1\n", "1")
	stranger := filepath.Join(dir, "packs", "README.txt")
	if err := os.WriteFile(stranger, []byte("mine"), 0o666); err != nil {
		t.Fatal(err)
	}
	buildPacks(t, dir, "a = 2\n", "2")
	if data, err := os.ReadFile(stranger); err != nil || string(data) != "mine" {
		t.Errorf("%q, %v", data, err)
	}
}
