package deflate

import (
	"math"
	"slices"
)

// Compress appends the raw DEFLATE stream of src to dst. Matches reach back at most
// window bytes. The work grows with rounds: 1 is a good parse, 15 about the best.
// The output depends on the arguments alone.
//
// Every block is parsed for the least number of bits that the code lengths of
// the parse before would give it, again and again as long as that gains. Where one
// code changes to another is looked for in the parse itself. Both ideas are those
// of Zopfli, which looks at more and takes longer.
func Compress(dst, src []byte, window, rounds int) []byte {
	if len(src) == 0 {
		return append(dst, 3, 0)
	}
	e := newEncoder(src, min(window, maxWindow), 1024)
	best := e.compress(rounds, rounds > 1)
	w := writer{out: dst}
	for i, b := range best.blocks {
		w.block(src, b, i == len(best.blocks)-1)
	}
	return w.close()
}

// Size returns about how many bits src takes, by a quick parse.
func Size(src []byte, window int) int {
	if len(src) == 0 {
		return 0
	}
	e := newEncoder(src, min(window, maxWindow), 32)
	var s stats
	m := firstModel(6)
	for range 2 {
		s.count(src, 0, e.parse(0, len(src), m))
		m = s.model()
	}
	return s.estimate()
}

// A token is a literal (length 0) or a match.
type token struct {
	length, dist uint16
}

// A block is a range of the input, how it is parsed, and the code for it.
type block struct {
	from, to int
	tokens   []token
	table    *table // nil: fixed codes
	stored   bool
	bits     int // at most
}

type parse struct {
	blocks []block
	bits   int
}

// stats count the symbols of a block.
type stats struct {
	lit  [maxLit]int
	dist [maxDist]int
}

func (s *stats) count(src []byte, from int, tokens []token) {
	*s = stats{}
	s.lit[endOfBlock] = 1
	s.add(src, from, tokens)
}

func (s *stats) add(src []byte, from int, tokens []token) {
	for _, t := range tokens {
		if t.length == 0 {
			s.lit[src[from]]++
			from++
			continue
		}
		s.lit[firstLength+int(lengthSymbol[t.length])]++
		s.dist[distSymbol[t.dist]]++
		from += int(t.length)
	}
}

// blend adds half of others to the counts.
func (s *stats) blend(others *stats) {
	for i, n := range others.lit {
		s.lit[i] += n / 2
	}
	for i, n := range others.dist {
		s.dist[i] += n / 2
	}
}

// bits returns how long the symbols of s are in a code, without its header.
func (s *stats) bits(lit, dist []uint8) int {
	n := 0
	for sym, f := range s.lit {
		n += f * int(lit[sym])
		if sym >= firstLength {
			n += f * int(lengthExtra[sym-firstLength])
		}
	}
	for sym, f := range s.dist {
		n += f * int(dist[sym])
		n += f * int(distExtra[sym])
	}
	return n
}

// How much counts are evened out; see newTable.
var fewSlacks, allSlacks = []int{0, 3}, []int{0, 1, 2, 3, 4, 6, 9}

// best returns the shortest way to write a block with these symbols: its codes
// (nil are the fixed ones) and the bits of it.
func (s *stats) best(slacks []int) (*table, int) {
	var t *table
	size := s.bits(fixedLitLengths[:], fixedDistLengths[:])
	for _, slack := range slacks {
		try := newTable(s, slack)
		if n := try.headBits + s.bits(try.lit[:], try.dist[:]); n < size {
			t, size = try, n
		}
	}
	return t, 3 + size
}

// An encoder compresses one input.
type encoder struct {
	src     []byte
	window  int
	matches [][]token // at each place, the longest for each distance that is worth it, lengths ascending

	cost []float32 // of reaching each place, for parse
	step []token   // by which it is reached
}

func newEncoder(src []byte, window, tries int) *encoder {
	return &encoder{
		src: src, window: window, matches: findMatches(src, window, tries),
		cost: make([]float32, len(src)+1), step: make([]token, len(src)+1),
	}
}

// findMatches lists the matches at each place of src: ascending in length, and
// each the nearest of its length. At each place, at most tries others are compared.
func findMatches(src []byte, window, tries int) [][]token {
	found := make([][]token, len(src))
	head := make([]int32, 1<<15)
	prev := make([]int32, len(src))
	for i := range head {
		head[i] = -1
	}
	var all []token
	for i := 0; i+minMatch <= len(src); i++ {
		h := (uint32(src[i]) | uint32(src[i+1])<<8 | uint32(src[i+2])<<16) * 0x9E3779B1 >> 17
		from := len(all)
		longest := minMatch - 1
		most := min(maxMatch, len(src)-i)
		for j, left := head[h], tries; j >= 0 && i-int(j) <= window && left > 0 && longest < most; j, left = prev[j], left-1 {
			if src[int(j)+longest] != src[i+longest] {
				continue
			}
			n := 0
			for n < most && src[int(j)+n] == src[i+n] {
				n++
			}
			if n > longest {
				longest = n
				all = append(all, token{uint16(n), uint16(i - int(j))})
			}
		}
		found[i] = all[from:len(all):len(all)]
		prev[i] = head[h]
		head[h] = int32(i)
	}
	return found
}

