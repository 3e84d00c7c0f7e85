package boardtest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/internal/micropython"
)

// An httpRig is what every run of a script with the HTTP client needs.
type httpRig struct {
	interpreter *micropython.Interpreter
	client      []byte // http.mpy
}

// newHTTPRig finds MicroPython and compiles the client, once for all tests.
var newHTTPRig = sync.OnceValues(func() (*httpRig, error) {
	ctx := context.Background()
	in, err := micropython.Find(ctx)
	if err != nil {
		return nil, err
	}
	cross, err := micropython.FindCross(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "saguarota-http-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, mpy := filepath.Join("..", "saguarota", "http.py"), filepath.Join(dir, "http.mpy")
	if err := depend(source); err != nil {
		return nil, err
	}
	if err := cross.Compile(ctx, source, mpy); err != nil {
		return nil, err
	}
	client, err := os.ReadFile(mpy)
	if err != nil {
		return nil, err
	}
	return &httpRig{in, client}, nil
})

// depend tells the go command that the tests depend on a file which only other programs read.
// Without that it would go on reporting cached results after the file has changed.
func depend(path string) error {
	_, err := os.Stat(path)
	return err
}

// runHTTPScript runs one of this folder's scripts on MicroPython, with a heap of the given size and
// the given standard input, and returns what it printed. To the script the client is a module of its
// own, http, compiled as on a board, without the rest of the package.
func runHTTPScript(t *testing.T, heap, input, script string, args ...string) string {
	t.Helper()
	rig, err := newHTTPRig()
	if err != nil {
		t.Fatal(err)
	}
	script = filepath.Join("scripts", script)
	if err := depend(script); err != nil {
		t.Fatal(err)
	}
	library := t.TempDir()
	if err := os.WriteFile(filepath.Join(library, "http.mpy"), rig.client, 0o666); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := rig.interpreter.Command(ctx, heap, append([]string{script}, args...)...)
	cmd.Env = append(cmd.Env, "MICROPYPATH="+library+":.frozen")
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}
