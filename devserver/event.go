package devserver

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Event is one line for the terminal: a request and what became of it, or
// something that happened between requests.
//
// The strings can be printed as they are: whatever a client sent has lost its
// control characters, which a terminal could take for commands, and its excess
// length.
type Event struct {
	Time     time.Time     // when it was over
	Remote   string        // the client's address, without the port
	Board    string        // the short name by which the client calls itself, or ""
	Method   string        // "" if there was no request that could be understood
	Path     string        // as it was sent
	Status   int           // HTTP status, 0 if nothing was answered
	Bytes    int64         // of the body that were handed to the network
	Duration time.Duration // from the end of the request's head to the end of the answer
	Note     string        // progress, or why it failed; "" if there is nothing to say
}

// String returns the event as a line of plain text, without its end.
func (e Event) String() string {
	var b strings.Builder
	b.WriteString(e.Time.Format("15:04:05"))
	for _, word := range []string{e.Remote, e.Board} {
		if word != "" {
			b.WriteString(" " + word)
		}
	}
	if e.Method != "" {
		fmt.Fprintf(&b, " %s %s %d %s %s", e.Method, e.Path, e.Status, FormatBytes(e.Bytes), FormatDuration(e.Duration))
		if e.Note != "" {
			b.WriteString(",")
		}
	}
	if e.Note != "" {
		b.WriteString(" " + e.Note)
	}
	return b.String()
}

// FormatBytes writes a number of bytes for people: "812 B", "12.4 kB", "3.0 MB".
func FormatBytes(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v, unit := float64(n)/1000, "kB"
	for _, next := range []string{"MB", "GB"} {
		if v < 999.95 {
			break
		}
		v, unit = v/1000, next
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + unit
}

// FormatDuration writes a duration for people: "3 ms", "1.2 s".
func FormatDuration(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
}

// Lengths, in characters, to which what others wrote is cut in an Event.
const (
	maxShownPath   = 120
	maxShownBoard  = 28
	maxShownMethod = 12
	maxShownText   = 1000
)

// printable returns s without what could harm a terminal or the line it is in,
// and no longer than limit characters.
func printable(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == limit {
			b.WriteString("…")
			break
		}
		n++
		switch {
		case r == unicode.ReplacementChar, !unicode.IsPrint(r):
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// boardName makes the short name of a client of its User-Agent: of
// "saguarota/0.2.0 (ESP32_GENERIC_S3; micropython 1.25.0)" the board, of
// anything else the first word. It is "" for a client that sent none, as the
// original library does not.
func boardName(agent string) string {
	if rest, ok := strings.CutPrefix(agent, "saguarota/"); ok {
		if _, inside, ok := strings.Cut(rest, "("); ok {
			name, _, _ := strings.Cut(inside, ";")
			return printable(strings.TrimSpace(strings.TrimSuffix(name, ")")), maxShownBoard)
		}
	}
	for word := range strings.FieldsSeq(agent) {
		return printable(word, maxShownBoard)
	}
	return ""
}
