package pack

import (
	"bytes"
	"slices"
	"testing"
)

// The names in a module, and where their numbers are: lamp-old.py says which there must be. The modules in
// testdata were compiled by "mpy-cross -s lamp.py".
func TestReadModule(t *testing.T) {
	data := readFile(t, "testdata/lamp-old.mpy")
	m := readModule(data)
	if m == nil {
		t.Fatal("no module")
	}
	name := func(n int) string { return string(bytes.TrimSuffix(m.names[n][1:], []byte{0})) }
	used := make(map[string]int)
	for i, p := range m.places {
		if p >= 0 && data[i] < 128 {
			used[name(int(p)|int(data[i]))]++
		}
	}
	// Its own names, its arguments, and each use.
	for want, n := range map[string]int{"blink": 3, "shine": 4, "level": 3, "times": 1, "pause_ms": 1, "Lamp": 5, "lamp.py": 0} {
		if used[want] != n {
			t.Errorf("%s is used %d times, want %d: %v", want, used[want], n, used)
		}
	}
	// The module, main, Lamp, and three methods.
	if len(m.starts) < 6 || m.start(0) != int(m.starts[0]) || m.start(len(data)) != len(data) {
		t.Errorf("functions begin at %d", m.starts)
	}
}

// What is no module, or not all of one, is none; and nothing is read beyond its end.
func TestReadModuleGarbage(t *testing.T) {
	data := readFile(t, "testdata/lamp-old.mpy")
	first := readModule(data).start(0)
	for n := range first {
		if readModule(data[:n]) != nil {
			t.Errorf("the first %d bytes are taken for a module", n)
		}
	}
	deep := slices.Concat([]byte{'M', 6, 0, 31, 0, 1}, bytes.Repeat([]byte{objectTuple, 1}, 100), []byte{0, 0, 0})
	for name, data := range map[string][]byte{
		"text":           []byte("import machine\n"),
		"older":          slices.Concat([]byte{'M', 5}, data[2:]),
		"native":         slices.Concat([]byte{'M', 6, 4}, data[3:]),
		"too many names": {'M', 6, 0, 31, 0xff, 0xff, 0xff, 0x7f, 0, 1},
		"number":         slices.Concat([]byte{'M', 6, 0, 31}, bytes.Repeat([]byte{0xff}, 100)),
		"tuples":         deep,
	} {
		if readModule(data) != nil {
			t.Errorf("%s is taken for a module", name)
		}
	}
}

// Where names moved, a pack says so, and is the smaller for it.
func TestNamesMove(t *testing.T) {
	was, is := readFile(t, "testdata/lamp-old.mpy"), readFile(t, "testdata/lamp-new.mpy")
	s, made := newShift(was, readModule(is))
	if s == nil {
		t.Fatal("no name moved")
	}
	if s[0] != 0 || len(made) != len(was) {
		t.Errorf("%d is added to number 0, and %d bytes become %d", s[0], len(was), len(made))
	}
	old, _ := tree(t, 1, map[string]string{"lamp.bin": string(was)})
	new, _ := tree(t, 2, map[string]string{"lamp.bin": string(is)})
	data, _ := encode(t, old, new, Options{})
	contents, err := Read(data)
	if err != nil {
		t.Fatal(err)
	}
	r := contents.Segments[0].Records[1]
	if r.Shifts == 0 || r.Added > 0 || r.Literal > len(is)-len(was)+40 {
		t.Errorf("%+v", r)
	}
	if s, _ := newShift(was, readModule(was)); s != nil {
		t.Error("names moved from a module to itself")
	}
	if s, _ := newShift([]byte("text"), readModule(is)); s != nil {
		t.Error("names moved from a text")
	}
}

// FuzzModule: whatever a module holds, what the scripts of an encoder make of it and of another is right.
func FuzzModule(f *testing.F) {
	was, is := readFile(f, "testdata/lamp-old.mpy"), readFile(f, "testdata/lamp-new.mpy")
	f.Add(was, is)
	f.Add(is, was)
	f.Add(was, append(bytes.Clone(is), noise(1, 300)...))
	f.Add([]byte{'M', 6, 0, 31, 0, 0, 7, 0xff, 0xff}, []byte{'M', 6, 0, 31, 1, 0, 3, 7})
	f.Fuzz(func(t *testing.T, was, is []byte) {
		if len(is) == 0 {
			return
		}
		j := &job{data: is, module: readModule(is)}
		s := (&source{base: SamePath, data: was}).shifted(j.module)
		for _, cut := range []int{0, len(is) / 3} {
			p := &part{job: j, start: cut, size: len(is) - cut}
			script, ways := scripts(p, s)
			for k := range ways {
				a := &applier{base: was}
				if s.shift != nil {
					a.walk, a.move = newWalker(p.first()), s.shift
				}
				at := 0
				for body := script(k); len(body) > 0; {
					how := body[0].number
					_ = a.literal(body[0].bytes)
					at += how >> pieceBits
					if body = body[1:]; len(body) == 0 {
						break
					}
					n := body[0].number
					if how&pieceMoves != 0 {
						body = body[1:]
						seek := body[0].number
						at += seek>>1 ^ -(seek & 1)
					}
					if err := a.copied(at, n, body[0].bytes); err != nil {
						t.Fatal(err)
					}
					at += n
					body = body[1:]
				}
				if !bytes.Equal(a.file, is[cut:]) {
					t.Fatalf("way %d from byte %d: %q of %q, want %q", k, cut, a.file, was, is[cut:])
				}
			}
		}
	})
}
