// Package micropython finds the MicroPython interpreter and its compiler, mpy-cross, on the
// host, checks that they are good enough to stand for a board, and starts them.
//
// Both are looked for on the PATH, then in the folder that SAGUAROTA_TOOLS names, then in
// .tools of the working directory and of each folder above it. The last two are what
// scripts/tools fills.
package micropython

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// MinVersion is the oldest release of MicroPython that the board's library supports.
var MinVersion = Version{1, 22, 0}

// MpyVersion is the version of the .mpy format that the releases in MinVersion and after
// load; a compiler must emit it.
const MpyVersion = "6.3"

// ErrNotFound is wrapped by the errors of Find and FindCross when no good program was found.
// Their text says where they looked, what was wrong with what they saw, and what to type.
var ErrNotFound = errors.New("not found")

// A probe takes milliseconds; one that takes longer than this hangs.
const probeTimeout = 30 * time.Second

// Version is a release of MicroPython: major, minor, micro.
type Version [3]int

// String returns the version as in "1.25.0".
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// Less reports whether v is older than w.
func (v Version) Less(w Version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

// ParseVersion reads "1.25.0" or "1.25"; what follows the third number is ignored, as in
// "1.26.0-preview".
func ParseVersion(s string) (Version, error) {
	var v Version
	number, _, _ := strings.Cut(strings.TrimSpace(s), "-")
	parts := strings.SplitN(number, ".", 3)
	if len(parts) < 2 {
		return Version{}, fmt.Errorf("MicroPython version %q: want something like 1.25.0", s)
	}
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return Version{}, fmt.Errorf("MicroPython version %q: want something like 1.25.0", s)
		}
		v[i] = n
	}
	return v, nil
}

// Interpreter is a MicroPython for the host (the unix port) that can stand for a board.
type Interpreter struct {
	Path    string // of the program, or of the script that starts it
	Version Version
}

// The simulated board needs both file systems; the library needs deflate and hashlib; reset
// and timers of the simulated board need ffi and _thread.
const probe = `
import sys, os, deflate, hashlib, _thread, ffi
try:
    import vfs
except ImportError:
    vfs = os
vfs.VfsLfs2, vfs.VfsFat, deflate.DeflateIO, hashlib.md5, hashlib.sha256
print("%d.%d.%d" % tuple(sys.implementation[1][:3]))
`

// Find returns the first good MicroPython (see the package's documentation for the places),
// or an error that wraps ErrNotFound.
func Find(ctx context.Context) (*Interpreter, error) {
	var found *Interpreter
	err := find("micropython", func(path string) error {
		out, err := output(ctx, path, "-c", probe)
		if err != nil {
			return fmt.Errorf("cannot play a board: %w", err)
		}
		v, err := ParseVersion(out)
		if err != nil {
			return err
		}
		if v.Less(MinVersion) {
			return fmt.Errorf("version %v is older than %v", v, MinVersion)
		}
		found = &Interpreter{Path: path, Version: v}
		return nil
	})
	return found, err
}

// Command returns a command that runs the interpreter with args. heap is the size of its
// garbage-collected heap as the -X heapsize option takes it ("96K", "2M"; empty for the
// interpreter's own choice). Objects are twice the size of a 32-bit board's.
//
// The command sees none of the environment that would change what the interpreter imports.
func (in *Interpreter) Command(ctx context.Context, heap string, args ...string) *exec.Cmd {
	if heap != "" {
		args = append([]string{"-X", "heapsize=" + heap}, args...)
	}
	cmd := exec.CommandContext(ctx, in.Path, args...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "MICROPY") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	return cmd
}

// Cross is mpy-cross, the compiler from .py to .mpy.
type Cross struct {
	Path string
}

// FindCross returns the first mpy-cross that emits .mpy files of MpyVersion, or an error that
// wraps ErrNotFound.
func FindCross(ctx context.Context) (*Cross, error) {
	var found *Cross
	err := find("mpy-cross", func(path string) error {
		out, err := output(ctx, path, "--version")
		if err != nil {
			return err
		}
		if !strings.Contains(out, "mpy v"+MpyVersion) {
			return fmt.Errorf("it says %q, not that it emits mpy v%s", out, MpyVersion)
		}
		found = &Cross{Path: path}
		return nil
	})
	return found, err
}

// Compile compiles the source file src to dst. The name of its module, not its path on the
// host, is what the board's tracebacks will show, so the result depends on nothing else.
func (c *Cross) Compile(ctx context.Context, src, dst string) error {
	if _, err := output(ctx, c.Path, "-s", strings.TrimSuffix(filepath.Base(src), ".py"), "-o", dst, src); err != nil {
		return fmt.Errorf("compile %s: %w", src, err)
	}
	return nil
}

// find calls good for every program of that name until one passes.
func find(name string, good func(path string) error) error {
	var seen []string
	for _, path := range places(name) {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		err := good(path)
		if err == nil {
			return nil
		}
		seen = append(seen, fmt.Sprintf("\n  %s: %v", path, err))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%%w: no usable %s on the PATH, in $SAGUAROTA_TOOLS or in a .tools folder here or above", name)
	for _, s := range seen {
		b.WriteString(strings.ReplaceAll(s, "%", "%%"))
	}
	b.WriteString("\n  In a checkout of SaguarOTA, `make tools` gets one.")
	return fmt.Errorf(b.String(), ErrNotFound)
}

func places(name string) []string {
	var list []string
	if path, err := exec.LookPath(name); err == nil {
		if abs, err := filepath.Abs(path); err == nil {
			list = append(list, abs)
		}
	}
	if dir := os.Getenv("SAGUAROTA_TOOLS"); dir != "" {
		list = append(list, filepath.Join(dir, "bin", name))
	}
	if dir, err := os.Getwd(); err == nil {
		for {
			list = append(list, filepath.Join(dir, ".tools", "bin", name))
			up := filepath.Dir(dir)
			if up == dir {
				break
			}
			dir = up
		}
	}
	return list
}

// output runs a program and returns what it prints, trimmed. Its error holds the last line
// that the program wrote about it.
func output(ctx context.Context, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stdout.String() + stderr.String())
		if said == "" {
			return "", err
		}
		return "", fmt.Errorf("%w: %s", err, said[strings.LastIndexByte(said, '\n')+1:])
	}
	return strings.TrimSpace(stdout.String()), nil
}
