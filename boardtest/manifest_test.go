package boardtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// boardReads has the board read manifests.
func boardReads(t *testing.T, manifests ...string) []manifestAnswer {
	t.Helper()
	dir := t.TempDir()
	var jobs []manifestJob
	for i, text := range manifests {
		name := filepath.Join(dir, fmt.Sprintf("%d.json", i))
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, manifestJob{File: name, Step: 1 + i%50})
	}
	return readManifests(t, "2M", jobs)
}

func sampleManifest(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "vectors", "manifests", "escapes.json"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// A manifest that is cut anywhere is refused, but for the white space at its end.
func TestManifestCutAnywhere(t *testing.T) {
	text := sampleManifest(t)
	var cut []string
	for n := range len(text) {
		cut = append(cut, text[:n])
	}
	for n, a := range boardReads(t, cut...) {
		if a.err == "" {
			t.Errorf("accepted after %d of %d bytes: %q", n, len(text), text[max(0, n-40):n])
		}
	}
}

// Manifests with random damage: the board never reads other files in one than the host does, and
// never a path that the host refuses.
func TestManifestDamaged(t *testing.T) {
	text := sampleManifest(t)
	random := rand.New(rand.NewPCG(1, 2))
	const alphabet = "{}[]\",:\\/. \t\n0123456789abcuntf-+eE\x00\x7f\xc3\xff"
	var damaged []string
	for range 1500 {
		b := []byte(text)
		for range 1 + random.IntN(3) {
			i := random.IntN(len(b))
			switch random.IntN(4) {
			case 0:
				b[i] = alphabet[random.IntN(len(alphabet))]
			case 1:
				b = slices.Insert(b, i, alphabet[random.IntN(len(alphabet))])
			case 2:
				b = slices.Delete(b, i, min(len(b), i+1+random.IntN(8)))
			case 3:
				j := random.IntN(len(b))
				piece := slices.Clone(b[j:min(len(b), j+random.IntN(80))])
				b = slices.Insert(b, i, piece...)
			}
		}
		damaged = append(damaged, string(b))
	}
	both := 0
	for i, a := range boardReads(t, damaged...) {
		m, err := manifest.Read(strings.NewReader(damaged[i]))
		switch {
		case strings.HasPrefix(a.err, "read differently") || a.err == "counted wrongly":
			t.Errorf("%s:\n%s", a.err, damaged[i])
		case a.err != "":
		case errors.Is(err, manifest.ErrPath):
			t.Errorf("accepted: %v\n%s", err, damaged[i])
		case err == nil:
			both++
			slices.SortFunc(m.Files, func(a, b manifest.File) int { return strings.Compare(a.Path, b.Path) })
			if a.version != m.Version || !cmp.Equal(a.files, m.Files, cmpopts.EquateEmpty()) {
				t.Errorf("the board reads version %d (+), the host version %d (-):\n%s\n%s", a.version, m.Version, cmp.Diff(m.Files, a.files), damaged[i])
			}
		}
	}
	if both < 100 {
		t.Errorf("only %d of %d were accepted by both: that tests little", both, len(damaged))
	}
}

// However many files there are and in whatever order, the board reads them sorted, and finds one
// that is there twice.
func TestManifestUnsorted(t *testing.T) {
	const n = 400 // many times what is sorted at once
	random := rand.New(rand.NewPCG(3, 4))
	entry := func(i int) string { return fmt.Sprintf(`{"path":"d%d/f%03d.py","version":%d}`, i%7, i, i) }
	build := func(order []int) string {
		var entries []string
		for _, i := range order {
			entries = append(entries, entry(i))
		}
		return `{"files":[` + strings.Join(entries, ",\n ") + `],"version":7}`
	}
	order := random.Perm(n)
	sorted := slices.Clone(order)
	slices.SortFunc(sorted, func(a, b int) int { return strings.Compare(entry(a), entry(b)) })
	reversed := slices.Clone(sorted)
	slices.Reverse(reversed)
	almost := slices.Clone(sorted)
	almost[0], almost[n-1] = almost[n-1], almost[0]
	twice := append(slices.Clone(order), order[0])
	next := slices.Insert(slices.Clone(sorted), 200, sorted[199])
	far := append(slices.Clone(sorted), sorted[0])

	texts := []string{build(order), build(sorted), build(reversed), build(almost), build(twice), build(next), build(far)}
	for i, a := range boardReads(t, texts...) {
		if i >= 4 {
			if !strings.HasPrefix(a.err, "the manifest lists a file twice: d") {
				t.Errorf("manifest %d, with a file twice: %q", i, a.err)
			}
			continue
		}
		if a.err != "" || len(a.files) != n {
			t.Fatalf("manifest %d: %d files, %q", i, len(a.files), a.err)
		}
		m, err := manifest.Read(strings.NewReader(texts[1]))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m.Files, a.files); diff != "" {
			t.Errorf("manifest %d (-want +got):\n%s", i, diff)
		}
	}
}

// An entry of any length around that of the reader's buffer is read or refused, wherever it lies.
func TestManifestWindow(t *testing.T) {
	const window = 1024
	var texts []string
	var lengths []int
	for length := window - 40; length <= window+3; length++ {
		for _, before := range []int{0, 1, 511, 512, 1000} {
			e := `{"version":1,"x":"","path":"a.py"}`
			e = strings.Replace(e, `""`, `"`+strings.Repeat("y", length-len(e))+`"`, 1)
			texts = append(texts, `{"version":1,`+strings.Repeat(" ", before)+`"files":[`+e+`,{"path":"b.py","version":2}]}`)
			lengths = append(lengths, length)
		}
	}
	for i, a := range boardReads(t, texts...) {
		if lengths[i] <= window {
			if a.err != "" || len(a.files) != 2 {
				t.Errorf("an entry of %d bytes: %d files, %q", lengths[i], len(a.files), a.err)
			}
		} else if !strings.Contains(a.err, "longer than 1024 bytes") {
			t.Errorf("an entry of %d bytes: %d files, %q", lengths[i], len(a.files), a.err)
		}
	}
}

// What MicroPython's json.dump makes of a manifest is one, too.
func TestManifestByBoard(t *testing.T) {
	text := sampleManifest(t)
	want := boardReads(t, text)[0]
	if want.err != "" {
		t.Fatal(want.err)
	}
	lines := runWithLibrary(t, "256K", text, "json_again.py")
	got := boardReads(t, strings.Join(lines, "\n"))[0]
	if diff := cmp.Diff(want.files, got.files); got.err != "" || diff != "" {
		t.Errorf("%s\n%s\n%s", got.err, diff, strings.Join(lines, "\n"))
	}
}
