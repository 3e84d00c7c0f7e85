// Package deflate compresses short texts as well as it can for readers that
// have little memory, and reads what was so compressed.
//
// Both halves keep to a window: no match reaches back further than the reader
// remembers. The standard library's compress/flate has no such limit and a
// slightly worse ratio; its output on a window of 4 kB cannot be read by a board
// that has only these.
package deflate

import (
	"errors"
	"fmt"
	"io"
)

// ErrFormat: not raw DEFLATE (RFC 1951), or a match that reaches out of the window.
var ErrFormat = errors.New("not valid DEFLATE")

// A Reader inflates raw DEFLATE in memory, byte for byte as it is asked, so that
// a small input that would make a large output costs nothing by itself.
type Reader struct {
	in     []byte
	pos    int    // of the next byte of in
	acc    uint32 // bits that were read and not used
	nacc   uint
	window int

	hist  [maxWindow]byte
	made  int // bytes so far
	state int
	final bool

	stored       int // bytes left in a stored block
	length, dist int // what is left of a match
	lit, distc   code
	err          error
}

const maxWindow = 1 << 15

const (
	atBlock = iota
	inStored
	inCodes
)

// NewReader returns a Reader of data, in which no match may reach back more
// than window bytes.
func NewReader(data []byte, window int) *Reader {
	return &Reader{in: data, window: min(window, maxWindow)}
}

// Used returns how many bytes of the input were read, the last one perhaps in
// part.
func (r *Reader) Used() int { return r.pos - int(r.nacc/8) }

// ReadByte returns the next byte. The error is io.EOF after the end of the
// stream, io.ErrUnexpectedEOF where the input ends before it, and else wraps
// ErrFormat.
func (r *Reader) ReadByte() (byte, error) {
	if r.err != nil {
		return 0, r.err
	}
	b, err := r.next()
	if err != nil {
		r.err = err
		return 0, err
	}
	r.hist[r.made%maxWindow] = b
	r.made++
	return b, nil
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	for i := range p {
		b, err := r.ReadByte()
		if err != nil {
			if i > 0 && errors.Is(err, io.EOF) {
				err = nil
			}
			return i, err
		}
		p[i] = b
	}
	return len(p), nil
}

