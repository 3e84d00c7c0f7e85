package release

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxObjectBytes bounds a statement's first two lines, so that with two
// signatures of 106 bytes it fits into 1024.
const maxObjectBytes = 1024 - 2*106

// A Statement says which manifest is release number Version of an application,
// and which boards it is for. Boards enforce what is set; the zero value of an
// optional field means that it is not.
type Statement struct {
	App      string // required
	Version  int64  // the manifest's version
	Name     string // the version for people, "1.4.2"; optional
	Manifest Pin
	Keyset   int64 // whose signatures count; at least 1

	Channels    []string // for boards that follow one of these; optional
	Boards      []string // for boards of one of these kinds; optional
	MPY         string   // .mpy format that it needs, "6" or "6.3"; optional
	MicroPython string   // oldest MicroPython, "1.22" or "1.22.1"; optional
	Time        int64    // when it was signed, Unix seconds; 0: not said
	Expires     int64    // last second in which it is valid, Unix seconds; 0: never
}

// A Pin names content: its SHA-256 and its number of bytes.
type Pin struct {
	SHA256 [sha256.Size]byte
	Size   int64
}

// PinOf returns the Pin of data.
func PinOf(data []byte) Pin { return Pin{sha256.Sum256(data), int64(len(data))} }

// ReadStatement is ReadDocument and ParseStatement.
func ReadStatement(data []byte) (*Statement, *Document, error) {
	d, err := ReadDocument(KindStatement, data)
	if err != nil {
		return nil, nil, err
	}
	s, err := ParseStatement(d)
	if err != nil {
		return nil, nil, err
	}
	return s, d, nil
}

