package pack

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// encode makes a pack and checks that it makes new of old, byte for byte.
func encode(t testing.TB, old, new *Release, o Options) ([]byte, Stats) {
	t.Helper()
	var b bytes.Buffer
	stats, err := Encode(t.Context(), &b, old, new, o)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Pack != int64(b.Len()) {
		t.Errorf("Stats.Pack is %d, and the pack has %d bytes", stats.Pack, b.Len())
	}
	made, err := Apply(t.Context(), b.Bytes(), old)
	if err != nil {
		t.Fatal(err)
	}
	compareReleases(t, made, new)
	return b.Bytes(), stats
}

func TestEncodeVectors(t *testing.T) {
	old, new := folder(t, filepath.Join(vectors, "old")), folder(t, filepath.Join(vectors, "new"))
	for window := MinWindow; window <= MaxWindow; window++ {
		data, stats := encode(t, old, new, Options{Window: window})
		contents, err := Read(data)
		if err != nil || contents.Window != window || len(contents.Segments) != stats.Segments {
			t.Errorf("window %d: %+v, %v", window, contents, err)
		}
		if stats.Files != 7 || stats.Manifest != int64(len(new.Manifest)) {
			t.Errorf("%+v", stats)
		}
		encode(t, nil, new, Options{Window: window})
	}
	same, stats := encode(t, new, new, Options{})
	if stats.Files != 0 || len(same) > 60 {
		t.Errorf("nothing changed: %d bytes, %+v", len(same), stats)
	}
}

func TestName(t *testing.T) {
	a, b := []byte("a"), []byte("b")
	for _, test := range []struct{ name, want, from, to string }{
		{Name(a, b), "packs/ca978112ca1bbdca-3e23e8160039594a", "ca978112ca1bbdca", "3e23e8160039594a"},
		{Name(nil, b), "packs/3e23e8160039594a", "", "3e23e8160039594a"},
	} {
		if test.name != test.want {
			t.Errorf("name %q, want %q", test.name, test.want)
		}
		if from, to, ok := ParseName(test.name); from != test.from || to != test.to || !ok {
			t.Errorf("ParseName(%q) = %q, %q, %v", test.name, from, to, ok)
		}
	}
	for _, bad := range []string{"packs/", "packs/-3e23e8160039594a", "packs/3E23e8160039594a", "packs/3e23e8160039594", "packs/3e23e8160039594a-",
		"packs/3e23e8160039594a-3e23e8160039594a-3e23e8160039594a", "3e23e8160039594a", "packs/../e8160039594a"} {
		if from, to, ok := ParseName(bad); ok {
			t.Errorf("ParseName(%q) = %q, %q", bad, from, to)
		}
	}
}

// edited is a text like source code, and the same after a few changes.
func edited(seed uint64, lines int) (before, after string) {
	rng := rand.New(rand.NewPCG(seed, 1))
	words := strings.Fields("def class return self print for in range if else not None True buffer display network time sleep pin value update state")
	line := func() string {
		var b strings.Builder
		b.WriteString(strings.Repeat("    ", rng.IntN(3)))
		for range 2 + rng.IntN(7) {
			b.WriteString(words[rng.IntN(len(words))])
			b.WriteByte(" (=,.)"[rng.IntN(6)])
		}
		return b.String() + "\n"
	}
	var a, b strings.Builder
	for range lines {
		l := line()
		a.WriteString(l)
		switch rng.IntN(40) {
		case 0:
		case 1:
			b.WriteString(l + line())
		case 2:
			b.WriteString(strings.Replace(l, " ", " x", 1))
		default:
			b.WriteString(l)
		}
	}
	return a.String(), b.String()
}

// pair is a pair of releases of files that are edited, renamed, added and removed.
func pair(t testing.TB, files, lines int) (old, new *Release) {
	t.Helper()
	before, after := map[string]string{}, map[string]string{}
	for i := range files {
		a, b := edited(uint64(i), lines)
		name := fmt.Sprintf("lib/module%d.py", i)
		switch i % 10 {
		case 6:
			before[name], after[fmt.Sprintf("lib/renamed%d.py", i)] = a, b
		case 7:
			before[name] = a
		case 8:
			after[name] = b
		case 9:
			before[name], after[name] = a, a
		default:
			before[name], after[name] = a, b
		}
	}
	old, _ = tree(t, 1, before)
	new, _ = tree(t, 2, after)
	return old, new
}

func TestEncodePairs(t *testing.T) {
	old, new := pair(t, 30, 200)
	_, stats := encode(t, old, new, Options{})
	t.Logf("%+v", stats)
	encode(t, nil, new, Options{})
	encode(t, new, old, Options{})
}

// The same bytes, however many processors there are.
func TestEncodeDeterministic(t *testing.T) {
	old, new := pair(t, 12, 100)
	first, _ := encode(t, old, new, Options{})
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for n := range 3 {
		runtime.GOMAXPROCS(1 + 3*n)
		if again, _ := encode(t, old, new, Options{}); !bytes.Equal(first, again) {
			t.Errorf("with %d processors: %d bytes, %d before", 1+3*n, len(again), len(first))
		}
	}
}

func TestLongFile(t *testing.T) {
	a, b := edited(3, 4000)
	old, _ := tree(t, 1, map[string]string{"long.py": a, "z.py": "z"})
	new, _ := tree(t, 2, map[string]string{"long.py": b, "z.py": "zz"})
	data, _ := encode(t, old, new, Options{})
	contents, err := Read(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range contents.Segments {
		size := 0
		for _, r := range s.Records {
			size += r.Bytes
		}
		if size > longestBytes {
			t.Errorf("a segment makes %d bytes", size)
		}
	}
	if n := len(b) / longestBytes; len(contents.Segments) < n {
		t.Errorf("%d segments for %d bytes", len(contents.Segments), len(b))
	}
}
