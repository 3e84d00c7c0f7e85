package fleet

import (
	"fmt"
	"slices"
)

// A Selector says which boards of a channel a rollout is for. The zero value is
// for all.
type Selector struct {
	Tags   []string `json:"tags,omitempty"`   // boards that have all of these tags
	Not    []string `json:"not,omitempty"`    // and none of these
	Cohort []string `json:"cohort,omitempty"` // and one of these, if there are any

	// Boards whose report says this, compared exactly; "": whatever it says.
	Board       string `json:"board,omitempty"`
	MicroPython string `json:"micropython,omitempty"`
	Lib         string `json:"lib,omitempty"`
	Version     int64  `json:"version,omitempty"`
	// MinFree chooses boards that report at least so many bytes free; 0: whatever they say.
	MinFree int64 `json:"minFree,omitempty"`
}

// Check reports whether s makes sense. The error is ErrInvalid.
func (s *Selector) Check() error {
	for _, list := range [][]string{s.Tags, s.Not, s.Cohort} {
		if len(list) > MaxTags {
			return fmt.Errorf("%w: %d tags in a selector, more than %d", ErrInvalid, len(list), MaxTags)
		}
		for _, tag := range list {
			if err := CheckName("a tag in a selector", tag); err != nil {
				return err
			}
		}
	}
	if s.MinFree < 0 {
		return fmt.Errorf("%w: boards with at least %d bytes free", ErrInvalid, s.MinFree)
	}
	for _, tag := range s.Tags {
		if slices.Contains(s.Not, tag) {
			return fmt.Errorf("%w: no board both has the tag %q and has it not", ErrInvalid, tag)
		}
	}
	return nil
}

// Matches reports whether the selector chooses the board, which reports r.
func (s *Selector) Matches(b *Board, r *Report) bool {
	has := func(tag string) bool { _, ok := slices.BinarySearch(b.Tags, tag); return ok }
	for _, tag := range s.Tags {
		if !has(tag) {
			return false
		}
	}
	if slices.ContainsFunc(s.Not, has) || len(s.Cohort) > 0 && !slices.ContainsFunc(s.Cohort, has) {
		return false
	}
	return (s.Board == "" || s.Board == r.Board) &&
		(s.MicroPython == "" || s.MicroPython == r.MicroPython) &&
		(s.Lib == "" || s.Lib == r.Lib) &&
		(s.Version == 0 || s.Version == r.Version) &&
		(s.MinFree == 0 || s.MinFree <= r.Free)
}
