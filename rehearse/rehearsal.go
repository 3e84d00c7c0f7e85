package rehearse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cactuscon/saguarota/internal/micropython"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
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
	// Packs has the server offer the pack that leads from the old release to the new one.
	Packs bool
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
	// Depth 2 also cuts the recovery from each cut: after one write of Every2 (1 if 0), and of
	// them all about Seconds times, if that is not 0.
	Depth, Every2, Seconds int
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
	p := &play{Rehearsal: r, dir: dir, report: &Report{FileSystem: r.Board.fs(), Cuts: []Cut{}}}
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
	p.site = &site{dir: p.New, files: map[string]bool{}, extra: map[string][]byte{manifestName: offered}}
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
	if p.Packs {
		if err := p.offerPack(ctx, installed, offered); err != nil {
			return err
		}
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

// offerPack puts the pack between the two manifests' releases on the site.
func (p *play) offerPack(ctx context.Context, installed, offered []byte) error {
	tree := func(dir string, manifest []byte) *pack.Release {
		return &pack.Release{Manifest: manifest, Open: func(_ context.Context, path string) (io.ReadCloser, error) {
			return os.Open(filepath.Join(dir, filepath.FromSlash(path)))
		}}
	}
	var b bytes.Buffer
	if _, err := pack.Encode(ctx, &b, tree(p.Old, installed), tree(p.New, offered), pack.Options{}); err != nil {
		return err
	}
	p.site.extra[pack.Name(installed, offered)] = b.Bytes()
	return nil
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