// A model is what each symbol costs, in bits.
type model struct {
	lit    [256]float32
	length [maxMatch + 1]float32
	dist   [maxDist]float32
}

// model returns the costs that fit s: its entropy. What does not occur costs as
// if it occurred about half a time.
func (s *stats) model() *model {
	m := new(model)
	lit := entropy(s.lit[:])
	dist := entropy(s.dist[:])
	copy(m.lit[:], lit[:256])
	for n := minMatch; n <= maxMatch; n++ {
		sym := int(lengthSymbol[n])
		m.length[n] = lit[firstLength+sym] + float32(lengthExtra[sym])
	}
	for sym := range m.dist {
		m.dist[sym] = dist[sym] + float32(distExtra[sym])
	}
	return m
}

func entropy(freq []int) []float32 {
	total := 0
	for _, n := range freq {
		total += n
	}
	bits := make([]float32, len(freq))
	all := math.Log2(float64(max(total, 1)))
	for i, n := range freq {
		if n == 0 {
			bits[i] = float32(all)
			continue
		}
		bits[i] = float32(all - math.Log2(float64(n)))
	}
	return bits
}

// firstModel is what is assumed before anything is known, but for the bits of a
// literal: the more they are, the more matches there will be.
func firstModel(literal float32) *model {
	m := new(model)
	for i := range m.lit {
		m.lit[i] = literal
	}
	for n := minMatch; n <= maxMatch; n++ {
		m.length[n] = 5 + float32(lengthExtra[lengthSymbol[n]])
	}
	for sym := range m.dist {
		m.dist[sym] = 4 + float32(distExtra[sym])
	}
	return m
}

// parse returns the cheapest parse of src[from:to] under a model.
func (e *encoder) parse(from, to int, m *model) []token {
	cost, step := e.cost[from:to+1], e.step[from:to+1]
	for i := range cost {
		cost[i] = math.MaxFloat32
	}
	cost[0] = 0
	for i := range to - from {
		here := cost[i]
		if c := here + m.lit[e.src[from+i]]; c < cost[i+1] {
			cost[i+1], step[i+1] = c, token{}
		}
		n := minMatch
		for _, t := range e.matches[from+i] {
			far := here + m.dist[distSymbol[t.dist]]
			for last := min(int(t.length), to-from-i); n <= last; n++ {
				if c := far + m.length[n]; c < cost[i+n] {
					cost[i+n], step[i+n] = c, token{uint16(n), t.dist}
				}
			}
		}
	}
	var tokens []token
	for i := to - from; i > 0; {
		tokens = append(tokens, step[i])
		i -= max(1, int(step[i].length))
	}
	slices.Reverse(tokens)
	return tokens
}

// optimize returns the best block that it finds for src[from:to].
func (e *encoder) optimize(from, to int, m *model, rounds int) block {
	var best block
	var before stats
	idle := 0
	for round := 0; round < rounds && idle < 4; round++ {
		tokens := e.parse(from, to, m)
		var s stats
		s.count(e.src, from, tokens)
		t, size := s.best(fewSlacks)
		idle++
		if round == 0 || size < best.bits {
			best = block{from: from, to: to, tokens: tokens, table: t, bits: size}
			idle = 0
		}
		if idle > 1 {
			// It goes round in circles: what was before has a say.
			s.blend(&before)
		}
		before = s
		m = s.model()
	}
	if rounds > 1 {
		before.count(e.src, from, best.tokens)
		best.table, best.bits = before.best(allSlacks)
	}
	if stored := (to - from + 5*((to-from)/0xffff+1)) * 8; stored < best.bits {
		best = block{from: from, to: to, stored: true, bits: stored + 8}
	}
	return best
}

// compress parses the whole input, in one block or in several.
func (e *encoder) compress(rounds int, split bool) parse {
	whole := e.optimize(0, len(e.src), firstModel(6), max(rounds, 2))
	if split {
		// What was never tried looks dear, so few matches remain few, and many many.
		if few := e.optimize(0, len(e.src), firstModel(4), rounds); few.bits < whole.bits {
			whole = few
		}
	}
	best := parse{[]block{whole}, whole.bits}
	if !split || whole.stored {
		return best
	}
	// The better the parse, the better is seen where to cut it, and the other way round.
	for range 3 {
		p := e.cutAgain(best, rounds)
		if p.bits >= best.bits {
			break
		}
		best = p
	}
	return best
}

// cutAgain looks in the tokens of a parse for the best blocks.
func (e *encoder) cutAgain(p parse, rounds int) parse {
	var tokens []token
	for _, b := range p.blocks {
		if b.stored {
			return p
		}
		tokens = append(tokens, b.tokens...)
	}
	var next parse
	for _, r := range e.split(tokens) {
		var s stats
		s.count(e.src, r.from, tokens[r.first:r.last])
		b := e.optimize(r.from, r.to, s.model(), rounds)
		next.blocks = append(next.blocks, b)
		next.bits += b.bits
	}
	return next
}
