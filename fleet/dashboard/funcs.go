package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

func funcs() template.FuncMap {
	return template.FuncMap{
		"asset":    asset,
		"appPath":  appPath,
		"rollPath": rolloutPath,
		"num":      num[int64],
		"count":    num[int],
		"clock":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"machine":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"ago":      ago,
		"span":     span,
		// It is escaped already, and nothing else.
		"query":   func(pairs ...string) template.URL { return template.URL(queryOf(pairs...)) },
		"class":   func(text string) string { return strings.ReplaceAll(text, " ", "-") },
		"bytes":   formatBytes,
		"percent": func(part, of int64) string { return percentOf(part, of) },
		"share":   func(s fleet.Share) string { return s.String() },
		"plural":  plural,
		"version": func(v int64) string { return strconv.FormatInt(v, 10) },
		"label":   label,
		"json":    prettyJSON,
		"int64":   func(n int) int64 { return int64(n) },
		"deref":   func(t *time.Time) time.Time { return *t },
		"at":      func(now, t time.Time) moment { return moment{now, t} },
		"stack":   func(id int64, parts []part) stack { return stack{"stack-" + strconv.FormatInt(id, 10), parts} },
		"offered": offered,
		"actions": func() []boardAction { return boardActions },
		"board":   func(app, id string) string { return appPath(app) + "board?" + queryOf("id", id) },
	}
}

// num writes a number with commas between thousands.
func num[T int | int64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// plural writes a number of things.
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return num(n) + " " + one + "s"
}

// ago says how long before now something was, roughly: so a page stays the same while
// nothing happens.
func ago(now, t time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return "never"
	case d < -time.Minute:
		return "in " + span(-d)
	case d < time.Minute:
		return "just now"
	default:
		return span(d) + " ago"
	}
}

// span says how long something lasts, roughly.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 2*day:
		h, m := int(d/time.Hour), int(d%time.Hour/time.Minute)
		if m == 0 || h > 9 {
			return fmt.Sprintf("%d h", h)
		}
		return fmt.Sprintf("%d h %d min", h, m)
	}
	return fmt.Sprintf("%d days", int(d/day))
}

func percentOf(part, of int64) string {
	if of == 0 {
		return "–"
	}
	p := 100 * float64(part) / float64(of)
	switch {
	case part > 0 && p < 0.1:
		return "<0.1 %"
	case p < 10 || p > 99 && part < of:
		// Never a whole that it is not.
		return fmt.Sprintf("%.1f %%", float64(int(p*10))/10)
	}
	return fmt.Sprintf("%.0f %%", p)
}

func formatBytes(n int64) string {
	switch {
	case n < 0:
		return "not said"
	case n < 10_000:
		return num(n) + " B"
	case n < 10_000_000:
		return num(n/1000) + " kB"
	}
	return num(n/1_000_000) + " MB"
}

// prettyJSON writes what an entry of the log says in one line.
func prettyJSON(raw json.RawMessage) string {
	var out bytes.Buffer
	if len(raw) == 0 || json.Compact(&out, raw) != nil {
		return string(raw)
	}
	return out.String()
}

// a moment is a time as it looks from now.
type moment struct{ Now, T time.Time }

// a stack is a bar of parts; its ID tells it from others on the page.
type stack struct {
	ID    string
	Parts []part
}

// offered reports whether an action makes sense for a board.
func offered(a boardAction, b *fleet.Board) bool {
	switch a.Name {
	case "untag":
		return len(b.Tags) > 0
	case "unpin":
		return b.Pin != 0
	case "hide":
		return !b.Hidden
	case "unhide":
		return b.Hidden
	case "revoke":
		return !b.Revoked
	case "unrevoke":
		return b.Revoked
	}
	return true
}
