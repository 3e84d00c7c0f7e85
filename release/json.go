package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// A decoder walks the JSON object of a document token by token. Unmarshalling
// into structs would match keys without regard to case, take null for nothing,
// and let the last of two equal keys win. All its errors are ErrFormat.
type decoder struct{ *json.Decoder }

func newDecoder(object []byte) decoder {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	return decoder{d}
}

// object reads one object and calls value for each key that is required or
// optional, which must read the value. It skips all others.
func (d decoder) object(what string, required, optional []string, value func(key string) error) error {
	if err := d.delim('{', what); err != nil {
		return err
	}
	seen := map[string]bool{}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return d.syntax(err)
		}
		key, ok := tok.(string)
		if !ok {
			return fmt.Errorf("%w: a key must be text", ErrFormat)
		}
		if seen[key] {
			return fmt.Errorf("%w: the key %q is given twice", ErrFormat, key)
		}
		seen[key] = true
		if !slices.Contains(required, key) && !slices.Contains(optional, key) {
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return d.syntax(err)
			}
			continue
		}
		if err := value(key); err != nil {
			return err
		}
	}
	if err := d.delim('}', what); err != nil {
		return err
	}
	for _, key := range required {
		if !seen[key] {
			return fmt.Errorf("%w: the key %q is missing", ErrFormat, key)
		}
	}
	return nil
}

// end checks that nothing follows.
func (d decoder) end() error {
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: there is something after the object", ErrFormat)
	}
	return nil
}

// list reads a list of 1 to MaxListed texts that are all different.
func (d decoder) list(key string) ([]string, error) {
	if err := d.delim('[', key); err != nil {
		return nil, err
	}
	var list []string
	for d.More() {
		if len(list) == MaxListed {
			return nil, fmt.Errorf("%w: %s has more than %d entries", ErrFormat, key, MaxListed)
		}
		text, err := d.text(key)
		if err != nil {
			return nil, err
		}
		if slices.Contains(list, text) {
			return nil, fmt.Errorf("%w: %s names %q twice", ErrFormat, key, text)
		}
		list = append(list, text)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: %s is an empty list", ErrFormat, key)
	}
	return list, d.delim(']', key)
}

func (d decoder) text(key string) (string, error) {
	tok, err := d.Token()
	if err != nil {
		return "", d.syntax(err)
	}
	s, ok := tok.(string)
	if !ok {
		return "", fmt.Errorf("%w: %s must be text", ErrFormat, key)
	}
	return s, checkText(key, s)
}

func (d decoder) number(key string, least int64) (int64, error) {
	tok, err := d.Token()
	if err != nil {
		return 0, d.syntax(err)
	}
	num, ok := tok.(json.Number)
	if !ok {
		return 0, fmt.Errorf("%w: %s must be a number", ErrFormat, key)
	}
	n, err := strconv.ParseUint(num.String(), 10, 63) // refuses signs, fractions, exponents
	if err != nil || int64(n) < least {
		return 0, fmt.Errorf("%w: %s must be a whole number from %d to 2^63-1, in digits", ErrFormat, key, least)
	}
	return int64(n), nil
}

func (d decoder) delim(want json.Delim, what string) error {
	tok, err := d.Token()
	if err != nil {
		return d.syntax(err)
	}
	if tok != want {
		return fmt.Errorf("%w: %s: expected %q", ErrFormat, what, want)
	}
	return nil
}

func (d decoder) syntax(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the JSON ends too early", ErrFormat)
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
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

// quote writes a text that checkText allows, so these two need an escape and
// no others.
func (e *encoder) quote(s string) {
	e.WriteByte('"')
	_, _ = strings.NewReplacer(`"`, `\"`, `\`, `\\`).WriteString(e, s)
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
