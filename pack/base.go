package pack

import (
	"cmp"
	"slices"
	"sync"
)

// A source is a file that others can be made of.
type source struct {
	base Base   // NoBase, SamePath, OldFile or NewFile
	path string // of OldFile and NewFile
	data []byte

	shift *shift // of the names in it, nil if they stay
	made  []byte // what it becomes by that

	once sync.Once
	x    *index
}

// index returns the index of a source, which is made when it is first needed.
func (s *source) index() *index {
	s.once.Do(func() {
		if s.shift != nil {
			s.x = newIndex(s.made)
		} else {
			s.x = newIndex(s.data)
		}
	})
	return s.x
}

// shifted returns the source for a file, with the names in it moved to where they are in
// that; the source itself if none moved.
func (s *source) shifted(to *module) *source {
	if s.base == NoBase || to == nil {
		return s
	}
	shift, made := newShift(s.data, to)
	if shift == nil {
		return s
	}
	return &source{base: s.base, path: s.path, data: s.data, shift: shift, made: made}
}

// A sketch stands for a text: hashes of some of its pieces. Which pieces are chosen
// depends on what they say, so texts that share a passage share the hashes of it.
type sketch []uint64

const (
	sketchSeed = 8  // bytes of a piece
	sketchRate = 16 // of that many pieces, one is chosen
)

func newSketch(data []byte) sketch {
	var s sketch
	var v uint64
	for i, b := range data {
		v = v<<8 | uint64(b)
		if h := v * 0x9E3779B97F4A7C15; i >= sketchSeed-1 && h>>32%sketchRate == 0 {
			s = append(s, h)
		}
	}
	slices.Sort(s)
	return slices.Compact(s)
}

// A family finds texts that are like others.
type family struct {
	members []*source
	sizes   []int
	where   map[uint64][]int32 // members that have a piece
}

func newFamily(members []*source, sketches []sketch) *family {
	f := &family{members: members, where: make(map[uint64][]int32)}
	for i, s := range sketches {
		f.sizes = append(f.sizes, len(s))
		for _, h := range s {
			f.where[h] = append(f.where[h], int32(i))
		}
	}
	return f
}

// A relative is a member of a family that is like a text.
type relative struct {
	member int
	shared int // pieces
}

// like returns the members that share the most pieces with a text, the best first.
// allowed says which may be used.
func (f *family) like(s sketch, allowed func(i int) bool, most int) []relative {
	shared := make(map[int32]int)
	for _, h := range s {
		for _, i := range f.where[h] {
			shared[i]++
		}
	}
	var all []relative
	for i, n := range shared {
		// A piece or two is what any two files have in common.
		if n > 2 && allowed(int(i)) {
			all = append(all, relative{int(i), n})
		}
	}
	slices.SortFunc(all, func(a, b relative) int {
		if c := cmp.Compare(b.shared, a.shared); c != 0 {
			return c
		}
		if c := cmp.Compare(f.sizes[a.member], f.sizes[b.member]); c != 0 {
			return c
		}
		return cmp.Compare(a.member, b.member)
	})
	return all[:min(len(all), most)]
}

// shared returns how many pieces two texts have in common.
func shared(a, b sketch) int {
	n := 0
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] < b[j]:
			i++
		case a[i] > b[j]:
			j++
		default:
			n++
			i, j = i+1, j+1
		}
	}
	return n
}
