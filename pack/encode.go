package pack

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

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
	index   int
	path    string // empty for the manifest
	data    []byte
	sources []*source // that it can be made of; the first is none
	module  *module   // nil if it is none
}

// A part is what one record makes: a job, or a piece of it.
type part struct {
	job   *job
	start int
	size  int

	way  way   // in which it is made
	ways []way // that are nearly as good, the best first
}

// A way is a source, and triples that make a part of it.
type way struct {
	source *source
	body   []item
	bits   int // that it takes alone
}

// data returns what the part makes.
func (p *part) data() []byte { return p.job.data[p.start : p.start+p.size] }

// first returns how many bytes of the part come before the first function that begins in it.
func (p *part) first() int { return p.job.module.start(p.start) - p.start }

// places returns where in the part the numbers of names are, nil if it has none.
func (p *part) places() []int16 {
	if p.job.module == nil {
		return nil
	}
	places := slices.Clone(p.job.module.places[p.start : p.start+p.size])
	for i := range min(p.first(), p.size) {
		places[i] = -1
	}
	return places
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
	none := &source{base: NoBase}
	jobs := []*job{{data: e.new.Manifest, sources: []*source{none}}}
	if e.old != nil {
		jobs[0].sources = append(jobs[0].sources, &source{base: SamePath, data: e.old.Manifest})
	}
	for i, f := range e.new.files {
		if e.old != nil {
			if j, ok := e.old.index[f.Path]; ok && same(e.old.files[j], f) {
				continue
			}
		}
		jobs = append(jobs, &job{index: i + 1, path: f.Path, sources: []*source{none}})
	}
	err := e.each(len(jobs)-1, func(i int) (err error) {
		j := jobs[i+1]
		if j.data, err = e.new.content(e.ctx, j.path); err != nil {
			err = fmt.Errorf("new release: %w", err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := e.findSources(jobs[1:]); err != nil {
		return nil, err
	}
	e.stats.Manifest, e.stats.Files = int64(len(e.new.Manifest)), len(jobs)-1
	for _, j := range jobs[1:] {
		e.stats.Raw += int64(len(j.data))
	}
	return jobs, nil
}

// relatives is how many files that are like a file are tried as its base, of the old
// release and of the new one each.
const relatives = 2

// findSources finds what each file can be made of: the file of the same path, and
// those that are the most like it.
func (e *encoder) findSources(jobs []*job) error {
	var old []*source
	if e.old != nil {
		old = make([]*source, len(e.old.files))
	}
	err := e.each(len(old), func(i int) error {
		f := e.old.files[i]
		data, err := e.old.content(e.ctx, f.Path)
		if err != nil {
			return fmt.Errorf("old release: %w", err)
		}
		old[i] = &source{base: OldFile, path: f.Path, data: data}
		return nil
	})
	if err != nil {
		return err
	}
	sketches := make([]sketch, len(old)+len(jobs))
	_ = e.each(len(sketches), func(i int) error {
		if i < len(old) {
			sketches[i] = newSketch(old[i].data)
		} else {
			sketches[i] = newSketch(jobs[i-len(old)].data)
		}
		return nil
	})
	new := make([]*source, len(jobs))
	for i, j := range jobs {
		new[i] = &source{base: NewFile, path: j.path, data: j.data}
	}
	before, after := newFamily(old, sketches[:len(old)]), newFamily(new, sketches[len(old):])
	return e.each(len(jobs), func(i int) error {
		j, s := jobs[i], sketches[len(old)+i]
		enough := 0 // pieces in common with the file of the same path
		itself := -1
		if e.old != nil {
			if k, ok := e.old.index[j.path]; ok {
				itself = k
				j.sources = append(j.sources, &source{base: SamePath, data: old[k].data})
				enough = shared(s, sketches[k])
			}
		}
		for _, r := range before.like(s, func(k int) bool { return k != itself }, relatives) {
			if r.shared > enough+enough/4 {
				j.sources = append(j.sources, old[r.member])
			}
		}
		for _, r := range after.like(s, func(k int) bool { return k < i }, relatives) {
			if r.shared > enough+enough/4 {
				j.sources = append(j.sources, new[r.member])
			}
		}
		j.module = readModule(j.data)
		for k, s := range j.sources {
			j.sources[k] = s.shifted(j.module)
		}
		return nil
	})
}

// Sizes of a segment. A board that is interrupted makes a segment again, so it should
// be short; but each has codes of its own, and forgets what was before.
const (
	segmentSent  = 16 << 10 // that are sent for it
	segmentBytes = 64 << 10 // that it makes
)

// parts splits long files.
func parts(jobs []*job) []*part {
	var parts []*part
	for _, j := range jobs {
		n := max(1, (len(j.data)+segmentBytes-1)/segmentBytes)
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
	size, sent := 0, 0
	for i, p := range parts {
		g = append(g, p)
		size, sent = size+p.size, sent+p.way.bits/8
		if !p.complete() || sent >= segmentSent || i+1 < len(parts) && size+parts[i+1].size > segmentBytes {
			groups = append(groups, g)
			g, size, sent = nil, 0, 0
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
		p.choose(1 << e.window)
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
		groups[i].refine(before, 1<<e.window)
		packed[i] = deflate.Compress(nil, groups[i].records(before).batches(), 1<<e.window, 15)
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

// choose decides what a part is made of and how, as if it were alone.
func (p *part) choose(window int) {
	best := math.MaxInt
	try := func(s *source, body []item) int {
		w := way{source: s, body: body}
		var out script
		p.appendRecord(&out, 1, w)
		w.bits = out.bits(window)
		p.ways = append(p.ways, w)
		best = min(best, w.bits)
		return w.bits
	}
	// A first look at all sources, and a closer one at those that may be the best.
	type candidate struct {
		source *source
		script func(int) []item
		ways   int
		bits   int
	}
	var candidates []candidate
	for _, s := range slices.Backward(p.job.sources) {
		// Whoever has a good base need not look at what it takes without one.
		if s.base == NoBase && best < 2*p.size {
			break
		}
		script, ways := scripts(p, s)
		candidates = append(candidates, candidate{s, script, ways, try(s, script(0))})
	}
	first := best
	for _, c := range candidates {
		if c.bits > first+first/8 {
			continue
		}
		for k := 1; k < c.ways; k++ {
			try(c.source, c.script(k))
		}
	}
	slices.SortStableFunc(p.ways, func(a, b way) int { return cmp.Compare(a.bits, b.bits) })
	p.ways = slices.CompactFunc(p.ways, sameWay)
	n := 1
	for n < min(len(p.ways), 3) && p.ways[n].bits <= best+best/8+100 {
		n++
	}
	p.ways = p.ways[:n]
	p.way = p.ways[0]
}

// refine chooses again among the best ways of each part, now that its neighbours are
// known: what they say need not be said twice.
func (g group) refine(before, window int) {
	if len(g) == 1 {
		return
	}
	best := g.records(before).bits(window)
	for _, p := range g {
		for _, w := range p.ways[1:] {
			was := p.way
			p.way = w
			if size := g.records(before).bits(window); size < best {
				best = size
			} else {
				p.way = was
			}
		}
	}
}

func (g group) last() *part { return g[len(g)-1] }
