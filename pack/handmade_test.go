package pack

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/pack/internal/deflate"
)

// What follows writes packs by hand, right or wrong.

func number(n int) []item { return []item{{number: n}} }

// join puts items one behind the other. A piece tells the literal bytes before it what it has.
func join(parts ...[]item) []item {
	var out []item
	for _, part := range parts {
		if len(part) > 0 && part[0].number < 0 {
			out[len(out)-1].number |= -part[0].number
			part = part[1:]
		}
		out = append(out, part...)
	}
	return out
}

func lit(s string) []item { return []item{literal([]byte(s))} }

// piece is a copy of n bytes after a move of the cursor. It goes to join.
func piece(n, seek int) []item { return behind(n, seek, nil) }

// added is a copy with differences. It goes to join.
func added(seek int, differences []byte) []item {
	return behind(len(differences), seek, append([]byte{}, differences...))
}

func behind(n, seek int, differences []byte) []item {
	out := appendCopy([]item{{}}, n, seek, differences)
	out[0].number = -out[0].number
	if out[0].number == 0 {
		return out[1:]
	}
	return out
}

// record is a record; path and start are left out where they are empty and 0.
func record(tag, step int, path string, start, n int, triples ...[]item) []item {
	out := join(number(tag), number(step))
	if path != "" {
		out = append(out, item{len(path), []byte(path)})
	}
	if start > 0 {
		out = append(out, number(start)...)
	}
	return join(append([][]item{out, number(n)}, triples...)...)
}

// moves says by how much the numbers of names move: first, and then how far on and by how much.
func moves(first int, pairs ...int) []item {
	out := number(first)
	for i, n := range pairs {
		if i%2 == 1 {
			n = zigzag(n)
		}
		out = append(out, number(n)...)
	}
	return append(out, number(0)...)
}

// says is the data of a segment, before it is compressed.
func says(items ...[]item) []byte {
	return (&script{join(items...)}).batches()
}

// raw is a segment with given data.
func raw(last, end int, data []byte) []byte {
	return slices.Concat(appendNumber(appendNumber(appendNumber(nil, len(data)), last), end), data)
}

// deflated is data in the smallest window.
func deflated(data []byte) []byte { return deflate.Compress(nil, data, 1<<10, 15) }

// segment is a segment of records.
func segment(last, end int, records ...[]item) []byte {
	return raw(last, end, deflated(says(join(records...), number(0))))
}

// whole is a pack of segments.
func whole(window int, segments ...[]byte) []byte {
	return append(append(append([]byte(magic), version, byte(window)), slices.Concat(segments...)...), 0)
}

func noise(seed uint64, n int) string {
	rng := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

// farApart is a text whose last bytes are best copied from n bytes before.
func farApart(n int) string {
	return noise(7, 64) + strings.Repeat("\x00", n-64) + noise(7, 64)
}

func first[A, B any](a A, _ B) A { return a }

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// literals is a pack of all files but one, without bases.
func literals(t testing.TB, files map[string]string, r *Release, bits int, but string) []byte {
	t.Helper()
	records := record(1, 1, "", 0, len(r.Manifest), lit(string(r.Manifest)))
	last, before := 0, 0
	for i, path := range slices.Sorted(maps.Keys(files)) {
		if path != but {
			last = i + 1
			records = append(records, record(1, last-before, "", 0, len(files[path]), literalOf(files[path]))...)
			before = last
		}
	}
	return whole(bits, raw(last, 0, deflate.Compress(nil, says(records, number(0)), 1<<bits, 15)))
}

// literalOf is the triples of a text: none for an empty one.
func literalOf(s string) []item {
	if s == "" {
		return nil
	}
	return lit(s)
}

// onebyone makes data of the base with a copy for every byte.
func onebyone(base, data []byte) []item {
	var triples []item
	at := 0
	for i := range data {
		// From the end for every second byte: the cursor jumps about.
		triples = join(triples, lit(""))
		from := i
		if i%2 == 1 {
			from = len(base) - i
		}
		triples = join(triples, added(from-at, []byte{data[i] - base[from]}))
		at = from + 1
	}
	return record(2, 1, "", 0, len(data), triples)
}

// ends are triples that copy what two texts have in common at both ends.
func ends(text, base string) []item {
	head, tail := 0, 0
	for text[head] == base[head] {
		head++
	}
	for text[len(text)-1-tail] == base[len(base)-1-tail] {
		tail++
	}
	middle := text[head : len(text)-tail]
	return join(lit(""), piece(head, 0), lit(middle), piece(tail, len(base)-tail-head-len(middle)))
}

// stored is data as DEFLATE without compression.
func stored(data []byte) []byte {
	n := len(data)
	return append([]byte{1, byte(n), byte(n >> 8), ^byte(n), ^byte(n >> 8)}, data...)
}

// farBack is DEFLATE whose first symbol is a match.
func farBack() []byte {
	// The fixed code, final: bits 1, 01; then length 3 (0000001) and distance 1 (00000), the end (0000000).
	return []byte{0b011 | 0b1000000<<3&0xff, 0b10, 0, 0}
}

// single writes each byte of a number as a batch of its own.
func single(items []item) []byte {
	var out []byte
	for _, i := range append(items, item{}) {
		for _, b := range appendNumber(nil, i.number) {
			out = append(out, 1, 0, b)
		}
		out = append(out, i.bytes...)
	}
	return out
}

// differences are those between data and what a base of the same length becomes where the names move.
func differences(base, data []byte, first int, s *shift) []byte {
	var out []byte
	w := newWalker(first)
	for i, c := range data {
		out = append(out, c-s.at(w.place, base[i]))
		w.step(c)
	}
	return out
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
