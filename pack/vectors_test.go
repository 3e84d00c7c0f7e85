package pack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// memory returns a release of files in memory.
func memory(manifest []byte, files map[string]string) *Release {
	return &Release{Manifest: manifest, Open: func(_ context.Context, path string) (io.ReadCloser, error) {
		text, ok := files[path]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return io.NopCloser(bytes.NewReader([]byte(text))), nil
	}}
}

// folder returns the release in a folder.
func folder(t testing.TB, dir string) *Release {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "versions.json"))
	if err != nil {
		t.Fatal(err)
	}
	return &Release{Manifest: data, Open: func(_ context.Context, path string) (io.ReadCloser, error) {
		return os.Open(filepath.Join(dir, filepath.FromSlash(path)))
	}}
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vectors, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(data) >= 16000 {
		t.Errorf("index.json has %d bytes, too many for a board's JSON module", len(data))
	}
	var index []vector
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	return index
}

// errOther is what the caller of Apply finds: the pack is for another release.
var errOther = errors.New("another release")

func TestVectors(t *testing.T) {
	classes := map[string]error{"format": ErrFormat, "base": ErrBase, "content": ErrContent, "release": errOther}
	releases := map[string]*Release{"": nil}
	for _, v := range readVectors(t) {
		for _, name := range []string{v.Old, v.New} {
			if _, ok := releases[name]; !ok {
				releases[name] = folder(t, filepath.Join(vectors, name))
			}
		}
		t.Run(v.File, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(vectors, v.File))
			if err != nil {
				t.Fatal(err)
			}
			made, err := Apply(t.Context(), data, releases[v.Old])
			if err == nil && !bytes.Equal(made.Manifest, releases[v.New].Manifest) {
				err = errOther
			}
			if v.Error != "" {
				if !errors.Is(err, classes[v.Error]) && !(v.Error == "format" && errors.Is(err, ErrTooLarge)) {
					t.Errorf("%s: error %v, want one of class %q", v.About, err, v.Error)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", v.About, err)
			}
			compareReleases(t, made, releases[v.New])
			if _, err := Read(data); err != nil {
				t.Errorf("Read: %v", err)
			}
		})
	}
}

// compareReleases fails the test if got is not want, byte for byte.
func compareReleases(t testing.TB, got, want *Release) {
	t.Helper()
	if !bytes.Equal(got.Manifest, want.Manifest) {
		t.Fatalf("manifest:\n%s\nwant\n%s", got.Manifest, want.Manifest)
	}
	r, err := want.read()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.files {
		a, b := readAll(t, got, f.Path), readAll(t, want, f.Path)
		if !bytes.Equal(a, b) {
			t.Errorf("%s has %d bytes %.40q, want %d bytes %.40q", f.Path, len(a), a, len(b), b)
		}
	}
}

func readAll(t testing.TB, r *Release, path string) []byte {
	t.Helper()
	in, err := r.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	data, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Every prefix of a pack, and every pack with a byte changed, is refused or makes
// just what it should.
func TestSpoiltVectors(t *testing.T) {
	old, want := folder(t, filepath.Join(vectors, "old")), folder(t, filepath.Join(vectors, "new"))
	for _, name := range []string{"all.pack", "parts.pack"} {
		data, err := os.ReadFile(filepath.Join(vectors, name))
		if err != nil {
			t.Fatal(err)
		}
		for n := range data {
			if _, err := Apply(t.Context(), data[:n], old); !errors.Is(err, ErrFormat) {
				t.Errorf("%s, the first %d bytes: %v", name, n, err)
			}
			spoilt := bytes.Clone(data)
			for _, flip := range []byte{1, 0x10, 0x80, 0xff} {
				spoilt[n] = data[n] ^ flip
				if made, err := Apply(t.Context(), spoilt, old); err == nil && bytes.Equal(made.Manifest, want.Manifest) {
					compareReleases(t, made, want)
				}
			}
		}
	}
}

// FuzzApply: whatever a pack says, what Apply makes is what the manifest says.
func FuzzApply(f *testing.F) {
	for _, v := range readVectors(f) {
		data, err := os.ReadFile(filepath.Join(vectors, v.File))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	old := folder(f, filepath.Join(vectors, "old"))
	f.Fuzz(func(t *testing.T, data []byte) {
		made, err := Apply(t.Context(), data, old)
		if err != nil {
			return
		}
		if _, err := Read(data); err != nil {
			t.Errorf("Apply takes it, Read does not: %v", err)
		}
		r, err := made.read()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.files {
			if err := checkContent(f, readAll(t, made, f.Path)); err != nil {
				t.Errorf("%s: %v", f.Path, err)
			}
		}
	})
}
