package pack

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack/internal/deflate"
)

// Options say how a pack is made.
type Options struct {
	// Window is the power of 2 of the bytes that a board has to remember to
	// inflate it, from MinWindow to MaxWindow. 0 is DefaultWindow.
	Window int
}

// Stats tell about a pack.
type Stats struct {
	Files    int   // that the pack makes, the manifest left out
	Raw      int64 // bytes of these
	Manifest int64 // bytes of the new manifest
	Pack     int64 // bytes of the pack
	Segments int
}

// Encode writes the pack that turns old into new. A nil old makes the pack of the
// whole release. The same releases and options make the same bytes, on any number
// of processors.
//
// The manifest of new must be sorted and have a size and a SHA-256 for every file, as
// those that package manifest builds (else ErrManifest). Files that are not what
// their manifest says are ErrContent.
func Encode(ctx context.Context, w io.Writer, old, new *Release, o Options) (Stats, error) {
	e, err := newEncoder(ctx, old, new, o)
	if err != nil {
		return Stats{}, fmt.Errorf("make a pack: %w", err)
	}
	packed, err := e.encode()
	if err == nil {
		_, err = w.Write(packed)
	}
	if err != nil {
		return Stats{}, fmt.Errorf("make a pack: %w", err)
	}
	e.stats.Pack = int64(len(packed))
	return e.stats, nil
}

// An encoder makes one pack.
type encoder struct {
	ctx      context.Context
	window   int // power of 2
	old, new *release
	stats    Stats
}

// A job is a file that the pack is to make.
type job struct {
	index int
	path  string // empty for the manifest
	data  []byte

	base     Base
	basePath string // of OldFile and NewFile
	baseData []byte
}

// A part is what one record makes: a job, or a piece of it.
type part struct {
	job   *job
	start int
	size  int
	body  []byte // the triples
}

// complete reports whether the file ends with the part.
func (p *part) complete() bool { return p.start+p.size == len(p.job.data) }

func newEncoder(ctx context.Context, old, new *Release, o Options) (*encoder, error) {
	e := &encoder{ctx: ctx, window: o.Window}
	if e.window == 0 {
		e.window = DefaultWindow
	}
	if e.window < MinWindow || e.window > MaxWindow {
		return nil, fmt.Errorf("a window of 2^%d bytes; it can be %d to %d", e.window, MinWindow, MaxWindow)
	}
	var err error
	if e.new, err = new.read(); err == nil {
		err = e.new.check()
	}
	if err != nil {
		return nil, fmt.Errorf("manifest of the new release: %w", err)
	}
	if old != nil {
		if e.old, err = old.read(); err != nil {
			return nil, fmt.Errorf("manifest of the old release: %w", err)
		}
	}
	return e, nil
}

