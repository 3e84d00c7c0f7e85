package rehearse_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/cactuscon/saguarota/internal/releases"
	"github.com/cactuscon/saguarota/rehearse"
)

// rehearsal returns the rehearsal of an update on a file system, with every cut of it.
func rehearsal(t *testing.T, pair releases.Pair, system rehearse.FileSystem) rehearse.Rehearsal {
	t.Helper()
	dir := t.TempDir()
	r := rehearse.Rehearsal{
		Board:   rehearse.Board{FS: system, Size: 1 << 20},
		Old:     filepath.Join(dir, "old"),
		New:     filepath.Join(dir, "new"),
		Options: releases.Options(),
		Settle:  settle,
	}
	if err := pair.Write(r.Old, r.New); err != nil {
		t.Fatal(err)
	}
	if !pair.OwnLibrary {
		r.Factory = []fs.FS{library(t)}
	}
	return r
}

// settle is longer than any main.py of these tests runs, also on a busy machine.
const settle = 1 << 36

// compiled has the updater as .mpy files, which boards load faster.
var compiled = sync.OnceValues(func() (map[string]string, error) {
	return releases.Compiled(context.Background(), releases.Library(""))
})

func library(t *testing.T) fs.FS {
	t.Helper()
	files, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return tree(files)
}

func tree(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for path, text := range files {
		m[path] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func play(t *testing.T, r rehearse.Rehearsal) *rehearse.Report {
	t.Helper()
	report, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d files, %d changed, %d bytes; %d requests, %d bytes; flash: %d writes (%d to the reset), %d bytes (%d to the reset), %d erases, %d bytes of room; %d cuts: %d old, %d new, %d mixed, %d stuck, %d left behind, %d bootless",
		report.FileSystem, report.Files, report.ChangedFiles, report.ChangedBytes, report.Requests, report.Downloaded,
		report.Writes, report.InstallWrites, report.Written, report.InstallWritten, report.Erases, report.RoomNeeded, len(report.Cuts),
		report.Count(rehearse.OldRelease), report.Count(rehearse.NewRelease), report.Count(rehearse.Mixed), report.Count(rehearse.Stuck),
		report.LeftBehind(), report.Bootless())
	return report
}

// everySystem runs a test on both file systems.
func everySystem(t *testing.T, test func(t *testing.T, system rehearse.FileSystem)) {
	for _, system := range []rehearse.FileSystem{rehearse.Littlefs, rehearse.FAT} {
		t.Run(string(system), func(t *testing.T) { test(t, system) })
	}
}

// Every cut of one update, whole and torn, with and without the network.
func TestNoPowerCutHarmsABoard(t *testing.T) {
	everySystem(t, func(t *testing.T, system rehearse.FileSystem) {
		r := rehearsal(t, releases.App(), system)
		r.Torn, r.TornOnline, r.KeepConsoles = true, true, true
		harmless(t, play(t, r))
	})
}

// A sample of the cuts of an update by pack: while it is fetched, while files are made of it, and of
// the recoveries, which find what is left of it.
func TestNoPowerCutHarmsAnUpdateByPack(t *testing.T) {
	everySystem(t, func(t *testing.T, system rehearse.FileSystem) {
		r := rehearsal(t, releases.App(), system)
		r.Packs, r.KeepConsoles = true, true
		r.Torn, r.TornOnline, r.Every, r.Depth, r.Seconds = true, true, 4, 2, 60
		report := play(t, r)
		harmless(t, report)
		if report.Requests > 3 || report.Downloaded >= report.ChangedBytes {
			t.Errorf("%d requests and %d bytes for an update by pack that changes %d", report.Requests, report.Downloaded, report.ChangedBytes)
		}
	})
}

// A sample of the cuts of an update that replaces boot.py, main.py and the updater itself, and
// of the recoveries from them.
func TestNoSecondPowerCutHarmsABoard(t *testing.T) {
	everySystem(t, func(t *testing.T, system rehearse.FileSystem) {
		core, err := releases.Core().CompileLibrary(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := rehearsal(t, core, system)
		r.KeepConsoles = true
		r.Torn, r.Depth, r.Every, r.Every2 = true, 2, 97, 307
		harmless(t, play(t, r))
	})
}

func harmless(t *testing.T, report *rehearse.Report) {
	t.Helper()
	if !report.Safe() || report.Bootless() > 0 {
		t.Errorf("not safe: %s\n%s", report.Problem, indent(report.Console))
		shown := 0
		for _, c := range report.Cuts {
			if (c.Outcome >= rehearse.Mixed || c.Bootless) && shown < 3 {
				shown++
				t.Errorf("cut %+v", c)
			}
		}
	}
	for _, c := range report.Cuts {
		if c.Network && c.Outcome == rehearse.OldRelease {
			t.Errorf("a board with a network kept the old release: %+v", c)
		}
	}
	if report.Count(rehearse.OldRelease) == 0 || report.Count(rehearse.NewRelease) == 0 {
		t.Error("want boards that keep the old release, and boards that get the new one")
	}
}

func indent(s string) string { return "\t" + strings.ReplaceAll(s, "\n", "\n\t") }

// The rig must be able to fail: it finds what each of these mistakes in the updater does to
// boards.
func TestARigThatCanFail(t *testing.T) {
	broken := []struct {
		name     string
		system   rehearse.FileSystem
		file     string
		from, to string
	}{
		{"files are swapped without undo", rehearse.Littlefs, "undo.py",
			"    for r in (2, 1, 0) if moves else (1, 0):\n", "    for r in ():\n"},
		{"boards on FAT rename", rehearse.FAT, "stage.py",
			"return not case_blind(ota.backup_dir) and", "return"},
		{"the swap copies over the live file", rehearse.Littlefs, "install.py",
			"        if self.moves:\n            if op == \"d\"", "        if op == 'r':\n            copy(new, path)\n        elif self.moves:\n            if op == \"d\""},
		{"the journal does not say that files are swapped", rehearse.Littlefs, "install.py",
			"        j.save(\"S\")\n        j.save(\"S\")\n        if Journal(j.folder).state != \"S\":\n", "        j.save(\"I\")\n        if 0:\n"},
	}
	for _, b := range broken {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			files := releases.Library("")
			path := "lib/saguarota/" + b.file
			if !strings.Contains(files[path], b.from) {
				t.Fatalf("%s has no longer %q", path, b.from)
			}
			files[path] = strings.Replace(files[path], b.from, b.to, 1)
			files, err := releases.Compiled(t.Context(), files)
			if err != nil {
				t.Fatal(err)
			}
			pair := releases.App()
			pair.New["boot.py"] = releases.Boot(2)
			r := rehearsal(t, pair, b.system)
			r.Factory = []fs.FS{tree(files)}
			r.Every = 5
			report := play(t, r)
			if report.Problem != "" {
				t.Fatalf("%s\n%s", report.Problem, indent(report.Console))
			}
			if report.Safe() {
				t.Errorf("of %d cuts, none was found to do harm", len(report.Cuts))
			}
		})
	}
}
