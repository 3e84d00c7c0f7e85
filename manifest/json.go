package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Read reads a manifest from JSON, whoever wrote it: keys in any order, files
// in any order, keys that it does not know (skipped), entries without md5,
// size or sha256. version and files are required, as are path and version of
// every entry, and every known key must have the right type.
//
// It reads r to the end and refuses what would leave open which files are
// meant: unsafe paths (ErrPath), paths listed twice (ErrDuplicate), and, as
// ErrFormat, a key given twice, numbers that are not integers of 64 bits,
// text that is not UTF-8, and anything after the object. More than MaxBytes
// or MaxFiles is ErrTooLarge. An error from r is returned wrapped.
func Read(r io.Reader) (*Manifest, error) { return ReadField(r, DefaultSignatureField) }

// ReadField is Read for a manifest whose signature is under signatureField.
func ReadField(r io.Reader, signatureField string) (*Manifest, error) {
	if err := checkSignatureField(signatureField); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxBytes)
	}
	// encoding/json would replace bad bytes silently, so two different files
	// could read the same.
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrFormat)
	}
	d := decoder{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	d.dec.UseNumber()
	m, err := d.manifest(signatureField)
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

// A decoder walks JSON token by token. Unmarshalling into structs would match
// keys without regard to case and let the last of two equal keys win, where
// other readers (the one on the board) do neither.
type decoder struct {
	data []byte
	dec  *json.Decoder
}

func (d *decoder) manifest(signatureField string) (*Manifest, error) {
	if text := bytes.TrimLeft(d.data, " \t\r\n"); len(text) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	} else if text[0] == '<' {
		return nil, fmt.Errorf("%w: this looks like HTML, not JSON", ErrFormat)
	}
	m := &Manifest{SignatureField: signatureField, Files: []File{}}
	err := d.object([]string{"version", "files"}, []string{"app", signatureField}, func(key string) (err error) {
		switch key {
		case "app":
			m.App, err = d.string(key)
		case "version":
			m.Version, err = d.integer(key)
		case signatureField:
			m.Signature, err = d.string(key)
		case "files":
			m.Files, err = d.files()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := d.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, d.fault("there is something after the end of the manifest")
	}
	return m, nil
}

func (d *decoder) files() ([]File, error) {
	if err := d.delim('[', "files must be a list"); err != nil {
		return nil, err
	}
	files := []File{}
	for d.dec.More() {
		if len(files) == MaxFiles {
			return nil, fmt.Errorf("%w: more than %d files", ErrTooLarge, MaxFiles)
		}
		f := File{Size: -1}
		err := d.object([]string{"path", "version"}, []string{"md5", "size", "sha256"}, func(key string) (err error) {
			switch key {
			case "path":
				f.Path, err = d.string(key)
			case "version":
				f.Version, err = d.integer(key)
			case "md5":
				f.MD5, err = d.string(key)
			case "sha256":
				f.SHA256, err = d.string(key)
			case "size":
				if f.Size, err = d.integer(key); err == nil && f.Size < 0 {
					err = d.fault("size is negative")
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, d.delim(']', "the list of files does not end")
}

// object reads one JSON object and calls value for each key that is required
// or optional, which must read the value. It skips all others.
func (d *decoder) object(required, optional []string, value func(key string) error) error {
	if err := d.delim('{', "expected an object, like {…}"); err != nil {
		return err
	}
	var seen [8]string // the keys so far; fewer than a map would pay for
	known := seen[:0]
	for d.dec.More() {
		tok, err := d.dec.Token()
		if err != nil {
			return d.syntax(err)
		}
		key, ok := tok.(string)
		if !ok {
			return d.fault("a key must be text")
		}
		if !slices.Contains(required, key) && !slices.Contains(optional, key) {
			var skipped json.RawMessage
			if err := d.dec.Decode(&skipped); err != nil {
				return d.syntax(err)
			}
			continue
		}
		if slices.Contains(known, key) {
			return d.fault("the key %q is given twice", key)
		}
		known = append(known, key)
		if err := value(key); err != nil {
			return err
		}
	}
	if err := d.delim('}', "the object does not end"); err != nil {
		return err
	}
	for _, key := range required {
		if !slices.Contains(known, key) {
			return d.fault("the key %q is missing", key)
		}
	}
	return nil
}

func (d *decoder) delim(want json.Delim, message string) error {
	tok, err := d.dec.Token()
	if err != nil {
		return d.syntax(err)
	}
	if tok != want {
		return d.fault("%s", message)
	}
	return nil
}

func (d *decoder) string(key string) (string, error) {
	tok, err := d.dec.Token()
	if err != nil {
		return "", d.syntax(err)
	}
	s, ok := tok.(string)
	if !ok {
		return "", d.fault("%s must be text", key)
	}
	return s, nil
}

func (d *decoder) integer(key string) (int64, error) {
	tok, err := d.dec.Token()
	if err != nil {
		return 0, d.syntax(err)
	}
	num, ok := tok.(json.Number)
	if !ok {
		return 0, d.fault("%s must be a number", key)
	}
	n, err := strconv.ParseInt(num.String(), 10, 64)
	if err != nil {
		return 0, d.fault("%s must be a whole number below 2^63", key)
	}
	return n, nil
}

// fault says what is wrong just before the place that was read last.
func (d *decoder) fault(format string, args ...any) error {
	line := 1 + bytes.Count(d.data[:d.dec.InputOffset()], []byte("\n"))
	return fmt.Errorf("%w: line %d: %s", ErrFormat, line, fmt.Sprintf(format, args...))
}

func (d *decoder) syntax(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return d.fault("it ends too early; was it cut off?")
	}
	return d.fault("%s", err)
}

// maxIndent is more than anybody reads, and keeps a mistyped number from
// filling the memory.
const maxIndent = 32

// Encode returns m as JSON, files sorted by path, a newline at the end. Values
// that are unknown (App, MD5, SHA256, Signature empty; Size negative) are left
// out. What Validate refuses it refuses.
//
// indent is that of Python's json.dumps: above 0, every value is on a line of
// its own, indented by that many spaces a level; 0 is lines without
// indentation; below 0, like Python's None, is one line.
//
// Text other than ASCII is written as itself, not as \u escapes: MicroPython
// does not join the two halves of an escaped character above U+FFFF.
func (m *Manifest) Encode(indent int) ([]byte, error) {
	if indent > maxIndent {
		return nil, fmt.Errorf("encode manifest: indent %d is more than %d", indent, maxIndent)
	}
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	files := m.Files
	byPath := func(a, b File) int { return strings.Compare(a.Path, b.Path) }
	if !slices.IsSortedFunc(files, byPath) {
		files = slices.Clone(files)
		slices.SortFunc(files, byPath)
	}

	e := encoder{indent: indent, buf: make([]byte, 0, 256+300*len(files))}
	e.open('{')
	if m.App != "" {
		e.text("app", m.App)
	}
	e.integer("version", m.Version)
	e.key("files")
	e.open('[')
	for _, f := range files {
		e.next()
		e.open('{')
		e.text("path", f.Path)
		e.integer("version", f.Version)
		if f.MD5 != "" {
			e.text("md5", f.MD5)
		}
		if f.Size >= 0 {
			e.integer("size", f.Size)
		}
		if f.SHA256 != "" {
			e.text("sha256", f.SHA256)
		}
		e.close('}')
	}
	e.close(']')
	if m.Signature != "" {
		e.text(m.signatureField(), m.Signature)
	}
	e.close('}')
	return append(e.buf, '\n'), nil
}

// An encoder writes JSON in the layout of Python's json.dumps.
type encoder struct {
	buf    []byte
	indent int
	depth  int
	filled bool // the innermost object or list has something in it
}

func (e *encoder) open(bracket byte) {
	e.buf = append(e.buf, bracket)
	e.depth++
	e.filled = false
}

func (e *encoder) close(bracket byte) {
	e.depth--
	if e.filled {
		e.newline()
	}
	e.buf = append(e.buf, bracket)
	e.filled = true
}

// next starts an element of a list or a member of an object.
func (e *encoder) next() {
	if e.filled {
		e.buf = append(e.buf, ',')
		if e.indent < 0 {
			e.buf = append(e.buf, ' ')
		}
	}
	e.newline()
	e.filled = true
}

func (e *encoder) newline() {
	if e.indent < 0 {
		return
	}
	e.buf = append(e.buf, '\n')
	for range e.indent * e.depth {
		e.buf = append(e.buf, ' ')
	}
}

func (e *encoder) key(key string) {
	e.next()
	e.quote(key)
	e.buf = append(e.buf, ": "...)
}

func (e *encoder) text(key, value string) {
	e.key(key)
	e.quote(value)
}

func (e *encoder) integer(key string, value int64) {
	e.key(key)
	e.buf = strconv.AppendInt(e.buf, value, 10)
}

func (e *encoder) quote(s string) {
	const hex = "0123456789abcdef"
	e.buf = append(e.buf, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			e.buf = append(e.buf, '\\', c)
		case c < 0x20:
			e.buf = append(e.buf, `\u00`...)
			e.buf = append(e.buf, hex[c>>4], hex[c&15])
		default:
			e.buf = append(e.buf, c)
		}
	}
	e.buf = append(e.buf, '"')
}
