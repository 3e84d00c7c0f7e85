package pack

import (
	"bytes"
	"slices"

	"github.com/cactuscon/saguarota/pack/internal/deflate"
)

// An item is a number of a script and the bytes that belong to it: after a number of
// literals these, after a seek the differences, after the length of a path that.
type item struct {
	number int
	bytes  []byte
}

// A script is what a segment says. It is written as batches: many numbers, and
// then the bytes that belong to them. Numbers are like each other and unlike the bytes,
// so they have better codes of their own, and bytes that were apart come together.
type script struct{ items []item }

func (s *script) number(n int) { s.items = append(s.items, item{number: n}) }

// maxBatch is how many bytes the numbers of a batch may have. A board keeps them in memory.
const maxBatch = 1024

// batches returns the data of a segment, before it is compressed.
func (s *script) batches() []byte {
	var out, numbers, rest []byte
	flush := func() {
		out = append(out, byte(len(numbers)), byte(len(numbers)>>8))
		out = append(append(out, numbers...), rest...)
		numbers, rest = numbers[:0], rest[:0]
	}
	for _, i := range s.items {
		n := len(numbers)
		if numbers = appendNumber(numbers, i.number); len(numbers) > maxBatch {
			last := slices.Clone(numbers[n:])
			numbers = numbers[:n]
			flush()
			numbers = append(numbers, last...)
		}
		rest = append(rest, i.bytes...)
	}
	flush()
	return out
}

// bits returns about how many bits the script takes, numbers and bytes each with codes of their own.
func (s *script) bits(window int) int {
	var numbers, rest []byte
	for _, i := range s.items {
		numbers = appendNumber(numbers, i.number)
		rest = append(rest, i.bytes...)
	}
	return deflate.Size(numbers, window) + deflate.Size(rest, window)
}

// records returns what a segment says. before is the index of the file before.
func (g group) records(before int) *script {
	s := new(script)
	for _, p := range g {
		p.appendRecord(s, p.job.index-before, p.way)
		before = p.job.index
	}
	s.number(0)
	return s
}

// appendRecord writes the record that makes the part in a way.
func (p *part) appendRecord(s *script, step int, w way) {
	tag := int(w.source.base)
	if p.start > 0 {
		tag |= tagOn
	}
	if w.source.shift != nil {
		tag |= tagShift
	}
	s.number(tag)
	s.number(step)
	if path := w.source.path; path != "" {
		s.items = append(s.items, item{len(path), []byte(path)})
	}
	if p.start > 0 {
		s.number(p.start)
	}
	s.number(p.size)
	if w.source.shift != nil {
		s.number(p.first())
		w.source.shift.appendTo(s)
	}
	s.items = append(s.items, w.body...)
}

// literal is literal bytes, without a piece behind them.
func literal(b []byte) item { return item{len(b) << pieceBits, b} }

// appendCopy writes a copy of n bytes, after a move of the cursor, behind literal bytes,
// the last that was written. nil differences are none.
func appendCopy(out []item, n, seek int, differences []byte) []item {
	before := &out[len(out)-1].number
	if differences != nil {
		*before |= pieceAdds
	}
	if seek == 0 {
		return append(out, item{n, differences})
	}
	*before |= pieceMoves
	return append(out, item{number: n}, item{zigzag(seek), differences})
}

// sameWay reports whether two ways to make a part come to the same.
func sameWay(a, b way) bool {
	return a.source == b.source && slices.EqualFunc(a.body, b.body, func(a, b item) bool {
		return a.number == b.number && bytes.Equal(a.bytes, b.bytes)
	})
}

// zigzag makes a number of one that may be negative: 0, -1, 1, -2, 2 and so on.
func zigzag(n int) int { return n<<1 ^ n>>63 }

// appendNumber appends a number.
func appendNumber(out []byte, n int) []byte {
	for n >= 0x80 {
		out = append(out, byte(n)|0x80)
		n >>= 7
	}
	return append(out, byte(n))
}
