package deflate

import "math"

// A span is a range of tokens and the range of the input that they stand for.
type span struct {
	first, last int // tokens
	from, to    int // bytes
}

// minSpan is the fewest tokens that can be worth a code of their own.
const minSpan = 40

// split cuts a parse where a change of codes seems worth another header.
func (e *encoder) split(tokens []token) []span {
	starts := make([]int, len(tokens)+1) // in the input, of each token
	for i, t := range tokens {
		starts[i+1] = starts[i] + max(1, int(t.length))
	}
	var spans []span
	var cut func(first, last, size int)
	cut = func(first, last, size int) {
		if k, left, right := e.bestCut(tokens, starts, first, last); k > 0 && left+right < size {
			cut(first, k, left)
			cut(k, last, right)
			return
		}
		spans = append(spans, span{first, last, starts[first], starts[last]})
	}
	var s stats
	s.count(e.src, 0, tokens)
	cut(0, len(tokens), s.estimate())
	return spans
}

// bestCut returns the place in a range of tokens at which a cut leaves the least
// bits, and the bits on both sides; 0 if the range is too short.
func (e *encoder) bestCut(tokens []token, starts []int, first, last int) (at, left, right int) {
	if last-first < 2*minSpan {
		return 0, 0, 0
	}
	// A dozen places over the range, then closer and closer around the best.
	low, high := first+minSpan, last-minSpan
	best := math.MaxInt
	for step := max(1, (high-low)/12); ; step = max(1, step/4) {
		var s, rest stats
		s.count(e.src, starts[first], tokens[first:low])
		done := low
		for k := low; k <= high; k += step {
			s.add(e.src, starts[done], tokens[done:k])
			done = k
			rest.count(e.src, starts[k], tokens[k:last])
			if l, r := s.estimate(), rest.estimate(); l+r < best {
				best, at, left, right = l+r, k, l, r
			}
		}
		if step == 1 {
			return at, left, right
		}
		low, high = max(low, at-step+1), min(high, at+step-1)
	}
}

// estimate returns about how many bits a block with these symbols takes, header
// included.
func (s *stats) estimate() int {
	size, used, changes := 0.0, 0, 0
	add := func(freq []int, extra []uint8, from int) {
		total := 0
		for _, n := range freq {
			total += n
		}
		all := math.Log2(float64(max(total, 1)))
		last := 0
		for sym, n := range freq {
			length := 0
			if n > 0 {
				bits := all - math.Log2(float64(n))
				size += float64(n) * bits
				if sym >= from {
					size += float64(n * int(extra[sym-from]))
				}
				length = max(1, int(bits+0.5))
				used++
			}
			if length != last {
				changes++
			}
			last = length
		}
	}
	add(s.lit[:], lengthExtra[:], firstLength)
	add(s.dist[:], distExtra[:], 0)
	return int(size) + 60 + 2*used + 2*changes
}
