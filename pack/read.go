package pack

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack/internal/deflate"
)

// A Segment is a part of a pack that can be read alone.
type Segment struct {
	Length  int // bytes in the pack
	Last    int // index of the last file that it makes, or part of it
	End     int // bytes of that file that are made by then; 0: all
	Records []Record
}

// A Record makes a file or a part of one.
type Record struct {
	Index    int    // 0 the manifest, 1… the files of the manifest
	Base     Base   // what is copied from
	BasePath string // of OldFile and NewFile
	Start    int    // place in the file; above 0, the file was begun in the segment before
	Bytes    int    // that it makes

	Literal int // of these: bytes that are in the pack
	Copied  int // bytes of the base, as they are
	Added   int // bytes of the base, with a difference each
	Copies  int // pieces that the copied and added bytes are in
	Shifts  int // of the numbers of names in the base; see names.go

	names *names // nil if they stay
}

// names are what a record says about the numbers of names.
type names struct {
	first int // bytes of the record before the first function
	shift shift
}

// Contents are what a pack is made of.
type Contents struct {
	Window   int // the power of 2
	Segments []Segment
}

// Read looks into a pack. It checks what can be checked without the releases: the
// whole format, but neither that the pieces that are copied exist nor what is made
// of them. The error wraps ErrFormat.
func Read(pack []byte) (*Contents, error) {
	var none struct{ nothing }
	return read(pack, &none)
}

// A maker does what a pack says.
type maker interface {
	// begin starts a record, of which Index, Base, BasePath, Start and Bytes are set. last
	// is whether it completes the file, as the segment says.
	begin(r *Record) error
	literal(p []byte) error
	// copied takes the size bytes at the place from of the base, with the
	// differences where there are any.
	copied(from, size int, differences []byte) error
	end(r *Record, complete bool) error
}

// nothing is a maker that makes nothing.
type nothing struct{}

func (nothing) begin(*Record) error           { return nil }
func (nothing) literal([]byte) error          { return nil }
func (nothing) copied(int, int, []byte) error { return nil }
func (nothing) end(*Record, bool) error       { return nil }

func fault(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// maxNumber is the greatest number that a pack may hold: a small integer on every board.
const maxNumber = 1<<30 - 1

// uvarint reads a number.
func uvarint(r io.ByteReader) (int, error) {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if v > maxNumber {
				return 0, fault("the number %d", v)
			}
			return int(v), nil
		}
	}
	return 0, fault("a number of more than 5 bytes")
}

// A cursor reads the pack around its segments.
type cursor struct{ data []byte }

func (c *cursor) ReadByte() (byte, error) {
	if len(c.data) == 0 {
		return 0, fault("it ends too early; was it cut off?")
	}
	b := c.data[0]
	c.data = c.data[1:]
	return b, nil
}

// read parses a pack, checks it, and lets m do what it says.
func read(pack []byte, m maker) (*Contents, error) {
	if len(pack) < len(magic)+2 || string(pack[:len(magic)]) != magic {
		return nil, fault("it does not begin with %q", magic)
	}
	head := pack[len(magic):]
	switch {
	case head[0] != version:
		return nil, fault("version %d of the format, and only %d is known", head[0], version)
	case head[1] < MinWindow || head[1] > MaxWindow:
		return nil, fault("a window of 2^%d bytes", head[1])
	}
	p := parser{maker: m, window: 1 << head[1], index: -1}
	contents := &Contents{Window: int(head[1])}
	in := &cursor{head[2:]}
	for {
		n, err := uvarint(in)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		s, err := p.segment(in, n)
		if err != nil {
			return nil, fmt.Errorf("segment %d: %w", len(contents.Segments), err)
		}
		contents.Segments = append(contents.Segments, *s)
	}
	switch {
	case len(in.data) > 0:
		return nil, fault("%d bytes after the end", len(in.data))
	case p.open:
		return nil, fault("file %d is not complete", p.index)
	case p.index < 0:
		return nil, fault("it has no manifest")
	}
	return contents, nil
}

// A parser reads segments.
type parser struct {
	maker
	window int
	total  int // bytes made so far

	index int  // of the last record
	made  int  // bytes of its file
	open  bool // which goes on in the next segment

	in    *deflate.Reader
	batch cursor // numbers
}

// number reads a number of the script.
func (p *parser) number() (int, error) { return uvarint(p) }

