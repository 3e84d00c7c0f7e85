package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/cactuscon/saguarota/internal/micropython"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/rehearse"
)

const rehearseLong = `Play the update from the release in OLD to the one in NEW on a simulated board.

First every .py file is compiled and every .mpy file looked into. Then a board
with the old release installs the new one: real MicroPython, on an image of the
flash, against a server on this machine. Then it does so again and again, and
each time the power is cut after one more write to the flash, once with the
server in reach afterwards and once without. After each cut the board must come
to run the old release whole or the new one whole.

The board is told what the update needs: memory, flash, transfer. It has no
hardware: pins read 0 and buses answer zeros. Its clock does not wait, so that
--settle costs no time. The page docs/REHEARSE.md says what else is simulated.

Where neither release has the updater in it, it is put into lib/saguarota.

Exit status: 0 if the release can be published; 1 if it cannot; 2 if nothing
was found out, because the command line is wrong or MicroPython is missing.`

const rehearseExample = `  saguarota rehearse releases/1.4 releases/1.5
  saguarota rehearse old new --fs both --torn --html report.html
  saguarota rehearse old new --with board-files --every 5 --json`

// rehearseOptions are the options of "rehearse".
type rehearseOptions struct {
	tree   treeFlags
	fs     string
	size   string
	heap   string
	settle time.Duration
	every  int
	depth  int
	torn   bool
	packs  bool
	jobs   int
	with   []string
	json   bool
	html   string
}

func rehearseCommand() *cobra.Command {
	var o rehearseOptions
	cmd := &cobra.Command{
		Use:     "rehearse OLD NEW",
		Short:   "Play an update on a simulated board, with power cuts",
		Long:    rehearseLong,
		Example: rehearseExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return nothingFound(withHint(fmt.Errorf("rehearse takes two folders, not %d", len(args)), "type \"saguarota rehearse OLD NEW\""))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return rehearsal(ctx, cmd, args[0], args[1], o)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return nothingFound(err) })
	flags := cmd.Flags()
	flags.StringVar(&o.fs, "fs", "littlefs", "file system of the board: littlefs, fat or both")
	flags.StringVar(&o.size, "size", "2M", "size of the board's file system")
	flags.StringVar(&o.heap, "heap", "100K", "heap of the board")
	flags.DurationVar(&o.settle, "settle", time.Minute, "how long main.py may run, by the board's clock, until it has confirmed")
	flags.IntVar(&o.every, "every", 1, "cut after each N-th write only")
	flags.IntVar(&o.depth, "depth", 1, "2: cut the recovery from each cut as well (slow)")
	flags.BoolVar(&o.torn, "torn", false, "cut in the middle of writes as well")
	flags.BoolVar(&o.packs, "packs", true, "offer the update as a pack, as SaguarOTA's servers do; --packs=false for files only")
	flags.IntVar(&o.jobs, "jobs", 0, "boards to play at once (default: one for each processor)")
	flags.StringSliceVar(&o.with, "with", nil, "folder of files that are on the board besides the release, such as settings")
	flags.BoolVar(&o.json, "json", false, "print the report as JSON")
	flags.StringVar(&o.html, "html", "", "write the report to this file, too, as a page")
	o.tree.add(flags)
	return cmd
}

// exitStatus is an error with an exit status other than 1.
type exitStatus struct {
	error
	status int
}

func (e *exitStatus) Unwrap() error { return e.error }

// nothingFound marks an error that says nothing about the release.
func nothingFound(err error) error { return &exitStatus{err, 2} }

// rehearsed is the report of a whole command.
type rehearsed struct {
	Old     string             `json:"old"`
	New     string             `json:"new"`
	Safe    bool               `json:"safe"`
	Faults  []string           `json:"faults,omitempty"` // files that a board cannot load
	Reports []*rehearse.Report `json:"reports"`          // one a file system
	Heap    int                `json:"heap"`             // of the board, in bytes
	Size    int                `json:"size"`
	Every   int                `json:"every"`
	Depth   int                `json:"depth"`
	Torn    bool               `json:"torn"`
}

var errUnsafe = errors.New("the new release must not be published like this")

func rehearsal(ctx context.Context, cmd *cobra.Command, oldDir, newDir string, o rehearseOptions) error {
	r, systems, err := o.rehearsal(ctx, oldDir, newDir)
	if err != nil {
		return nothingFound(err)
	}
	found := &rehearsed{
		Old: oldDir, New: newDir, Heap: r.Memory, Size: r.Board.Size, Reports: []*rehearse.Report{},
		Every: r.Every, Depth: r.Depth, Torn: r.Torn,
	}
	for _, dir := range []string{oldDir, newDir} {
		m, err := manifest.Build(ctx, dir, r.Options)
		if err != nil {
			return nothingFound(explainBuild(err))
		}
		var files []string
		for _, f := range m.Files {
			files = append(files, f.Path)
		}
		faults, err := rehearse.Check(ctx, r.Board.Interpreter, dir, files)
		if err != nil {
			return nothingFound(err)
		}
		for _, f := range faults {
			found.Faults = append(found.Faults, filepath.ToSlash(filepath.Join(dir, "."))+"/"+f.String())
		}
	}
	if len(found.Faults) == 0 {
		for _, system := range systems {
			r.Board.FS = system
			report, err := withProgress(ctx, cmd.ErrOrStderr(), r)
			if err != nil && strings.Contains(err.Error(), "ENOSPC") {
				err = withHint(err, "the old release does not fit on the board; see --size")
			}
			if err != nil {
				return nothingFound(err)
			}
			found.Reports = append(found.Reports, report)
		}
	}
	found.Safe = len(found.Faults) == 0
	for _, report := range found.Reports {
		found.Safe = found.Safe && report.Safe()
	}

	if o.html != "" {
		page, err := htmlReport(found)
		if err == nil {
			err = replaceFile(o.html, page)
		}
		if err != nil {
			return nothingFound(fmt.Errorf("write the report: %w", err))
		}
	}
	out := cmd.OutOrStdout()
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(found)
	} else {
		_, err = io.WriteString(out, found.text(isTerminal(out) && os.Getenv("NO_COLOR") == ""))
	}
	if err != nil {
		return nothingFound(fmt.Errorf("write the report: %w", err))
	}
	if !found.Safe {
		return errUnsafe
	}
	return nil
}

