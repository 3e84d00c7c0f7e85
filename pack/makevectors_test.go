package pack

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack/internal/deflate"
)

var update = flag.Bool("update", false, "write the vectors in testdata/vectors/packs anew")

// vectors is the folder of test data that boards' tests read, too; see the README
// in testdata/vectors.
const vectors = "../testdata/vectors/packs"

// A vector is an entry of index.json.
type vector struct {
	File   string `json:"file"`
	About  string `json:"about"`
	Old    string `json:"old,omitempty"` // folder of the old release
	New    string `json:"new"`           // folder of the release that is wanted
	Error  string `json:"error,omitempty"`
	Strict bool   `json:"strict,omitempty"`
}

// tree makes the manifest of a few files.
func tree(t testing.TB, version int64, files map[string]string) (*Release, map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		name := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	m, err := manifest.Build(t.Context(), dir, manifest.Options{Extensions: []string{".py", ".bin"}})
	if err != nil {
		t.Fatal(err)
	}
	m.App, m.Version = "vectors", version
	for i := range m.Files {
		m.Files[i].Version = version // not the time of this test
	}
	encoded, err := m.Encode(-1)
	if err != nil {
		t.Fatal(err)
	}
	return memory(encoded, files), files
}

// What follows writes packs by hand, right or wrong.

func number(n int) []byte { return appendNumber(nil, n) }

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func lit(s string) []byte { return appendLiteral(nil, []byte(s)) }

// piece is a copy of n bytes after a move of the cursor.
func piece(n, seek int) []byte { return appendCopy(nil, n, seek, false) }

// added is a copy with differences.
func added(seek int, differences []byte) []byte {
	return append(appendCopy(nil, len(differences), seek, true), differences...)
}

// record is a record; path and start are left out where they are empty and 0.
func record(tag, step int, path string, start, n int, triples ...[]byte) []byte {
	out := append([]byte{byte(tag)}, number(step)...)
	if path != "" {
		out = append(out, lit(path)...)
	}
	if start > 0 {
		out = append(out, number(start)...)
	}
	return append(append(out, number(n)...), join(triples...)...)
}

// raw is a segment with given data.
func raw(last, end int, data []byte) []byte {
	return join(number(len(data)), number(last), number(end), data)
}

// segment is a segment of records.
func segment(last, end int, records ...[]byte) []byte {
	return raw(last, end, deflate.Compress(nil, append(join(records...), 0), 1<<10, 15))
}

