package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/cactuscon/saguarota/release"
)

// A Store keeps a fleet. Several servers may use one at the same time; what they
// are told is durable when a method returns without error, except for Seen.
//
// All methods are safe for concurrent use. Errors are those of this package where
// it has one that fits.
type Store interface {
	// Ping reports whether the database answers.
	Ping(ctx context.Context) error

	// Close writes what is still to be written, and closes the database.
	Close() error

	// AddApp registers an application: ErrExists.
	AddApp(ctx context.Context, by Actor, app App) error

	// ChangeApp calls change with the application, and stores what it makes of it.
	// Name and Root stay.
	ChangeApp(ctx context.Context, by Actor, name string, change func(*App) error) error

	// Apps returns the applications, sorted by name.
	Apps(ctx context.Context) ([]App, error)

	// AddRelease stores a release, with the signed keysets that lead to its own
	// from the application's root, in the order of the chain, and whatever is
	// stored with it. The files of the release must be in the blob store before.
	// The same release again is not an error and changes nothing; another one of
	// its version is ErrExists, one that is not After all others is ErrOlder.
	AddRelease(ctx context.Context, by Actor, r *Release, keysets [][]byte) error

	// ChangeRelease stores what change makes of StepThrough and Withdrawn.
	ChangeRelease(ctx context.Context, by Actor, app string, version int64, change func(*Release) error) error

	// Keyset returns the signed n-th keyset of an application.
	Keyset(ctx context.Context, app string, n int64) ([]byte, error)

	// SetChannel gives a release to all boards that follow a channel, now. The
	// channel is made where there is none. ErrState while a rollout is open.
	SetChannel(ctx context.Context, by Actor, app, channel string, version int64) error

	// StartRollout stores a new rollout, whose ID it sets. ErrState while another
	// one of the channel is open.
	StartRollout(ctx context.Context, by Actor, r Rollout) (Rollout, error)

	// Rollout returns a rollout with its counts as they are.
	Rollout(ctx context.Context, id int64) (Rollout, error)

	// Rollouts returns rollouts of an application, the newest first: at most limit,
	// with IDs below before (0: from the newest).
	Rollouts(ctx context.Context, app string, before int64, limit int) ([]Rollout, error)

	// ChangeRollout calls change with a rollout, and stores what it returns. Where
	// that is Done, its release becomes the channel's.
	ChangeRollout(ctx context.Context, by Actor, id int64, change func(Rollout) (Rollout, error)) (Rollout, error)

	// Advance does what is due by time in all open rollouts: it lets boards time
	// out, and takes the step that Rollout.Advance does; of several servers that
	// call it at once, one does each. It returns the rollouts that changed.
	Advance(ctx context.Context, now time.Time) ([]Rollout, error)

	// Snapshot returns the views of all applications, and what has changed since a
	// snapshot before. It is cheap where nothing has.
	Snapshot(ctx context.Context, since *Snapshot) (*Snapshot, error)

	// Board returns a board: ErrNotFound.
	Board(ctx context.Context, app, id string) (*Board, error)

	// CheckIn stores what a decision has made of a board, before the board is
	// answered. ErrConflict if the board's task is not Before any more, or New is
	// wrong: read the board again and decide again. ErrBusy or ErrState if it may
	// not begin: decide by View.Fallback. ErrFull if it is one board too many.
	// Nothing is stored then.
	CheckIn(ctx context.Context, c CheckIn) error

	// Seen notes that a board was seen, with nothing else new but its free bytes.
	// It returns at once; the note is written within MaxUnwritten.
	Seen(app, id string, at time.Time, free int64)

	// Boards returns boards in the order of their IDs, at most limit, after the ID
	// after ("": from the first).
	Boards(ctx context.Context, app string, f Filter, after string, limit int) ([]Board, error)

	// Count returns how many boards there are of each value of an attribute.
	// Hidden boards are not counted.
	Count(ctx context.Context, app string, by Attribute) (map[string]int64, error)

	// ChangeBoards calls change with each of the boards, and stores what it makes
	// of Channel, Tags, Pin, Hidden and Revoked. Boards that there are not are left
	// out. It returns how many were changed.
	ChangeBoards(ctx context.Context, by Actor, app string, ids []string, change func(*Board) error) (int, error)

	// AddBoard stores a board that has not polled yet: ErrExists, or ErrFull if the
	// application has as many as it may. How many are new within a minute does not
	// count here.
	AddBoard(ctx context.Context, by Actor, app, id string) error

	// DeleteBoards forgets boards. One that polls again is new.
	DeleteBoards(ctx context.Context, by Actor, app string, ids []string) (int, error)

	// AddToken stores a token, whose ID it sets.
	AddToken(ctx context.Context, by Actor, t Token) (Token, error)

	// Tokens returns all tokens, also those that are not valid any more.
	Tokens(ctx context.Context) ([]Token, error)

	// TokenByHash returns the token with a hash: ErrUnauthorized if there is none.
	TokenByHash(ctx context.Context, hash [32]byte) (*Token, error)

	// RevokeToken makes a token invalid from now on.
	RevokeToken(ctx context.Context, by Actor, id int64) error

	// AddWebhook stores a webhook, whose ID it sets: ErrNotFound where its application
	// is none, ErrFull where there are MaxWebhooks. What happens from then on is written
	// down for it in the transaction in which it happens, so none of it is lost.
	AddWebhook(ctx context.Context, by Actor, w Webhook) (Webhook, error)

	// Webhooks returns all webhooks in the order of their IDs, with their secrets.
	Webhooks(ctx context.Context) ([]Webhook, error)

	// EnableWebhook makes a webhook be told again, also of what it has missed.
	EnableWebhook(ctx context.Context, by Actor, id int64) error

	// RemoveWebhook forgets a webhook and what it was to be told.
	RemoveWebhook(ctx context.Context, by Actor, id int64) error

	// TestWebhook has a webhook be told EventTest, and returns the ID of the delivery:
	// ErrState where it is disabled.
	TestWebhook(ctx context.Context, by Actor, id int64) (int64, error)

	// ClaimDeliveries returns what webhooks are to be told now, at most so many
	// deliveries each, but for those webhooks whose IDs are in except. Until Lease is
	// over nobody else gets the same. That and an EndDelivery that got lost are why a
	// webhook can be told twice.
	ClaimDeliveries(ctx context.Context, now time.Time, most int, except []int64) ([]Claim, error)

	// EndDelivery stores what Delivery.Ended has returned of a claimed one, and what
	// that means for its webhook.
	EndDelivery(ctx context.Context, now time.Time, d Delivery) error

	// Deliveries returns deliveries of a webhook, the newest first: at most limit, with
	// IDs below before (0: from the newest). What is done is kept for a month.
	Deliveries(ctx context.Context, webhook, before int64, limit int) ([]Delivery, error)

	// Audit returns what was changed, the newest first: at most limit entries with
	// IDs below before (0: from the newest). app "" is all.
	Audit(ctx context.Context, app string, before int64, limit int) ([]AuditEntry, error)
}