// ParseStatement reads what a document says. It verifies no signature. All
// errors are ErrFormat.
func ParseStatement(d *Document) (*Statement, error) {
	if d.kind != KindStatement {
		return nil, fmt.Errorf("%w: a %s, not a statement", ErrFormat, d.kind)
	}
	s := new(Statement)
	r := &reader{string(d.object)}
	text := func(to *string) func(string) error {
		return func(key string) (err error) { *to, err = r.text(key); return err }
	}
	number := func(to *int64, least int64) func(string) error {
		return func(key string) (err error) { *to, err = r.number(key, least); return err }
	}
	list := func(to *[]string) func(string) error {
		return func(key string) (err error) { *to, err = r.list(key); return err }
	}
	err := r.object([]field{
		{"app", true, text(&s.App)},
		{"version", true, number(&s.Version, 0)},
		{"name", false, text(&s.Name)},
		{"manifest", true, func(string) (err error) { s.Manifest, err = r.pin(); return err }},
		{"keyset", true, number(&s.Keyset, 1)},
		{"channels", false, list(&s.Channels)},
		{"boards", false, list(&s.Boards)},
		{"mpy", false, text(&s.MPY)},
		{"micropython", false, text(&s.MicroPython)},
		{"time", false, number(&s.Time, 1)},
		{"expires", false, number(&s.Expires, 1)},
	})
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

func (r *reader) pin() (Pin, error) {
	var p Pin
	bad := fmt.Errorf(`%w: manifest must be {"sha256":"<%d hex digits in lower case>","size":<number>}`, ErrFormat, 2*sha256.Size)
	if !r.cut(`{"sha256":`) {
		return p, bad
	}
	text, err := r.text("sha256")
	if err != nil {
		return p, err
	}
	if !isHex(text, 2*sha256.Size) || !r.cut(`,"size":`) {
		return p, bad
	}
	if _, err := hex.Decode(p.SHA256[:], []byte(text)); err != nil {
		return p, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if p.Size, err = r.number("size", 0); err != nil {
		return p, err
	}
	if !r.cut("}") {
		return p, bad
	}
	return p, nil
}

// After reports whether boards that run old accept s: a later keyset goes before a
// higher version.
func (s *Statement) After(old *Statement) bool {
	return s.Keyset > old.Keyset || s.Keyset == old.Keyset && s.Version > old.Version
}

// check is what both a reader and a writer ask of the values.
func (s *Statement) check() error {
	if err := checkText("app", s.App); err != nil {
		return err
	}
	if s.Name != "" {
		if err := checkText("name", s.Name); err != nil {
			return err
		}
	}
	for _, n := range []struct {
		key   string
		value int64
		least int64
	}{{"version", s.Version, 0}, {"manifest size", s.Manifest.Size, 0}, {"keyset", s.Keyset, 1}, {"time", s.Time, 0}, {"expires", s.Expires, 0}} {
		if n.value < n.least {
			return fmt.Errorf("%w: %s is below %d", ErrFormat, n.key, n.least)
		}
	}
	for _, l := range []struct {
		key  string
		list []string
	}{{"channels", s.Channels}, {"boards", s.Boards}} {
		if len(l.list) > MaxListed {
			return fmt.Errorf("%w: %s has more than %d entries", ErrFormat, l.key, MaxListed)
		}
		for i, text := range l.list {
			if err := checkText(l.key, text); err != nil {
				return err
			}
			if slices.Contains(l.list[:i], text) {
				return fmt.Errorf("%w: %s names %q twice", ErrFormat, l.key, text)
			}
		}
	}
	if s.MPY != "" {
		if _, err := parseNumbers(s.MPY, 1, 2); err != nil {
			return fmt.Errorf("%w: mpy %q is no format version, such as 6 or 6.3", ErrFormat, s.MPY)
		}
	}
	if s.MicroPython != "" {
		if _, err := parseNumbers(s.MicroPython, 2, 3); err != nil {
			return fmt.Errorf("%w: micropython %q is no version, such as 1.22 or 1.22.1", ErrFormat, s.MicroPython)
		}
	}
	return nil
}

// parseNumbers reads numbers with dots between them, each below 1000 and
// without a leading zero.
func parseNumbers(s string, least, most int) ([]int, error) {
	parts := strings.Split(s, ".")
	if len(parts) < least || len(parts) > most {
		return nil, fmt.Errorf("%q has %d parts", s, len(parts))
	}
	var numbers []int
	for _, part := range parts {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil || n > 999 || strconv.FormatUint(n, 10) != part {
			return nil, fmt.Errorf("%q in %q is no number", part, s)
		}
		numbers = append(numbers, int(n))
	}
	return numbers, nil
}

// Document returns the statement as a document without signatures. The error
// is ErrFormat: a value is missing, or one that readers refuse, or all
// together is too long to be polled for.
func (s *Statement) Document() (*Document, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.Expires != 0 && s.Time == 0 {
		return nil, fmt.Errorf("%w: a statement that expires must say when it was signed", ErrFormat)
	}
	var e encoder
	e.WriteByte('{')
	e.text("app", s.App)
	e.number("version", s.Version)
	if s.Name != "" {
		e.text("name", s.Name)
	}
	e.key("manifest")
	e.WriteByte('{')
	e.text("sha256", hex.EncodeToString(s.Manifest.SHA256[:]))
	e.number("size", s.Manifest.Size)
	e.WriteByte('}')
	e.number("keyset", s.Keyset)
	if len(s.Channels) > 0 {
		e.list("channels", s.Channels)
	}
	if len(s.Boards) > 0 {
		e.list("boards", s.Boards)
	}
	if s.MPY != "" {
		e.text("mpy", s.MPY)
	}
	if s.MicroPython != "" {
		e.text("micropython", s.MicroPython)
	}
	if s.Time != 0 {
		e.number("time", s.Time)
	}
	if s.Expires != 0 {
		e.number("expires", s.Expires)
	}
	e.WriteByte('}')
	d := &Document{kind: KindStatement, object: e.Bytes()}
	if n := len(d.Bytes()); n > maxObjectBytes {
		return nil, fmt.Errorf("%w: the statement has %d bytes without signatures, more than %d; name fewer boards or channels", ErrFormat, n, maxObjectBytes)
	}
	return d, nil
}
