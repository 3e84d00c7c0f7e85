package rehearse

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cactuscon/saguarota/internal/micropython"
	"github.com/cactuscon/saguarota/manifest"
)

// Rehearsal is one update of one board, from the release in Old to the release in New: played
// once as it should go, then again and again with the power cut at every write to the flash.
type Rehearsal struct {
	// Board has the file system, the geometry of the flash, the heap and the interpreter. Its
	// Image is not used.
	Board Board
	// Old and New are the folders of the two releases.
	Old, New string
	// Options choose the files that are released.
	Options manifest.Options
	// Factory has what is on the board besides the old release, such as the updater.
	Factory []fs.FS
	// Settle is how long main.py may run, if it does not end by itself; 2 s if 0. A healthy
	// application confirms the release within that time.
	Settle time.Duration

	// Every is the distance of two cuts, in writes: 1 (or 0) for all.
	Every int
	// Depth 2 also cuts the recovery from each cut, every Every2 writes (1 if 0).
	Depth, Every2 int
	// Torn also cuts in the middle of a write, leaving half of it.
	Torn bool
	// Workers is how many boards are played at once: one for each processor if 0.
	Workers int
	// Progress, if set, is called after each cut that was judged. Calls do not overlap.
	Progress func(done, total int)
}

// Outcome is what became of a board whose power was cut.
type Outcome int

const (
	OldRelease Outcome = iota // it runs the old release, whole
	NewRelease                // it runs the new release, whole
	Mixed                     // main.py started in a tree that is neither
	Stuck                     // main.py does not start any more
)

func (o Outcome) String() string { return [...]string{"old", "new", "mixed", "stuck"}[o] }

// MarshalText writes the outcome by its name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Cut is one cut and what became of the board.
type Cut struct {
	Write   int     `json:"write"`             // the writes that were carried out before it
	Torn    bool    `json:"torn,omitempty"`    // half of the next one was, too
	Second  int     `json:"second,omitempty"`  // -1, or how many writes of the recovery were carried out before a second cut
	Network bool    `json:"network,omitempty"` // the server could be reached afterwards
	Outcome Outcome `json:"outcome"`
	Boots   int     `json:"boots"`
	Console string  `json:"console,omitempty"` // of a board that came to harm
}

// Report is what a rehearsal found.
type Report struct {
	FileSystem FileSystem `json:"file_system"`
	// Problem says why the update cannot be published even without a power cut; "" if it can.
	Problem string `json:"problem,omitempty"`
	// Console is what the board printed during the update without a cut.
	Console string `json:"console"`

	Files         int `json:"files"`         // in the new release
	ChangedFiles  int `json:"changed_files"` // added or with another content
	ChangedBytes  int `json:"changed_bytes"` // of these, and of versions.json
	Downloaded    int `json:"downloaded"`    // bytes of answers' bodies
	Requests      int `json:"requests"`
	Writes        int `json:"writes"`         // of the update and its trial, to the flash
	InstallWrites int `json:"install_writes"` // of these, before the reset into the trial
	Written       int `json:"written"`        // bytes, of the update and its trial
	Erases        int `json:"erases"`
	RoomNeeded    int `json:"room_needed"` // bytes that were taken at the most while it was under way

	Cuts []Cut `json:"cuts"`
}

// Count returns how many cuts had an outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for _, c := range r.Cuts {
		if c.Outcome == o {
			n++
		}
	}
	return n
}

// Safe reports whether the update works and no cut does harm.
func (r *Report) Safe() bool {
	return r.Problem == "" && len(r.Cuts) > 0 && r.Count(Mixed)+r.Count(Stuck) == 0
}

const (
	maxBoots      = 16
	defaultSettle = 2 * time.Second
	hangs         = time.Minute
	// At the REPL nobody is there to help: only a timer or a watchdog can.
	unattended = 24 * time.Hour
)

