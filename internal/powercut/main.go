// Command powercut is `make powercut`: it rehearses updates of every kind on both file systems,
// with the power cut at every write, and compares what updates cost with what they may cost.
//
// By default every single cut is played, whole and torn, with the network and without, and of
// the second cuts a sample. POWERCUT=quick takes samples of both; POWERCUT=all leaves nothing out,
// and takes days.
package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing/fstest"
	"text/tabwriter"
	"time"

	"github.com/cactuscon/saguarota/internal/releases"
	"github.com/cactuscon/saguarota/rehearse"
)

// What an update may cost.
const (
	largeFactor   = 1.1     // of the changed bytes, on littlefs, for the 200 kB release, to the reset
	smallOverhead = 6 << 10 // bytes beside the changed ones, on littlefs, for the 8-file release
	idleReads     = 3       // files
	idleHeap      = 8 << 10
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	good, err := run(ctx, os.Getenv("POWERCUT"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err)
		os.Exit(2)
	}
	if !good {
		os.Exit(1)
	}
}

// A figure is what was measured and what it may be.
type figure struct {
	what     string
	got, max int
}

// anything is the limit of a figure that is shown for its own sake.
const anything = 1<<31 - 1

func (f figure) String() string {
	limit, verdict := strconv.Itoa(f.max), "ok"
	switch {
	case f.max == anything:
		limit, verdict = "any", ""
	case f.got > f.max:
		verdict = "TOO MUCH"
	}
	return strings.TrimRight(fmt.Sprintf("%-68s %6d of %6s  %s", f.what, f.got, limit, verdict), " ")
}

func run(ctx context.Context, mode string) (good bool, err error) {
	every, seconds := 1, 400
	switch mode {
	case "":
		fmt.Printf("Every single cut, and about %d second cuts of each update; POWERCUT=all plays these all, POWERCUT=quick takes a sample of both.\n", seconds)
	case "all":
		seconds = 0
		fmt.Println("Every single cut and every second cut. This takes days.")
	case "quick":
		every, seconds = 25, 60
		fmt.Println("A sample of the cuts; without POWERCUT=quick, every single cut is played.")
	default:
		return false, fmt.Errorf("POWERCUT=%s: want all, quick or nothing", mode)
	}
	library, err := releases.Compiled(ctx, releases.Library(""))
	if err != nil {
		return false, err
	}
	var figures []figure
	harmed := map[kind]*harm{}
	good = true
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "release\tfile system\twrites\tcuts\told\tnew\tmixed\tstuck\tno boot.py once\tleft behind\ttime\t")
	for _, u := range updates() {
		pair := u.Pair
		for _, system := range []rehearse.FileSystem{rehearse.Littlefs, rehearse.FAT} {
			start := time.Now()
			report, err := play(ctx, u, system, library, every, seconds)
			if err != nil {
				return false, err
			}
			fmt.Fprintf(os.Stderr, "%s on %s: %d cuts in %v\n", pair.Name, system, len(report.Cuts), time.Since(start).Round(time.Second))
			fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t\n", pair.Name, system, report.Writes, len(report.Cuts),
				report.Count(rehearse.OldRelease), report.Count(rehearse.NewRelease), report.Count(rehearse.Mixed), report.Count(rehearse.Stuck),
				report.Bootless(), report.LeftBehind(), time.Since(start).Round(time.Second))
			if !report.Safe() {
				good = false
				explain(report)
			}
			for _, c := range report.Cuts {
				k := kind{system, c.Second >= 0, c.Network}
				if harmed[k] == nil {
					harmed[k] = &harm{}
				}
				harmed[k].add(c)
			}
			if system != rehearse.Littlefs {
				continue
			}
			switch pair.Name {
			case "app":
				figures = append(figures,
					figure{"8 files: bytes written beside the changed ones, to the reset", report.InstallWritten - report.ChangedBytes, smallOverhead},
					figure{"8 files: the same with trial and confirmation", report.Written - report.ChangedBytes, smallOverhead})
			case "200 kB":
				figures = append(figures,
					figure{"200 kB: bytes written in 1000 changed ones, to the reset", report.InstallWritten * 1000 / report.ChangedBytes, largeFactor * 1000},
					figure{"200 kB: the same with trial and confirmation", report.Written * 1000 / report.ChangedBytes, anything})
			}
		}
	}
	if err := table.Flush(); err != nil {
		return false, err
	}
	idle, err := idleBoot(ctx, library)
	if err != nil {
		return false, err
	}
	fmt.Println()
	for _, system := range []rehearse.FileSystem{rehearse.Littlefs, rehearse.FAT} {
		for _, k := range []kind{{system, false, false}, {system, false, true}, {system, true, false}, {system, true, true}} {
			if h := harmed[k]; h != nil {
				figures = append(figures, figure{fmt.Sprintf("%s: mixed boards of %d", k, h.cuts), h.mixed, 0}, figure{fmt.Sprintf("%s: stuck boards of %d", k, h.cuts), h.stuck, 0})
			}
		}
	}
	for _, f := range append(figures, idle...) {
		good = good && f.got <= f.max
		fmt.Println(f)
	}
	return good, nil
}

// A kind of cut.
type kind struct {
	system  rehearse.FileSystem
	twice   bool // the recovery is cut, too
	network bool
}

