package pack

import "bytes"

// Compiled modules hold names as numbers: indexes into a table at their beginning. A
// name that comes in moves the numbers of those behind it, so one new word changes bytes
// all over a file. A record for such a file says by how much the numbers moved, and then
// the pieces of the old file are copied as if nothing had.
//
// What is known here of the files is what MicroPython's py/persistentcode.c
// (mp_raw_code_load), py/bc.h (the layout of a function) and py/bc0.h (the operands of
// each opcode) read, for version 6 of the format, which every MicroPython from 1.19 on
// has:
//
//	file     = 'M' 6 flags bits, how many names, how many objects, names, objects, function
//	name     = length<<1 bytes 0, or id<<1|1 for one that the interpreter has
//	function = kind, prelude, opcodes; and its children, if it has any
//
// Numbers are in base 128, the highest first, the top bit set in all bytes but the last.
// Places of names in a function are its own name and those of its arguments, in the
// prelude, and the operands of the opcodes 0x10 to 0x1f.

// maxNames is how many names can move. A module with more is rare, and the rest stay.
const maxNames = 512

// A shift says by how much the number of each name moves, modulo 128.
type shift [maxNames]byte

// at returns what a byte of the base becomes at a place, as walker.place returns it.
func (s *shift) at(place int, b byte) byte {
	if place < 0 || b > 127 {
		return b
	}
	return (b + s[place|int(b)]) & 127
}

// appendTo writes a shift: for each change of it, how far on it is and by how much; and a 0.
func (s *shift) appendTo(w *script) {
	last, from := byte(0), 0
	for i, by := range s {
		if by == last {
			continue
		}
		w.number(i - from)
		w.number(zigzag(int(int8((by-last)<<1) >> 1)))
		last, from = by, i
	}
	w.number(0)
}

// A walker goes through the functions of a compiled module, byte by byte, and knows at which
// the numbers of names are. Whatever it is given, it goes on: wrong bytes only lead it to the
// wrong places, on the board too.
type walker struct {
	skip int // bytes before the first function

	state walk
	place int // what the next byte is: -1 anything, else the upper bits of a name's number

	number   int // that is being read
	count    int // bytes of it
	children bool
	names    int // that are left in the prelude
	info     int // bytes that are left of the prelude
	code     int // bytes that are left of the opcodes
	opcode   byte
}

// A walk is what the next byte is.
type walk uint8

const (
	inKind      walk = iota // how long the function is, its kind, whether it has children
	inSignature             // sizes of the stack, numbers of arguments
	inSizes                 // of the rest of the prelude
	inName                  // of the function, or of an argument
	inInfo                  // lines and cells
	inOpcode
	inOperand
	inExtra // a byte after the operand, which some have
	inChildren
)

func newWalker(skip int) *walker { return &walker{skip: skip, place: -1} }

// step takes the next byte of the file.
func (w *walker) step(c byte) {
	if w.skip > 0 {
		w.skip--
		return
	}
	w.place = -1
	more := c > 127
	switch w.state {
	case inKind:
		if w.number = (w.number<<7 | int(c&127)) & 0xFFFFFF; !more {
			w.children = w.number&4 != 0
			w.code = w.number >> 3
			w.state, w.names, w.count = inSignature, 1, 0
		}
	case inSignature:
		w.code--
		// xSSSSEAA, and then xFSSKAED: A and K are the arguments.
		if w.count == 0 {
			w.names += int(c & 3)
		} else {
			w.names += int(c&4)<<(w.count-1) + int(c&8)>>3<<(w.count-1)
		}
		if w.count++; !more || w.count > 4 {
			w.state, w.info, w.count = inSizes, 0, 0
		}
	case inSizes:
		w.code--
		// xIIIIIIC: I bytes with names and lines, C cells.
		w.info += int(c&126)>>1<<(6*w.count) + int(c&1)<<w.count
		if w.count++; !more || w.count > 3 {
			w.code -= w.info
			w.state, w.place = inName, 0
		}
	case inName:
		w.info--
		if more {
			w.place = int(c&3) << 7
			break
		}
		if w.names--; w.names > 0 {
			w.place = 0
			break
		}
		w.state = inInfo
		w.endInfo()
	case inInfo:
		w.info--
		w.endInfo()
	case inOpcode:
		w.code--
		w.opcode, w.count = c, 0
		switch w.operand() {
		case operandNone:
			w.endOperand()
		case operandName:
			w.state, w.place = inOperand, 0
		default:
			w.state = inOperand
		}
	case inOperand:
		w.code--
		switch w.count++; {
		case !more || w.operand() == operandJump && w.count == 2:
			w.endOperand()
		case w.operand() == operandName:
			w.place = int(c&3) << 7
		}
	case inExtra:
		w.code--
		w.endOpcode()
	case inChildren:
		if !more {
			w.state, w.number = inKind, 0
		}
	}
}