// rehearsal makes what the options ask for, but for the file system, which may be two.
func (o *rehearseOptions) rehearsal(ctx context.Context, oldDir, newDir string) (r rehearse.Rehearsal, systems []rehearse.FileSystem, err error) {
	for _, dir := range []string{oldDir, newDir} {
		if err := checkFolder(dir); err != nil {
			return r, nil, err
		}
	}
	switch o.fs {
	case "both":
		systems = []rehearse.FileSystem{rehearse.Littlefs, rehearse.FAT}
	case string(rehearse.Littlefs), string(rehearse.FAT):
		systems = []rehearse.FileSystem{rehearse.FileSystem(o.fs)}
	default:
		return r, nil, withHint(fmt.Errorf("unknown file system %q", o.fs), "--fs takes littlefs, fat or both")
	}
	if o.depth != 1 && o.depth != 2 {
		return r, nil, withHint(fmt.Errorf("--depth is %d", o.depth), "it can be 1 or 2")
	}
	if o.every < 1 || o.jobs < 0 || o.settle <= 0 {
		return r, nil, errors.New("--every, --jobs and --settle must be positive")
	}
	r.Board.Size, err = parseSize("--size", o.size)
	if err != nil {
		return r, nil, err
	}
	if r.Memory, err = parseSize("--heap", o.heap); err != nil {
		return r, nil, err
	}
	if r.Options, err = o.tree.options(); err != nil {
		return r, nil, err
	}
	if r.Key, err = o.tree.key(); err != nil {
		return r, nil, err
	}
	r.SignatureField = o.tree.signatureField
	r.Old, r.New = oldDir, newDir
	r.Updater = !hasUpdater(oldDir)
	for _, dir := range o.with {
		if err := checkFolder(dir); err != nil {
			return r, nil, err
		}
		r.Factory = append(r.Factory, os.DirFS(dir))
	}
	r.Board.Devices = true
	r.Settle, r.Every, r.Every2 = o.settle, o.every, o.every
	r.Depth, r.Torn, r.Packs, r.Workers, r.Heap = o.depth, o.torn, o.packs, o.jobs, true
	r.Board.Interpreter, err = micropython.Find(ctx)
	if err != nil {
		return r, nil, withHint(err, "run scripts/tools in a checkout of SaguarOTA and set SAGUAROTA_TOOLS to its folder .tools, or install your system's package micropython")
	}
	return r, systems, nil
}

// parseSize reads a number of bytes like 100K or 2M.
func parseSize(option, s string) (int, error) {
	digits := strings.TrimRight(s, "KMkm")
	n, err := strconv.Atoi(digits)
	unit := 1
	switch strings.ToUpper(s[len(digits):]) {
	case "":
	case "K":
		unit = 1 << 10
	case "M":
		unit = 1 << 20
	default:
		err = errors.New("unknown unit")
	}
	if err != nil || n <= 0 || n > 1<<30/unit {
		return 0, withHint(fmt.Errorf("%s is %q", option, s), "give a number of bytes like 100K or 2M")
	}
	return n * unit, nil
}

// hasUpdater reports whether a tree brings the board's library.
func hasUpdater(dir string) bool {
	for _, folder := range []string{"saguarota", "lib/saguarota"} {
		for _, name := range []string{"__init__.py", "__init__.mpy"} {
			if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(folder), name)); err == nil {
				return true
			}
		}
	}
	return false
}

// withProgress runs a rehearsal, with a progress bar on a terminal.
func withProgress(ctx context.Context, w io.Writer, r rehearse.Rehearsal) (*rehearse.Report, error) {
	if !isTerminal(w) {
		return r.Run(ctx)
	}
	progress := mpb.NewWithContext(ctx, mpb.WithOutput(w), mpb.WithWidth(76))
	bar := progress.AddBar(0,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(s decor.Statistics) string {
			if s.Total == 0 {
				return string(r.Board.FS) + ": playing the update "
			}
			return string(r.Board.FS) + ": cutting the power "
		})),
		mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
			if s.Total == 0 {
				return ""
			}
			return fmt.Sprintf("%d of %d ", s.Current, s.Total)
		})),
	)
	r.Progress = func(done, total int) {
		bar.SetTotal(int64(total), false)
		bar.SetCurrent(int64(done))
	}
	report, err := r.Run(ctx)
	bar.Abort(true)
	progress.Wait()
	return report, err
}