func fault(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

func (r *Reader) next() (byte, error) {
	for {
		if r.length > 0 {
			r.length--
			return r.hist[(r.made-r.dist)%maxWindow], nil
		}
		switch r.state {
		case atBlock:
			if r.final {
				return 0, io.EOF
			}
			if err := r.block(); err != nil {
				return 0, err
			}
		case inStored:
			if r.stored == 0 {
				r.state = atBlock
				continue
			}
			r.stored--
			b, err := r.bits(8)
			return byte(b), err
		case inCodes:
			sym, err := r.symbol(&r.lit)
			if err != nil {
				return 0, err
			}
			switch {
			case sym < endOfBlock:
				return byte(sym), nil
			case sym == endOfBlock:
				r.state = atBlock
			default:
				if err := r.match(sym); err != nil {
					return 0, err
				}
			}
		}
	}
}

// match reads the rest of a match, whose length has the symbol sym.
func (r *Reader) match(sym int) error {
	if sym-firstLength >= len(lengthBase) {
		return fault("length symbol %d", sym)
	}
	extra, err := r.bits(uint(lengthExtra[sym-firstLength]))
	if err != nil {
		return err
	}
	r.length = int(lengthBase[sym-firstLength]) + extra
	sym, err = r.symbol(&r.distc)
	if err != nil {
		return err
	}
	if sym >= len(distBase) {
		return fault("distance symbol %d", sym)
	}
	extra, err = r.bits(uint(distExtra[sym]))
	if err != nil {
		return err
	}
	r.dist = int(distBase[sym]) + extra
	switch {
	case r.dist > r.made:
		return fault("a match %d bytes back, after %d bytes", r.dist, r.made)
	case r.dist > r.window:
		return fault("a match %d bytes back, in a window of %d", r.dist, r.window)
	}
	return nil
}

// bits reads n bits, 16 at most.
func (r *Reader) bits(n uint) (int, error) {
	for r.nacc < n {
		if r.pos == len(r.in) {
			return 0, io.ErrUnexpectedEOF
		}
		r.acc |= uint32(r.in[r.pos]) << r.nacc
		r.pos++
		r.nacc += 8
	}
	v := r.acc & (1<<n - 1)
	r.acc >>= n
	r.nacc -= n
	return int(v), nil
}

// block reads the header of a block.
func (r *Reader) block() error {
	head, err := r.bits(3)
	if err != nil {
		return err
	}
	r.final = head&1 != 0
	switch head >> 1 {
	case 0:
		r.acc, r.nacc = 0, 0 // never a whole byte
		n, err := r.bits(16)
		if err != nil {
			return err
		}
		inverse, err := r.bits(16)
		if err != nil {
			return err
		}
		if n != inverse^0xffff {
			return fault("a stored block whose length is spoilt")
		}
		r.stored, r.state = n, inStored
		return nil
	case 1:
		r.lit, r.distc = fixedLit, fixedDist
	case 2:
		if err := r.dynamic(); err != nil {
			return err
		}
	default:
		return fault("a block of kind 3")
	}
	r.state = inCodes
	return nil
}

// dynamic reads the codes of a block.
func (r *Reader) dynamic() error {
	head, err := r.bits(14)
	if err != nil {
		return err
	}
	nlit, ndist, nmeta := head&31+257, head>>5&31+1, head>>10+4
	if nlit > maxLit || ndist > maxDist {
		return fault("%d literal and %d distance codes", nlit, ndist)
	}
	var lengths [maxLit + maxDist]uint8
	for _, i := range metaOrder[:nmeta] {
		n, err := r.bits(3)
		if err != nil {
			return err
		}
		lengths[i] = uint8(n)
	}
	meta, err := newCode(lengths[:len(metaOrder)], false)
	if err != nil {
		return err
	}
	clear(lengths[:])
	for i := 0; i < nlit+ndist; {
		sym, err := r.symbol(&meta)
		if err != nil {
			return err
		}
		if sym < 16 {
			lengths[i] = uint8(sym)
			i++
			continue
		}
		var last uint8
		var n int
		switch sym {
		case 16:
			if i == 0 {
				return fault("a repetition of nothing")
			}
			last = lengths[i-1]
			n, err = r.bits(2)
			n += 3
		case 17:
			n, err = r.bits(3)
			n += 3
		case 18:
			n, err = r.bits(7)
			n += 11
		}
		if err != nil {
			return err
		}
		if i+n > nlit+ndist {
			return fault("too many code lengths")
		}
		for range n {
			lengths[i] = last
			i++
		}
	}
	if lengths[endOfBlock] == 0 {
		return fault("a block without end")
	}
	if r.lit, err = newCode(lengths[:nlit], false); err != nil {
		return err
	}
	r.distc, err = newCode(lengths[nlit:nlit+ndist], true)
	return err
}

// A code is a Huffman code in canonical form.
type code struct {
	count [16]uint16 // codes of each length
	syms  [288]uint16
}

// newCode returns the code with the given lengths. Codes must be complete; only
// that of the distances may have a single code of one bit, or none.
func newCode(lengths []uint8, distances bool) (code, error) {
	var c code
	for _, n := range lengths {
		c.count[n]++
	}
	used := len(lengths) - int(c.count[0])
	c.count[0] = 0
	left := 1
	var next [16]uint16
	for n := 1; n < 16; n++ {
		left = left<<1 - int(c.count[n])
		if left < 0 {
			return c, fault("a code with too many symbols")
		}
		if n < 15 {
			next[n+1] = next[n] + c.count[n]
		}
	}
	single := used == 1 && c.count[1] == 1
	if left > 0 && !single && (!distances || used > 0) {
		return c, fault("a code with too few symbols")
	}
	for sym, n := range lengths {
		if n > 0 {
			c.syms[next[n]] = uint16(sym)
			next[n]++
		}
	}
	return c, nil
}

// symbol reads a symbol.
func (r *Reader) symbol(c *code) (int, error) {
	value, first, index := 0, 0, 0
	for n := 1; n < 16; n++ {
		b, err := r.bits(1)
		if err != nil {
			return 0, err
		}
		value |= b
		count := int(c.count[n])
		if value-first < count {
			return int(c.syms[index+value-first]), nil
		}
		index += count
		first = (first + count) << 1
		value <<= 1
	}
	return 0, fault("a code that stands for nothing")
}
