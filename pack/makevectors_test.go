package pack

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/manifest"
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
	all := [][]item{manifestRecord, a, b, big, empty, moved, twin, uses}
	with := func(i int, r []item) []byte {
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
	every := says(join(all...), number(0))
	// They begin with the length of the batch, the tag 1 and the step 1.
	ok("long-numbers.pack", "numbers that are longer than they need to be", whole(12, raw(8, 0, deflated(
		slices.Concat([]byte{every[0] + 3, every[1], 0x81, 0, 0x81, 0x80, 0}, every[4:])))))
	ok("batches.pack", "each byte of a number in a batch of its own", whole(12, raw(8, 0, deflated(single(join(all...))))))
	noisy := shift{}
	for i := 1; i < maxNames; i++ {
		noisy[i] = byte(3 & 127)
		if i >= 100 {
			noisy[i] = 126
		}
	}
	ok("names.pack", "names that move, in a file that is no module", with(2, join(record(2|16, 1, "", 0, 200), moves(7, 1, 3, 99, -5),
		lit(""), added(0, differences([]byte(oldFiles["b.bin"]), bin, 7, &noisy)))))
	ok("names-behind.pack", "names that move behind the end of the file", with(2, join(record(2|16, 1, "", 0, 200), moves(1<<30-1, 1, 3, 510, -70),
		lit(""), added(0, diff))))
	ok("seek-past.pack", "literals move the cursor past the end of the base, and a seek back", with(1,
		record(2, 1, "", 0, len(newFiles["a.py"]), lit(newFiles["a.py"][:len(newFiles["a.py"])-9]), piece(9, len(module)-9-len(newFiles["a.py"])+9))))
	ok("stored.pack", "DEFLATE without compression", whole(12, raw(8, 0, stored(every))))
	add(vector{File: "whole.pack", About: "the whole release, for a board that has nothing"}, literals(t, newFiles, new, 12, ""))
	add(vector{File: "whole-on-old.pack", About: "the whole release, for a board that has another", Old: "old"}, literals(t, newFiles, new, 12, ""))
	for _, bits := range []int{10, 12, 15} {
		name := fmt.Sprint("far", bits)
		add(vector{File: fmt.Sprintf("window-%d.pack", bits), About: "a match as far back as the window", New: name}, literals(t, content[name], releases[name], bits, ""))
	}

	// The frame.
	bad("nothing.pack", "format", "no bytes at all", nil)
	bad("magic.pack", "format", "another magic", slices.Concat([]byte("otapacj"), good[7:]))
	bad("version.pack", "format", "version 2", slices.Concat([]byte(magic), []byte{2}, good[8:]))
	bad("window-9.pack", "format", "too small a window", whole(9, segment(8, 0, all...)))
	bad("window-16.pack", "format", "too large a window", whole(16, segment(8, 0, all...)))
	bad("cut.pack", "format", "the last byte is missing", good[:len(good)-1])
	bad("half.pack", "format", "the second half is missing", good[:len(good)/2])
	bad("no-segment.pack", "format", "no segment", whole(12))
	strict("after.pack", "a byte after the end", append(slices.Clone(good), 0))
	bad("long-segment.pack", "format", "a segment that is longer than the pack", slices.Concat([]byte(magic), []byte{1, 12}, appendNumber(nil, 1<<31-1), []byte{8, 0, 3, 0}))
	bad("number-6.pack", "format", "a number of 6 bytes", slices.Concat([]byte(magic), []byte{1, 12, 0x81, 0x80, 0x80, 0x80, 0x80, 0}, good[9:]))
	bad("number-big.pack", "format", "a number of 2^31", slices.Concat([]byte(magic), []byte{1, 12, 0x80, 0x80, 0x80, 0x80, 8}, good[9:]))
	strict("empty-segment.pack", "a segment without records", whole(12, segment(0, 0, all[0]), segment(0, 0), segment(8, 0, all[1:]...)))

	// The segment.
	data := deflated(every)
	bad("deflate.pack", "format", "a block of the kind that does not exist", whole(12, raw(8, 0, append([]byte{7}, data...))))
	bad("deflate-cut.pack", "format", "DEFLATE that does not end", whole(12, raw(8, 0, data[:len(data)-8])))
	strict("deflate-after.pack", "a byte after the end of DEFLATE", whole(12, raw(8, 0, append(slices.Clone(data), 0))))
	strict("after-zero.pack", "a byte after the 0 that ends the records", whole(12, raw(8, 0, deflated(append(slices.Clone(every), 0)))))
	bad("no-zero.pack", "format", "no 0 that ends the records", whole(12, raw(8, 0, deflated(says(all...)))))
	strict("batch-after.pack", "a number after the 0 that ends the records", whole(12, raw(8, 0, deflated(says(join(all...), number(0), number(0))))))
	bad("batch-0.pack", "format", "a batch without a number", whole(12, raw(8, 0, deflated(slices.Concat([]byte{0, 0}, every)))))
	long := slices.Repeat([]byte{0x80}, maxBatch+1)
	long[maxBatch] = 0
	bad("batch-1025.pack", "format", "a batch that is too long", whole(12, raw(8, 0, deflated(slices.Concat([]byte{1, 4, 1}, long)))))
	bad("batch-cut.pack", "format", "a batch that is longer than its segment", whole(12, raw(8, 0, deflated([]byte{4, 0, 1, 1}))))
	bad("last-high.pack", "format", "a segment that says it makes more", whole(12, segment(0, 0, all[0]), segment(8, 0, all[1:7]...), segment(8, 0, all[7])))
	bad("last-low.pack", "format", "a segment that says it makes less", whole(12, segment(0, 0, all[0]), segment(6, 0, all[1:]...)))
	strict("end-low.pack", "a segment that says it makes less of its last file", whole(12, segment(0, 99, record(1, 1, "", 0, 100, lit(text[:100]))),
		segment(8, 0, append([][]item{record(9, 0, "", 100, len(text)-100, lit(text[100:]))}, all[1:]...)...)))
	strict("end-size.pack", "a file that is complete, and its size in place of the 0", whole(12, segment(0, len(text), all[0]), segment(8, 0, all[1:]...)))
	bad("no-start.pack", "format", "a window that reaches back before the beginning", whole(12, raw(8, 0, farBack())))
	for _, bits := range []int{12, 15} {
		name := fmt.Sprint("far", bits)
		data := literals(t, content[name], releases[name], bits, "")
		data[8] = byte(bits - 1)
		add(vector{File: fmt.Sprintf("window-%d-in-%d.pack", bits, bits-1), About: "a match further back than the window", New: name, Error: "format", Strict: true}, data)
	}

	// The record.
	for _, tag := range []int{5, 6, 7, 8, 16, 17, 21, 0x22, 0x82} {
		bad(fmt.Sprintf("tag-%d.pack", tag), "format", "a tag that does not exist", with(1, join(number(tag), a[1:])))
	}
	bad("step-0.pack", "format", "a second record for a file", with(2, join(b[:1], number(0), b[2:])))
	bad("step-on.pack", "format", "a record that goes on with the next file", with(2, record(2|8, 1, "", 1, 200, lit(""), added(0, diff))))
	strict("step-far.pack", "a file that the manifest does not have", whole(12, segment(9, 0, append(slices.Clone(all), record(1, 1, "", 0, 1, lit("x")))...)))
	bad("step-huge.pack", "format", "a file far behind the manifest's last", with(7, record(4, 1<<31-1, "same.py", 0, 12, lit(""), piece(6, 0), lit("y = 2\n"))))
	bad("no-manifest.pack", "format", "a first record that is not the manifest", whole(12, segment(8, 0, append([][]item{join(a[:1], number(2), a[2:])}, all[2:]...)...)))
	strict("manifest-other.pack", "a manifest that is made of another file", with(0, record(3, 1, "a.py", 0, len(text), lit(text))))
	strict("manifest-new.pack", "a manifest that is made of a file before it", with(0, record(4, 1, "a.py", 0, len(text), lit(text))))
	bad("manifest-wrong.pack", "release", "the manifest of another release", literals(t, oldFiles, old, 12, ""))
	bad("manifest-text.pack", "content", "a manifest that is none", with(0, record(1, 1, "", 0, 2, lit("{}"))))
	unsure := strings.Replace(text, `"sha256":`, `"sha257":`, 1)
	bad("manifest-sums.pack", "content", "a manifest that lacks a SHA-256", with(0, record(1, 1, "", 0, len(unsure), lit(unsure))))
	bad("on-first.pack", "format", "a file that goes on and was not begun", with(1, record(2|8, 0, "", 5, 10, lit("0123456789"))))
	bad("on-second.pack", "content", "a file that goes on, but not at the beginning of a segment", whole(12, segment(0, 0, all[0]),
		segment(3, 0, a, b, record(1, 1, "", 0, 200, lit(newFiles["big.bin"][:200])), record(9, 0, "", 200, 100, lit(noise(2, 100)))), segment(8, 0, all[4:]...)))
	bigPart := record(3, 1, "b.bin", 0, 200, lit(""), piece(200, 0))
	bad("on-wrong.pack", "format", "a file that goes on at another place", whole(12, segment(3, 200, all[0], a, b, bigPart),
		segment(8, 0, append([][]item{record(9, 0, "", 190, 110, lit(newFiles["big.bin"][190:]))}, all[4:]...)...)))
	bad("on-not.pack", "format", "a file that does not go on", whole(12, segment(3, 200, all[0], a, b, bigPart), segment(8, 0, all[4:]...)))
	bad("on-end.pack", "format", "a pack that ends with an unfinished file", whole(12, segment(3, 200, all[0], a, b, bigPart)))
	strict("on-empty.pack", "a part without a byte", whole(12, segment(3, 200, all[0], a, b, bigPart),
		segment(3, 200, record(9, 0, "", 200, 0)), segment(8, 0, append([][]item{record(9, 0, "", 200, 100, lit(noise(2, 100)))}, all[4:]...)...)))
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
		bad("path-"+name+".pack", "format", "a path that must never be opened", with(5, record(3, 1, path, 0, len(newFiles["moved.py"]), lit(""), piece(6, 0), lit(newFiles["moved.py"][6:]))))
	}
	bad("path-empty.pack", "format", "an empty path", with(5, join(number(3), number(1), number(0), number(len(newFiles["moved.py"])), lit(newFiles["moved.py"]))))
	bad("path-256.pack", "format", "a path of 256 bytes", with(5, record(3, 1, strings.Repeat("a", 256), 0, len(newFiles["moved.py"]), lit(newFiles["moved.py"]))))
	bad("path-huge.pack", "format", "a path of 2^31-1 bytes", with(5, join(number(3), number(1), []item{{1<<31 - 1, []byte("a.py")}})))

	// The names.
	names := func(m []item) []byte {
		return with(2, join(record(2|16, 1, "", 0, 200), m, lit(""), added(0, diff)))
	}
	bad("names-512.pack", "format", "a name that cannot move", names(moves(1<<30-1, 512, 1)))
	bad("names-far.pack", "format", "a name far behind those that can move", names(moves(1<<30-1, 1, 1, 1<<31-1, 1)))
	bad("names-none.pack", "format", "names that move, and nothing after them", whole(12, segment(8, 0, all[0], a, record(2|16, 1, "", 0, 200))))
	bad("names-wrong.pack", "content", "names that move by another number", with(2, join(record(2|16, 1, "", 0, 200), moves(7, 1, 4, 99, -5),
		lit(""), added(0, differences([]byte(oldFiles["b.bin"]), bin, 7, &noisy)))))

	// The triple.
	bad("literal-more.pack", "format", "more literal bytes than the file lacks", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(6, 0), lit("y = 2\n\n"))))
	bad("literal-huge.pack", "format", "2^31-1 literal bytes", with(7, record(4, 1, "same.py", 0, 12, []item{{1<<31 - 1, []byte("y")}})))
	strict("piece-none.pack", "literal bytes that complete the file, and say that a piece comes", with(7, record(4, 1, "same.py", 0, 12, []item{{12<<pieceBits | pieceAdds, []byte(newFiles["uses.py"])}})))
	bad("piece-0.pack", "format", "a piece of 0 bytes", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(0, 0), lit("x = 1\ny = 2\n"))))
	bad("piece-0-add.pack", "format", "a piece of 0 bytes with differences", with(7, record(4, 1, "same.py", 0, 12, lit(""), added(0, nil), lit("x = 1\ny = 2\n"))))
	bad("piece-more.pack", "format", "a piece longer than what the file lacks", with(1, record(2, 1, "", 0, len(newFiles["a.py"]), lit(newFiles["a.py"][:50]), piece(60, -50))))
	bad("piece-huge.pack", "format", "a piece of 2^30-1 bytes", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(1<<30-1, 0))))
	bad("piece-before.pack", "format", "a piece before the beginning of the base", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(6, -1), lit("y = 2\n"))))
	bad("piece-after.pack", "base", "a piece that goes on after the end of the base", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(6, 1), lit("y = 2\n"))))
	bad("piece-far.pack", "base", "a piece far behind the base", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(6, 1<<29-1), lit("y = 2\n"))))
	bad("add-after.pack", "base", "differences that go on after the end of the base", with(2, record(2, 1, "", 0, 200, lit(""), added(1, diff))))
	bad("wrong-literal.pack", "content", "a wrong literal byte", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(6, 0), lit("y = 3\n"))))
	bad("wrong-piece.pack", "content", "a wrong piece", with(7, record(4, 1, "same.py", 0, 12, lit(""), piece(5, 0), lit(" y = 2\n"))))
	bad("wrong-add.pack", "content", "a wrong difference", with(2, record(2, 1, "", 0, 200, lit(""), added(0, bytes.Repeat([]byte{1}, 200)))))

	// A module, as an encoder writes it, and in two parts of which the second begins within a function.
	was, is := readFile(t, "testdata/lamp-old.mpy"), readFile(t, "testdata/lamp-new.mpy")
	for name, data := range map[string][]byte{"module-old": was, "module-new": is} {
		files := map[string]string{"lamp.bin": string(data)}
		releases[name], content[name] = first(tree(t, int64(len(data)), files)), files
	}
	module2 := readModule(is)
	moved2, _ := newShift(was, module2)
	text = string(releases["module-new"].Manifest)
	part := func(tag, from, to int) []item {
		first := module2.start(from) - from
		s := &script{record(tag|16, 1&^(tag>>3), "", from, to-from)}
		s.number(first)
		moved2.appendTo(s)
		n := min(to-from, len(was))
		at := min(from, len(was)-n)
		w := newWalker(first)
		var diff []byte
		for i := range n {
			d := is[from+i] - moved2.at(w.place, was[at+i])
			diff = append(diff, d)
			w.step(is[from+i])
		}
		return join(s.items, lit(""), added(at, diff), literalOf(string(is[from+n:to])))
	}
	cut := int(module2.starts[1]) + 20
	head := record(1, 1, "", 0, len(text), lit(text))
	add(vector{File: "module.pack", About: "a module whose names moved", Old: "module-old", New: "module-new"},
		whole(12, segment(1, 0, head, part(2, 0, len(is)))))
	add(vector{File: "module-parts.pack", About: "a module whose names moved, cut within a function", Old: "module-old", New: "module-new"},
		whole(12, segment(1, cut, head, part(2, 0, cut)), segment(1, 0, part(2|8, cut, len(is)))))

	// Functions of chance: signatures, sizes and operands of all lengths.
	var functions []byte
	for i := range 50 {
		functions = append(functions, 0x80|byte(i%2+3), byte(i%2)<<2|0x50)
		functions = append(functions, noise(uint64(i), 400+10*(i%2))...)
	}
	pairs, chance := []int{}, shift{}
	for i := 1; i < maxNames; i++ {
		chance[i] = byte(i/5*7) & 127
		if by := int(int8((chance[i]-chance[i-1])<<1) >> 1); by != 0 {
			pairs = append(pairs, i, by)
		}
	}
	for i := len(pairs) - 2; i > 0; i -= 2 {
		pairs[i] -= pairs[i-2]
	}
	walked := bytes.Clone(functions)
	w := newWalker(0)
	for i, c := range functions {
		walked[i] = chance.at(w.place, c)
		w.step(walked[i])
	}
	for name, data := range map[string][]byte{"functions-old": functions[:12_000], "functions-new": walked[:12_000]} {
		files := map[string]string{"f.bin": string(data)}
		releases[name], content[name] = first(tree(t, int64(len(name)), files)), files
	}
	text = string(releases["functions-new"].Manifest)
	add(vector{File: "functions.pack", About: "names that move in functions of chance", Old: "functions-old", New: "functions-new"},
		whole(12, segment(1, 0, record(1, 1, "", 0, len(text), lit(text)), record(2|16, 1, "", 0, 12_000), moves(0, pairs...), lit(""), piece(12_000, 0))))

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
