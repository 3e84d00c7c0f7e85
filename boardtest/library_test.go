package boardtest

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestLibraryKnowsOldInterpreters: before 1.25, startswith and endswith take no tuple. The options are
// attributes, and some of them are tuples.
func TestLibraryKnowsOldInterpreters(t *testing.T) {
	sources, err := filepath.Glob(filepath.Join(librarySource(), "*.py"))
	if err != nil || len(sources) == 0 {
		t.Fatal("no library", err)
	}
	tuple := regexp.MustCompile(`(?:starts|ends)with\((?:\(|\w+\.\w+\))[^\n]*`)
	for _, name := range sources {
		if filepath.Base(name) == "py3utils.py" {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if call := tuple.Find(source); call != nil {
			t.Errorf("%s: %s: MicroPython 1.22 to 1.24 take one text there", name, call)
		}
	}
}
