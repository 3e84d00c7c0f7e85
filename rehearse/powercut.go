package rehearse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cactuscon/saguarota/internal/micropython"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/saguarota"
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
	// Key, if set, signs the manifests, in the field SignatureField ("signature" if empty).
	Key            []byte
	SignatureField string
	// Factory has what is on the board besides the old release, such as the updater.
	Factory []fs.FS
	// Updater puts this project's updater on the board, in lib/saguarota.
	Updater bool
	// Settle is how long main.py may run, if it does not end by itself; 2 s if 0. A healthy
	// application confirms the release within that time. With Board.Devices it is the time
	// that the board's clock shows, which does not wait.
	Settle time.Duration
	// Room is how much of the flash is left free beside the old release, in bytes; 0 for all
	// that there is.
	Room int
	// Memory is the heap of the board, in bytes, if not 0. The simulated board gets twice that,
	// because its objects are twice the size of a 32-bit board's, and what the simulation takes.
	Memory int
	// Heap asks for the smallest heap in which the update works (Report.PeakHeap).
	Heap bool

	// Every is the distance of two cuts, in writes: 1 (or 0) for all.
	Every int
	// Depth 2 also cuts the recovery from each cut, every Every2 writes (1 if 0).
	Depth, Every2 int
	// Torn also cuts in the middle of a write, leaving half of it. TornOnline plays these
	// with the network, too.
	Torn, TornOnline bool
	// Workers is how many boards are played at once: one for each processor if 0.
	Workers int
	// KeepConsoles keeps what boards that came to no harm printed, too.
	KeepConsoles bool
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
	// Bootless says that main.py was once started by an empty or missing boot.py, in a tree
	// that was whole otherwise. See Report.Bootless.
	Bootless bool   `json:"bootless,omitempty"`
	Console  string `json:"console,omitempty"` // of a board that came to harm
}

// Report is what a rehearsal found.
type Report struct {
	FileSystem FileSystem `json:"file_system"`
	// Problem says why the update cannot be published even without a power cut; "" if it can.
	Problem string `json:"problem,omitempty"`
	// Console is what the board printed during the update without a cut.
	Console string `json:"console"`

	Files         int `json:"files"`          // in the new release
	ChangedFiles  int `json:"changed_files"`  // added or with another content
	ChangedBytes  int `json:"changed_bytes"`  // of these, and of versions.json
	Downloaded    int `json:"downloaded"`     // bytes of answers' bodies, until the release was installed
	Requests      int `json:"requests"`       // until then; later polls depend on how often the board starts
	Writes        int `json:"writes"`         // of the update and its trial, to the flash
	InstallWrites int `json:"install_writes"` // of these, before the reset into the trial
	Written       int `json:"written"`        // bytes, of the update and its trial
	// InstallWritten are the bytes before the reset into the trial.
	InstallWritten int `json:"install_written"`
	Erases         int `json:"erases"`
	RoomNeeded     int `json:"room_needed"` // bytes that were taken at the most while it was under way
	// PeakHeap is the smallest heap in which the update works, in bytes, without what the
	// simulation takes; 0 if it was not asked for. A 32-bit board needs about half.
	PeakHeap int `json:"peak_heap,omitempty"`

	Cuts []Cut `json:"cuts"`
}

// Count returns how many cuts had an outcome.
func (r *Report) Count(o Outcome) int {
	return r.count(func(c Cut) bool { return c.Outcome == o })
}

func (r *Report) count(these func(Cut) bool) int {
	n := 0
	for _, c := range r.Cuts {
		if these(c) {
			n++
		}
	}
	return n
}

// LeftBehind returns how many boards stayed with the old release although they could reach
// the server: whole, but not updated.
func (r *Report) LeftBehind() int {
	return r.count(func(c Cut) bool { return c.Network && c.Outcome == OldRelease })
}

// Bootless returns how many boards started main.py once without boot.py, and then were whole.
// On FAT nothing can be done about it where boot.py does not call the updater: a file is empty
// while it is replaced, and only main.py is left to repair it.
func (r *Report) Bootless() int { return r.count(func(c Cut) bool { return c.Bootless }) }

