package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing/fstest"
	"time"

	"github.com/cactuscon/saguarota/internal/micropython"
	"github.com/cactuscon/saguarota/rehearse"
)

//go:embed all:factory all:release2
var sources embed.FS

// The page that the second release no longer has.
const removedPage = "badge/pages/sponsors.py"

// The heap of the board. An ESP32 has 90 to 110 kB free; objects are twice the size here.
const heap = "128K"

// More boots than this for one release are a board that doesn't settle.
const maxBoots = 4

// demo is one run of it.
type demo struct {
	ctx     context.Context
	program string
	release string // the folder that is served
	board   *rehearse.Board
	out     *console
}

func run(ctx context.Context, program, root string, w io.Writer) (err error) {
	program, err = filepath.Abs(program)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "saguarota-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	d := &demo{
		ctx:     ctx,
		program: program,
		release: filepath.Join(work, "release"),
		out:     newConsole(w),
		board:   &rehearse.Board{Image: filepath.Join(work, "board.img"), Heap: heap},
	}
	d.board.Console = d.out.lines("board")
	defer d.out.flush()

	d.out.heading("A release of examples/badge, served by saguarota serve")
	if err := d.makeRelease1(root); err != nil {
		return fmt.Errorf("make release 1: %w", err)
	}
	url, stop, err := d.serve()
	if err != nil {
		return fmt.Errorf("serve the release: %w", err)
	}
	// Once: here where something fails, below where nothing does.
	stop = sync.OnceValue(stop)
	defer func() { err = errors.Join(err, stop()) }()

	d.out.heading("A board as it left the factory: the library, a start file, an empty flash")
	if err := d.makeBoard(root, work, url); err != nil {
		return fmt.Errorf("make the board: %w", err)
	}

	d.out.heading("Power on: it finds release 1, installs it, restarts, confirms")
	first, err := d.install("1.0.0")
	if err != nil {
		return fmt.Errorf("release 1: %w", err)
	}

	d.out.heading("Release 2: two files changed, one added, one removed")
	if err := d.makeRelease2(); err != nil {
		return fmt.Errorf("make release 2: %w", err)
	}

	d.out.heading("Power on again: the same with release 2")
	second, err := d.install("1.1.0")
	if err != nil {
		return fmt.Errorf("release 2: %w", err)
	}

	if err := stop(); err != nil {
		return err
	}

	d.out.heading("Done")
	d.out.host("release 1: %s", first)
	d.out.host("release 2: %s", second)
	d.out.host("settings.json, which is no part of a release, is as it was")
	return nil
}

// makeRelease1 copies the application; its files are a day old.
func (d *demo) makeRelease1(root string) error {
	if err := os.CopyFS(d.release, os.DirFS(filepath.Join(root, "examples", "badge"))); err != nil {
		return err
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	return filepath.WalkDir(d.release, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(name, yesterday, yesterday)
	})
}

// makeRelease2 changes the release in place, as one would while developing.
func (d *demo) makeRelease2() error {
	tree, err := fs.Sub(sources, "release2")
	if err != nil {
		return err
	}
	err = fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		to := filepath.Join(d.release, filepath.FromSlash(name))
		verb := "added  "
		if _, err := os.Stat(to); err == nil {
			verb = "changed"
		}
		d.out.host("%s  %s", verb, name)
		return os.WriteFile(to, data, 0o666)
	})
	if err != nil {
		return err
	}
	d.out.host("removed  %s", removedPage)
	return os.Remove(filepath.Join(d.release, filepath.FromSlash(removedPage)))
}

// serve starts the server on a free port. It returns the URL of the release, and what stops it.
func (d *demo) serve() (url string, stop func() error, err error) {
	cmd := exec.Command(d.program, "serve", d.release, "--host", "127.0.0.1", "--port", "0", "--exit-with-stdin")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	found := make(chan string, 1)
	cmd.Stdout, cmd.Stderr = &firstLine{found: found}, d.out.lines("server")
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = func() error {
		if err := stdin.Close(); err != nil {
			return err
		}
		if err := <-ended; err != nil {
			return fmt.Errorf("stop the server: %w", err)
		}
		return nil
	}
	select {
	case line := <-found:
		_, url, ok := strings.Cut(line, "listening on ")
		if !ok {
			return "", nil, errors.Join(fmt.Errorf("the server says %q, not where it listens", line), stop())
		}
		d.out.host("saguarota serve %s: %s", filepath.Base(d.release), line)
		return strings.TrimSuffix(url, "/") + "/ota", stop, nil
	case err := <-ended:
		return "", nil, fmt.Errorf("the server ended at once: %v", err)
	case <-d.ctx.Done():
		return "", nil, errors.Join(d.ctx.Err(), stop())
	}
}

