package pack

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/manifest"
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
	old, new := pair(t, 20, 150)
	if _, stats := encode(t, old, new, Options{}); stats.Pack*8 > stats.Raw {
		t.Errorf("an eighth is easy, but it is %+v", stats)
	}
	encode(t, nil, new, Options{})
	encode(t, new, old, Options{})
}

// A file that only moves costs next to nothing, wherever it goes.
func TestRename(t *testing.T) {
	text, _ := edited(5, 500)
	files := map[string]string{"main.py": "import tool\n", "lib/tool.py": text}
	for i := range 20 {
		files[fmt.Sprintf("lib/other%d.py", i)] = fmt.Sprint("x = ", i, "\n")
	}
	old, _ := tree(t, 1, files)
	moved := maps.Clone(files)
	delete(moved, "lib/tool.py")
	moved["lib/drivers/instrument.py"] = text
	new, _ := tree(t, 1, moved)
	data, stats := encode(t, old, new, Options{})
	if stats.Files != 1 || len(data) >= 200 {
		t.Errorf("%d bytes for a file that moves, %+v", len(data), stats)
	}
}

// A file that is like another new one is made of that.
func TestTwins(t *testing.T) {
	a, b := edited(6, 300)
	alone, _ := tree(t, 1, map[string]string{"a.py": a})
	twins, _ := tree(t, 1, map[string]string{"a.py": a, "b.py": b})
	one, _ := encode(t, nil, alone, Options{})
	two, _ := encode(t, nil, twins, Options{})
	if len(two)-len(one) > len(one)/3 {
		t.Errorf("%d bytes for a file, %d for it and one that is nearly the same", len(one), len(two))
	}
	contents, err := Read(two)
	if err != nil {
		t.Fatal(err)
	}
	last := contents.Segments[len(contents.Segments)-1].Records
	if r := last[len(last)-1]; r.Base != NewFile || r.BasePath != "a.py" {
		t.Errorf("b.py is made of %v %q", r.Base, r.BasePath)
	}
}

// Nothing is gained by deflating the files one by one in place of a pack, not even
// where there is nothing to copy.
func TestNotLargerThanDeflated(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	files := map[string]string{}
	for i := range 12 {
		text, _ := edited(uint64(100+i), 150)
		files[fmt.Sprintf("m%d.py", i)] = text
	}
	random := make([]byte, 40_000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	files["noise.bin"], files["empty.py"] = string(random), ""
	deflated := 0
	for _, text := range files {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		deflated += b.Len()
	}
	new, _ := tree(t, 2, files)
	old, _ := tree(t, 1, map[string]string{"m1.py": strings.Repeat("nothing like it\n", 300)})
	for _, from := range []*Release{nil, old} {
		data, stats := encode(t, from, new, Options{})
		if stats.Raw == 0 || len(data)-int(stats.Manifest) > deflated {
			t.Errorf("%d bytes, %d of them perhaps the manifest; %d deflated one by one", len(data), stats.Manifest, deflated)
		}
	}
}

// Releases that no pack can lead to, and files that are not what they should be.
func TestEncodeRefuses(t *testing.T) {
	good, files := tree(t, 1, map[string]string{"a.py": "a = 1\n", "b.py": "b = 1\n"})
	spoilt := maps.Clone(files)
	spoilt["a.py"] = "a = 2\n"
	changed, _ := tree(t, 2, map[string]string{"a.py": "a = 3\n"})
	for name, test := range map[string]struct {
		old, new *Release
		o        Options
		want     error
	}{
		"no manifest":      {nil, memory([]byte("{}"), nil), Options{}, manifest.ErrFormat},
		"old without one":  {memory([]byte("<html>"), nil), good, Options{}, manifest.ErrFormat},
		"no sizes":         {nil, memory([]byte(`{"version":1,"files":[{"path":"a.py","version":1}]}`), files), Options{}, ErrManifest},
		"not sorted":       {nil, memory([]byte(`{"version":1,"files":[`+entry("b.py")+","+entry("a.py")+`]}`), files), Options{}, ErrManifest},
		"too large":        {nil, memory([]byte(`{"version":1,"files":[`+strings.Replace(entry("a.py"), `"size":1`, `"size":300000000`, 1)+`]}`), files), Options{}, ErrTooLarge},
		"other content":    {nil, memory(good.Manifest, spoilt), Options{}, ErrContent},
		"missing file":     {nil, memory(good.Manifest, nil), Options{}, fs.ErrNotExist},
		"old has other":    {memory(good.Manifest, spoilt), changed, Options{}, ErrContent},
		"window too small": {nil, good, Options{Window: 9}, errAny},
		"window too large": {nil, good, Options{Window: 16}, errAny},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			_, err := Encode(t.Context(), &b, test.old, test.new, test.o)
			if err == nil || test.want != errAny && !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if b.Len() > 0 {
				t.Errorf("%d bytes were written", b.Len())
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Encode(ctx, io.Discard, nil, good, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

var errAny = errors.New("any error")

// entry is an entry of a manifest, in JSON.
func entry(path string) string {
	return fmt.Sprintf(`{"path":%q,"version":1,"size":1,"sha256":"%064x"}`, path, 1)
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
		if size > segmentBytes {
			t.Errorf("a segment makes %d bytes", size)
		}
	}
	if n := len(b) / segmentBytes; len(contents.Segments) < n {
		t.Errorf("%d segments for %d bytes", len(contents.Segments), len(b))
	}
}

// A segment ends where much has to be sent for it, so that little is made again.
func TestSegmentsEndWhereMuchIsSent(t *testing.T) {
	files := map[string]string{}
	for i := range 5 {
		files[fmt.Sprintf("f%d.py", i)] = noise(uint64(i), 12_000)
	}
	new, _ := tree(t, 1, files)
	data, _ := encode(t, nil, new, Options{})
	contents, err := Read(data)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range contents.Segments {
		if s.Length > segmentSent+13_000 {
			t.Errorf("segment %d has %d bytes", i, s.Length)
		}
	}
}

// A part far into a file begins with a long move of the cursor, which has to be found worth its price.
func TestLongFileGoesOnInItsBase(t *testing.T) {
	text := []byte(noise(5, 200_000))
	for i := range text {
		text[i] = ' ' + text[i]%94
	}
	now := bytes.Clone(text)
	for at := 0; at < len(now)-3; at += 1000 {
		copy(now[at:], "new")
	}
	old, _ := tree(t, 1, map[string]string{"long.py": string(text)})
	new, _ := tree(t, 2, map[string]string{"long.py": string(now)})
	data, _ := encode(t, old, new, Options{})
	contents, err := Read(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range contents.Segments {
		for _, r := range s.Records {
			if r.Index == 1 && r.Literal > 3*r.Bytes/1000+10 {
				t.Errorf("from byte %d of %d: %d literal bytes", r.Start, len(now), r.Literal)
			}
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	old, new := pair(b, 120, 270)
	b.ReportAllocs()
	for b.Loop() {
		stats, err := Encode(b.Context(), io.Discard, old, new, Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(stats.Raw)
		b.ReportMetric(float64(stats.Pack), "packbytes")
	}
}
