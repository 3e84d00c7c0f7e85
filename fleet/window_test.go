package fleet_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cactuscon/saguarota/fleet"
)

func TestWindow(t *testing.T) {
	weekdays := [7]bool{time.Monday: true, time.Tuesday: true, time.Wednesday: true, time.Thursday: true, time.Friday: true}
	for _, c := range []struct {
		name   string
		window fleet.Window
		now    string
		next   string // "" if it is open
	}{
		{"always", fleet.Window{}, "2026-03-02T12:00:00Z", ""},
		{"before", fleet.Window{From: 120, To: 300}, "2026-03-02T01:59:59Z", "2026-03-02T02:00:00Z"},
		{"first moment", fleet.Window{From: 120, To: 300}, "2026-03-02T02:00:00Z", ""},
		{"last moment", fleet.Window{From: 120, To: 300}, "2026-03-02T04:59:59Z", ""},
		{"after", fleet.Window{From: 120, To: 300}, "2026-03-02T05:00:00Z", "2026-03-03T02:00:00Z"},
		{"over midnight, before it", fleet.Window{From: 1350, To: 240}, "2026-03-02T23:00:00Z", ""},
		{"over midnight, after it", fleet.Window{From: 1350, To: 240}, "2026-03-03T03:59:00Z", ""},
		{"over midnight, closed", fleet.Window{From: 1350, To: 240}, "2026-03-03T04:00:00Z", "2026-03-03T22:30:00Z"},
		{"Friday night ends on Saturday", fleet.Window{From: 1350, To: 240, Days: weekdays}, "2026-03-07T03:00:00Z", ""},
		{"Saturday night", fleet.Window{From: 1350, To: 240, Days: weekdays}, "2026-03-07T23:00:00Z", "2026-03-09T22:30:00Z"},
		{"once a week", fleet.Window{From: 60, To: 120, Days: [7]bool{time.Monday: true}}, "2026-03-02T02:00:00Z", "2026-03-09T01:00:00Z"},
		{"Berlin in winter", fleet.Window{From: 120, To: 300, Zone: "Europe/Berlin"}, "2026-03-02T00:30:00Z", "2026-03-02T01:00:00Z"},
		{"Berlin in summer", fleet.Window{From: 120, To: 300, Zone: "Europe/Berlin"}, "2026-07-02T00:30:00Z", ""},
		// On 29 March the clock goes from 2:00 to 3:00.
		{"in the hour that is not", fleet.Window{From: 150, To: 240, Zone: "Europe/Berlin"}, "2026-03-29T00:45:00Z", "2026-03-29T01:30:00Z"},
		{"a day of 23 hours", fleet.Window{From: 150, To: 240, Zone: "Europe/Berlin"}, "2026-03-29T01:59:00Z", ""},
		{"a window of that hour does not open", fleet.Window{From: 120, To: 180, Zone: "Europe/Berlin"}, "2026-03-29T00:30:00Z", "2026-03-30T00:00:00Z"},
		{"New York", fleet.Window{From: 60, To: 120, Zone: "America/New_York"}, "2026-03-08T06:59:59Z", ""},
		{"its end", fleet.Window{From: 150, To: 240, Zone: "Europe/Berlin"}, "2026-03-29T02:00:00Z", "2026-03-30T00:30:00Z"},
		{"a zone that is not known", fleet.Window{From: 0, To: 1439, Zone: "Mars/Olympus"}, "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		open, next := c.window.Open(now)
		if c.next == "" {
			if !open || !next.Equal(now) {
				t.Errorf("%s: open %v, next %v; want open", c.name, open, next)
			}
			continue
		}
		if open || next.UTC().Format(time.RFC3339) != c.next {
			t.Errorf("%s: open %v, next %v; want %s", c.name, open, next.UTC(), c.next)
		}
	}
}

// When a window says that it opens, it does, and not before.
func TestWindowOpensWhenItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := fleet.Window{
			From: rapid.IntRange(0, 1439).Draw(t, "from"),
			To:   rapid.IntRange(0, 1439).Draw(t, "to"),
			Zone: rapid.SampledFrom([]string{"", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"}).Draw(t, "zone"),
		}
		for i := range w.Days {
			w.Days[i] = rapid.Bool().Draw(t, "day")
		}
		if w.Check() != nil {
			return
		}
		now := noon.Add(time.Duration(rapid.Int64Range(0, 400*24*3600).Draw(t, "now")) * time.Second)
		open, next := w.Open(now)
		if open {
			return
		}
		if !next.After(now) {
			t.Fatalf("closed at %v, opens at %v", now, next)
		}
		if opened, _ := w.Open(next); !opened {
			t.Fatalf("closed at %v, when it was to open", next)
		}
		before := now.Add(time.Duration(rapid.Int64Range(0, int64(next.Sub(now)-1)).Draw(t, "before")))
		if opened, _ := w.Open(before); opened {
			t.Fatalf("open at %v, before %v", before, next)
		}
	})
}

func TestWindowCheck(t *testing.T) {
	for _, w := range []fleet.Window{{From: -1, To: 5}, {From: 5, To: 1440}, {From: 5, To: 5}, {Days: [7]bool{1: true}}, {From: 1, To: 2, Zone: "Mars/Olympus"}} {
		if err := w.Check(); !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("%+v: %v", w, err)
		}
	}
	for _, w := range []fleet.Window{{}, {From: 1439, To: 0}, {From: 1, To: 2, Zone: "Asia/Tokyo"}} {
		if err := w.Check(); err != nil {
			t.Errorf("%+v: %v", w, err)
		}
	}
}
