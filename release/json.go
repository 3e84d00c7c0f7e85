package release

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxTextBytes is how long app, name and the like can be.
const MaxTextBytes = 64

// MaxListed is how many entries a list can have: channels, boards, keys.
const MaxListed = 16

// A reader goes through the one form that an object of a document has: known
// keys in their order, without blanks, every value in its only spelling. So it
// cannot read anything else in it than another reader. Its errors are ErrFormat.
type reader struct{ rest string }

// A field is a known key of an object. read reads its value.
type field struct {
	key      string
	required bool
	read     func(key string) error
}

func (r *reader) cut(prefix string) (ok bool) {
	r.rest, ok = strings.CutPrefix(r.rest, prefix)
	return ok
}

// object reads an object. Unknown keys may come after the known ones.
func (r *reader) object(fields []field) error {
	before := "{"
	for _, f := range fields {
		if r.cut(before + `"` + f.key + `":`) {
			if err := f.read(f.key); err != nil {
				return err
			}
			before = ","
		} else if f.required {
			return fmt.Errorf("%w: the key %q is missing, or not in its place", ErrFormat, f.key)
		}
	}
	if r.rest == "}" {
		return nil
	}
	if !strings.HasPrefix(r.rest, `,"`) {
		return fmt.Errorf("%w: neither a further key nor the end of the object: %.20q", ErrFormat, r.rest)
	}
	return checkUnknown("{"+r.rest[1:], fields)
}

// checkUnknown looks at the part of an object that this version does not know.
// Boards refuse only known keys in it, as text; here it must also be JSON
// without a key that is given twice.
func checkUnknown(object string, fields []field) error {
	seen := map[string]bool{}
	for _, f := range fields {
		if strings.Contains(object, `"`+f.key+`":`) {
			return fmt.Errorf("%w: the key %q is given twice, or not in its place", ErrFormat, f.key)
		}
		seen[f.key] = true
	}
	if !json.Valid([]byte(object)) {
		return fmt.Errorf("%w: what comes after the known keys is no JSON", ErrFormat)
	}
	d := json.NewDecoder(strings.NewReader(object))
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
		if seen[key.(string)] {
			return fmt.Errorf("%w: the key %q is given twice", ErrFormat, key)
		}
		seen[key.(string)] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
	}
	return nil
}

// list reads a list of 1 to MaxListed texts that are all different.
func (r *reader) list(key string) ([]string, error) {
	var list []string
	for before := "["; r.cut(before); before = "," {
		if len(list) == MaxListed {
			return nil, fmt.Errorf("%w: %s has more than %d entries", ErrFormat, key, MaxListed)
		}
		text, err := r.text(key)
		if err != nil {
			return nil, err
		}
		if slices.Contains(list, text) {
			return nil, fmt.Errorf("%w: %s names %q twice", ErrFormat, key, text)
		}
		list = append(list, text)
	}
	if len(list) == 0 || !r.cut("]") {
		return nil, fmt.Errorf("%w: %s must be a list of texts, like [\"a\",\"b\"]", ErrFormat, key)
	}
	return list, nil
}

func (r *reader) text(key string) (string, error) {
	if !r.cut(`"`) {
		return "", fmt.Errorf("%w: %s must be text", ErrFormat, key)
	}
	text, rest, ok := strings.Cut(r.rest, `"`)
	if !ok {
		return "", fmt.Errorf("%w: %s does not end", ErrFormat, key)
	}
	r.rest = rest
	return text, checkText(key, text)
}

func (r *reader) number(key string, least int64) (int64, error) {
	digits := r.rest[:len(r.rest)-len(strings.TrimLeft(r.rest, "0123456789"))]
	r.rest = r.rest[len(digits):]
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || int64(n) < least || strconv.FormatUint(n, 10) != digits {
		return 0, fmt.Errorf("%w: %s must be a whole number from %d to 2^63-1, in digits", ErrFormat, key, least)
	}
	return int64(n), nil
}

// checkText reports whether a value can be stored under key.
func checkText(key, s string) error {
	why := ""
	switch {
	case s == "":
		why = "is empty"
	case len(s) > MaxTextBytes:
		why = fmt.Sprintf("has %d bytes, more than %d", len(s), MaxTextBytes)
	case !utf8.ValidString(s) || strings.ContainsRune(s, unicode.ReplacementChar):
		why = "is not UTF-8"
	case strings.ContainsFunc(s, unicode.IsControl):
		why = "has a control character"
	case strings.ContainsAny(s, `"\\`):
		why = "has a quotation mark or a backslash"
	}
	if why != "" {
		return fmt.Errorf("%w: %s %s", ErrFormat, key, why)
	}
	return nil
}

// An encoder writes an object without blanks, in the order of the calls.
type encoder struct{ bytes.Buffer }

func (e *encoder) key(key string) {
	if e.Len() > 0 && e.Bytes()[e.Len()-1] != '{' {
		e.WriteByte(',')
	}
	e.quote(key)
	e.WriteByte(':')
}

// quote writes a text that checkText allows, so none that needs an escape.
func (e *encoder) quote(s string) {
	e.WriteByte('"')
	e.WriteString(s)
	e.WriteByte('"')
}

func (e *encoder) text(key, value string) {
	e.key(key)
	e.quote(value)
}

func (e *encoder) number(key string, value int64) {
	e.key(key)
	e.WriteString(strconv.FormatInt(value, 10))
}

func (e *encoder) list(key string, values []string) {
	e.key(key)
	e.WriteByte('[')
	for i, v := range values {
		if i > 0 {
			e.WriteByte(',')
		}
		e.quote(v)
	}
	e.WriteByte(']')
}