// ReadByte returns the next byte of the numbers.
func (p *parser) ReadByte() (byte, error) {
	if len(p.batch.data) == 0 {
		var head [2]byte
		if err := p.bytes(head[:]); err != nil {
			return 0, err
		}
		n := int(head[0]) | int(head[1])<<8
		if n == 0 || n > maxBatch {
			return 0, fault("a batch of %d bytes of numbers", n)
		}
		p.batch.data = make([]byte, n)
		if err := p.bytes(p.batch.data); err != nil {
			return 0, err
		}
	}
	return p.batch.ReadByte()
}

func (p *parser) segment(in *cursor, length int) (*Segment, error) {
	s := &Segment{Length: length}
	var err error
	if s.Last, err = uvarint(in); err != nil {
		return nil, err
	}
	if s.End, err = uvarint(in); err != nil {
		return nil, err
	}
	if length > len(in.data) {
		return nil, fault("%d bytes long, and %d are left", length, len(in.data))
	}
	p.in = deflate.NewReader(in.data[:length], p.window)
	in.data = in.data[length:]
	p.batch.data = nil
	for {
		tag, err := p.number()
		if err != nil {
			return nil, p.inflating(err)
		}
		if tag == 0 {
			break
		}
		r, err := p.record(tag, s)
		if err != nil {
			return nil, p.inflating(err)
		}
		s.Records = append(s.Records, *r)
	}
	if n := len(p.batch.data); n > 0 {
		return nil, fault("%d bytes of numbers after the 0 at the end", n)
	}
	if _, err := p.in.ReadByte(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = fault("something after the 0 at the end")
		}
		return nil, p.inflating(err)
	}
	switch end := p.unfinished(); {
	case p.in.Used() != length:
		return nil, fault("%d bytes after the end of the DEFLATE stream", length-p.in.Used())
	case len(s.Records) == 0:
		return nil, fault("it makes nothing")
	case s.Last != p.index || s.End != end:
		return nil, fault("it makes up to byte %d of file %d, and says %d of %d (0: all)", end, p.index, s.End, s.Last)
	}
	return s, nil
}

// unfinished returns how much there is of a file that goes on; 0 where none does.
func (p *parser) unfinished() int {
	if p.open {
		return p.made
	}
	return 0
}

// inflating turns errors of the compressed data into those of the pack.
func (p *parser) inflating(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fault("its data ends too early")
	case errors.Is(err, deflate.ErrFormat):
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return err
}

// Bits of a tag.
const (
	tagBase  = 7
	tagOn    = 8
	tagShift = 16
)

func (p *parser) record(tag int, s *Segment) (*Record, error) {
	r := &Record{Base: Base(tag & tagBase)}
	goesOn := tag&tagOn != 0
	if tag&^(tagBase|tagOn|tagShift) != 0 || r.Base < NoBase || r.Base > NewFile || tag&tagShift != 0 && r.Base == NoBase {
		return nil, fault("the tag %d", tag)
	}
	step, err := p.number()
	if err != nil {
		return nil, err
	}
	switch first := len(s.Records) == 0; {
	case goesOn != (step == 0):
		return nil, fault("the tag %d with the step %d", tag, step)
	case goesOn && !(first && p.open):
		return nil, fault("a record goes on with a file that is complete")
	case !goesOn && p.open:
		return nil, fault("file %d is not complete, and a record is for another", p.index)
	case p.index < 0 && step != 1:
		return nil, fault("the first record is not the manifest")
	case p.index+step > manifest.MaxFiles:
		return nil, fault("file %d, where no release has more than %d", p.index+step, manifest.MaxFiles)
	}
	p.index += step
	r.Index = p.index
	if r.Base == OldFile || r.Base == NewFile {
		if r.BasePath, err = p.path(); err != nil {
			return nil, err
		}
	}
	if r.Index == 0 && r.Base > SamePath {
		return nil, fault("a manifest that is made of another file")
	}
	if !goesOn {
		p.made = 0
	} else if r.Start, err = p.number(); err != nil {
		return nil, err
	}
	if r.Start != p.made {
		return nil, fault("file %d goes on at %d, not at %d", p.index, r.Start, p.made)
	}
	if r.Bytes, err = p.number(); err != nil {
		return nil, err
	}
	if tag&tagShift != 0 {
		if err := p.names(r); err != nil {
			return nil, err
		}
	}
	if p.total += r.Bytes; p.total > MaxBytes {
		return nil, fmt.Errorf("%w: it makes more than %d bytes", ErrTooLarge, MaxBytes)
	}
	p.made += r.Bytes
	p.open = s.Last == p.index && s.End != 0
	switch {
	case p.open && p.made != s.End:
		return nil, fault("it makes up to byte %d of file %d, and says %d", p.made, p.index, s.End)
	case r.Bytes == 0 && (p.open || goesOn):
		return nil, fault("a part of file %d without a byte", p.index)
	}
	if err := p.begin(r); err != nil {
		return nil, err
	}
	if err := p.triples(r); err != nil {
		return nil, err
	}
	return r, p.end(r, !p.open)
}