func (k kind) String() string {
	text := string(k.system) + ", one cut"
	if k.twice {
		text = string(k.system) + ", two cuts"
	}
	if k.network {
		return text + ", network on"
	}
	return text + ", network off"
}

// harm is what cuts did.
type harm struct{ cuts, mixed, stuck int }

func (h *harm) add(c rehearse.Cut) {
	h.cuts++
	switch c.Outcome {
	case rehearse.Mixed:
		h.mixed++
	case rehearse.Stuck:
		h.stuck++
	}
}

// An update is a pair of releases, brought to the board file by file or by pack.
type update struct {
	releases.Pair
	pack bool
}

func updates() []update {
	var list []update
	for _, pair := range releases.All() {
		list = append(list, update{Pair: pair})
	}
	for _, pair := range []releases.Pair{releases.App(), releases.Core(), releases.Renamed()} {
		pair.Name += ", by pack"
		list = append(list, update{pair, true})
	}
	return list
}

func explain(report *rehearse.Report) {
	if report.Problem != "" {
		fmt.Fprintf(os.Stderr, "%s\n%s\n", report.Problem, report.Console)
	}
	shown := 0
	for _, c := range report.Cuts {
		if c.Outcome >= rehearse.Mixed && shown < 3 {
			shown++
			fmt.Fprintf(os.Stderr, "%v after write %d (torn %v, second %d, network %v):\n%s\n", c.Outcome, c.Write, c.Torn, c.Second, c.Network, c.Console)
		}
	}
}

func play(ctx context.Context, u update, system rehearse.FileSystem, library map[string]string, every, seconds int) (*rehearse.Report, error) {
	pair := u.Pair
	dir, err := os.MkdirTemp("", "saguarota-powercut-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := rehearse.Rehearsal{
		Board: rehearse.Board{FS: system, Size: 2 << 20},
		Old:   filepath.Join(dir, "old"), New: filepath.Join(dir, "new"),
		Options: releases.Options(), Room: pair.Room,
		Settle: time.Minute, // longer than any of these applications runs
		Packs:  u.pack,
		Every:  every, Depth: 2, Seconds: seconds, Torn: true, TornOnline: true,
	}
	if system == rehearse.FAT {
		r.Room = pair.RoomFAT
	}
	if pair, err = pair.CompileLibrary(ctx); err != nil {
		return nil, err
	}
	if err := pair.Write(r.Old, r.New); err != nil {
		return nil, err
	}
	if !pair.OwnLibrary {
		r.Factory = []fs.FS{tree(library)}
	}
	return r.Run(ctx)
}

func tree(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for path, text := range files {
		m[path] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

// A main.py that makes a board start with nothing to do: it asks for nothing but that a release
// be confirmed, if one is on trial. It counts what that opens and connects to.
const idleMain = `import builtins, gc, socket
opened = []
def counting(path, *mode, real=builtins.open):
    opened.append(path)
    return real(path, *mode)
builtins.open = counting
sockets = [0]
class Socket:
    def __getattr__(self, name):
        sockets[0] += 1
        return getattr(real_socket, name)
import sys
real_socket = socket
sys.modules["socket"] = Socket()
gc.collect()
before = gc.mem_alloc()
from saguarota import OTAUpdater
ota = OTAUpdater("http://updates/ota/versions.json", "http://updates/ota/")
gc.collect()
heap = gc.mem_alloc() - before
ota.confirm_update()
print("idle", heap, len(opened), sockets[0])
`

// idleBoot measures a start with nothing to do, on a board that was updated before.
func idleBoot(ctx context.Context, library map[string]string) ([]figure, error) {
	dir, err := os.MkdirTemp("", "saguarota-powercut-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	board := &rehearse.Board{Image: filepath.Join(dir, "board.img"), Log: filepath.Join(dir, "log")}
	// An idle journal, as an update leaves it.
	files := map[string]string{"main.py": "from saguarota.recover import Journal\nimport os\nos.mkdir('saguarota_backup')\nj = Journal('saguarota_backup')\nj.save('I')\nj.save('I')\n"}
	if err := board.Format(ctx, tree(library), tree(files)); err != nil {
		return nil, err
	}
	if _, err := board.Boot(ctx); err != nil {
		return nil, err
	}
	if err := board.WriteFile(ctx, "main.py", []byte(idleMain)); err != nil {
		return nil, err
	}
	if err := os.Remove(board.Log); err != nil {
		return nil, err
	}
	res, err := board.Boot(ctx)
	if err != nil {
		return nil, err
	}
	writes, err := rehearse.ReadLog(board.Log)
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(res.Output)
	if len(fields) != 4 || fields[0] != "idle" || res.Raised != "" {
		return nil, fmt.Errorf("a start with nothing to do said %q", res.Output)
	}
	var n [3]int
	for i := range n {
		if n[i], err = strconv.Atoi(fields[i+1]); err != nil {
			return nil, err
		}
	}
	return []figure{
		{"a start with nothing to do: heap of the import, in bytes (64 bits)", n[0], idleHeap},
		{"a start with nothing to do: files read, but for the modules", n[1], idleReads},
		{"a start with nothing to do: writes", len(writes), 0},
		{"a start with nothing to do: uses of the network", n[2], 0},
	}, nil
}