// MaxUnwritten is after which time what Seen was told is written.
const MaxUnwritten = 2 * time.Second

// An Actor is who changes something, and when.
type Actor struct {
	Name string // of the token; "rule" where a rollout's own rule or plan does it
	At   time.Time
}

// RuleActor is the name of the actor of what happens by itself.
const RuleActor = "rule"

// A CheckIn is what a decision has made of a board.
type CheckIn struct {
	App    string
	New    bool  // the board is not stored yet
	Before Task  // that it had when it was decided for
	Board  Board // with its new Report, Task and LastSeen
	Moves  []Move
}

// A Filter chooses boards. All that is set must fit.
type Filter struct {
	Prefix string    // of the ID
	By     Attribute // boards with this Value of the attribute; "": all
	Value  string

	Rollout int64 // boards whose last rollout is this, and
	Stage   Stage // are in this stage of it

	// Hidden boards, and no others.
	Hidden bool
}

// Check reports whether f is a filter that stores have. The error is ErrInvalid.
func (f *Filter) Check() error {
	if f.By != "" && f.Rollout != 0 {
		return fmt.Errorf("%w: boards can be chosen by an attribute or by a rollout, not by both", ErrInvalid)
	}
	if f.By != "" && !slices.Contains(Attributes, f.By) {
		return fmt.Errorf("%w: boards have no attribute %q", ErrInvalid, f.By)
	}
	return nil
}

// An Attribute is a property of boards that they are grouped and counted by.
type Attribute string

const (
	ByChannel     Attribute = "channel" // that the board follows
	ByVersion     Attribute = "version"
	ByState       Attribute = "state"
	ByError       Attribute = "error"
	ByBoard       Attribute = "board"
	ByMicroPython Attribute = "micropython"
	ByLib         Attribute = "lib"
	ByTag         Attribute = "tag"
)

// Attributes are all attributes.
var Attributes = []Attribute{ByChannel, ByVersion, ByState, ByError, ByBoard, ByMicroPython, ByLib, ByTag}

// Values returns the values that a board has of an attribute: one, but for tags.
func (b *Board) Values(by Attribute) []string {
	switch by {
	case ByChannel:
		return []string{b.Follows()}
	case ByVersion:
		return []string{fmt.Sprint(b.Report.Version)}
	case ByState:
		return []string{b.Report.State}
	case ByError:
		return []string{b.Report.Error}
	case ByBoard:
		return []string{b.Report.Board}
	case ByMicroPython:
		return []string{b.Report.MicroPython}
	case ByLib:
		return []string{b.Report.Lib}
	case ByTag:
		return b.Tags
	}
	return nil
}

// Follows returns the channel that the board follows, by its last report.
func (b *Board) Follows() string {
	switch {
	case b.Channel != "":
		return b.Channel
	case b.Report.Channel != "":
		return b.Report.Channel
	}
	return release.DefaultChannel
}

// A Snapshot is what decisions are made from, at one moment. It is not changed
// once it is made.
type Snapshot struct {
	Views map[string]*View
	Epoch int64 // grows with every change by people and rules

	// Boards that people have changed since the snapshot before: what a server
	// remembers of them is not true any more. All: it may be any.
	Changed []BoardKey
	All     bool
}

// A BoardKey names a board.
type BoardKey struct{ App, ID string }

// An AuditEntry is one change.
type AuditEntry struct {
	ID     int64
	At     time.Time
	Actor  string
	Action string // "rollout.start", "channel.set", …
	App    string
	Object string // what was changed, "" if App says it
	Before json.RawMessage
	After  json.RawMessage
}
