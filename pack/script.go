package pack

import (
	"bytes"
	"math"
)

// How a file is made of its base is searched for as the cheapest path through the
// file. At every byte one is on an alignment, the distance between the place in
// the base and the place in the file, and either writes the byte, or copies it,
// or adds a difference. Literal bytes move the cursor too, so what is free is to
// stay on an alignment, and what costs is to start a piece, more so on another
// alignment. DEFLATE comes after this and makes of it what it can; prices guess
// that, in bits, and since no guess is right for all, several are tried.

// prices are what things cost, in bits.
type prices struct {
	literal float32 // a byte of the average kind
	piece   float32 // starting a copy: its length, and the number of literal bytes before
	long    float32 // more for one of 64 bytes or more
	stay    float32 // saying that the cursor does not move
	move    float32 // each byte of the number for a move

	within  float32 // more for a piece that begins or ends within a word: whole words repeat
	adds    bool    // whether differences are used at all
	zero    float32 // a difference of 0
	changed float32 // another difference
	after   float32 // more, if it comes after a 0
}

// The prices that are tried, for texts and for what has zero bytes in it. Of a grid
// of many, on pairs of real releases, these together came within 1 % of all.
var (
	textPrices = []prices{
		{literal: 3.5, piece: 10, long: 6, stay: 0.5, move: 8, adds: true, zero: 0.1, changed: 7, after: 8},
		{literal: 2.4, piece: 22, long: 6, stay: 0.5, move: 8},
		{literal: 7.5, piece: 9, long: 6, stay: 0.5, move: 8},
		{literal: 5, piece: 12, long: 6, stay: 0.5, move: 8},
		{literal: 3.5, piece: 10, long: 6, stay: 0.5, move: 8, within: 20},
		{literal: 5, piece: 8, long: 6, stay: 0.5, move: 8, within: 20},
	}
	binaryPrices = []prices{
		{literal: 6.5, piece: 14, long: 6, stay: 0.5, move: 8, adds: true, zero: 0.07, changed: 7, after: 8},
		{literal: 4, piece: 6, long: 4, stay: 0.5, move: 8},
		{literal: 5, piece: 14, long: 4, stay: 0.7, move: 10},
		{literal: 5.5, piece: 14, long: 5.5, stay: 0.5, move: 10, adds: true, zero: 0.1, changed: 7, after: 5},
	}
)

// seek returns the price of a move of the cursor.
func (p *prices) seek(by int) float32 {
	switch by = max(by, -by); {
	case by == 0:
		return p.stay
	case by < 1<<6:
		return p.move
	case by < 1<<13:
		return 2 * p.move
	}
	return 3 * p.move
}

// The ways to make a byte.
const (
	writes = iota
	copies
	adds
	ways
)

// An alignment is a way through the file so far, or rather the best for each way to
// make the last byte, all with the same distance.
type alignment struct {
	shift int           // place in the base less place in the file
	cost  [ways]float32 // infinite if there is none
	run   [ways]int32   // which is the run that it is in
	zero  bool          // the last difference was 0
	ends  int           // where the match ends for which it was entered

	least float32 // of cost
	way   int     // that has it
}

// A run is a stretch of bytes that are made in one way on one alignment. Where it
// ends the next one begins.
type run struct {
	before int32
	from   int32
	shift  int32
	way    uint8
}

var infinite = float32(math.Inf(1))

// settle notes the best of the ways.
func (a *alignment) settle() {
	a.least, a.way = a.cost[writes], writes
	if a.cost[copies] < a.least {
		a.least, a.way = a.cost[copies], copies
	}
	if a.cost[adds] < a.least {
		a.least, a.way = a.cost[adds], adds
	}
}

// mostAlignments bounds what is looked at at the same time.
const mostAlignments = 12

// A parser of scripts searches for the cheapest script. It is used again and
// again, for its memory.
type scripter struct {
	x      *index
	base   []byte
	data   []byte
	from   int     // place of data in its file
	shift  *shift  // of the names in the base, nil if they stay
	places []int16 // of names in data, as walker.place is there
	prices *prices
	lit    [256]float32

	live []alignment
	runs []run

	found [][]match // what index.find said at each place, nil where it was not asked
	pool  []match   // that found is made of
}

