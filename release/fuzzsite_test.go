package release

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"testing"
)

// A memorySource is a site in memory.
type memorySource map[string]string

func (m memorySource) Open(_ context.Context, path string) (io.ReadCloser, error) {
	data, ok := m[path]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return io.NopCloser(bytes.NewReader([]byte(data))), nil
}

func (m memorySource) String() string { return "a site in memory" }

// FuzzVerifySite puts anything in the place of the statement, the newest keyset, the manifest and a
// file. A site is good only if it says what was signed.
func FuzzVerifySite(f *testing.F) {
	signers, keys := testKeys(f, "a", "b")
	b := newBench(f)
	if _, err := NewChain(f.Context(), b.site, Keyset{App: "badge", Threshold: 1, Keys: keys[:1]}, signers[0]); err != nil {
		f.Fatal(err)
	}
	if _, err := ExtendChain(f.Context(), b.site, 1, keys[1:], signers...); err != nil {
		f.Fatal(err)
	}
	b.o.Signers = signers[1:]
	b.build(map[string]string{"main.py": "print('hello')\n"})
	honest := memorySource(readTree(f, b.site))
	names := []string{StatementName, KeysetName(2), ManifestName, "main.py"}
	content := func(site memorySource) []string {
		return []string{site[names[0]], site[names[1]], site[names[2]], site[names[3]]}
	}
	add := func(c []string) { f.Add([]byte(c[0]), []byte(c[1]), []byte(c[2]), []byte(c[3])) }
	add(content(honest))
	for i := range names {
		for j := range names {
			c := content(honest)
			c[i] = c[j]
			add(c)
		}
		c := content(honest)
		c[i] = c[i][:len(c[i])/2]
		add(c)
	}
	add(make([]string, len(names)))

	f.Fuzz(func(t *testing.T, statement, keyset, manifest, file []byte) {
		site := maps.Clone(honest)
		for i, data := range [][]byte{statement, keyset, manifest, file} {
			site[names[i]] = string(data)
		}
		report, err := VerifySite(t.Context(), site, b.root, Board{App: "badge"})
		if err != nil {
			if report == nil || errors.Is(err, fs.ErrNotExist) && string(manifest) == honest[ManifestName] {
				t.Errorf("%+v, %v", report, err)
			}
			return
		}
		// Signatures of strangers may have come in; nothing else.
		for i, kind := range []Kind{KindStatement, KindKeyset} {
			got, err := ReadDocument(kind, []byte(site[names[i]]))
			if err != nil {
				t.Fatal(err)
			}
			want, err := ReadDocument(kind, []byte(honest[names[i]]))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Object(), want.Object()) {
				t.Errorf("accepted as %s:\n%s", names[i], got.Bytes())
			}
		}
		for _, name := range names[2:] {
			if site[name] != honest[name] {
				t.Errorf("accepted as %s:\n%s", name, site[name])
			}
		}
	})
}