// Bits of the number of literal bytes: what the piece behind them has.
const (
	pieceAdds  = 1 // differences
	pieceMoves = 2 // a move of the cursor
	pieceBits  = 2
)

// names reads what moves the numbers of names.
func (p *parser) names(r *Record) error {
	first, err := p.number()
	if err != nil {
		return err
	}
	r.names = &names{first: first}
	by := byte(0)
	for at := 0; at < maxNames; {
		n, err := p.number()
		if err != nil {
			return err
		}
		to := at + n
		if n == 0 {
			to = maxNames
		} else if to >= maxNames {
			return fault("the name %d moves, where %d can", to, maxNames)
		}
		for ; at < to; at++ {
			r.names.shift[at] = by
		}
		if n == 0 {
			break
		}
		move, err := p.number()
		if err != nil {
			return err
		}
		by = (by + byte(move>>1^-(move&1))) & 127
		r.Shifts++
	}
	return nil
}

func (p *parser) path() (string, error) {
	n, err := p.number()
	if err != nil {
		return "", err
	}
	if n > manifest.MaxPathBytes {
		return "", fault("a path of %d bytes", n)
	}
	path := make([]byte, n)
	if err := p.bytes(path); err != nil {
		return "", err
	}
	if !utf8.Valid(path) {
		return "", fault("a path that is not UTF-8")
	}
	if err := manifest.CheckPath(string(path)); err != nil {
		return "", fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return string(path), nil
}

func (p *parser) bytes(b []byte) error {
	_, err := io.ReadFull(p.in, b)
	return err
}

// chunk is how many bytes are passed on at a time, whatever the pack says.
const chunk = 4096

func (p *parser) triples(r *Record) error {
	var buf [chunk]byte
	at := 0 // in the base
	for left := r.Bytes; left > 0; {
		n, err := p.number()
		if err != nil {
			return err
		}
		adds, moves := n&pieceAdds != 0, n&pieceMoves != 0
		n >>= pieceBits
		if n > left {
			return fault("%d literal bytes, and file %d lacks %d", n, p.index, left)
		}
		left, at, r.Literal = left-n, at+n, r.Literal+n
		for n > 0 {
			part := buf[:min(n, chunk)]
			if err := p.bytes(part); err != nil {
				return err
			}
			if err := p.literal(part); err != nil {
				return err
			}
			n -= len(part)
		}
		if left == 0 {
			if adds || moves {
				return fault("a piece after the end of file %d", p.index)
			}
			break
		}
		if n, err = p.number(); err != nil {
			return err
		}
		if moves {
			seek, err := p.number()
			if err != nil {
				return err
			}
			at += seek>>1 ^ -(seek & 1)
		}
		switch {
		case n == 0:
			return fault("a piece of 0 bytes")
		case n > left:
			return fault("a piece of %d bytes, and file %d lacks %d", n, p.index, left)
		case at < 0:
			return fault("a piece %d bytes before its base", -at)
		case r.Base == NoBase:
			return fault("a piece of a base, and there is none")
		}
		r.Copies++
		left -= n
		if adds {
			r.Added += n
		} else {
			r.Copied += n
			if err := p.copied(at, n, nil); err != nil {
				return err
			}
			at += n
			continue
		}
		for n > 0 {
			part := buf[:min(n, chunk)]
			if err := p.bytes(part); err != nil {
				return err
			}
			if err := p.copied(at, len(part), part); err != nil {
				return err
			}
			at, n = at+len(part), n-len(part)
		}
	}
	return nil
}
