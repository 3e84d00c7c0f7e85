package rehearse_test

import (
	"io/fs"
	"path/filepath"
	"strings"
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
	}
	if err := pair.Write(r.Old, r.New); err != nil {
		t.Fatal(err)
	}
	if !pair.OwnLibrary {
		r.Factory = []fs.FS{tree(releases.Library(""))}
	}
	return r
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
	t.Logf("%s: %d files, %d changed, %d bytes; %d requests, %d bytes; flash: %d writes (%d to the reset), %d bytes, %d erases, %d bytes of room; %d cuts: %d old, %d new, %d mixed, %d stuck",
		report.FileSystem, report.Files, report.ChangedFiles, report.ChangedBytes, report.Requests, report.Downloaded,
		report.Writes, report.InstallWrites, report.Written, report.Erases, report.RoomNeeded, len(report.Cuts),
		report.Count(rehearse.OldRelease), report.Count(rehearse.NewRelease), report.Count(rehearse.Mixed), report.Count(rehearse.Stuck))
	return report
}

func TestNoPowerCutHarmsABoard(t *testing.T) {
	for _, system := range []rehearse.FileSystem{rehearse.Littlefs, rehearse.FAT} {
		t.Run(string(system), func(t *testing.T) {
			r := rehearsal(t, releases.App(), system)
			r.Torn = true
			report := play(t, r)
			if !report.Safe() {
				show(t, report)
			}
		})
	}
}

func show(t *testing.T, report *rehearse.Report) {
	t.Helper()
	t.Errorf("not safe: %s\n%s", report.Problem, indent(report.Console))
	shown := 0
	for _, c := range report.Cuts {
		if c.Outcome >= rehearse.Mixed && shown < 3 {
			shown++
			t.Errorf("cut %+v", c)
		}
	}
}

func indent(s string) string { return "\t" + strings.ReplaceAll(s, "\n", "\n\t") }
