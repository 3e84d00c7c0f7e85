package devserver

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// editable is a file that can be edited while it is open.
type editable struct{ data []byte }

func (e *editable) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(e.data).ReadAt(p, off)
}

// pattern returns n bytes, the same ones every time, no two blocks of which are
// alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return b
}

func TestContentIsTheFile(t *testing.T) {
	for _, size := range []int{0, 1, blockSize - 1, blockSize, blockSize + 1, 3 * blockSize, 3*blockSize + 17} {
		data := pattern(size)
		c, err := newContent(&editable{data})
		if err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		if c.size != int64(size) || c.sum != sha256.Sum256(data) {
			t.Errorf("size %d: got size %d, right hash: %v", size, c.size, c.sum == sha256.Sum256(data))
		}
		if err := iotest.TestReader(c, data); err != nil {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

func TestContentRejectsSeekBeforeStart(t *testing.T) {
	c, err := newContent(&editable{[]byte("abc")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Seek(-4, io.SeekEnd); err == nil {
		t.Error("a negative offset was accepted")
	}
}

func TestContentEdited(t *testing.T) {
	const size = 4*blockSize + 100
	original := pattern(size)
	for _, test := range []struct {
		name string
		edit func(*editable)
		safe int // bytes that can be read before the edit shows
	}{
		{"a byte of the last block", func(e *editable) { e.data[size-1]++ }, 4 * blockSize},
		{"a byte of the third block", func(e *editable) { e.data[2*blockSize]++ }, 2 * blockSize},
		{"emptied", func(e *editable) { e.data = nil }, 0},
		{"cut within a block", func(e *editable) { e.data = e.data[:blockSize+1] }, blockSize},
		{"cut between blocks", func(e *editable) { e.data = e.data[:3*blockSize] }, 3 * blockSize},
		{"grown", func(e *editable) { e.data = append(e.data, "more"...) }, size},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := &editable{bytes.Clone(original)}
			c, err := newContent(e)
			if err != nil {
				t.Fatal(err)
			}
			test.edit(e)
			got, err := io.ReadAll(c)
			if !bytes.Equal(got, original[:test.safe]) {
				t.Errorf("read %d bytes, want the first %d of the original", len(got), test.safe)
			}
			if changed := test.safe < size; changed != errors.Is(err, errChanged) || changed != (c.failed != nil) {
				t.Errorf("error %v, noted %v", err, c.failed)
			}
		})
	}
}

// A file of one block is sent from memory: no edit can touch it any more.
func TestContentOfOneBlockIsASnapshot(t *testing.T) {
	e := &editable{[]byte("print('old')\n")}
	c, err := newContent(e)
	if err != nil {
		t.Fatal(err)
	}
	e.data = []byte("print('new')\n")
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "print('old')\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Whatever is edited and read in whatever order: bytes come from the state that
// was hashed, or not at all.
func TestContentNeverMixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, 3*blockSize).Draw(t, "size")
		original := pattern(size)
		e := &editable{bytes.Clone(original)}
		c, err := newContent(e)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "edit") {
				at := rapid.IntRange(0, len(e.data)).Draw(t, "at")
				e.data = append(e.data[:at:at], rapid.SampledFrom([]string{"", "x", "xyz"}).Draw(t, "tail")...)
				continue
			}
			from := rapid.Int64Range(0, int64(size)).Draw(t, "from")
			if _, err := c.Seek(from, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, rapid.IntRange(1, 2*blockSize).Draw(t, "length"))
			n, _ := io.ReadFull(c, buf)
			if !bytes.Equal(buf[:n], original[from:from+int64(n)]) {
				t.Fatalf("bytes %d to %d are not those that were hashed", from, from+int64(n))
			}
		}
	})
}

// brokenDisk fails from an offset on.
type brokenDisk struct{ from int64 }

var errDisk = errors.New("input/output error")

func (b brokenDisk) ReadAt(p []byte, off int64) (int, error) {
	if off >= b.from {
		return 0, errDisk
	}
	return len(p), nil
}

func TestContentReportsReadErrors(t *testing.T) {
	if _, err := newContent(brokenDisk{from: blockSize}); !errors.Is(err, errDisk) {
		t.Errorf("got %v", err)
	}
}

func TestEtagIsStrongAndQuoted(t *testing.T) {
	c, err := newContent(&editable{nil})
	if err != nil {
		t.Fatal(err)
	}
	const want = `"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`
	if got := c.etag(); got != want || strings.HasPrefix(got, "W/") {
		t.Errorf("got %s, want %s", got, want)
	}
}
