package fleet

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxReportBytes is how long the header with a report can be.
const MaxReportBytes = 768

// A Report is what a board says of itself in one header of its poll. Nothing in
// it is proven: it decides what this board is offered and how it is counted, and
// nothing else.
type Report struct {
	ID          string // 1 to MaxNameBytes of A-Z a-z 0-9 . _ : -
	Version     int64  // of the release that it runs; 0: none, or not known
	State       string // "idle", "installing", "confirm_pending"
	Error       string // the error code of its last check; "": none
	Board       string // what kind of board it calls itself
	MicroPython string // "1.26.1"
	Lib         string // version of the board's library
	Free        int64  // bytes free in its file system; -1: not said
	Channel     string // that it is set to; "": not said
}

// States of a report.
const (
	StateIdle           = "idle"
	StateInstalling     = "installing"
	StateConfirmPending = "confirm_pending"
)

// ParseReport reads the value of the header:
//
//	id=4f2a; version=1700000000; state=idle; board=Pico W; micropython=1.26.1; lib=2.0; free=412000
//
// Only id is required, and no key can be given twice. What is in a value that
// the header cannot hold (";", "%", control characters, all beyond ASCII) is
// written as in URLs: "%3B". Keys that are not known are ignored, since boards
// are newer than servers at times; a text that is too long is cut rather than
// refused, since a board with a long name has to get its updates, too. The error
// is ErrInvalid.
func ParseReport(header string) (Report, error) {
	r := Report{Free: -1}
	if len(header) > MaxReportBytes {
		return r, fmt.Errorf("%w: a report of %d bytes, more than %d", ErrInvalid, len(header), MaxReportBytes)
	}
	var seen uint
	for rest, more := header, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, ";")
		if part = strings.Trim(part, " \t"); part == "" {
			continue
		}
		key, raw, ok := strings.Cut(part, "=")
		if !ok {
			return r, fmt.Errorf("%w: %q in a report has no value", ErrInvalid, part)
		}
		i := reportKey(key)
		if i < 0 {
			continue
		}
		if seen&(1<<i) != 0 {
			return r, fmt.Errorf("%w: %s is twice in a report", ErrInvalid, key)
		}
		seen |= 1 << i
		value, err := reportValue(raw)
		if err != nil {
			return r, fmt.Errorf("%w: %s in a report: %w", ErrInvalid, key, err)
		}
		if err := r.set(key, value); err != nil {
			return r, err
		}
	}
	return r, CheckBoardID(r.ID)
}

var reportKeys = [...]string{"id", "version", "state", "error", "board", "micropython", "lib", "free", "channel"}

func reportKey(key string) int {
	for i, k := range reportKeys {
		if k == key {
			return i
		}
	}
	return -1
}

func (r *Report) set(key, value string) (err error) {
	switch key {
	case "id":
		r.ID = value
	case "version":
		r.Version, err = reportNumber(key, value)
	case "free":
		r.Free, err = reportNumber(key, value)
	case "state":
		r.State = cut(value)
	case "error":
		r.Error = cut(value)
	case "board":
		r.Board = cut(value)
	case "micropython":
		r.MicroPython = cut(value)
	case "lib":
		r.Lib = cut(value)
	case "channel":
		r.Channel = cut(value)
	}
	return err
}

// reportValue undoes the escapes of a value.
func reportValue(raw string) (string, error) {
	value := raw
	if strings.Contains(raw, "%") {
		var err error
		if value, err = url.PathUnescape(raw); err != nil {
			return "", err
		}
	}
	if !utf8.ValidString(value) {
		return "", fmt.Errorf("%q is not UTF-8", value)
	}
	for _, c := range value {
		if unicode.IsControl(c) || c == utf8.RuneError {
			return "", fmt.Errorf("it contains %U", c)
		}
	}
	return value, nil
}

func reportNumber(key, value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 || value[0] == '+' {
		return 0, fmt.Errorf("%w: %s in a report is no number: %q", ErrInvalid, key, value)
	}
	return n, nil
}

// cut shortens a text to MaxNameBytes, without half a character at its end.
func cut(text string) string {
	if len(text) > MaxNameBytes {
		text = text[:MaxNameBytes]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
	}
	return strings.Trim(text, " ")
}

// CheckBoardID reports whether a board can have the id: 1 to MaxNameBytes letters
// and digits of ASCII and any of "._:-", and not "." or "..", so that it can be
// in URLs and file names as it is. The error is ErrInvalid.
func CheckBoardID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: a report without id", ErrInvalid)
	case len(id) > MaxNameBytes:
		return fmt.Errorf("%w: a board's id of %d bytes, more than %d", ErrInvalid, len(id), MaxNameBytes)
	case id == "." || id == "..":
		return fmt.Errorf("%w: a board cannot have the id %q", ErrInvalid, id)
	}
	for _, c := range []byte(id) {
		if !isAlphanumeric(c) && !strings.ContainsRune("._:-", rune(c)) {
			return fmt.Errorf("%w: the board's id %q has other characters than letters, digits and . _ : -", ErrInvalid, id)
		}
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// String returns the report as a header, which ParseReport reads again.
func (r Report) String() string {
	var b strings.Builder
	add := func(key, value string) {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(key)
		b.WriteByte('=')
		for _, c := range []byte(value) {
			if c < ' ' || c > '~' || c == ';' || c == '%' {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	add("id", r.ID)
	add("version", strconv.FormatInt(r.Version, 10))
	for _, t := range []struct{ key, value string }{
		{"state", r.State}, {"error", r.Error}, {"board", r.Board},
		{"micropython", r.MicroPython}, {"lib", r.Lib}, {"channel", r.Channel},
	} {
		if t.value != "" {
			add(t.key, t.value)
		}
	}
	if r.Free >= 0 {
		add("free", strconv.FormatInt(r.Free, 10))
	}
	return b.String()
}
