package manifest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// vectors is the folder of test data that other implementations share; see
// the README in it.
const vectors = "../testdata/vectors"

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestManifestVectors(t *testing.T) {
	var index []struct {
		File, About, Error, Key, Signature string
		Version                            int64
		Files                              int
		SignatureField                     string `json:"signature_field"`
	}
	readJSON(t, filepath.Join(vectors, "manifests", "index.json"), &index)
	classes := map[string][]error{
		"format":    {ErrFormat},
		"path":      {ErrPath},
		"duplicate": {ErrDuplicate},
		"signature": {ErrSignature, ErrNotSigned},
	}
	listed := map[string]bool{"index.json": true}
	for _, v := range index {
		listed[v.File] = true
		t.Run(v.File, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(vectors, "manifests", v.File))
			if err != nil {
				t.Fatal(err)
			}
			if len(data) >= 16000 {
				t.Errorf("%d bytes, too many for a board's JSON module", len(data))
			}
			if v.SignatureField == "" {
				v.SignatureField = DefaultSignatureField
			}
			m, err := ReadField(bytes.NewReader(data), v.SignatureField)
			if v.Error == "signature" {
				if err != nil {
					t.Fatalf("reading fails (%s): %v", v.About, err)
				}
				err = m.Verify([]byte(v.Key))
			}
			if v.Error != "" {
				for _, class := range classes[v.Error] {
					if errors.Is(err, class) {
						return
					}
				}
				t.Fatalf("%s: error %v, want one of class %q", v.About, err, v.Error)
			}
			if err != nil {
				t.Fatalf("%s: %v", v.About, err)
			}
			if m.Version != v.Version || len(m.Files) != v.Files {
				t.Errorf("version %d with %d files, want %d with %d", m.Version, len(m.Files), v.Version, v.Files)
			}
			if v.Key == "" {
				return
			}
			if err := m.Verify([]byte(v.Key)); err != nil {
				t.Errorf("verify: %v", err)
			}
			if err := m.Sign([]byte(v.Key)); err != nil {
				t.Fatal(err)
			}
			if m.Signature != v.Signature {
				t.Errorf("signature %s, want %s", m.Signature, v.Signature)
			}
		})
	}
	files, err := os.ReadDir(filepath.Join(vectors, "manifests"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !listed[f.Name()] {
			t.Errorf("%s is not in the index", f.Name())
		}
	}
}

// The vectors guard the board's own HMAC; this guards the vectors.
func TestHMACVectors(t *testing.T) {
	var list []struct{ About, Key, Data, HMAC string }
	readJSON(t, filepath.Join(vectors, "hmac.json"), &list)
	if len(list) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range list {
		key, err := hex.DecodeString(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		data, err := hex.DecodeString(v.Data)
		if err != nil {
			t.Fatal(err)
		}
		h := hmac.New(sha256.New, key)
		h.Write(data)
		if got := hex.EncodeToString(h.Sum(nil)); got != v.HMAC {
			t.Errorf("%s: %s, want %s", v.About, got, v.HMAC)
		}
	}
}

// A treeEntry is a file or link of a tree that a test makes.
type treeEntry struct {
	Path    string
	Text    string
	Link    string
	MTime   int64
	MTimeNS int64 `json:"mtime_ns"`
}

// writeTree makes a tree in a new folder and returns the folder.
func writeTree(t testing.TB, entries []treeEntry) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "src")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, filepath.FromSlash(e.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if e.Link != "" {
			if err := os.Symlink(e.Link, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(e.Text), 0o666); err != nil {
			t.Fatal(err)
		}
		mtime := time.Unix(e.MTime, e.MTimeNS)
		if err := os.Chtimes(path, mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestBuildVectors compares with what the original library's builder makes of
// the same folders and options.
func TestBuildVectors(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(vectors, "builds", "*.json"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".json"), func(t *testing.T) {
			var v struct {
				About   string
				Tree    []treeEntry
				Options struct {
					AuthKey           string   `json:"auth_key"`
					SignatureField    string   `json:"signature_field"`
					AllowedExtensions []string `json:"allowed_extensions"`
					ExcludePrefixes   []string `json:"exclude_prefixes"`
					ExcludeFolders    []string `json:"exclude_folders"`
					FollowLinks       *bool
					Reuse             bool `json:"reuse_unchanged_versions"`
				}
				Previous, Expect json.RawMessage
			}
			readJSON(t, name, &v)
			o := DefaultOptions()
			if v.Options.AllowedExtensions != nil {
				o.Extensions = v.Options.AllowedExtensions
			}
			if v.Options.ExcludePrefixes != nil {
				o.ExcludePrefixes = v.Options.ExcludePrefixes
			}
			if v.Options.ExcludeFolders != nil {
				o.ExcludeFolders = v.Options.ExcludeFolders
			}
			if v.Options.FollowLinks != nil {
				o.NoFollowLinks = !*v.Options.FollowLinks
			}
			o.ReuseUnchanged = v.Options.Reuse
			if v.Previous != nil {
				if o.Previous, err = Read(bytes.NewReader(v.Previous)); err != nil {
					t.Fatal(err)
				}
			}
			field := v.Options.SignatureField
			if field == "" {
				field = DefaultSignatureField
			}
			want, err := ReadField(bytes.NewReader(v.Expect), field)
			if err != nil {
				t.Fatal(err)
			}

			dir := writeTree(t, v.Tree)
			got, err := Build(t.Context(), dir, o)
			if err != nil {
				t.Fatal(err)
			}
			got.SignatureField = field
			if key := v.Options.AuthKey; key != "" {
				if err := got.Sign([]byte(key)); err != nil {
					t.Fatal(err)
				}
			}
			for i, f := range got.Files {
				data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.Path)))
				if err != nil {
					t.Fatal(err)
				}
				sum := sha256.Sum256(data)
				if f.Size != int64(len(data)) || f.SHA256 != hex.EncodeToString(sum[:]) {
					t.Errorf("%s: size %d and sha256 %s are not those of the file", f.Path, f.Size, f.SHA256)
				}
				got.Files[i].Size, got.Files[i].SHA256 = -1, "" // the original has neither
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-original +ours):\n%s", v.About, diff)
			}
		})
	}
}

func sortFiles(m *Manifest) {
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
}