// makeBoard formats the flash: the library compiled into /lib, the factory's start files, and
// the settings.
func (d *demo) makeBoard(root, work, url string) error {
	in, err := micropython.Find(d.ctx)
	if err != nil {
		return err
	}
	d.board.Interpreter = in
	d.out.host("MicroPython %v, littlefs2 on %d kB of flash, a heap of %s", in.Version, 2048, heap)
	library, err := compileLibrary(d.ctx, filepath.Join(root, "saguarota"), filepath.Join(work, "library"))
	if err != nil {
		return err
	}
	factory, err := fs.Sub(sources, "factory")
	if err != nil {
		return err
	}
	settings, err := json.Marshal(map[string]any{"owner": "Ada Lovelace", "update_url": url, "seconds_per_page": 0.1})
	if err != nil {
		return err
	}
	err = d.board.Format(d.ctx, library, factory, fstest.MapFS{"settings.json": {Data: settings}})
	if err != nil {
		return err
	}
	tree, err := d.board.Dump(d.ctx)
	if err != nil {
		return err
	}
	for _, name := range sorted(tree.Files) {
		d.out.host("%6d  %s", tree.Files[name].Size, name)
	}
	return nil
}

// compileLibrary compiles the board's part of the library to lib/saguarota under dir.
func compileLibrary(ctx context.Context, from, dir string) (fs.FS, error) {
	cross, err := micropython.FindCross(ctx)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(from, "*.py"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no library in %s", from)
	}
	to := filepath.Join(dir, "lib", "saguarota")
	if err := os.MkdirAll(to, 0o777); err != nil {
		return nil, err
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".py")
		if name == "py3utils" { // the computer's half
			continue
		}
		if err := cross.Compile(ctx, file, filepath.Join(to, name+".mpy")); err != nil {
			return nil, err
		}
	}
	return os.DirFS(dir), nil
}

// install switches the board on, and off again when the application has confirmed the release
// and shown three pages, or shown ten and not confirmed. It checks that the board went the way it should, and holds what it
// should, and returns a summary.
func (d *demo) install(version string) (string, error) {
	settings, err := d.board.ReadFile(d.ctx, "settings.json")
	if err != nil {
		return "", err
	}
	var confirmed, shown bool
	pages := 0
	d.board.SwitchOff = func(line string) bool {
		shown = shown || strings.Contains(line, "badge software "+version)
		confirmed = confirmed || line == "badge: release confirmed"
		if strings.HasPrefix(line, "+---") { // of a page, the first line and the last
			pages++
		}
		return confirmed && pages >= 6 || pages >= 20
	}
	boots, err := d.board.Run(d.ctx, maxBoots)
	d.out.flush()
	if err != nil {
		return "", err
	}
	var endings []string
	for _, b := range boots {
		endings = append(endings, b.Ending.String())
	}
	switch {
	case !slices.Equal(endings, []string{rehearse.Reset.String(), rehearse.Off.String()}):
		return "", fmt.Errorf("the board's boots ended %s; want a reset into the new release, which then runs until it is switched off",
			strings.Join(endings, ", "))
	case !shown:
		return "", fmt.Errorf("the badge did not show that it runs version %s", version)
	case !confirmed:
		return "", errors.New("the badge did not confirm the release")
	}
	n, err := d.compare()
	if err != nil {
		return "", err
	}
	if after, err := d.board.ReadFile(d.ctx, "settings.json"); err != nil {
		return "", err
	} else if string(after) != string(settings) {
		return "", errors.New("settings.json changed")
	}
	return fmt.Sprintf("installed, confirmed; all %d files on the board are the release's, byte for byte", n), nil
}

// What a board holds besides the release: its settings, the library, and the updater's own.
var notOfTheRelease = []string{"settings.json", "lib/", "versions.json", "ota_state.txt", "saguarota_backup/"}

// compare compares the board's files with those of the release that is served. It returns
// their number.
func (d *demo) compare() (int, error) {
	tree, err := d.board.Dump(d.ctx)
	if err != nil {
		return 0, err
	}
	for name, why := range tree.Broken {
		return 0, fmt.Errorf("%s on the board cannot be read: %s", name, why)
	}
	listed, err := d.manifest()
	if err != nil {
		return 0, err
	}
	for _, name := range listed {
		data, err := os.ReadFile(filepath.Join(d.release, filepath.FromSlash(name)))
		if err != nil {
			return 0, err
		}
		sum := sha256.Sum256(data)
		got, there := tree.Files[name]
		switch {
		case !there:
			return 0, fmt.Errorf("%s of the release is not on the board", name)
		case got.SHA256 != hex.EncodeToString(sum[:]):
			return 0, fmt.Errorf("%s on the board is not the release's", name)
		}
	}
	for _, name := range sorted(tree.Files) {
		own := slices.ContainsFunc(notOfTheRelease, func(p string) bool {
			return name == p || strings.HasSuffix(p, "/") && strings.HasPrefix(name, p)
		})
		if !own && !slices.Contains(listed, name) {
			return 0, fmt.Errorf("%s is on the board but not in the release", name)
		}
	}
	return len(listed), nil
}

// manifest returns the paths that the release's manifest lists.
func (d *demo) manifest() ([]string, error) {
	out, err := exec.CommandContext(d.ctx, d.program, "manifest", d.release).Output()
	if err != nil {
		return nil, fmt.Errorf("saguarota manifest: %w", err)
	}
	var m struct {
		Files []struct {
			Path string `json:"path"`
		} `json:"files"`
	}
	if err := json.Unmarshal(out, &m); err != nil {
		return nil, fmt.Errorf("saguarota manifest: %w", err)
	}
	var names []string
	for _, f := range m.Files {
		names = append(names, path.Clean(f.Path))
	}
	if len(names) == 0 {
		return nil, errors.New("the release has no files")
	}
	return names, nil
}

func sorted(files map[string]rehearse.File) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
