// Package fleet decides which release each board of a fleet should run.
//
// It holds the types of the fleet service and its rules, and does no I/O:
// package sqlstore keeps what is here in a database, package httpapi speaks to
// boards and to people. Time and chance are arguments.
//
// The big idea is one pure function. A board polls with a [Report]; the server
// has a [View] of its application (releases, channels, rollouts; a few kilobytes,
// cached) and the [Board]'s row. [View.Decide] makes of these the release to
// offer, when to poll next, and what to remember of the board. Only when that
// changes is anything written before the answer; so nearly every poll costs no
// write and no query.
//
// A release reaches boards over a [Channel]. What a channel holds is offered to
// all boards that follow it. A [Rollout] brings a new release to a channel in
// steps: its members are a growing share of the boards, chosen by a hash, so
// that each board's membership is the same on every server and after every
// restart, and none leaves while the share grows. Each member has a [Task],
// which goes through [Stage]s as reports come in; the [Counts] of boards in each
// stage are what [Rollout.Advance] looks at to take the next step or to halt.
//
// docs/FLEET.md explains the same to people who run a fleet.
package fleet

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cactuscon/saguarota/release"
)

// Errors to test for with errors.Is. What is returned wraps them with what is
// to blame.
var (
	// ErrInvalid: a value that makes no sense.
	ErrInvalid = errors.New("not valid")

	// ErrNotFound: there is no such app, release, channel, rollout or board.
	ErrNotFound = errors.New("not found")

	// ErrExists: there is one of that name, and it is another.
	ErrExists = errors.New("exists already")

	// ErrConflict: it was changed by somebody else meanwhile. Read it again.
	ErrConflict = errors.New("changed meanwhile")

	// ErrState: a rollout in this state cannot do that.
	ErrState = errors.New("not in this state")

	// ErrBusy: the rollout's maximum of boards are being updated.
	ErrBusy = errors.New("as many boards as may be are being updated")

	// ErrFull: the application takes no more boards, or not so many a minute.
	ErrFull = errors.New("too many new boards")

	// ErrOlder: a release that boards would refuse, because it is not newer than
	// what was published before.
	ErrOlder = errors.New("not newer than what was published before")

	// ErrUnauthorized: no token, or not a valid one.
	ErrUnauthorized = errors.New("no valid token")

	// ErrForbidden: a valid token without the scope that it takes.
	ErrForbidden = errors.New("the token does not allow this")
)

// Bounds of what is stored.
const (
	MaxNameBytes  = release.MaxTextBytes // of an app, a channel, a tag, a value of a report
	MaxTags       = 32                   // of one board, and in one selector
	MaxSteps      = 100                  // of one rollout
	MaxPollPeriod = 7 * 24 * time.Hour
	MinPollPeriod = time.Second
)

// DefaultPollPeriod is how long a board waits between two polls, on average, if
// the application does not say.
const DefaultPollPeriod = 15 * time.Minute

// An App is an application: what boards of one kind run. It has releases, which
// are signed by its keys, and boards.
type App struct {
	Name string // as in statements

	// Root is the keyset that boards have built in. Later ones come with releases.
	Root *release.Keyset

	PollPeriod time.Duration // between two polls of a board, on average
	Enrolment  Enrolment
}

// Enrolment says which boards are taken in.
type Enrolment struct {
	// Tokens: only boards that show the token that is derived for them.
	Tokens bool

	// Secret is what the boards' tokens are derived from: 32 random bytes.
	Secret []byte

	// Without tokens anybody can invent boards, so their number is bounded. What
	// is 0 is not bounded.
	MaxBoards    int64
	MaxPerMinute int64
}