// parse returns the cheapest script for data, as runs from the first to the last.
func (s *scripter) parse() []run {
	s.runs = append(s.runs[:0], run{before: -1, shift: int32(s.from)})
	s.live = s.live[:0]
	// At the beginning the cursor is at 0, wherever in the file data is.
	s.live = append(s.live, alignment{shift: 0, cost: [ways]float32{0, infinite, infinite}})
	for i := 0; i < len(s.data); {
		if n := s.skip(i); n > 0 {
			i += n
			continue
		}
		s.step(i)
		i++
	}
	last := s.live[s.best()]
	var script []run
	for r := last.run[last.way]; r >= 0; r = s.runs[r].before {
		script = append(script, s.runs[r])
	}
	for l, r := 0, len(script)-1; l < r; l, r = l+1, r-1 {
		script[l], script[r] = script[r], script[l]
	}
	return script
}

// A long piece is skipped but for its last bytes, in which the next may begin.
const (
	skipFrom = 64
	skipLeft = 24
)

// skip goes on with the best piece if nothing else can be better for long, and
// returns how many bytes it went.
func (s *scripter) skip(i int) int {
	a := s.live[s.best()]
	if a.way == writes {
		return 0
	}
	n := 0
	for at := i + a.shift; i+n < len(s.data) && at+n < len(s.base) && s.data[i+n] == s.copied(at+n, i+n); n++ {
	}
	if n < skipFrom {
		return 0
	}
	n -= skipLeft
	a.cost[writes] = infinite
	a.cost[adds] += float32(n) * s.prices.zero
	a.zero = true
	if a.cost[copies] < infinite && i+n-int(s.runs[a.run[copies]].from) > 64 && i-int(s.runs[a.run[copies]].from) <= 64 {
		a.cost[copies] += s.prices.long
	}
	a.settle()
	s.live = append(s.live[:0], a)
	return n
}

// copied returns what a byte of the base becomes in the data.
func (s *scripter) copied(at, i int) byte {
	if s.shift == nil {
		return s.base[at]
	}
	return s.shift.at(int(s.places[i]), s.base[at])
}

// best returns which of the alignments is the cheapest so far.
func (s *scripter) best() int {
	best := 0
	for k := range s.live {
		if s.live[k].least < s.live[best].least {
			best = k
		}
	}
	return best
}

// step makes the byte at i, in all ways that may turn out to be the best.
func (s *scripter) step(i int) {
	p, base := s.prices, s.base
	a := &s.live[s.best()]
	best, bestShift, bestRun := a.least, a.shift, a.run[a.way]

	// Other alignments that could go on from here, unless this one goes on well.
	if at := i + bestShift; at < 0 || at >= len(base) || common(s.x.base[at:], s.data[i:]) < 24 {
		near := at
		if i == 0 {
			near = s.from
		}
		for _, m := range s.find(i, near) {
			if worth := float32(m.length) * p.literal * 1.3; worth > p.piece+p.seek(m.at-i-bestShift) {
				s.enter(m.at-i, i+m.length)
			}
		}
		if i == 0 && s.from > 0 {
			s.enter(s.from, common(s.base[min(s.from, len(s.base)):], s.data))
		}
	}

	limit := best + p.piece + p.seek(1<<6) + p.within + s.lit[s.data[i]]
	within := float32(0)
	if p.within > 0 && i > 0 && isWord(s.data[i-1]) && isWord(s.data[i]) {
		within = p.within
	}
	live := s.live[:0]
	for k := range s.live {
		a := s.live[k]
		at := i + a.shift
		var next alignment
		next.shift, next.ends = a.shift, a.ends
		lit := s.lit[s.data[i]]
		c, w := a.least, a.way
		next.cost = [ways]float32{infinite, infinite, infinite}
		if a.cost[writes] <= c+within && c < infinite {
			next.cost[writes], next.run[writes] = a.cost[writes]+lit, a.run[writes]
		} else if c < infinite {
			next.cost[writes] = c + within + lit
			next.run[writes] = s.begin(a.run[w], i, a.shift, writes)
		}
		if at >= 0 && at < len(base) {
			// To start a piece here: from this alignment, or from the best.
			start, from := c+p.piece+p.stay, a.run[w]
			if other := best + p.piece + p.seek(a.shift-bestShift); other < start {
				start, from = other, bestRun
			}
			start += within
			same := s.copied(at, i) == s.data[i]
			if same {
				next.cost[copies], next.run[copies] = a.cost[copies], a.run[copies]
				if next.cost[copies] < infinite && i-int(s.runs[a.run[copies]].from) == 64 {
					next.cost[copies] += p.long
				}
				if start < next.cost[copies] {
					next.cost[copies], next.run[copies] = start, s.begin(from, i, a.shift, copies)
				}
			}
			if p.adds {
				diff := p.zero
				next.zero = same
				if !next.zero {
					diff = p.changed
					if a.zero {
						diff += p.after
					}
				}
				next.cost[adds], next.run[adds] = a.cost[adds]+diff, a.run[adds]
				if start+diff < next.cost[adds] {
					next.cost[adds], next.run[adds] = start+diff, s.begin(from, i, a.shift, adds)
				}
			}
		}
		// A match is kept until it has shown what it is worth.
		if next.settle(); next.least-p.literal*float32(max(0, next.ends-i)) <= limit {
			live = append(live, next)
		}
	}
	s.live = live
	for len(s.live) > mostAlignments {
		worst := 0
		for k := range s.live {
			if s.prospect(k, i) > s.prospect(worst, i) {
				worst = k
			}
		}
		s.live[worst] = s.live[len(s.live)-1]
		s.live = s.live[:len(s.live)-1]
	}
}

