package rehearse

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const busy = `
import os, machine
os.mkdir("d")
for i in range(5):
    with open("d/file%d" % i, "w") as f:
        f.write("line %d\n" % i * 300)
os.rename("d/file0", "renamed")
os.remove("d/file1")
with open("d/file2", "w") as f:
    f.write("again")
machine.reset()
`

func TestReplayOfAllIsTheFinalImage(t *testing.T) {
	onBoth(t, map[string]string{"main.py": busy}, func(t *testing.T, b *Board) {
		dir := t.TempDir()
		base := filepath.Join(dir, "base.img")
		if err := b.CopyImage(base); err != nil {
			t.Fatal(err)
		}
		b.Log = filepath.Join(dir, "log")
		if log, err := ReadLog(b.Log); log != nil || err != nil {
			t.Errorf("a log not yet written: %d writes, %v", len(log), err)
		}
		if r := boot(t, b); r.Ending != Reset {
			t.Fatalf("ended %v:\n%s", r.Ending, r.Output)
		}
		log, err := ReadLog(b.Log)
		if err != nil {
			t.Fatal(err)
		}
		if len(log) < 20 {
			t.Errorf("only %d writes logged", len(log))
		}

		again := &Board{Image: filepath.Join(dir, "again.img"), FS: b.FS}
		if err := again.ReplayTo(base, log, len(log), 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(read(t, again.Image), read(t, b.Image)) {
			t.Error("all writes replayed onto the base don't give the final image")
		}
		// The program looks into its own file: every prefix must leave one that mounts.
		for n := 0; n <= len(log); n += len(log) / 7 {
			if err := again.ReplayTo(base, log, n, 0); err != nil {
				t.Fatal(err)
			}
			if got, err := again.ReadFile(t.Context(), "main.py"); err != nil || string(got) != busy {
				t.Errorf("after %d of %d writes: main.py has %d bytes, %v", n, len(log), len(got), err)
			}
		}

		// A second boot's writes go after the first's.
		if err := b.WriteFile(t.Context(), "main.py", []byte("open('more', 'w').close()")); err != nil {
			t.Fatal(err)
		}
		boot(t, b)
		more, err := ReadLog(b.Log)
		if err != nil {
			t.Fatal(err)
		}
		if len(more) <= len(log) {
			t.Errorf("%d writes after the second boot, %d after the first", len(more), len(log))
		}
		if diff := cmp.Diff(log, more[:len(log)]); diff != "" {
			t.Errorf("the first boot's writes changed (-before +after):\n%s", diff)
		}
	})
}

func TestReplayTearsAWrite(t *testing.T) {
	log := []Write{
		{Block: 0, Offset: 1, Length: 2, Data: []byte("ab")},
		{Erase: true, Block: 1, Length: 4},
		{Block: 1, Offset: 0, Length: 6, Data: []byte("cdefgh")},
	}
	cases := []struct {
		n, torn int
		want    string
	}{
		{0, 0, "............"},
		{0, 1, ".a.........."},
		{1, 0, ".ab........."},
		{1, 3, ".ab.\xff\xff\xff....."},
		{2, 0, ".ab.\xff\xff\xff\xff...."},
		{2, 5, ".ab.cdefg..."},
		{2, 99, ".ab.cdefgh.."},
		{3, 0, ".ab.cdefgh.."},
	}
	for _, c := range cases {
		image := []byte("............")
		if err := Replay(image, 4, log, c.n, c.torn); err != nil || string(image) != c.want {
			t.Errorf("Replay of %d writes and %d bytes: %q, %v; want %q", c.n, c.torn, image, err, c.want)
		}
	}
	for _, c := range []struct{ n, torn int }{{-1, 0}, {4, 0}, {3, 1}} {
		if err := Replay(make([]byte, 12), 4, log, c.n, c.torn); err == nil {
			t.Errorf("Replay of %d writes and %d bytes: no error", c.n, c.torn)
		}
	}
	if err := Replay(make([]byte, 9), 4, log, 3, 0); err == nil {
		t.Error("Replay past the image's end: no error")
	}
}

func TestReadLogLeavesOutACutRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	whole := []byte("W\x02\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00xyz" + "E\x07\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00")
	want := []Write{{Block: 2, Offset: 1, Length: 3, Data: []byte("xyz")}, {Erase: true, Block: 7, Length: 4096}}
	for cut := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:cut], 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := ReadLog(path)
		n := 0
		if cut >= 16 {
			n = 1
		}
		if cut == len(whole) {
			n = 2
		}
		if err != nil || !cmp.Equal(want[:n], got, cmp.Comparer(func(a, b []Write) bool {
			return len(a) == len(b) && (len(a) == 0 || cmp.Equal(a[0], b[0]) && cmp.Equal(a[len(a)-1], b[len(b)-1]))
		})) {
			t.Errorf("a log cut at byte %d: %v, %v; want %d records", cut, got, err, n)
		}
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("?"), 20), 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadLog(path); err == nil {
		t.Errorf("a file that is no log: %v", got)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