// Run plays the update and every cut of it. The error says that the rehearsal itself failed;
// what is wrong with the release is in the report.
func (r Rehearsal) Run(ctx context.Context) (_ *Report, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("rehearse %s to %s: %w", r.Old, r.New, err)
		}
	}()
	dir, err := os.MkdirTemp("", "saguarota-rehearsal-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p := &play{Rehearsal: r, dir: dir, report: &Report{FileSystem: r.Board.fs()}}
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	defer p.site.close()
	if err := p.whole(ctx); err != nil || p.report.Problem != "" {
		return p.report, err
	}
	return p.report, p.cuts(ctx)
}

// play is a rehearsal under way.
type play struct {
	Rehearsal
	dir    string
	site   *site
	report *Report

	base     []byte // the flash before the update
	log      []Write
	old, new string // digests of the trees
	trial    string // of the new one while a stand-in is its boot.py
	known    map[string]Outcome
}

func (p *play) prepare(ctx context.Context) error {
	if p.Board.Interpreter == nil {
		in, err := micropython.Find(ctx)
		if err != nil {
			return err
		}
		p.Board.Interpreter = in
	}
	p.Board.Judge = filepath.Join(p.dir, "paths")
	p.Board.REPL = unattended
	if p.Settle == 0 {
		p.Settle = defaultSettle
	}
	p.Board.Settle = p.Settle
	p.Every = max(p.Every, 1)
	p.Every2 = max(p.Every2, 1)
	if p.Workers == 0 {
		p.Workers = runtime.GOMAXPROCS(0)
	}

	opts := p.Options
	opts.Previous = nil
	old, err := manifest.Build(ctx, p.Old, opts)
	if err != nil {
		return err
	}
	opts.Previous, opts.ReuseUnchanged = old, true
	next, err := manifest.Build(ctx, p.New, opts)
	if err != nil {
		return err
	}
	installed, err := old.Encode(0)
	if err != nil {
		return err
	}
	offered, err := next.Encode(0)
	if err != nil {
		return err
	}

	paths := map[string]bool{}
	release := filepath.Join(p.dir, "old")
	if err := os.Mkdir(release, 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(release, "versions.json"), installed, 0o666); err != nil {
		return err
	}
	for _, f := range old.Files {
		paths[f.Path] = true
		if err := copyFile(release, p.Old, f.Path); err != nil {
			return err
		}
	}
	p.site = &site{dir: p.New, manifest: offered, files: map[string]bool{}}
	for _, f := range next.Files {
		paths[f.Path] = true
		p.site.files[f.Path] = true
	}
	for _, tree := range p.Factory {
		err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				paths[path] = true
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	list := slices.Sorted(maps.Keys(paths))
	if err := os.WriteFile(p.Board.Judge, []byte(strings.Join(list, "\n")+"\n"), 0o666); err != nil {
		return err
	}
	p.report.Files = len(next.Files)
	p.report.ChangedBytes = len(offered)
	for _, c := range manifest.Compare(old, next) {
		if c.Kind == manifest.Added || c.Kind == manifest.Changed {
			p.report.ChangedFiles++
			p.report.ChangedBytes += int(c.New.Size)
		}
	}

	board := p.board("base")
	if err := board.Format(ctx, append(slices.Clone(p.Factory), os.DirFS(release))...); err != nil {
		return err
	}
	if p.base, err = os.ReadFile(board.Image); err != nil {
		return err
	}
	return p.site.start(ctx)
}

func copyFile(to, from, path string) error {
	path = filepath.FromSlash(path)
	data, err := os.ReadFile(filepath.Join(from, path))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(to, path)), 0o777); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, path), data, 0o666)
}

// board returns a board of the rehearsal with an image of that name.
func (p *play) board(name string) *Board {
	b := p.Board
	b.Image = filepath.Join(p.dir, name+".img")
	return &b
}