// Safe reports whether the update works and no cut does harm.
func (r *Report) Safe() bool {
	return r.Problem == "" && len(r.Cuts) > 0 && r.Count(Mixed)+r.Count(Stuck) == 0
}

const (
	manifestName = "versions.json"

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
	if p.Heap {
		if err := p.smallestHeap(ctx); err != nil {
			return nil, err
		}
	}
	return p.report, p.cuts(ctx)
}

// play is a rehearsal under way.
type play struct {
	Rehearsal
	dir    string
	site   *site
	report *Report
	next   *manifest.Manifest

	base     []byte // the flash before the update
	log      []Write
	old, new tree
	// restless are releases that restart by themselves, also where nothing was cut.
	restless map[string]bool
	taken    int // of the heap, by the simulation
	room     int // bytes that are free before the update
	least    int // and at the least while it is under way, as far as was seen
}

// tree has the digests of one.
type tree struct{ whole, rest string }

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
	p.Board.sim = filepath.Join(p.dir, "simulation")
	if err := os.CopyFS(p.Board.sim, sim); err != nil {
		return err
	}
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
	for _, m := range []*manifest.Manifest{old, next} {
		if m.SignatureField = p.SignatureField; p.Key != nil {
			if err := m.Sign(p.Key); err != nil {
				return err
			}
		}
	}
	p.next = next
	installed, err := old.Encode(0)
	if err != nil {
		return err
	}
	offered, err := next.Encode(0)
	if err != nil {
		return err
	}

	paths := map[string]bool{manifestName: true}
	release := filepath.Join(p.dir, "old")
	if err := os.Mkdir(release, 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(release, manifestName), installed, 0o666); err != nil {
		return err
	}
	for _, f := range old.Files {
		paths[f.Path] = true
		if err := copyFile(release, p.Old, f.Path); err != nil {
			return err
		}
	}
	if p.Updater {
		factory := filepath.Join(p.dir, "updater")
		library := filepath.Join(factory, "lib", "saguarota")
		if err := os.MkdirAll(library, 0o777); err != nil {
			return err
		}
		if err := os.CopyFS(library, saguarota.Library); err != nil {
			return err
		}
		// The computer's half, which nobody puts on a board.
		if err := os.Remove(filepath.Join(library, "py3utils.py")); err != nil {
			return err
		}
		p.Factory = append([]fs.FS{os.DirFS(factory)}, p.Factory...)
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
	if p.Room > 0 {
		res, err := p.boot(ctx, board, false)
		if err != nil {
			return err
		}
		if fill := res.Room - p.Room; fill > 0 {
			if err := board.WriteFile(ctx, "fill", make([]byte, fill)); err != nil {
				return err
			}
		}
	}
	if p.base, err = os.ReadFile(board.Image); err != nil {
		return err
	}
	if p.Memory > 0 {
		res, err := p.boot(ctx, board, false)
		if err != nil {
			return err
		}
		p.Board.Heap = strconv.Itoa(2*p.Memory + res.Heap.Sim)
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
	res, err := p.boot(ctx, board, false)
	if err != nil {
		return err
	}
	if res.Tree == "" {
		p.report.Console = res.Output
		p.report.Problem = "the old release does not start main.py"
		return nil
	}
	p.old = tree{res.Tree, res.Rest}
	p.taken = res.Heap.Sim
	p.restless = map[string]bool{res.Tree: res.Ending.Reboots()}
	p.room, p.least = res.Room, res.Room

	if err := os.WriteFile(board.Image, p.base, 0o666); err != nil {
		return err
	}
	board.Log = filepath.Join(p.dir, "whole.log")
	var console strings.Builder
	raised := "" // by the new release
	ended := 0   // writes
	waits := 0   // boots of the old release that did not lead to another
	for boots := range maxBoots {
		requests, downloaded := int(p.site.requests.Load()), int(p.site.bytes.Load())
		if res, err = p.boot(ctx, board, true); err != nil {
			return err
		}
		fmt.Fprintf(&console, "--- boot %d: %s\n%s", boots+1, res.Ending, res.Output)
		if p.log, err = ReadLog(board.Log); err != nil {
			return err
		}
		switch {
		case res.Tree == "" || res.Tree == p.old.whole:
		case p.new.whole == "":
			p.new = tree{res.Tree, res.Rest}
			p.report.InstallWrites = ended
			p.report.Requests, p.report.Downloaded = requests, downloaded
			for _, w := range p.log[:ended] {
				p.report.InstallWritten += w.written()
			}
		case res.Tree != p.new.whole:
			p.report.Console = console.String()
			p.report.Problem = "main.py started in a tree that is neither release, and nothing was cut"
			return nil
		}
		if res.Raised != "" && res.Tree == p.new.whole {
			raised = res.Raised
		}
		if p.new.whole == "" && !res.Ending.Reboots() {
			if waits++; waits == 3 {
				break
			}
		}
		quiet := len(p.log) == ended
		ended = len(p.log)
		if quiet && (p.new.whole != "" || !res.Ending.Reboots()) {
			break // a boot with nothing to do: the update is over
		}
	}
	p.restless[res.Tree] = res.Ending.Reboots()
	p.report.Console = console.String()
	if p.new.whole == "" {
		p.report.Requests, p.report.Downloaded = int(p.site.requests.Load()), int(p.site.bytes.Load())
	}
	p.report.Writes = len(p.log)
	for _, w := range p.log {
		p.report.Written += w.written()
		if w.Erase {
			p.report.Erases++
		}
	}
	if err := p.verdict(ctx, board, raised); err != nil || p.report.Problem != "" {
		return err
	}
	return p.roomNeeded(ctx, board)
}

// roomNeeded looks at some moments of the update how much room was left. The cuts that are played
// later may find one with less.
func (p *play) roomNeeded(ctx context.Context, board *Board) error {
	const moments = 32
	for i := range moments {
		image, err := p.replay(p.base, p.log, len(p.log)*i/moments, 0)
		if err != nil {
			return err
		}
		if err := os.WriteFile(board.Image, image, 0o666); err != nil {
			return err
		}
		res, err := p.boot(ctx, board, false)
		if err != nil {
			return err
		}
		p.least = min(p.least, res.Room)
	}
	p.report.RoomNeeded = p.room - p.least
	return nil
}

// written returns how many bytes a write adds to those written.
func (w Write) written() int {
	if w.Erase {
		return 0
	}
	return w.Length
}

// verdict says what is wrong with the update that was played without a cut. raised is the start
// file of the new release that ended with an exception, if one did.
func (p *play) verdict(ctx context.Context, board *Board, raised string) error {
	board.Log = ""
	res, err := p.boot(ctx, board, false)
	if err != nil {
		return err
	}
	problem := &p.report.Problem
	switch {
	case p.new.whole == "" && strings.Contains(p.report.Console, "OTA: installed"):
		*problem = "the new release does not start: main.py never ran, and the board went back to the old one"
	case p.new.whole == "" && p.report.Requests == 0:
		*problem = "the old release never looked for an update: does boot.py or main.py call check_and_perform_ota()?"
	case p.new.whole == "" && !p.site.polled.Load():
		*problem = "the old release asked the server, but not for " + manifestName
	case p.new.whole == "":
		*problem = "the board did not install the new release" + lastError(p.report.Console)
	case res.Tree == p.old.whole && raised != "":
		*problem = raised + " of the new release ended with an exception, and the board went back to the old one"
	case res.Tree == p.old.whole:
		*problem = "the new release started but did not confirm, and the board went back to the old one"
	case res.Tree != p.new.whole:
		*problem = "the board does not come to rest: the new release is not confirmed"
	}
	if *problem != "" {
		return nil
	}
	on, err := board.Dump(ctx)
	if err != nil {
		return err
	}
	for _, f := range p.next.Files {
		if got := on.Files[f.Path]; got.SHA256 != f.SHA256 {
			*problem = "the new release started, but on the board " + f.Path + " is not the release's"
		}
	}
	return nil
}

// lastError returns the last error that the updater printed, after a colon.
func lastError(console string) string {
	if i := strings.LastIndex(console, "OTA error "); i >= 0 {
		line, _, _ := strings.Cut(console[i:], "\n")
		return ": " + line
	}
	return ""
}

// smallestHeap finds the smallest heap in which the update works.
func (p *play) smallestHeap(ctx context.Context) error {
	enough, err := heapBytes(p.Board.Heap)
	if err != nil {
		return err
	}
	const precise = 1 << 10
	for little := p.taken; enough-little > precise; {
		heap := (enough + little) / 2
		works, err := p.works(ctx, heap)
		if err != nil {
			return err
		}
		if works {
			enough = heap
		} else {
			little = heap
		}
	}
	p.report.PeakHeap = enough - p.taken
	return nil
}

// heapBytes reads a heap's size as the interpreter takes it.
func heapBytes(size string) (int, error) {
	if size == "" {
		return 2 << 20, nil
	}
	unit := 1
	switch size[len(size)-1] {
	case 'K', 'k':
		unit = 1 << 10
	case 'M', 'm':
		unit = 1 << 20
	}
	n, err := strconv.Atoi(strings.TrimRight(size, "KkMm"))
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("heap of size %q: want something like 200K", size)
	}
	return n * unit, nil
}

