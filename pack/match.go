package pack

import (
	"math/bits"
	"slices"
)

// An index finds pieces of a base.
type index struct {
	base  []byte
	short hashed // of shortSeed bytes
	long  hashed // of longSeed bytes
}

const (
	shortSeed = 4
	longSeed  = 10
)

// hashed are the places of a base, by the hash of the bytes at them, ascending.
type hashed struct {
	start  []int32 // of each hash in places; one more for the end
	places []int32
	shift  uint
}

func newIndex(base []byte) *index {
	return &index{base: base, short: newHashed(base, shortSeed), long: newHashed(base, longSeed)}
}

func newHashed(base []byte, seed int) hashed {
	n := len(base) - seed + 1
	if n <= 0 {
		return hashed{start: make([]int32, 2), shift: 64}
	}
	size := bits.Len(uint(n))
	h := hashed{start: make([]int32, 1<<size+1), places: make([]int32, n), shift: uint(64 - size)}
	for i := range n {
		h.start[hash(base[i:], seed)>>h.shift+1]++
	}
	for i := range 1 << size {
		h.start[i+1] += h.start[i]
	}
	next := slices.Clone(h.start)
	for i := range n {
		k := hash(base[i:], seed) >> h.shift
		h.places[next[k]] = int32(i)
		next[k]++
	}
	return h
}

func hash(b []byte, seed int) uint64 {
	v := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24
	if seed == longSeed {
		v |= uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		v ^= (uint64(b[8]) | uint64(b[9])<<8) * 0xC2B2AE3D27D4EB4F
	}
	return v * 0x9E3779B97F4A7C15
}

// A match is a piece of the base that equals the data at a place.
type match struct {
	at, length int
}

// matchLimit bounds the length of matches that are looked at: longer ones go on by
// themselves.
const matchLimit = 64

// find returns some of the best matches for data[i:]: long ones, and of those the
// nearest to a place near in the base. It appends to found, which is empty.
func (x *index) find(data []byte, i, near int, found []match) []match {
	found = x.long.find(x.base, data, i, near, longSeed, 24, found)
	if len(found) < 4 {
		found = x.short.find(x.base, data, i, near, shortSeed, 12, found)
	}
	return found
}

// find is index.find for one table. It looks at the nearest places, tries of them.
func (h *hashed) find(base, data []byte, i, near, seed, tries int, found []match) []match {
	if i+seed > len(data) || len(h.places) == 0 {
		return found
	}
	k := hash(data[i:], seed) >> h.shift
	places := h.places[h.start[k]:h.start[k+1]]
	up, _ := slices.BinarySearch(places, int32(near))
	down := up - 1
	for ; tries > 0 && (down >= 0 || up < len(places)); tries-- {
		var at int
		if down < 0 || up < len(places) && int(places[up])-near <= near-int(places[down]) {
			at = int(places[up])
			up++
		} else {
			at = int(places[down])
			down--
		}
		n := common(base[at:], data[i:])
		if n < seed {
			continue
		}
		found = keepBest(found, match{at, n})
	}
	return found
}

// common returns how many bytes two texts have in common at their beginning, at
// most matchLimit.
func common(a, b []byte) int {
	n := min(len(a), len(b), matchLimit)
	for k := range n {
		if a[k] != b[k] {
			return k
		}
	}
	return n
}

// mostMatches is how many matches are kept at one place.
const mostMatches = 6

// keepBest adds a match to the list, and drops the shortest if it is full. Of two
// of one length the one that was found first is better.
func keepBest(found []match, m match) []match {
	for _, f := range found {
		if f.at == m.at {
			return found
		}
	}
	if len(found) < mostMatches {
		return append(found, m)
	}
	shortest := 0
	for k, f := range found {
		if f.length <= found[shortest].length {
			shortest = k
		}
	}
	if m.length > found[shortest].length {
		found[shortest] = m
	}
	return found
}