// boot is one power cycle. Where main.py runs on, it is switched off after a while; where
// main.py does not even start, for a long time, so is the board.
func (p *play) boot(ctx context.Context, b *Board, online bool) (Result, error) {
	b.Network = &Network{}
	if online {
		b.Network.Port = p.site.port
	}
	limited, cancel := context.WithTimeout(ctx, p.Settle+hangs)
	defer cancel()
	res, err := b.Boot(limited)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = nil
	}
	return res, err
}

// whole plays the update without a cut.
func (p *play) whole(ctx context.Context) error {
	board := p.board("whole")
	if err := os.WriteFile(board.Image, p.base, 0o666); err != nil {
		return err
	}
	var console strings.Builder
	res, err := p.boot(ctx, board, false)
	if err != nil {
		return err
	}
	console.WriteString(res.Output)
	if p.old = res.Tree; p.old == "" {
		p.report.Console = console.String()
		p.report.Problem = "the old release does not start"
		return nil
	}
	room := res.Room

	if err := os.WriteFile(board.Image, p.base, 0o666); err != nil {
		return err
	}
	board.Log = filepath.Join(p.dir, "whole.log")
	ended := 0 // writes
	for boots := 0; ; boots++ {
		res, err := p.boot(ctx, board, true)
		if err != nil {
			return err
		}
		fmt.Fprintf(&console, "--- boot %d\n%s", boots+1, res.Output)
		if p.log, err = ReadLog(board.Log); err != nil {
			return err
		}
		if res.Tree != "" && res.Tree != p.old {
			if p.trial == "" {
				p.trial = res.Tree
				p.report.InstallWrites = ended
			}
			p.new = res.Tree
		}
		if p.new != "" && len(p.log) == ended {
			break // a boot with nothing to do: the update is over
		}
		ended = len(p.log)
		if boots == maxBoots {
			break
		}
	}
	p.report.Console = console.String()
	p.report.Requests = int(p.site.requests.Load())
	p.report.Downloaded = int(p.site.bytes.Load())
	p.report.Writes = len(p.log)
	for _, w := range p.log {
		if w.Erase {
			p.report.Erases++
		} else {
			p.report.Written += w.Length
		}
	}
	p.report.RoomNeeded = room // until cuts show how much was left at the least
	return p.verdict(ctx, board)
}

// verdict says what is wrong with the update that was played without a cut.
func (p *play) verdict(ctx context.Context, board *Board) error {
	res, err := p.boot(ctx, board, false)
	if err != nil {
		return err
	}
	slots := map[string]bool{}
	for _, name := range []string{"s0", "s1"} {
		data, err := board.ReadFile(ctx, "saguarota_backup/"+name)
		if err == nil {
			slots[string(data)] = true
		}
	}
	switch {
	case p.new == "" && strings.Contains(p.report.Console, "OTA: installed"):
		p.report.Problem = "the new release does not start: main.py never ran, and the board went back to the old one"
	case p.new == "":
		p.report.Problem = "the board did not install the new release"
	case res.Tree == p.old:
		p.report.Problem = "the new release started but did not confirm: the board went back to the old one"
	case res.Tree != p.new:
		p.report.Problem = "the board does not come to rest: the new release is not confirmed"
	}
	p.known = map[string]Outcome{p.old: OldRelease, p.new: NewRelease, p.trial: NewRelease}
	return nil
}