// enter adds an alignment on which nothing was made yet.
func (s *scripter) enter(shift, ends int) {
	for k := range s.live {
		if s.live[k].shift == shift {
			s.live[k].ends = max(s.live[k].ends, ends)
			return
		}
	}
	s.live = append(s.live, alignment{shift: shift, cost: [ways]float32{infinite, infinite, infinite}, least: infinite, ends: ends})
}

// prospect returns what an alignment will have cost where its match ends, as against one
// that has none.
func (s *scripter) prospect(k, i int) float32 {
	a := &s.live[k]
	return a.least - s.prices.literal*float32(max(0, a.ends-i))
}

// find returns the matches at a place. They are looked for once, near where they are
// first wanted, whatever the prices.
func (s *scripter) find(i, near int) []match {
	if s.found[i] == nil {
		var found [mostMatches]match
		from := len(s.pool)
		s.pool = append(s.pool, s.x.find(s.data, i, near, found[:0])...)
		s.found[i] = s.pool[from:len(s.pool):len(s.pool)]
	}
	return s.found[i]
}

func isWord(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_' || c >= 0x80
}

func (s *scripter) begin(before int32, i, shift, way int) int32 {
	s.runs = append(s.runs, run{before, int32(i), int32(shift), uint8(way)})
	return int32(len(s.runs) - 1)
}

// scripts returns a function that returns the triples that make a part of a source, in one of
// several ways, and how many ways there are.
func scripts(p *part, from *source) (script func(k int) []item, ways int) {
	data := p.data()
	if len(data) == 0 {
		return func(int) []item { return nil }, 1
	}
	if from.base == NoBase {
		return func(int) []item { return []item{literal(data)} }, 1
	}
	s := &scripter{
		x: from.index(), base: from.data, data: data, from: p.start, shift: from.shift, places: p.places(),
		found: make([][]match, len(data)),
	}
	bits := byteBits(data)
	guesses := textPrices
	if bytes.IndexByte(data, 0) >= 0 {
		guesses = binaryPrices
	}
	return func(k int) []item {
		s.prices = &guesses[k]
		for b := range s.lit {
			s.lit[b] = s.prices.literal * bits[b]
		}
		return s.triples(s.parse())
	}, len(guesses)
}

// byteBits returns what each byte of a text costs, where the average is 1: the
// entropy, evened out by a half.
func byteBits(data []byte) (bits [256]float32) {
	var count [256]float64
	for _, b := range data {
		count[b]++
	}
	mean := 0.0
	for _, n := range count {
		if n > 0 {
			mean += n * math.Log2(float64(len(data))/n)
		}
	}
	mean = mean/float64(len(data)) + 0.1
	for b, n := range count {
		n = max(n, 0.5)
		bits[b] = float32(0.5 + 0.5*math.Log2(float64(len(data))/n)/mean)
	}
	return bits
}

// triples writes a script.
func (s *scripter) triples(script []run) []item {
	var out []item
	var text []byte
	cursor := 0
	for k, r := range script {
		from, to := int(r.from), len(s.data)
		if k+1 < len(script) {
			to = int(script[k+1].from)
		}
		if r.way == writes {
			text = s.data[from:to]
			continue
		}
		if from == to {
			continue
		}
		out = append(out, literal(text))
		cursor += len(text)
		text = nil
		at := from + int(r.shift)
		var differences []byte
		if r.way == adds {
			differences = make([]byte, to-from)
			for j := range differences {
				differences[j] = s.data[from+j] - s.copied(at+j, from+j)
			}
		}
		out = appendCopy(out, to-from, at-cursor, differences)
		cursor = at + to - from
	}
	if len(text) > 0 {
		out = append(out, literal(text))
	}
	return out
}
