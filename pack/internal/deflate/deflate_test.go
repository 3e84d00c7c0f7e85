package deflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

// inputs are texts of several kinds.
func inputs(t testing.TB) map[string][]byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 70_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	source, err := os.ReadFile("deflate.go")
	if err != nil {
		t.Fatal(err)
	}
	mixed := bytes.Clone(source)
	mixed = append(mixed, noise[:5000]...)
	mixed = append(mixed, source...)
	far := append(bytes.Clone(noise[:5000]), noise[:5000]...)
	words := []byte{}
	for range 4000 {
		words = fmt.Appendf(words, "%x ", rng.Uint32()%5000)
	}
	return map[string][]byte{
		"empty": {}, "one": {7}, "two": {0, 0}, "three": []byte("abc"), "same": bytes.Repeat([]byte{9}, 20_000),
		"noise": noise, "source": source, "mixed": mixed, "far": far, "words": words, "all": everyByte(),
	}
}

func everyByte() []byte {
	b := make([]byte, 0, 256)
	for i := range 256 {
		b = append(b, byte(i))
	}
	return b
}

func TestCompress(t *testing.T) {
	for name, src := range inputs(t) {
		for _, window := range []int{1 << 10, 1 << 12, 1 << 15} {
			for _, rounds := range []int{1, 5} {
				packed := Compress([]byte("before"), src, window, rounds)[len("before"):]
				got, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
				if err != nil || !bytes.Equal(got, src) {
					t.Fatalf("%s, window %d, %d rounds: compress/flate reads %d bytes, want %d: %v", name, window, rounds, len(got), len(src), err)
				}
				r := NewReader(packed, window)
				got, err = io.ReadAll(r)
				if err != nil || !bytes.Equal(got, src) {
					t.Fatalf("%s, window %d, %d rounds: Reader reads %d bytes, want %d: %v", name, window, rounds, len(got), len(src), err)
				}
				if r.Used() != len(packed) {
					t.Errorf("%s: %d of %d bytes used", name, r.Used(), len(packed))
				}
			}
		}
	}
}

// Better than the standard library, which is the reason to exist.
func TestCompressIsGood(t *testing.T) {
	for name, src := range inputs(t) {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(src); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		n := len(Compress(nil, src, 1<<15, 15))
		t.Logf("%s: %d bytes, %d by compress/flate", name, n, b.Len())
		if n > b.Len() {
			t.Errorf("%s: %d bytes, more than the %d of compress/flate", name, n, b.Len())
		}
	}
}

func TestReaderWindow(t *testing.T) {
	src := inputs(t)["far"]
	packed := Compress(nil, src, 1<<15, 5)
	if _, err := io.ReadAll(NewReader(packed, 5000)); err != nil {
		t.Errorf("a match as far back as the window: %v", err)
	}
	if _, err := io.ReadAll(NewReader(packed, 4999)); !errors.Is(err, ErrFormat) {
		t.Errorf("a match out of the window: %v", err)
	}
}

// What the standard library refuses is refused, what it reads is read alike.
func FuzzReader(f *testing.F) {
	for _, src := range inputs(f) {
		if len(src) < 1000 {
			f.Add(Compress(nil, src, 1<<12, 5))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		const most = 1 << 20
		got, err := io.ReadAll(io.LimitReader(NewReader(data, maxWindow), most))
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data)), most))
		if err == nil && (wantErr != nil || !bytes.Equal(got, want)) {
			t.Errorf("read %d bytes; compress/flate %d, %v", len(got), len(want), wantErr)
		}
		if !bytes.HasPrefix(want, got) && !bytes.HasPrefix(got, want) {
			t.Errorf("read %x, compress/flate %x", got, want)
		}
	})
}

func FuzzCompress(f *testing.F) {
	for _, src := range inputs(f) {
		if len(src) < 1000 {
			f.Add(src, uint8(12))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, bits uint8) {
		if len(src) > 1<<14 {
			return
		}
		window := 1 << (10 + bits%6)
		got, err := io.ReadAll(NewReader(Compress(nil, src, window, 5), window))
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("%d bytes come back as %d: %v", len(src), len(got), err)
		}
	})
}
