package micropython

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	good := map[string]Version{
		"1.25.0":           {1, 25, 0},
		"1.22":             {1, 22, 0},
		"1.26.1-preview.3": {1, 26, 1},
		" 1.25.0\n":        {1, 25, 0},
	}
	for s, want := range good {
		if got, err := ParseVersion(s); err != nil || got != want {
			t.Errorf("ParseVersion(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "1", "one.two", "1.-2", "1.25.0.1"} {
		if got, err := ParseVersion(s); err == nil {
			t.Errorf("ParseVersion(%q) = %v; want an error", s, got)
		}
	}
}

func TestVersionLess(t *testing.T) {
	ascending := []Version{{1, 9, 4}, {1, 22, 0}, {1, 22, 1}, {1, 25, 0}, {2, 0, 0}}
	for i, v := range ascending {
		for j, w := range ascending {
			if got, want := v.Less(w), i < j; got != want {
				t.Errorf("%v.Less(%v) = %t", v, w, got)
			}
		}
	}
}

func TestFindRuns(t *testing.T) {
	in, err := Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if in.Version.Less(MinVersion) {
		t.Errorf("found version %v, older than %v", in.Version, MinVersion)
	}
	t.Setenv("MICROPYPATH", "/nowhere")
	out, err := in.Command(t.Context(), "96K", "-c",
		"import gc, sys; print(gc.mem_alloc() + gc.mem_free() < 98304, '/nowhere' in sys.path)").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(out), "True False\n"; got != want {
		t.Errorf("a 96K heap, MICROPYPATH seen = %q, want %q", got, want)
	}
}

func TestCompileIsLoadable(t *testing.T) {
	in, err := Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cross, err := FindCross(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "source", "answer.py")
	write(t, src, "def answer():\n    return 42\n", 0o666)
	if err := cross.Compile(t.Context(), src, filepath.Join(dir, "answer.mpy")); err != nil {
		t.Fatal(err)
	}
	cmd := in.Command(t.Context(), "", "-c", "import answer; print(answer.answer())")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "42\n" {
		t.Errorf("the compiled module printed %q, %v; want 42", out, err)
	}

	write(t, src, "def answer(:\n", 0o666)
	err = cross.Compile(t.Context(), src, filepath.Join(dir, "bad.mpy"))
	if err == nil || !strings.Contains(err.Error(), src) || !strings.Contains(err.Error(), "SyntaxError") {
		t.Errorf("compiling a syntax error: %v; want the file and SyntaxError", err)
	}
}

// A program that is too old, or isn't what its name says, is passed over, and the error says
// so for each.
func TestFindPassesOverBadOnes(t *testing.T) {
	good, err := Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pathDir, toolsDir := t.TempDir(), t.TempDir()
	work := filepath.Join(t.TempDir(), "a", "b")
	if err := os.MkdirAll(work, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Chdir(work)
	t.Setenv("PATH", pathDir)
	t.Setenv("SAGUAROTA_TOOLS", toolsDir)

	_, err = Find(t.Context())
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "make tools") {
		t.Errorf("with none: %v; want ErrNotFound and what to type", err)
	}

	write(t, filepath.Join(pathDir, "micropython"), "#!/bin/sh\necho 1.19.1\n", 0o777)
	write(t, filepath.Join(toolsDir, "bin", "micropython"), "#!/bin/sh\necho 'no module named 100% ffi' >&2; exit 1\n", 0o777)
	_, err = Find(t.Context())
	if !errors.Is(err, ErrNotFound) {
		t.Fatalf("with bad ones only: %v; want ErrNotFound", err)
	}
	for _, want := range []string{"1.19.1 is older than 1.22.0", "no module named 100% ffi", pathDir, toolsDir} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}

	above := filepath.Join(filepath.Dir(work), ".tools", "bin", "micropython")
	if err := os.MkdirAll(filepath.Dir(above), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(good.Path, above); err != nil {
		t.Fatal(err)
	}
	// The found program may be a script that needs the usual PATH.
	t.Setenv("PATH", pathDir+":/usr/bin:/bin")
	in, err := Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if same(t, in.Path) != same(t, good.Path) || in.Version != good.Version {
		t.Errorf("found %v, want the one in a folder above, %v", in, good)
	}
}

func TestFindCrossPassesOverOldFormat(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	t.Setenv("SAGUAROTA_TOOLS", "")
	write(t, filepath.Join(dir, "mpy-cross"), "#!/bin/sh\necho 'MicroPython v1.18; mpy-cross emitting mpy v5'\n", 0o777)
	_, err := FindCross(t.Context())
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "emitting mpy v5") {
		t.Errorf("FindCross: %v; want ErrNotFound with what the old one says", err)
	}
}

func same(t *testing.T, path string) string {
	t.Helper()
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return real
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}
