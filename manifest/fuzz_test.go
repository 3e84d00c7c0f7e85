package manifest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzRead reads anything at all. What is accepted must be safe to install
// and, unless names differ only in case, survive being written and read again.
func FuzzRead(f *testing.F) {
	names, err := filepath.Glob(filepath.Join(vectors, "manifests", "*.json"))
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
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Read(bytes.NewReader(data))
		if err != nil {
			if m != nil {
				t.Error("a manifest and an error")
			}
			return
		}
		for _, file := range m.Files {
			if strings.HasPrefix(file.Path, "/") || !filepath.IsLocal(filepath.FromSlash(file.Path)) {
				t.Errorf("accepted path %q", file.Path)
			}
		}
		if m.Validate() != nil {
			return
		}
		sortFiles(m)
		written, err := m.Encode(2)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Read(bytes.NewReader(written))
		if err != nil {
			t.Fatalf("%v in what was written:\n%s", err, written)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Errorf("(-read +read again):\n%s", diff)
		}
	})
}
