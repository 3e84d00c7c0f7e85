package release

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// addFiles makes seeds of the vectors in a folder.
func addFiles(f *testing.F, folder, pattern string) {
	names, err := filepath.Glob(filepath.Join(vectors, folder, pattern))
	if err != nil || len(names) == 0 {
		f.Fatalf("no vectors: %v", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

// FuzzReadStatement reads anything at all. What is accepted has the one form and
// holds values that a writer could write.
func FuzzReadStatement(f *testing.F) {
	addFiles(f, "statements", "*.sig")
	f.Fuzz(func(t *testing.T, data []byte) {
		s, d, err := ReadStatement(data)
		if err != nil {
			if !errors.Is(err, ErrFormat) || s != nil || d != nil {
				t.Errorf("%v, %v, error %v", s, d, err)
			}
			return
		}
		if !bytes.Equal(d.Bytes(), data) {
			t.Errorf("written again, it is\n%s", d.Bytes())
		}
		if s.Expires != 0 && s.Time == 0 {
			return // a reader allows it, a writer does not
		}
		written, err := s.Document()
		if err != nil {
			if len(data) <= maxObjectBytes {
				t.Errorf("what was read cannot be written: %v", err)
			}
			return
		}
		checkForm(t, d, written)
		again, err := ParseStatement(written)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, again); diff != "" {
			t.Errorf("(-read +read again):\n%s", diff)
		}
	})
}

// checkForm checks that what was read is what a writer writes, byte for byte,
// but for unknown keys at its end.
func checkForm(t *testing.T, read, written *Document) {
	t.Helper()
	known := bytes.TrimSuffix(written.Object(), []byte("}"))
	rest, ok := bytes.CutPrefix(read.Object(), known)
	if !ok || string(rest) != "}" && !bytes.HasPrefix(rest, []byte(`,"`)) {
		t.Errorf("a second form of\n%s\nwas accepted:\n%s", written.Object(), read.Object())
	}
}

// FuzzReadKeyset is the same for keysets.
func FuzzReadKeyset(f *testing.F) {
	addFiles(f, "keysets", "*.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		k, d, err := ReadKeyset(data)
		if err != nil {
			if !errors.Is(err, ErrFormat) || k != nil || d != nil {
				t.Errorf("%v, %v, error %v", k, d, err)
			}
			return
		}
		if !bytes.Equal(d.Bytes(), data) {
			t.Errorf("written again, it is\n%s", d.Bytes())
		}
		written, err := k.Document()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		checkForm(t, d, written)
		again, err := ParseKeyset(written)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(k, again); diff != "" {
			t.Errorf("(-read +read again):\n%s", diff)
		}
	})
}

// FuzzParseKeys reads anything as a key. Whatever is accepted is the key that it
// looks like.
func FuzzParseKeys(f *testing.F) {
	names, err := filepath.Glob(filepath.Join("testdata", "openssl", "*.pem"))
	if err != nil || len(names) == 0 {
		f.Fatalf("no keys: %v", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="))
	f.Fuzz(func(t *testing.T, data []byte) {
		if public, err := ParsePublicKey(string(data)); err == nil {
			again, err := ParsePublicKey(public.String())
			if err != nil || again != public {
				t.Errorf("%s: %v", public, err)
			}
		}
		if private, err := ParsePrivateKey(data); err == nil {
			encoded, err := private.Encode()
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParsePrivateKey(encoded)
			if err != nil || again.PublicKey() != private.PublicKey() {
				t.Errorf("%v: %v", private, err)
			}
		}
	})
}

// Statements of all kinds survive being written and read.
func TestStatementRoundTrip(t *testing.T) {
	text := rapid.StringMatching(`[ !#-\[\]-~é🌵]{1,12}`)
	list := rapid.SliceOfNDistinct(text, 0, 4, rapid.ID)
	rapid.Check(t, func(t *rapid.T) {
		s := &Statement{
			App:         text.Draw(t, "app"),
			Version:     rapid.Int64Min(0).Draw(t, "version"),
			Name:        rapid.OneOf(rapid.Just(""), text).Draw(t, "name"),
			Manifest:    PinOf(rapid.SliceOf(rapid.Byte()).Draw(t, "manifest")),
			Keyset:      rapid.Int64Min(1).Draw(t, "keyset"),
			MPY:         rapid.StringMatching(`|[1-9]|6\.[0-9]`).Draw(t, "mpy"),
			MicroPython: rapid.StringMatching(`|1\.[1-9][0-9]|1\.[1-9]\.[0-9]`).Draw(t, "micropython"),
			Time:        rapid.Int64Min(1).Draw(t, "time"),
			Expires:     rapid.Int64Min(0).Draw(t, "expires"),
		}
		if l := list.Draw(t, "channels"); len(l) > 0 {
			s.Channels = l
		}
		if l := list.Draw(t, "boards"); len(l) > 0 {
			s.Boards = l
		}
		d, err := s.Document()
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := ReadStatement(d.Bytes())
		if err != nil {
			t.Fatalf("%v in\n%s", err, d.Bytes())
		}
		if diff := cmp.Diff(s, again); diff != "" {
			t.Errorf("(-written +read):\n%s", diff)
		}
	})
}