// Operands of opcodes, in the order of MP_BC_FORMAT.
const (
	operandNone = iota
	operandName
	operandNumber
	operandJump // of one byte or two
)

func (w *walker) operand() int { return 0x3A4 >> (w.opcode >> 4 << 1) & 3 }

func (w *walker) endInfo() {
	if w.info <= 0 {
		w.endOpcode()
	}
}

func (w *walker) endOperand() {
	if w.opcode&0x9E == 0 {
		w.state = inExtra
	} else {
		w.endOpcode()
	}
}

func (w *walker) endOpcode() {
	switch {
	case w.code > 0:
		w.state = inOpcode
	case w.children:
		w.state = inChildren
	default:
		w.state, w.number = inKind, 0
	}
}

// A module is what an encoder has to know of a compiled module.
type module struct {
	names  [][]byte // as they are in the table, with their lengths
	places []int16  // at each byte: what walker.place is there
	starts []int32  // of functions, ascending
}

// readModule reads a compiled module; nil if data is none.
func readModule(data []byte) *module {
	if len(data) < 8 || data[0] != 'M' || data[1] != 6 || data[2] != 0 {
		return nil
	}
	r := moduleReader{data, 4, true}
	names, objects := r.number(), r.number()
	if !r.ok {
		return nil
	}
	m := &module{}
	for range names {
		from := r.at
		if n := r.number(); n&1 == 0 {
			r.skip(n>>1 + 1)
		}
		if !r.ok {
			return nil
		}
		m.names = append(m.names, data[from:r.at])
	}
	for range objects {
		if r.object(0); !r.ok {
			return nil
		}
	}
	m.places = make([]int16, len(data))
	w := newWalker(r.at)
	for i, c := range data {
		m.places[i] = int16(w.place)
		if i >= r.at && w.state == inKind && w.number == 0 {
			m.starts = append(m.starts, int32(i))
		}
		w.step(c)
	}
	return m
}

// start returns where the first function at or after a place begins, or the end.
func (m *module) start(from int) int {
	for _, s := range m.starts {
		if int(s) >= from {
			return int(s)
		}
	}
	return len(m.places)
}

// A moduleReader reads the tables at the beginning of a module.
type moduleReader struct {
	data []byte
	at   int
	ok   bool
}

func (r *moduleReader) skip(n int) {
	if n < 0 || n > len(r.data)-r.at {
		r.ok, n = false, 0
	}
	r.at += n
}

func (r *moduleReader) number() int {
	n := 0
	for r.ok {
		r.skip(1)
		if !r.ok || n > 1<<24 {
			break
		}
		c := r.data[r.at-1]
		if n = n<<7 | int(c&127); c < 128 {
			return n
		}
	}
	r.ok = false
	return 0
}

// Kinds of objects that have no length, that end with a 0, and that hold others (MP_PERSISTENT_OBJ_…).
const (
	lastPlainObject = 4
	objectString    = 5
	objectBytes     = 6
	objectTuple     = 10

	deepestTuple = 32
)

func (r *moduleReader) object(depth int) {
	r.skip(1)
	if !r.ok || depth > deepestTuple {
		r.ok = false
		return
	}
	kind := r.data[r.at-1]
	if kind <= lastPlainObject {
		return
	}
	n := r.number()
	switch kind {
	case objectTuple:
		for ; n > 0 && r.ok; n-- {
			r.object(depth + 1)
		}
		return
	case objectString, objectBytes:
		n++
	}
	r.skip(n)
}

// newShift returns how the names of one module moved in another, and what the first becomes
// by that; nil if none moved that matters.
func newShift(base []byte, to *module) (*shift, []byte) {
	from := readModule(base)
	if from == nil {
		return nil, nil
	}
	var uses [maxNames]int
	for i, p := range from.places {
		if p >= 0 && base[i] < 128 {
			uses[int(p)|int(base[i])]++
		}
	}
	now := make(map[string]int, len(to.names))
	for i, name := range to.names {
		now[string(name)] = i
	}
	s := new(shift)
	n := min(len(from.names), maxNames)
	var by [maxNames]int // -1: does not matter
	for i := range n {
		by[i] = -1
		if k, ok := now[string(from.names[i])]; ok && uses[i] > 0 {
			by[i] = (k - i) & 127
		}
	}
	last := byte(0)
	moved := false
	for i := 1; i < maxNames; i++ {
		if i < n && by[i] >= 0 && byte(by[i]) != last {
			// To say so has to pay.
			worth := 0
			for k := i; k < n && (by[k] < 0 || by[k] == by[i]); k++ {
				if by[k] >= 0 {
					worth += uses[k]
				}
			}
			if worth > 1 {
				last, moved = byte(by[i]), true
			}
		}
		s[i] = last
	}
	if !moved {
		return nil, nil
	}
	made := bytes.Clone(base)
	for i, p := range from.places {
		made[i] = s.at(int(p), base[i])
	}
	return s, made
}
