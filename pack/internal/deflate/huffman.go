package deflate

import (
	"cmp"
	"math/bits"
	"slices"
)

// codeLengths sets lengths to those of the best code for symbols that occur freq
// times, none of them longer than limit bits, by package-merge. A single symbol
// gets one bit.
func codeLengths(freq []int, limit int, lengths []uint8) {
	clear(lengths)
	type leaf struct{ weight, sym int }
	var leaves []leaf
	for sym, n := range freq {
		if n > 0 {
			leaves = append(leaves, leaf{n, sym})
		}
	}
	if len(leaves) < 2 {
		for _, l := range leaves {
			lengths[l.sym] = 1
		}
		return
	}
	slices.SortStableFunc(leaves, func(a, b leaf) int { return cmp.Compare(a.weight, b.weight) })

	// A row for each bit of the limit: leaves and pairs of the row before,
	// in order of weight. Of a row only needed is which items are leaves.
	n := len(leaves)
	type item struct {
		weight int
		leaf   bool
	}
	rows := make([][]item, limit)
	var before []item
	for r := range rows {
		row := make([]item, 0, 2*n)
		i := 0
		for p := 0; p+1 < len(before); p += 2 {
			w := before[p].weight + before[p+1].weight
			for i < n && leaves[i].weight <= w {
				row = append(row, item{leaves[i].weight, true})
				i++
			}
			row = append(row, item{w, false})
		}
		for ; i < n; i++ {
			row = append(row, item{leaves[i].weight, true})
		}
		rows[r], before = row, row
	}
	take := 2*n - 2
	for r := limit - 1; r >= 0; r-- {
		nleaf := 0
		for _, it := range rows[r][:take] {
			if it.leaf {
				nleaf++
			}
		}
		for _, l := range leaves[:nleaf] {
			lengths[l.sym]++
		}
		take = 2 * (take - nleaf)
	}
}

// canonical returns the codes that belong to lengths, first bit lowest, as
// DEFLATE writes them.
func canonical(lengths []uint8, codes []uint16) {
	var count, next [16]uint16
	for _, n := range lengths {
		count[n]++
	}
	count[0] = 0
	for n := 1; n < 16; n++ {
		next[n] = (next[n-1] + count[n-1]) << 1
	}
	for sym, n := range lengths {
		if n > 0 {
			codes[sym] = bits.Reverse16(next[n]) >> (16 - n)
			next[n]++
		}
	}
}

// A metaSymbol is one symbol of the code in which code lengths are written.
type metaSymbol struct {
	sym, extra uint8
}

// metaSymbols writes lengths in the alphabet of RFC 1951, 3.2.7. Runs are written
// as such where the flags allow it: for a few symbols, doing without one kind can
// make the code of the others shorter.
func metaSymbols(lengths []uint8, use16, use17, use18 bool, out []metaSymbol) []metaSymbol {
	for i := 0; i < len(lengths); {
		n := lengths[i]
		run := 1
		for i+run < len(lengths) && lengths[i+run] == n {
			run++
		}
		i += run
		if n == 0 {
			for use18 && run >= 11 {
				k := min(run, 138)
				out = append(out, metaSymbol{18, uint8(k - 11)})
				run -= k
			}
			for use17 && run >= 3 {
				k := min(run, 10)
				out = append(out, metaSymbol{17, uint8(k - 3)})
				run -= k
			}
		}
		if use16 && run >= 4 {
			out = append(out, metaSymbol{n, 0})
			run--
			for run >= 3 {
				k := min(run, 6)
				if run-k == 1 || run-k == 2 {
					// 6 and then 1 or 2 alone: rather two runs of about a half.
					if h := run - 3; h <= 6 && h >= 3 {
						k = h
					}
				}
				out = append(out, metaSymbol{16, uint8(k - 3)})
				run -= k
			}
		}
		for range run {
			out = append(out, metaSymbol{n, 0})
		}
	}
	return out
}

// A table is the pair of codes of a block, and how they are written.
type table struct {
	lit  [maxLit]uint8
	dist [maxDist]uint8

	nlit, ndist, nmeta int
	meta               [19]uint8
	symbols            []metaSymbol
	headBits           int // of all this in the block's header, the 3 bits of the block left out
}

// newTable returns the best table for what occurs that often. With a
// slack, counts were evened out by about as much, so that lengths repeat: shorter to
// write, a bit longer to use.
func newTable(s *stats, slack int) *table {
	lit, dist := s.lit, s.dist
	if slack > 0 {
		even(lit[:], slack)
		even(dist[:], slack)
	}
	t := new(table)
	codeLengths(lit[:], 15, t.lit[:])
	codeLengths(dist[:], 15, t.dist[:])
	t.nlit, t.ndist = maxLit, maxDist
	for t.nlit > firstLength && t.lit[t.nlit-1] == 0 {
		t.nlit--
	}
	for t.ndist > 1 && t.dist[t.ndist-1] == 0 {
		t.ndist--
	}
	lengths := make([]uint8, 0, maxLit+maxDist)
	lengths = append(append(lengths, t.lit[:t.nlit]...), t.dist[:t.ndist]...)
	for flags := range 8 {
		symbols := metaSymbols(lengths, flags&1 == 0, flags&2 == 0, flags&4 == 0, nil)
		var freq [19]int
		for _, s := range symbols {
			freq[s.sym]++
		}
		var meta [19]uint8
		codeLengths(freq[:], 7, meta[:])
		fill(meta[:])
		nmeta := 19
		for nmeta > 4 && meta[metaOrder[nmeta-1]] == 0 {
			nmeta--
		}
		size := 14 + 3*nmeta + 2*freq[16] + 3*freq[17] + 7*freq[18]
		for sym, n := range freq {
			size += n * int(meta[sym])
		}
		if flags == 0 || size < t.headBits {
			t.headBits, t.meta, t.nmeta, t.symbols = size, meta, nmeta, symbols
		}
	}
	return t
}

// fill makes a code of a single symbol complete, which strict readers want.
func fill(lengths []uint8) {
	used, one := 0, 0
	for i, n := range lengths {
		if n > 0 {
			used++
			one = i
		}
	}
	if used == 1 {
		lengths[(one+1)%len(lengths)] = 1
	}
}

// even replaces counts that are nearly the same by their mean, so that the code
// lengths make runs.
func even(freq []int, slack int) {
	n := len(freq)
	for n > 0 && freq[n-1] == 0 {
		n--
	}
	for i := 0; i < n; {
		j, sum := i+1, freq[i]
		limit := max(slack, slack*freq[i]/16)
		for j < n && abs(freq[j]-sum/(j-i)) <= limit && (freq[j] == 0) == (freq[i] == 0) {
			sum += freq[j]
			j++
		}
		if j-i >= 3 {
			mean := (sum + (j-i)/2) / (j - i)
			for k := i; k < j; k++ {
				freq[k] = mean
			}
		}
		i = j
	}
}

func abs(x int) int { return max(x, -x) }