// Check reports whether a can be an application. The error is ErrInvalid.
func (a *App) Check() error {
	if err := CheckName("the application's name", a.Name); err != nil {
		return err
	}
	switch {
	case a.Root == nil:
		return fmt.Errorf("%w: the application %q has no public keys", ErrInvalid, a.Name)
	case a.Root.App != a.Name:
		return fmt.Errorf("%w: the keyset is for the application %q, not %q", ErrInvalid, a.Root.App, a.Name)
	case a.PollPeriod < MinPollPeriod || a.PollPeriod > MaxPollPeriod:
		return fmt.Errorf("%w: boards cannot poll every %v; give a time from %v to %v", ErrInvalid, a.PollPeriod, MinPollPeriod, MaxPollPeriod)
	case a.Enrolment.MaxBoards < 0 || a.Enrolment.MaxPerMinute < 0:
		return fmt.Errorf("%w: a negative number of boards", ErrInvalid)
	case len(a.Enrolment.Secret) != secretBytes:
		return fmt.Errorf("%w: the secret for boards' tokens has %d bytes, not %d", ErrInvalid, len(a.Enrolment.Secret), secretBytes)
	}
	if err := a.Root.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// A Release is one version of an application. No two releases of an application
// have the same version, whatever their keysets.
type Release struct {
	Statement release.Statement
	Signed    []byte // the statement as boards get it, versions.json.sig
	Published time.Time

	// StepThrough: no board gets past this version without having run it, as
	// where a release converts the data of the one before.
	StepThrough bool

	// Withdrawn releases are not offered to anybody, whatever points to them.
	Withdrawn bool
}

// Version returns the release's number.
func (r *Release) Version() int64 { return r.Statement.Version }

// After reports whether boards that run old accept r.
func (r *Release) After(old *Release) bool { return r.Statement.After(&old.Statement) }

// A Channel is a name that boards follow.
type Channel struct {
	Name    string
	Release int64 // what all boards that follow it get; 0: nothing

	// Rollout is what brings the next release to the channel: nil if nothing does.
	Rollout *Rollout
}

// A Board is what the server knows of a board.
type Board struct {
	ID string

	// What people have set.
	Channel string   // it follows this, whatever it says itself
	Tags    []string // sorted, none twice
	Pin     int64    // it gets this version and no other; 0: not pinned
	Hidden  bool     // not listed or counted; a poll brings it back
	Revoked bool     // its token is not accepted

	FirstSeen time.Time // or added
	LastSeen  time.Time // zero: it was added, and has not polled yet
	Report    Report    // the last
	Task      Task      // of the last rollout that it was a member of
}

// CheckName reports whether a name, tag or the like can be stored: 1 to
// MaxNameBytes bytes of UTF-8 without control characters, and no blank at either
// end. The error is ErrInvalid.
func CheckName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: %s is empty", ErrInvalid, what)
	case len(name) > MaxNameBytes:
		return fmt.Errorf("%w: %s has %d bytes, more than %d", ErrInvalid, what, len(name), MaxNameBytes)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: %s is not UTF-8", ErrInvalid, what)
	case name[0] == ' ' || name[len(name)-1] == ' ':
		return fmt.Errorf("%w: %s begins or ends with a blank", ErrInvalid, what)
	}
	for _, c := range name {
		if unicode.IsControl(c) || c == utf8.RuneError {
			return fmt.Errorf("%w: %s contains %U", ErrInvalid, what, c)
		}
	}
	return nil
}

// CheckTags reports whether tags can be a board's: sorted, none twice, not more
// than MaxTags. The error is ErrInvalid.
func CheckTags(tags []string) error {
	if len(tags) > MaxTags {
		return fmt.Errorf("%w: %d tags, more than %d", ErrInvalid, len(tags), MaxTags)
	}
	for i, tag := range tags {
		if err := CheckName("a tag", tag); err != nil {
			return err
		}
		if i > 0 && tags[i-1] >= tag {
			return fmt.Errorf("%w: tags are not in order: %q before %q", ErrInvalid, tags[i-1], tag)
		}
	}
	return nil
}

// SortTags returns tags in the form that CheckTags asks for.
func SortTags(tags []string) []string {
	tags = slices.Clone(tags)
	slices.Sort(tags)
	return slices.Compact(tags)
}
