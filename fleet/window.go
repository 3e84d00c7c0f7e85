package fleet

import (
	"fmt"
	"time"
)

// A Window is a time of day in which boards may be given an update, such as from
// 22:30 to 04:00 on weekdays. The zero value is always open.
type Window struct {
	// From and To are minutes after midnight, by the clock on the wall in Zone. To
	// below From is on the next day. Where the clock is put forward over From or
	// To, they are as much later.
	From int `json:"from"`
	To   int `json:"to"`

	// Days are those on which the window opens, by time.Weekday. None: every day.
	Days [7]bool `json:"days"`

	Zone string `json:"zone"` // name of a time zone, "Europe/Berlin"; "" is UTC
}

const dayMinutes = 24 * 60

// IsZero reports whether the window is always open.
func (w Window) IsZero() bool { return w == Window{} }

// Check reports whether w makes sense. The error is ErrInvalid.
func (w Window) Check() error {
	if w.IsZero() {
		return nil
	}
	if w.From < 0 || w.From >= dayMinutes || w.To < 0 || w.To >= dayMinutes || w.From == w.To {
		return fmt.Errorf("%w: a maintenance window from minute %d to minute %d of the day", ErrInvalid, w.From, w.To)
	}
	if _, err := time.LoadLocation(w.Zone); err != nil {
		return fmt.Errorf("%w: maintenance window: %w", ErrInvalid, err)
	}
	return nil
}

// Open returns whether the window is open now, and if it is not, when it opens
// next. A window whose zone is not known to this machine is never open: a board
// that is not updated is better than one that is at the wrong time.
func (w Window) Open(now time.Time) (open bool, next time.Time) {
	if w.IsZero() {
		return true, now
	}
	zone, err := time.LoadLocation(w.Zone)
	if err != nil {
		return false, now.Add(24 * time.Hour)
	}
	local := now.In(zone)
	year, month, day := local.Date()
	// It may have opened yesterday. After that the first opening that is to come
	// is within eight days.
	for d := -1; d <= 8; d++ {
		from := wallClock(year, month, day+d, w.From, zone)
		until := wallClock(year, month, day+d, w.To, zone)
		if w.To < w.From {
			until = wallClock(year, month, day+d+1, w.To, zone)
		}
		opens := time.Date(year, month, day+d, 12, 0, 0, 0, zone).Weekday()
		if w.Days != ([7]bool{}) && !w.Days[opens] || !now.Before(until) || !from.Before(until) {
			continue
		}
		if !now.Before(from) {
			return true, now
		}
		return false, from
	}
	return false, now.Add(24 * time.Hour)
}

// wallClock returns when the clock on the wall shows the given minute of a day.
// time.Date leaves open what it returns where the clock is put forward over it;
// this is then what a clock shows that nobody has put forward.
func wallClock(year int, month time.Month, day, minute int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, 0, minute, 0, 0, zone)
	if t.Hour()*60+t.Minute() == minute {
		return t
	}
	_, offset := t.Add(-6 * time.Hour).Zone()
	return time.Date(year, month, day, 0, minute, -offset, 0, time.UTC).In(zone)
}
