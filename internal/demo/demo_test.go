package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
)

const root = "../.."

func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "saguarota")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/saguarota")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// The whole demo: the one test in which every part of the system takes part.
func TestDemo(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), buildProgram(t), root, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	order := []string{
		"  host | MicroPython ",
		"server | ", "GET /ota/versions.json",
		" board | | badge software 1.0.0",
		" board | badge: release confirmed",
		"  host | removed  " + removedPage,
		"GET /ota/packs/",
		" board | | badge software 1.1.0",
		" board | badge: release confirmed",
		"release 1: installed, confirmed",
		"release 2: installed, confirmed",
	}
	rest := out.String()
	for _, want := range order {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("no %q in its place in:\n%s", want, &out)
		}
		rest = after
	}
}

// A board that doesn't install anything is not passed off as one that did.
func TestDemoFailsWhereNothingIsInstalled(t *testing.T) {
	d := &demo{ctx: t.Context(), out: newConsole(io.Discard), board: &rehearse.Board{Image: filepath.Join(t.TempDir(), "board.img")}}
	board := t.TempDir()
	write(t, board, "settings.json", "{}")
	write(t, board, "main.py", "print('badge software 1.0.0')")
	if err := d.board.Format(t.Context(), os.DirFS(board)); err != nil {
		t.Fatal(err)
	}
	_, err := d.install("1.0.0")
	if err == nil || !strings.Contains(err.Error(), "boots ended at the REPL") {
		t.Errorf("install on a board without an updater: %v", err)
	}
}

func TestCompareFindsEveryDifference(t *testing.T) {
	program := buildProgram(t)
	cases := map[string]struct {
		change func(t *testing.T, board string)
		want   string
	}{
		"none":      {func(*testing.T, string) {}, ""},
		"own files": {func(t *testing.T, board string) { write(t, board, "lib/saguarota/x.mpy", "") }, ""},
		"missing": {func(t *testing.T, board string) {
			if err := os.Remove(filepath.Join(board, "badge/a.py")); err != nil {
				t.Fatal(err)
			}
		}, "badge/a.py of the release is not on the board"},
		"different": {func(t *testing.T, board string) { write(t, board, "main.py", "2") }, "main.py on the board is not the release's"},
		"extra":     {func(t *testing.T, board string) { write(t, board, "badge/old.py", "") }, "badge/old.py is on the board but not in the release"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := &demo{ctx: t.Context(), program: program, release: t.TempDir(), board: &rehearse.Board{Image: filepath.Join(t.TempDir(), "board.img")}}
			board := t.TempDir()
			for _, dir := range []string{d.release, board} {
				write(t, dir, "main.py", "1")
				write(t, dir, "badge/a.py", "a")
			}
			c.change(t, board)
			if err := d.board.Format(t.Context(), os.DirFS(board)); err != nil {
				t.Fatal(err)
			}
			n, err := d.compare()
			switch {
			case c.want == "" && (err != nil || n != 2):
				t.Errorf("compare = %d, %v; want 2 files", n, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("compare: %v; want %q", err, c.want)
			}
		})
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}