// cuts judges every cut.
func (p *play) cuts(ctx context.Context) error {
	var jobs []Cut
	for n := 0; n <= len(p.log); n += p.Every {
		for _, torn := range []bool{false, true} {
			if torn && (!p.Torn || n == len(p.log) || p.log[n].Length < 2) {
				continue
			}
			for _, online := range []bool{false, true} {
				jobs = append(jobs, Cut{Write: n, Torn: torn, Network: online, Second: -1})
			}
		}
	}
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		first error
		done  int
		least = p.report.RoomNeeded
		next  = make(chan Cut)
	)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for w := range p.Workers {
		wg.Go(func() {
			board := p.board(fmt.Sprintf("cut%d", w))
			for cut := range next {
				cuts, room, err := p.cut(ctx, board, cut)
				mu.Lock()
				if err != nil && first == nil {
					first = err
					cancel()
				}
				p.report.Cuts = append(p.report.Cuts, cuts...)
				least = min(least, room)
				done++
				if p.Progress != nil {
					p.Progress(done, len(jobs))
				}
				mu.Unlock()
			}
		})
	}
	for _, cut := range jobs {
		select {
		case next <- cut:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	if first == nil {
		first = ctx.Err()
	}
	p.report.RoomNeeded -= least
	slices.SortFunc(p.report.Cuts, compareCuts)
	return first
}

func compareCuts(a, b Cut) int {
	key := func(c Cut) int {
		k := c.Write * 4
		if c.Torn {
			k += 2
		}
		if c.Network {
			k++
		}
		return k
	}
	if d := key(a) - key(b); d != 0 {
		return d
	}
	return a.Second - b.Second
}

// cut plays one cut, and with Depth 2 all cuts of the recovery from it. It also returns how
// much room the cut had left.
func (p *play) cut(ctx context.Context, board *Board, cut Cut) ([]Cut, int, error) {
	torn := 0
	if cut.Torn {
		torn = p.log[cut.Write].Length / 2
	}
	image, err := p.replay(p.base, p.log, cut.Write, torn)
	if err != nil {
		return nil, 0, err
	}
	if p.Depth == 2 {
		board.Log = board.Image + ".log"
		defer func() { board.Log = "" }()
		if err := os.RemoveAll(board.Log); err != nil {
			return nil, 0, err
		}
	}
	room, err := p.judge(ctx, board, image, &cut)
	cuts := []Cut{cut}
	if err != nil || p.Depth != 2 {
		return cuts, room, err
	}
	recovery, err := ReadLog(board.Log)
	if err != nil {
		return nil, 0, err
	}
	board.Log = ""
	for n := 1; n < len(recovery); n += p.Every2 {
		second := Cut{Write: cut.Write, Torn: cut.Torn, Network: cut.Network, Second: n}
		twice, err := p.replay(image, recovery, n, 0)
		if err != nil {
			return nil, 0, err
		}
		if _, err := p.judge(ctx, board, twice, &second); err != nil {
			return nil, 0, err
		}
		cuts = append(cuts, second)
	}
	return cuts, room, nil
}

func (p *play) replay(base []byte, log []Write, n, torn int) ([]byte, error) {
	image := slices.Clone(base)
	return image, Replay(image, p.Board.blockSize(), log, n, torn)
}

// judge boots a board until it is at rest, and looks at the tree each time main.py starts.
func (p *play) judge(ctx context.Context, board *Board, image []byte, cut *Cut) (room int, err error) {
	if err := os.WriteFile(board.Image, image, 0o666); err != nil {
		return 0, err
	}
	var console strings.Builder
	cut.Outcome = Stuck
	for rests := false; !rests; {
		if cut.Boots == maxBoots {
			cut.Outcome = Stuck
			break
		}
		res, err := p.boot(ctx, board, cut.Network)
		if err != nil {
			return 0, err
		}
		cut.Boots++
		if cut.Boots == 1 {
			room = res.Room
		}
		fmt.Fprintf(&console, "--- boot %d: %s\n%s", cut.Boots, res.Ending, res.Output)
		if res.Tree != "" {
			outcome, ok := p.known[res.Tree]
			if !ok {
				cut.Outcome, cut.Console = Mixed, console.String()
				return room, nil
			}
			cut.Outcome = outcome
		}
		if rests = !res.Ending.Reboots(); rests && res.Tree == "" {
			cut.Outcome = Stuck // at the REPL, and main.py did not start
		}
	}
	if cut.Outcome == Stuck {
		cut.Console = console.String()
	}
	return room, nil
}
