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
		harmless(t, play(t, r), true)
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
		harmless(t, report, true)
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
		harmless(t, play(t, r), true)
	})
}

// harmless fails the test where a cut did harm; boots says that main.py must not run without boot.py.
func harmless(t *testing.T, report *rehearse.Report, boots bool) {
	t.Helper()
	if !report.Safe() || (boots && report.Bootless() > 0) {
		t.Errorf("not safe: %s\n%s", report.Problem, indent(report.Console))
		shown := 0
		for _, c := range report.Cuts {
			if (c.Outcome >= rehearse.Mixed || (boots && c.Bootless)) && shown < 3 {
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
		pair     releases.Pair // the app with another boot.py, if empty
		boots    bool          // main.py that runs without boot.py is harm, too
	}{
		{"files are swapped without undo", rehearse.Littlefs, "undo.py",
			"    for r in (2, 1, 0) if moves else (1, 0):\n", "    for r in ():\n", releases.Pair{}, false},
		{"boards on FAT rename", rehearse.FAT, "stage.py",
			"return not case_blind(ota.backup_dir) and", "return", releases.Pair{}, false},
		{"the swap copies over the live file", rehearse.Littlefs, "install.py",
			"        if self.moves:\n            if op == \"d\"", "        if op == 'r':\n            copy(new, path)\n        elif self.moves:\n            if op == \"d\"", releases.Pair{}, false},
		{"the journal does not say that files are swapped", rehearse.Littlefs, "install.py",
			"        j.save(\"S\")\n        j.save(\"S\")\n        if Journal(j.folder).state != \"S\":\n", "        j.save(\"I\")\n        if 0:\n", releases.Pair{}, false},
		{"boot.py goes before main.py that stands in for it", rehearse.FAT, "install.py",
			"if reach in j.mode[2:]:", "if reach not in j.mode[2:]:", releases.Start([2]bool{true, true}), true},
		{"and at the end of the trial", rehearse.FAT, "undo.py",
			"(\"o\" if old else \"n\") in j.mode[2:]", "(\"n\" if old else \"o\") in j.mode[2:]", releases.Start([2]bool{true, false}), false},
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
			pair := b.pair
			if pair.Name == "" {
				pair = releases.App()
				pair.New["boot.py"] = releases.Boot(2)
			}
			r := rehearsal(t, pair, b.system)
			r.Factory = []fs.FS{tree(files)}
			if r.Every = 5; b.pair.Name != "" {
				r.Every, r.Torn = 3, true // a start file is written in few writes
			}
			report := play(t, r)
			if report.Problem != "" {
				t.Fatalf("%s\n%s", report.Problem, indent(report.Console))
			}
			if report.Safe() && (!b.boots || report.Bootless() == 0) {
				t.Errorf("of %d cuts, none was found to do harm", len(report.Cuts))
			}
		})
	}
}