// works reports whether the update works in a heap of that many bytes.
func (p *play) works(ctx context.Context, heap int) (bool, error) {
	board := p.board("heap")
	board.Heap = strconv.Itoa(heap)
	if err := os.WriteFile(board.Image, p.base, 0o666); err != nil {
		return false, err
	}
	for range maxBoots {
		res, err := p.boot(ctx, board, true)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			return false, nil // not even the simulation fits
		}
		if res.Ending.Reboots() {
			continue
		}
		if res.Tree != p.new.whole || res.Raised != "" {
			return false, nil
		}
		// Confirmed, if a start finds nothing to do.
		before, err := os.ReadFile(board.Image)
		if err != nil {
			return false, err
		}
		again, err := p.boot(ctx, board, false)
		if err != nil {
			return false, ctx.Err()
		}
		after, err := os.ReadFile(board.Image)
		return again.Tree == p.new.whole && bytes.Equal(before, after), err
	}
	return false, nil
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
				if torn && online && !p.TornOnline {
					continue
				}
				jobs = append(jobs, Cut{Write: n, Torn: torn, Network: online, Second: -1})
			}
		}
	}
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		first error
		done  int
		least = p.least
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
	p.report.RoomNeeded = p.room - least
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
	// Not always the same steps of it.
	for n := 1 + cut.Write%p.Every2; n < len(recovery); n += p.Every2 {
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

// judge boots a board until it is at rest, and looks at the tree each time main.py starts. A
// boot that left something on the flash is followed by one more: what it left must do no harm.
func (p *play) judge(ctx context.Context, board *Board, image []byte, cut *Cut) (room int, err error) {
	if err := os.WriteFile(board.Image, image, 0o666); err != nil {
		return 0, err
	}
	var console strings.Builder
	fail := func(o Outcome) (int, error) {
		cut.Outcome, cut.Console = o, console.String()
		return room, nil
	}
	again, same := false, 0
	for last := ""; ; {
		if cut.Boots == maxBoots {
			return fail(Stuck)
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
		switch {
		case res.Tree == "":
		case res.Tree == p.old.whole:
			cut.Outcome = OldRelease
		case res.Tree == p.new.whole:
			cut.Outcome = NewRelease
		case res.Bootless && (res.Rest == p.old.rest || res.Rest == p.new.rest):
			cut.Bootless = true
			if !res.Ending.Reboots() {
				return fail(Mixed) // and it stays so
			}
		default:
			return fail(Mixed)
		}
		if res.Ending.Reboots() {
			if same++; res.Tree != last {
				last, same = res.Tree, 0
			}
			if same < 3 || !p.restless[res.Tree] {
				continue
			}
		}
		if res.Tree == "" {
			return fail(Stuck) // at the REPL, and main.py did not start
		}
		left, err := os.ReadFile(board.Image)
		if err != nil {
			return 0, err
		}
		if again || bytes.Equal(left, image) {
			if p.KeepConsoles {
				cut.Console = console.String()
			}
			return room, nil
		}
		again = true
	}
}
