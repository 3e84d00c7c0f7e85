package release

import (
	"fmt"
	"slices"
)

// DefaultChannel is the channel of a board that is set to none.
const DefaultChannel = "stable"

// A Board is what a board compares a statement with, once its signatures are
// verified. What is the zero value is not compared.
type Board struct {
	App         string
	Channel     string
	Name        string // what the board calls itself, and
	Platform    string // sys.platform: a statement may name either
	MPY         string // .mpy format, "6.3"
	MicroPython string // "1.22.1"
	Time        int64  // the latest time that it knows of, Unix seconds
	Installed   *Statement
}

// Accepts reports whether the board may install the release: nil, or the first
// of ErrApp, ErrRollback (an older keyset), ErrChannel, ErrBoard, ErrMPY,
// ErrMicroPython, ErrExpired and ErrRollback (an older version, or the same
// version with other content) that holds. That of the installed release itself
// is accepted.
func (b Board) Accepts(s *Statement) error {
	if b.App != "" && s.App != b.App {
		return fmt.Errorf("%w: %q, not %q", ErrApp, s.App, b.App)
	}
	old := b.Installed
	if old != nil && s.Keyset < old.Keyset {
		return fmt.Errorf("%w: keyset %d, after keyset %d", ErrRollback, s.Keyset, old.Keyset)
	}
	if len(s.Channels) > 0 && b.Channel != "" && !slices.Contains(s.Channels, b.Channel) {
		return fmt.Errorf("%w: %q, not %q", ErrChannel, s.Channels, b.Channel)
	}
	if len(s.Boards) > 0 && (b.Name != "" || b.Platform != "") &&
		!slices.Contains(s.Boards, b.Name) && !slices.Contains(s.Boards, b.Platform) {
		return fmt.Errorf("%w: %q, not %q (%s)", ErrBoard, s.Boards, b.Name, b.Platform)
	}
	if s.MPY != "" && b.MPY != "" {
		want, err := parseNumbers(s.MPY, 1, 2)
		if err != nil {
			return err
		}
		have, err := parseNumbers(b.MPY, 2, 2)
		if err != nil {
			return err
		}
		if !slices.Equal(want, have[:len(want)]) {
			return fmt.Errorf("%w: %s, not %s", ErrMPY, s.MPY, b.MPY)
		}
	}
	if s.MicroPython != "" && b.MicroPython != "" {
		want, err := parseNumbers(s.MicroPython, 2, 3)
		if err != nil {
			return err
		}
		have, err := parseNumbers(b.MicroPython, 2, 3)
		if err != nil {
			return err
		}
		if slices.Compare(append(want, 0)[:3], append(have, 0)[:3]) > 0 {
			return fmt.Errorf("%w: %s at least, not %s", ErrMicroPython, s.MicroPython, b.MicroPython)
		}
	}
	if s.Expires != 0 && b.Time > s.Expires {
		return fmt.Errorf("%w: at %d, and it is %d", ErrExpired, s.Expires, b.Time)
	}
	if old != nil && s.Keyset == old.Keyset {
		if s.Version < old.Version {
			return fmt.Errorf("%w: version %d, after version %d", ErrRollback, s.Version, old.Version)
		}
		if s.Version == old.Version && s.Manifest != old.Manifest {
			return fmt.Errorf("%w: version %d again, with another manifest", ErrRollback, s.Version)
		}
	}
	return nil
}
