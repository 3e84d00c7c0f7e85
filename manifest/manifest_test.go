package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	md5A    = strings.Repeat("a", 32)
	md5B    = strings.Repeat("b", 32)
	sha256A = strings.Repeat("a", 64)
	sha256B = strings.Repeat("b", 64)
)

func TestEncode(t *testing.T) {
	m := &Manifest{
		App:     "badge",
		Version: 12,
		Files: []File{
			{Path: "lib/é.py", Version: 5, Size: -1},
			{Path: `a"b.py`, Version: 12, MD5: md5A, Size: 0, SHA256: sha256A},
		},
		Signature:      sha256B,
		SignatureField: "hmac",
	}
	tests := []struct {
		name   string
		m      *Manifest
		indent int
		want   string
	}{
		{"indented", m, 2, `{
  "app": "badge",
  "version": 12,
  "files": [
    {
      "path": "a\"b.py",
      "version": 12,
      "md5": "` + md5A + `",
      "size": 0,
      "sha256": "` + sha256A + `"
    },
    {
      "path": "lib/é.py",
      "version": 5
    }
  ],
  "hmac": "` + sha256B + `"
}
`},
		{"lines", &Manifest{Version: 1, Files: []File{{Path: "a.py", Size: -1}}}, 0,
			"{\n\"version\": 1,\n\"files\": [\n{\n\"path\": \"a.py\",\n\"version\": 0\n}\n]\n}\n"},
		{"one line", &Manifest{Version: 1, Files: []File{{Path: "a.py", Size: 7}, {Path: "b.py", Size: -1}}}, -1,
			`{"version": 1, "files": [{"path": "a.py", "version": 0, "size": 7}, {"path": "b.py", "version": 0}]}` + "\n"},
		{"empty", &Manifest{}, 2, "{\n  \"version\": 0,\n  \"files\": []\n}\n"},
		{"empty on one line", &Manifest{}, -7, `{"version": 0, "files": []}` + "\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.m.Encode(test.indent)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if m.Files[0].Path != "lib/é.py" {
		t.Error("Encode reordered the manifest's own files")
	}
}

func TestEncodeRefuses(t *testing.T) {
	one := func(f File) *Manifest { return &Manifest{Files: []File{f}} }
	tests := []struct {
		name   string
		m      *Manifest
		indent int
		want   error // nil: any
	}{
		{"indent", &Manifest{}, maxIndent + 1, nil},
		{"version", &Manifest{Version: -1}, 0, ErrFormat},
		{"app", &Manifest{App: "\xff"}, 0, ErrFormat},
		{"signature", &Manifest{Signature: "\xff"}, 0, ErrFormat},
		{"signature field", &Manifest{SignatureField: "version"}, 0, ErrFormat},
		{"signature field not UTF-8", &Manifest{SignatureField: "\xff"}, 0, ErrFormat},
		{"path", one(File{Path: "../a.py"}), 0, ErrPath},
		{"file version", one(File{Path: "a.py", Version: -1}), 0, ErrFormat},
		{"md5", one(File{Path: "a.py", MD5: "x"}), 0, ErrFormat},
		{"sha256", one(File{Path: "a.py", SHA256: "x"}), 0, ErrFormat},
		{"size", one(File{Path: "a.py", Size: -2}), 0, ErrFormat},
		{"duplicate", &Manifest{Files: []File{{Path: "a.py"}, {Path: "a.py"}}}, 0, ErrDuplicate},
		{"folder", &Manifest{Files: []File{{Path: "a/b/c.py"}, {Path: "a/b"}}}, 0, ErrDuplicate},
		{"case", &Manifest{Files: []File{{Path: "lib/a.py"}, {Path: "Lib/A.py"}}}, 0, ErrCollision},
		{"case beyond ASCII", &Manifest{Files: []File{{Path: "É.py"}, {Path: "é.py"}}}, 0, ErrCollision},
		{"too many", &Manifest{Files: make([]File, MaxFiles+1)}, 0, ErrTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.m.Encode(test.indent)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

// Names that differ in case work on some file systems, so a manifest with such
// names can be read; but it is neither trusted nor signed.
func TestCollisionIsReadButNotVerified(t *testing.T) {
	m, err := Read(strings.NewReader(`{"version": 1, "files": [{"path": "a.py", "version": 1}, {"path": "A.py", "version": 1}], "signature": "00"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Verify([]byte("k")); !errors.Is(err, ErrCollision) {
		t.Errorf("verify: %v, want %v", err, ErrCollision)
	}
	if err := m.Sign([]byte("k")); !errors.Is(err, ErrCollision) {
		t.Errorf("sign: %v, want %v", err, ErrCollision)
	}
}

func TestReadErrorsNameTheLine(t *testing.T) {
	_, err := Read(strings.NewReader("{\n  \"version\": 5,\n  \"files\": [\n    {\"path\": 7}\n  ]\n}"))
	if err == nil || !strings.Contains(err.Error(), "line 4: path must be text") {
		t.Errorf("error %v, want one about line 4", err)
	}
}

// endless gives as many bytes as anybody reads.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestReadIsBounded(t *testing.T) {
	if _, err := Read(endless{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("endless input: %v, want %v", err, ErrTooLarge)
	}
	var b strings.Builder
	b.WriteString(`{"version": 1, "files": [`)
	for i := range MaxFiles + 1 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"path":"%d","version":1}`, i)
	}
	b.WriteString("]}")
	if _, err := Read(strings.NewReader(b.String())); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many files: %v, want %v", err, ErrTooLarge)
	}
	deep := `{"version": 1, "x": ` + strings.Repeat("[", 1_000_000)
	if _, err := Read(strings.NewReader(deep)); !errors.Is(err, ErrFormat) {
		t.Errorf("deeply nested: %v, want %v", err, ErrFormat)
	}
}

func TestReadPassesOnErrors(t *testing.T) {
	broken := errors.New("cable cut")
	_, err := Read(io.MultiReader(strings.NewReader("{"), errReader{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestReadFieldRefusesTakenNames(t *testing.T) {
	for _, name := range []string{"", "app", "version", "files"} {
		if _, err := ReadField(strings.NewReader(`{"version": 1, "files": []}`), name); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v, want %v", name, err, ErrFormat)
		}
	}
}

func TestKeyMustNotBeEmpty(t *testing.T) {
	m := &Manifest{Signature: sha256A}
	if err := m.Sign(nil); !errors.Is(err, ErrEmptyKey) {
		t.Errorf("sign: %v, want %v", err, ErrEmptyKey)
	}
	if err := m.Verify([]byte{}); !errors.Is(err, ErrEmptyKey) {
		t.Errorf("verify: %v, want %v", err, ErrEmptyKey)
	}
}

func TestLookup(t *testing.T) {
	m := &Manifest{Files: []File{{Path: "b.py", Version: 1}, {Path: "a.py", Version: 2}}}
	if f, ok := m.Lookup("a.py"); !ok || f.Version != 2 {
		t.Errorf("a.py: %v, %v", f, ok)
	}
	if _, ok := m.Lookup("c.py"); ok {
		t.Error("c.py is found")
	}
}

func TestCheckPath(t *testing.T) {
	for _, path := range []string{
		"a", "a.py", ".a", "...", "..a/b", "a../b", "a b", "é/日本.py", "xx:y", "1:x", "-", "~", "#?%", strings.Repeat("x", 255),
	} {
		if err := CheckPath(path); err != nil {
			t.Errorf("%q: %v, want no error", path, err)
		}
	}
	for _, path := range []string{
		"", "/", "/a", "a/", "//", "a//b", ".", "./a", "a/.", "a/./b", "..", "../a", "a/..", "a/../b", `\`, `a\b`, "C:", "c:a", "Z:/a",
		"a\n", "a\x00b", "\x1f", "\x7f", "a\u0080", "a\ufffdb", "\xff", "a\xc3", strings.Repeat("x", 256), strings.Repeat("é", 128),
	} {
		if err := CheckPath(path); !errors.Is(err, ErrPath) {
			t.Errorf("%q: %v, want %v", path, err, ErrPath)
		}
	}
	if err := CheckPath(strings.Repeat("x", 5000)); len(err.Error()) > 200 {
		t.Errorf("the error repeats a path of 5,000 bytes: %v", err)
	}
}

func TestCompare(t *testing.T) {
	files := func(f ...File) *Manifest { return &Manifest{Files: f} }
	a := File{Path: "a.py", Version: 1, MD5: md5A}
	tests := []struct {
		name     string
		old, new *Manifest
		want     string
	}{
		{"nil", nil, nil, ""},
		{"same", files(a), files(a), ""},
		{"only the version", files(a), files(File{Path: "a.py", Version: 9, MD5: md5A}), ""},
		{"only the case of the md5", files(a), files(File{Path: "a.py", MD5: strings.ToUpper(md5A)}), ""},
		{"md5", files(a), files(File{Path: "a.py", MD5: md5B}), "changed a.py"},
		{"sha256, though md5 collides", files(File{Path: "a.py", MD5: md5A, SHA256: sha256A}), files(File{Path: "a.py", MD5: md5A, SHA256: sha256B}), "changed a.py"},
		{"sha256 alone", files(File{Path: "a.py", SHA256: sha256A}), files(File{Path: "a.py", SHA256: sha256A}), ""},
		{"no checksums", files(File{Path: "a.py"}), files(File{Path: "a.py"}), "changed a.py"},
		{"first release", nil, files(a), "added a.py"},
		{"last release", files(a), nil, "removed a.py"},
		{"all kinds, unsorted", files(File{Path: "z.py"}, a, File{Path: "c.py", MD5: md5A}), files(File{Path: "c.py", MD5: md5B}, File{Path: "b.py"}, a),
			"added b.py, changed c.py, removed z.py"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, c := range Compare(test.old, test.new) {
				got = append(got, fmt.Sprintf("%s %s", c.Kind, c.Path))
				was, _ := (&Manifest{Files: append([]File(nil), orEmpty(test.old)...)}).Lookup(c.Path)
				is, _ := (&Manifest{Files: append([]File(nil), orEmpty(test.new)...)}).Lookup(c.Path)
				if c.Old != was || c.New != is {
					t.Errorf("%s: old %v, new %v", c.Path, c.Old, c.New)
				}
			}
			if s := strings.Join(got, ", "); s != test.want {
				t.Errorf("got %q, want %q", s, test.want)
			}
		})
	}
}

func orEmpty(m *Manifest) []File {
	if m == nil {
		return nil
	}
	return m.Files
}

// manifests draws valid manifests, sorted by path.
func manifests() *rapid.Generator[*Manifest] {
	hex := func(n int) *rapid.Generator[string] {
		return rapid.StringMatching(fmt.Sprintf("|[0-9a-fA-F]{%d}", n))
	}
	part := rapid.OneOf(rapid.StringMatching(`[a-z0-9_]{1,8}`), rapid.String())
	path := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "parts"), "/")
	}).Filter(func(p string) bool { return CheckPath(p) == nil })
	file := rapid.Custom(func(t *rapid.T) File {
		return File{
			Path:    path.Draw(t, "path"),
			Version: rapid.Int64Min(0).Draw(t, "version"),
			MD5:     hex(32).Draw(t, "md5"),
			Size:    rapid.Int64Min(-1).Draw(t, "size"),
			SHA256:  hex(64).Draw(t, "sha256"),
		}
	})
	return rapid.Custom(func(t *rapid.T) *Manifest {
		m := &Manifest{
			App:            rapid.String().Draw(t, "app"),
			Version:        rapid.Int64Min(0).Draw(t, "version"),
			Files:          rapid.SliceOfN(file, 0, 12).Draw(t, "files"),
			Signature:      hex(64).Draw(t, "signature"),
			SignatureField: rapid.SampledFrom([]string{"signature", "hmac", "ä \" \\"}).Draw(t, "field"),
		}
		sortFiles(m)
		return m
	}).Filter(func(m *Manifest) bool { return m.Validate() == nil })
}

func TestEncodeThenReadIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := manifests().Draw(t, "manifest")
		data, err := m.Encode(rapid.IntRange(-1, 4).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadField(bytes.NewReader(data), m.SignatureField)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, data)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
	})
}

func TestAnyCutIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data, err := manifests().Draw(t, "manifest").Encode(2)
		if err != nil {
			t.Fatal(err)
		}
		end := rapid.IntRange(0, len(data)-2).Draw(t, "end") // the last byte is a newline
		if m, err := Read(bytes.NewReader(data[:end])); err == nil {
			t.Fatalf("%d of %d bytes read as %v", end, len(data), m)
		}
	})
}

func TestOnlyTheSignersManifestVerifies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := manifests().Draw(t, "manifest")
		key := rapid.SliceOfN(rapid.Byte(), 1, 80).Draw(t, "key")
		if err := m.Sign(key); err != nil {
			t.Fatal(err)
		}
		if err := m.Verify(key); err != nil {
			t.Fatalf("right key: %v", err)
		}
		// HMAC pads keys with zeros, so one more zero is the same key.
		if err := m.Verify(append(bytes.Clone(key), 1)); !errors.Is(err, ErrSignature) {
			t.Fatalf("other key: %v, want %v", err, ErrSignature)
		}
		if len(m.Files) > 1 { // the order does not matter
			m.Files[0], m.Files[1] = m.Files[1], m.Files[0]
			if err := m.Verify(key); err != nil {
				t.Fatalf("other order: %v", err)
			}
		}
		m.Signature = strings.ToUpper(m.Signature)
		if err := m.Verify(key); err != nil {
			t.Fatalf("signature in upper case: %v", err)
		}
	})
}

// TestAnyFlippedByteFails changes one bit in one value that is signed, the way
// that somebody between builder and board would.
func TestAnyFlippedByteFails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := manifests().Filter(func(m *Manifest) bool { return len(m.Files) > 0 }).Draw(t, "manifest")
		key := []byte("key")
		if err := m.Sign(key); err != nil {
			t.Fatal(err)
		}
		f := &m.Files[rapid.IntRange(0, len(m.Files)-1).Draw(t, "file")]
		flip := func(s string) string {
			b := []byte(s)
			b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			return string(b)
		}
		flipInt := func(v int64) int64 { return v ^ 1<<rapid.IntRange(0, 62).Draw(t, "bit") }
		switch part := rapid.SampledFrom([]string{"version", "path", "file version", "md5", "signature"}).Draw(t, "part"); {
		case part == "version":
			m.Version = flipInt(m.Version)
		case part == "path":
			f.Path = flip(f.Path)
		case part == "md5" && f.MD5 != "":
			f.MD5 = flip(f.MD5)
		case part == "signature":
			// Another case of the same digit is the same signature.
			was := m.Signature
			if m.Signature = flip(was); strings.EqualFold(was, m.Signature) {
				return
			}
		default:
			f.Version = flipInt(f.Version)
		}
		if err := m.Verify(key); err == nil {
			t.Fatal("still verifies")
		}
	})
}