// whole is a pack of segments.
func whole(window int, segments ...[]byte) []byte {
	return append(append(append([]byte(magic), version, byte(window)), join(segments...)...), 0)
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

// TestMakeVectors writes the vectors, with -update.
func TestMakeVectors(t *testing.T) {
	if !*update {
		return
	}
	module := "import machine\n\ndef blink(pin):\n    machine.Pin(pin).on()\n\nblink(2)\n"
	oldFiles := map[string]string{
		"a.py": module, "b.bin": noise(1, 200), "gone.py": "# a tool that moves\n" + module, "same.py": "x = 1\n", "sub/c.py": "c = 0\n",
	}
	bin := []byte(oldFiles["b.bin"])
	for i := range bin {
		bin[i] += byte(i % 3)
	}
	newFiles := map[string]string{
		"a.py":     strings.Replace(module, "on()", "off()", 1),
		"b.bin":    string(bin),
		"big.bin":  oldFiles["b.bin"] + noise(2, 100),
		"empty.py": "",
		"moved.py": "# a tool that moved\n" + module,
		"same.py":  "x = 1\n",
		"twin.py":  strings.Replace(module, "on()", "off()", 1) + "blink(3)\n",
		"uses.py":  "x = 1\ny = 2\n",
	}
	old, _ := tree(t, 1, oldFiles)
	new, _ := tree(t, 2, newFiles)
	releases := map[string]*Release{"old": old, "new": new}
	content := map[string]map[string]string{"old": oldFiles, "new": newFiles}
	for _, bits := range []int{10, 12, 15} {
		files := map[string]string{"far.bin": farApart(1 << bits)}
		name := fmt.Sprint("far", bits)
		releases[name], content[name] = first(tree(t, 3, files)), files
	}

	// The indexes of the new files: a 1, b 2, big 3, empty 4, moved 5, same 6, twin 7,
	// uses 8.
	text := string(new.Manifest)
	manifestRecord := record(1, 1, "", 0, len(text), lit(text))
	diff := bytes.Repeat([]byte{0, 1, 2}, 67)[:200]
	on := strings.Index(module, "on()")
	a := record(2, 1, "", 0, len(newFiles["a.py"]), lit(""), piece(on, 0), lit("off"), piece(len(module)-on-2, -1))
	b := record(2, 1, "", 0, 200, lit(""), added(0, diff))
	big := record(3, 1, "b.bin", 0, 300, lit(""), piece(200, 0), lit(noise(2, 100)))
	empty := record(1, 1, "", 0, 0)
	moved := record(3, 1, "gone.py", 0, len(newFiles["moved.py"]), lit(""), piece(18, 0), lit("d"), piece(len(module)+1, 0))
	twin := record(4, 2, "a.py", 0, len(newFiles["twin.py"]), lit(""), piece(len(newFiles["a.py"]), 0), lit("blink(3)\n"))
	uses := record(4, 1, "same.py", 0, 12, lit(""), piece(6, 0), lit("y = 2\n"))
	all := [][]byte{manifestRecord, a, b, big, empty, moved, twin, uses}
	with := func(i int, r []byte) []byte {
		records := slices.Clone(all)
		records[i] = r
		return whole(12, segment(8, 0, records...))
	}
	good := whole(12, segment(8, 0, all...))

	var index []vector
	add := func(v vector, data []byte) {
		if v.New == "" {
			v.New = "new"
		}
		index = append(index, v)
		write(t, filepath.Join(vectors, v.File), data)
	}
	ok := func(file, about string, data []byte) { add(vector{File: file, About: about, Old: "old"}, data) }
	bad := func(file, class, about string, data []byte) {
		add(vector{File: file, About: about, Old: "old", Error: class}, data)
	}
	strict := func(file, about string, data []byte) {
		add(vector{File: file, About: about, Old: "old", Error: "format", Strict: true}, data)
	}

	// Good ones.
	ok("all.pack", "a record of every kind, in one segment", good)
	ok("each.pack", "a segment for each record", whole(12, segment(0, 0, all[0]), segment(1, 0, all[1]), segment(2, 0, all[2]),
		segment(3, 0, all[3]), segment(4, 0, all[4]), segment(5, 0, all[5]), segment(7, 0, all[6]), segment(8, 0, all[7])))
	ok("parts.pack", "a file in three parts, each with another base, beside others; and the manifest in two", whole(12,
		segment(0, 100, record(1, 1, "", 0, 100, lit(text[:100]))),
		segment(3, 120, record(9, 0, "", 100, len(text)-100, lit(text[100:])), a, b, record(3, 1, "b.bin", 0, 120, lit(""), piece(120, 0))),
		segment(3, 200, record(3|8, 0, "b.bin", 120, 80, lit(""), piece(80, 120))),
		segment(8, 0, record(1|8, 0, "", 200, 100, lit(noise(2, 100))), empty, moved, twin, uses)))
	ok("manifest-delta.pack", "a manifest that is made of the old one", with(0, record(2, 1, "", 0, len(text), ends(text, string(old.Manifest)))))
	ok("literals.pack", "no base anywhere", literals(t, newFiles, new, 12, "same.py"))
	ok("one-by-one.pack", "a copy for every byte, back and forth", with(2, onebyone([]byte(oldFiles["b.bin"]), bin)))
	ok("long-numbers.pack", "numbers that are longer than they need to be", whole(12, segment(8, 0,
		join([]byte{1, 0x81, 0x80, 0x00}, number(len(text)), lit(text)), join([]byte{2, 0x81, 0x00}, a[2:]), b, big, empty, moved, twin, uses)))
	ok("seek-past.pack", "literals move the cursor past the end of the base, and a seek back", with(1,
		record(2, 1, "", 0, len(newFiles["a.py"]), lit(newFiles["a.py"][:len(newFiles["a.py"])-9]), piece(9, len(module)-9-len(newFiles["a.py"])+9))))
	ok("stored.pack", "DEFLATE without compression", whole(12, raw(8, 0, stored(append(join(all...), 0)))))
	add(vector{File: "whole.pack", About: "the whole release, for a board that has nothing"}, literals(t, newFiles, new, 12, ""))
	add(vector{File: "whole-on-old.pack", About: "the whole release, for a board that has another", Old: "old"}, literals(t, newFiles, new, 12, ""))
	for _, bits := range []int{10, 12, 15} {
		name := fmt.Sprint("far", bits)
		add(vector{File: fmt.Sprintf("window-%d.pack", bits), About: "a match as far back as the window", New: name}, literals(t, content[name], releases[name], bits, ""))
	}

	// The frame.
	bad("nothing.pack", "format", "no bytes at all", nil)
	bad("magic.pack", "format", "another magic", join([]byte("otapacj"), good[7:]))
	bad("version.pack", "format", "version 2", join([]byte(magic), []byte{2}, good[8:]))
	bad("window-9.pack", "format", "too small a window", whole(9, segment(8, 0, all...)))
	bad("window-16.pack", "format", "too large a window", whole(16, segment(8, 0, all...)))
	bad("cut.pack", "format", "the last byte is missing", good[:len(good)-1])
	bad("half.pack", "format", "the second half is missing", good[:len(good)/2])
	bad("no-segment.pack", "format", "no segment", whole(12))
	strict("after.pack", "a byte after the end", append(slices.Clone(good), 0))
	bad("long-segment.pack", "format", "a segment that is longer than the pack", join([]byte(magic), []byte{1, 12}, number(1<<31-1), number(8), number(0), []byte{3, 0}))
	bad("number-6.pack", "format", "a number of 6 bytes", join([]byte(magic), []byte{1, 12, 0x81, 0x80, 0x80, 0x80, 0x80, 0}, good[9:]))
	bad("number-big.pack", "format", "a number of 2^31", join([]byte(magic), []byte{1, 12, 0x80, 0x80, 0x80, 0x80, 8}, good[9:]))
	strict("empty-segment.pack", "a segment without records", whole(12, segment(0, 0, all[0]), segment(0, 0), segment(8, 0, all[1:]...)))

	// The segment.
	data := deflate.Compress(nil, append(join(all...), 0), 1<<10, 15)
	bad("deflate.pack", "format", "a block of the kind that does not exist", whole(12, raw(8, 0, append([]byte{7}, data...))))
	bad("deflate-cut.pack", "format", "DEFLATE that does not end", whole(12, raw(8, 0, data[:len(data)-8])))
	strict("deflate-after.pack", "a byte after the end of DEFLATE", whole(12, raw(8, 0, append(slices.Clone(data), 0))))
	strict("after-zero.pack", "a byte after the 0 that ends the records", whole(12, raw(8, 0, deflate.Compress(nil, append(join(all...), 0, 0), 1<<10, 15))))
	bad("no-zero.pack", "format", "no 0 that ends the records", whole(12, raw(8, 0, deflate.Compress(nil, join(all...), 1<<10, 15))))
	bad("last-high.pack", "format", "a segment that says it makes more", whole(12, segment(0, 0, all[0]), segment(8, 0, all[1:7]...), segment(8, 0, all[7])))
	bad("last-low.pack", "format", "a segment that says it makes less", whole(12, segment(0, 0, all[0]), segment(6, 0, all[1:]...)))
	strict("end-low.pack", "a segment that says it makes less of its last file", whole(12, segment(0, 99, record(1, 1, "", 0, 100, lit(text[:100]))),
		segment(8, 0, append([][]byte{record(9, 0, "", 100, len(text)-100, lit(text[100:]))}, all[1:]...)...)))
	strict("end-size.pack", "a file that is complete, and its size in place of the 0", whole(12, segment(0, len(text), all[0]), segment(8, 0, all[1:]...)))
	bad("no-start.pack", "format", "a window that reaches back before the beginning", whole(12, raw(8, 0, farBack())))
	for _, bits := range []int{12, 15} {
		name := fmt.Sprint("far", bits)
		data := literals(t, content[name], releases[name], bits, "")
		data[8] = byte(bits - 1)
		add(vector{File: fmt.Sprintf("window-%d-in-%d.pack", bits, bits-1), About: "a match further back than the window", New: name, Error: "format", Strict: true}, data)
	}

	// The record.
	for _, tag := range []int{5, 6, 7, 8, 0x12, 0x82} {
		bad(fmt.Sprintf("tag-%d.pack", tag), "format", "a tag that does not exist", with(1, join([]byte{byte(tag)}, a[1:])))
	}
	bad("step-0.pack", "format", "a second record for a file", with(2, join(b[:1], number(0), b[2:])))
	bad("step-on.pack", "format", "a record that goes on with the next file", with(2, record(2|8, 1, "", 1, 200, lit(""), added(0, diff))))
	strict("step-far.pack", "a file that the manifest does not have", whole(12, segment(9, 0, append(slices.Clone(all), record(1, 1, "", 0, 1, lit("x")))...)))
	bad("step-huge.pack", "format", "a file far behind the manifest's last", with(7, record(4, 1<<31-1, "same.py", 0, 12, lit(""), piece(6, 0), lit("y = 2\n"))))
	bad("no-manifest.pack", "format", "a first record that is not the manifest", whole(12, segment(8, 0, append([][]byte{join(a[:1], number(2), a[2:])}, all[2:]...)...)))
	strict("manifest-other.pack", "a manifest that is made of another file", with(0, record(3, 1, "a.py", 0, len(text), lit(text))))
	strict("manifest-new.pack", "a manifest that is made of a file before it", with(0, record(4, 1, "a.py", 0, len(text), lit(text))))
	bad("manifest-wrong.pack", "release", "the manifest of another release", join(literals(t, oldFiles, old, 12, "")))
	bad("manifest-text.pack", "content", "a manifest that is none", with(0, record(1, 1, "", 0, 2, lit("{}"))))
	bad("on-first.pack", "format", "a file that goes on and was not begun", with(1, record(2|8, 0, "", 5, 10, lit("0123456789"))))
	bad("on-second.pack", "content", "a file that goes on, but not at the beginning of a segment", whole(12, segment(0, 0, all[0]),
		segment(3, 0, a, b, record(1, 1, "", 0, 200, lit(newFiles["big.bin"][:200])), record(9, 0, "", 200, 100, lit(noise(2, 100)))), segment(8, 0, all[4:]...)))
	bigPart := record(3, 1, "b.bin", 0, 200, lit(""), piece(200, 0))
	bad("on-wrong.pack", "format", "a file that goes on at another place", whole(12, segment(3, 200, all[0], a, b, bigPart),
		segment(8, 0, append([][]byte{record(9, 0, "", 190, 110, lit(newFiles["big.bin"][190:]))}, all[4:]...)...)))
	bad("on-not.pack", "format", "a file that does not go on", whole(12, segment(3, 200, all[0], a, b, bigPart), segment(8, 0, all[4:]...)))
	bad("on-end.pack", "format", "a pack that ends with an unfinished file", whole(12, segment(3, 200, all[0], a, b, bigPart)))
	strict("on-empty.pack", "a part without a byte", whole(12, segment(3, 200, all[0], a, b, bigPart),
		segment(3, 200, record(9, 0, "", 200, 0)), segment(8, 0, append([][]byte{record(9, 0, "", 200, 100, lit(noise(2, 100)))}, all[4:]...)...)))
	bad("size-more.pack", "format", "more bytes than the file has", with(4, record(1, 1, "", 0, 1, lit("x"))))
	bad("size-huge.pack", "format", "2^31-1 bytes", with(4, record(1, 1, "", 0, 1<<31-1, lit("x"))))
	bad("size-less.pack", "content", "fewer bytes than the file has", with(2, record(2, 1, "", 0, 199, lit(""), added(0, diff[:199]))))
	bad("missing.pack", "format", "no record for a file that changed", whole(12, segment(8, 0, all[0], a, b, big, empty, moved, join(uses[:1], number(3), uses[2:]))))
	bad("missing-last.pack", "format", "no record for the last file", whole(12, segment(7, 0, all[:7]...)))

	// The base.
	bad("base-none.pack", "format", "a piece without a base", with(4, record(1, 1, "", 0, 4, lit(""), piece(4, 0))))
	bad("base-missing.pack", "base", "the same path, where the old release has none", with(5, record(2, 1, "", 0, len(newFiles["moved.py"]), lit(""), piece(6, 0), lit(newFiles["moved.py"][6:]))))
	bad("base-old-missing.pack", "base", "another file, where the old release has none", with(5, record(3, 1, "nowhere.py", 0, len(newFiles["moved.py"]), lit(""), piece(6, 0), lit(newFiles["moved.py"][6:]))))
	strict("base-itself-old.pack", "the same path, as if it were another", with(1, record(3, 1, "a.py", 0, len(newFiles["a.py"]), lit(newFiles["a.py"]))))
	strict("base-itself.pack", "a file that is made of itself", with(1, record(4, 1, "a.py", 0, len(newFiles["a.py"]), lit(newFiles["a.py"]))))
	strict("base-later.pack", "a file that is made of a later one", with(5, record(4, 1, "twin.py", 0, len(newFiles["moved.py"]), lit(newFiles["moved.py"]))))
	strict("base-unknown.pack", "a file that is made of none of the release", with(7, record(4, 1, "gone.py", 0, 12, lit("x = 1\ny = 2\n"))))
	bad("base-unmade.pack", "format", "a file that is made of one that was not made", whole(12, segment(8, 0, all[0], join(b[:1], number(2), b[2:]), big, empty, moved, twin, uses)))
	add(vector{File: "base-nothing.pack", About: "an old release is needed, and there is none", Error: "base"}, good)
	for name, path := range map[string]string{"absolute": "/a.py", "up": "../a.py", "dot": "./a.py", "slashes": "sub//c.py", "backslash": `sub\c.py`, "utf8": "a\xff.py", "zero": "a.py\x00"} {
		bad("path-"+name+".pack", "format", "a path that must never be opened", with(5, record(3, 1, path, 0, len(newFiles["moved.py"]), lit(newFiles["moved.py"]))))
	}
	bad("path-empty.pack", "format", "an empty path", with(5, join([]byte{3, 1, 0}, number(len(newFiles["moved.py"])), lit(newFiles["moved.py"]))))
	bad("path-256.pack", "format", "a path of 256 bytes", with(5, record(3, 1, strings.Repeat("a", 256), 0, len(newFiles["moved.py"]), lit(newFiles["moved.py"]))))
	bad("path-huge.pack", "format", "a path of 2^31-1 bytes", with(5, join([]byte{3, 1}, number(1<<31-1), []byte("a.py"))))

	// The triple.
	bad("literal-more.pack", "format", "more literal bytes than the file lacks", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(6, 0), lit("y = 2\n\n"))))
	bad("literal-huge.pack", "format", "2^31-1 literal bytes", with(7, record(4, 1, "same.py", 0, 12, number(1<<31-1), []byte("y"))))
	bad("piece-0.pack", "format", "a piece of 0 bytes", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(0, 0), lit("x = 1\ny = 2\n"))))
	bad("piece-0-add.pack", "format", "a piece of 0 bytes with differences", with(7, record(4, 1, "same.py", 0, 12, lit(""), added(0, nil), lit("x = 1\ny = 2\n"))))
	bad("piece-more.pack", "format", "a piece longer than what the file lacks", with(1, record(2, 1, "", 0, len(newFiles["a.py"]), lit(newFiles["a.py"][:50]), piece(60, -50))))
	bad("piece-huge.pack", "format", "a piece of 2^30-1 bytes", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(1<<30-1, 0))))
	bad("piece-before.pack", "format", "a piece before the beginning of the base", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(6, -1), lit("y = 2\n"))))
	bad("piece-after.pack", "base", "a piece that goes on after the end of the base", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(6, 1), lit("y = 2\n"))))
	bad("piece-far.pack", "base", "a piece far behind the base", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(6, 1<<30-1), lit("y = 2\n"))))
	bad("add-after.pack", "base", "differences that go on after the end of the base", with(2, record(2, 1, "", 0, 200, lit(""), added(1, diff))))
	bad("wrong-literal.pack", "content", "a wrong literal byte", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(6, 0), lit("y = 3\n"))))
	bad("wrong-piece.pack", "content", "a wrong piece", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(5, 0), lit(" y = 2\n"))))
	bad("wrong-add.pack", "content", "a wrong difference", with(2, record(2, 1, "", 0, 200, lit(""), added(0, bytes.Repeat([]byte{1}, 200)))))

	for name, files := range content {
		write(t, filepath.Join(vectors, name, "versions.json"), releases[name].Manifest)
		for path, text := range files {
			write(t, filepath.Join(vectors, name, filepath.FromSlash(path)), []byte(text))
		}
	}
	text2, err := json.MarshalIndent(index, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(vectors, "index.json"), append(text2, '\n'))
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
	return whole(bits, raw(last, 0, deflate.Compress(nil, append(records, 0), 1<<bits, 15)))
}

// literalOf is the triples of a text: none for an empty one.
func literalOf(s string) []byte {
	if s == "" {
		return nil
	}
	return lit(s)
}

// onebyone makes data of the base with a copy for every byte.
func onebyone(base, data []byte) []byte {
	var triples []byte
	at := 0
	for i := range data {
		// From the end for every second byte: the cursor jumps about.
		triples = append(triples, lit("")...)
		from := i
		if i%2 == 1 {
			from = len(base) - i
		}
		triples = append(triples, added(from-at, []byte{data[i] - base[from]})...)
		at = from + 1
	}
	return record(2, 1, "", 0, len(data), triples)
}

// ends are triples that copy what two texts have in common at both ends.
func ends(text, base string) []byte {
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