// each calls f for 0 to n-1 on all processors, and returns the first error in that
// order.
func (e *encoder) each(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[i] = e.ctx.Err(); errs[i] == nil {
					errs[i] = f(i)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// jobs lists what the pack makes.
func (e *encoder) jobs() ([]*job, error) {
	jobs := []*job{{data: e.new.Manifest, base: NoBase}}
	if e.old != nil {
		jobs[0].base, jobs[0].baseData = SamePath, e.old.Manifest
	}
	for i, f := range e.new.files {
		if e.old != nil {
			if j, ok := e.old.index[f.Path]; ok && same(e.old.files[j], f) {
				continue
			}
		}
		jobs = append(jobs, &job{index: i + 1, path: f.Path, base: NoBase})
	}
	err := e.each(len(jobs)-1, func(i int) (err error) {
		j := jobs[i+1]
		if j.data, err = e.new.content(e.ctx, j.path); err != nil {
			return fmt.Errorf("new release: %w", err)
		}
		return e.chooseBase(j)
	})
	if err != nil {
		return nil, err
	}
	e.stats.Manifest, e.stats.Files = int64(len(e.new.Manifest)), len(jobs)-1
	for _, j := range jobs[1:] {
		e.stats.Raw += int64(len(j.data))
	}
	return jobs, nil
}

// chooseBase decides what a job copies from.
func (e *encoder) chooseBase(j *job) error {
	if e.old == nil {
		return nil
	}
	name, base := "", NoBase
	if _, ok := e.old.index[j.path]; ok {
		name, base = j.path, SamePath
	} else if k := slices.IndexFunc(e.old.files, func(f manifest.File) bool { return same(f, e.new.files[j.index-1]) }); k >= 0 {
		name, base, j.basePath = e.old.files[k].Path, OldFile, e.old.files[k].Path
	}
	if base == NoBase {
		return nil
	}
	data, err := e.old.content(e.ctx, name)
	if err != nil {
		return fmt.Errorf("old release: %w", err)
	}
	j.base, j.baseData = base, data
	return nil
}

// Sizes of what a segment makes. A board that is interrupted makes a segment
// again, so it is short; but each has a code of its own, and forgets what was
// before.
const (
	segmentBytes = 16 << 10
	longFile     = 2 * segmentBytes // which is split
)

// parts splits long files.
func parts(jobs []*job) []*part {
	var parts []*part
	for _, j := range jobs {
		n := 1
		if len(j.data) > longFile {
			n = (len(j.data) + segmentBytes - 1) / segmentBytes
		}
		for i := range n {
			from, to := len(j.data)*i/n, len(j.data)*(i+1)/n
			parts = append(parts, &part{job: j, start: from, size: to - from})
		}
	}
	return parts
}

// A group is what one segment is to make.
type group []*part

// groups puts the parts together that become one segment.
func groups(parts []*part) []group {
	var groups []group
	var g group
	size := 0
	for _, p := range parts {
		g = append(g, p)
		if size += p.size; size >= segmentBytes || !p.complete() {
			groups = append(groups, g)
			g, size = nil, 0
		}
	}
	if g != nil {
		groups = append(groups, g)
	}
	return groups
}

func (e *encoder) encode() ([]byte, error) {
	jobs, err := e.jobs()
	if err != nil {
		return nil, err
	}
	parts := parts(jobs)
	err = e.each(len(parts), func(i int) error {
		p := parts[i]
		p.body = script(p.job.data[p.start:p.start+p.size], p.job.baseData, p.start)
		return nil
	})
	if err != nil {
		return nil, err
	}
	groups := groups(parts)
	packed := make([][]byte, len(groups))
	err = e.each(len(groups), func(i int) error {
		before := -1
		if i > 0 {
			before = groups[i-1].last().job.index
		}
		packed[i] = deflate.Compress(nil, groups[i].records(before), 1<<e.window, 15)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := append([]byte(magic), version, byte(e.window))
	for i, g := range groups {
		last, end := g.last(), 0
		if !last.complete() {
			end = last.start + last.size
		}
		out = appendNumber(out, len(packed[i]))
		out = appendNumber(out, last.job.index)
		out = appendNumber(out, end)
		out = append(out, packed[i]...)
	}
	e.stats.Segments = len(groups)
	return append(out, 0), nil
}

func (g group) last() *part { return g[len(g)-1] }

// records returns the data of a segment, before it is compressed. before is the
// index of the file before.
func (g group) records(before int) []byte {
	var out []byte
	for _, p := range g {
		out = p.appendRecord(out, p.job.index-before)
		before = p.job.index
	}
	return append(out, 0)
}

func (p *part) appendRecord(out []byte, step int) []byte {
	tag := byte(p.job.base)
	if p.start > 0 {
		tag |= tagOn
	}
	out = appendNumber(append(out, tag), step)
	if p.job.base == OldFile || p.job.base == NewFile {
		out = appendNumber(out, len(p.job.basePath))
		out = append(out, p.job.basePath...)
	}
	if p.start > 0 {
		out = appendNumber(out, p.start)
	}
	out = appendNumber(out, p.size)
	return append(out, p.body...)
}

// appendNumber appends a number.
func appendNumber(out []byte, n int) []byte {
	for n >= 0x80 {
		out = append(out, byte(n)|0x80)
		n >>= 7
	}
	return append(out, byte(n))
}
