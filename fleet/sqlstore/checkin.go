package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// maxBatch is how many check-ins are committed at once. While one batch is being
// committed the next one gathers, so their size follows the load by itself.
const maxBatch = 256

// batchTimeout is how long the database may take for a batch.
const batchTimeout = 30 * time.Second

// a checkIn waits for its batch.
type checkIn struct {
	fleet.CheckIn
	err  error
	done chan struct{}
}

var errClosed = errors.New("the store is closed")

// CheckIn implements fleet.Store.
func (s *Store) CheckIn(ctx context.Context, c fleet.CheckIn) error {
	waits := &checkIn{CheckIn: c, done: make(chan struct{})}
	select {
	case s.checkIns <- waits:
	case <-s.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-waits.done:
		return waits.err
	case <-ctx.Done():
		return ctx.Err() // it may be stored all the same
	}
}

// commitCheckIns commits batches until the store is closed.
func (s *Store) commitCheckIns() {
	for {
		var batch []*checkIn
		select {
		case c := <-s.checkIns:
			batch = append(batch, c)
		case <-s.closed:
			return
		}
	gather:
		for len(batch) < maxBatch {
			select {
			case c := <-s.checkIns:
				batch = append(batch, c)
			default:
				break gather
			}
		}
		s.commit(batch)
		for _, c := range batch {
			close(c.done)
		}
	}
}

// commit stores a batch. Where that fails, each of it is tried alone, so that one
// that the database does not like is not the others' misfortune.
func (s *Store) commit(batch []*checkIn) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	halts, err := s.commitAll(ctx, batch)
	if err != nil && len(batch) > 1 && s.Ping(ctx) == nil {
		for _, c := range batch {
			more, err := s.commitAll(ctx, []*checkIn{c})
			if err != nil {
				c.err = fmt.Errorf("store the board %q of %q: %w", c.Board.ID, c.App, err)
			}
			halts = append(halts, more...)
		}
	} else if err != nil {
		for _, c := range batch {
			c.err = fmt.Errorf("store the board %q of %q: %w", c.Board.ID, c.App, err)
		}
	}
	for _, r := range halts {
		// Nothing is lost where this fails: nobody begins in a rollout that is due
		// to halt, and Advance will see it.
		_, _, _ = s.advance(ctx, r, batch[0].Board.LastSeen)
	}
}

// a batch is a transaction that stores check-ins.
type batch struct {
	s        *Store
	tx       *sql.Tx
	each     querier // tx, for what is done for each board
	apps     map[string]*batchApp
	boards   map[boardRef]*fleet.Board // those that are locked already; nil: none is
	inserts  pendingBoards
	rollouts map[int64]*fleet.Rollout
	counts   countDiff
	events   []fleet.EventBody
}

// a boardRef is where a board is.
type boardRef struct {
	app int64
	id  string
}

// a batchApp is an application in a batch.
type batchApp struct {
	id       int64
	locked   bool
	settings settings
	boards   int64
	minute   int64 // number of the minute in which a board was last added
	added    int64 // in that minute
}

// commitAll stores check-ins in one transaction and returns the rollouts that are
// to halt then. What is wrong with one of them is in its err.
func (s *Store) commitAll(ctx context.Context, list []*checkIn) (halts []fleet.Rollout, err error) {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b *checkIn) int {
		return cmp.Or(strings.Compare(a.App, b.App), strings.Compare(a.Board.ID, b.Board.ID))
	})
	err = s.inTx(ctx, func(tx *sql.Tx) (err error) {
		halts = nil
		b := &batch{s: s, tx: tx, each: tx, apps: map[string]*batchApp{}, rollouts: map[int64]*fleet.Rollout{}, counts: countDiff{}}
		if !s.d.postgres {
			p := &preparedTx{tx, map[string]*sql.Stmt{}}
			defer func() { err = errors.Join(err, p.close()) }()
			b.each = p
		}
		if err := b.lock(ctx, sorted); err != nil {
			return err
		}
		for _, c := range sorted {
			if c.err = nil; b.apps[c.App] == nil {
				c.err = fmt.Errorf("%w: the application %q", fleet.ErrNotFound, c.App)
				continue
			}
			refused, err := b.store(ctx, c)
			if err != nil {
				return err
			}
			c.err = refused
		}
		halts, err = b.finish(ctx)
		return err
	})
	return halts, err
}

// lock locks rollouts, then applications.
func (b *batch) lock(ctx context.Context, list []*checkIn) error {
	var ids []int64
	for _, c := range list {
		for _, m := range c.Moves {
			ids = append(ids, m.Rollout)
		}
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		r, err := b.s.lockRollout(ctx, b.tx, id)
		if err != nil {
			return err
		}
		b.rollouts[id] = &r
	}
	for _, c := range list {
		app := b.apps[c.App]
		if app == nil {
			id, err := appID(ctx, b.tx, c.App)
			if errors.Is(err, fleet.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			app = &batchApp{id: id}
			b.apps[c.App] = app
		}
		if c.New && !app.locked {
			if err := app.lock(ctx, b); err != nil {
				return err
			}
		}
	}
	if !b.s.d.postgres {
		return nil // to ask for each costs no round trip
	}
	return b.lockBoards(ctx, list)
}

// lockBoards locks the boards of an application at once, in the order of their IDs.
func (b *batch) lockBoards(ctx context.Context, list []*checkIn) error {
	b.boards = map[boardRef]*fleet.Board{}
	for len(list) > 0 {
		name := list[0].App
		var ids []string
		for len(list) > 0 && list[0].App == name {
			ids = append(ids, list[0].Board.ID)
			list = list[1:]
		}
		app := b.apps[name]
		if app == nil {
			continue
		}
		err := rows(ctx, b.tx, func(r *sql.Rows) error {
			board, err := scanBoard(r.Scan)
			if err == nil {
				b.boards[boardRef{app.id, board.ID}] = board
			}
			return err
		}, "SELECT "+boardColumns+" FROM boards WHERE app = $1 AND id = ANY($2) ORDER BY id"+b.s.d.forUpdate, app.id, ids)
		if err != nil {
			return err
		}
	}
	return nil
}

// board returns a board as it is stored, and locked: nil if there is none.
func (b *batch) board(ctx context.Context, app int64, id string) (*fleet.Board, error) {
	if b.boards != nil {
		return b.boards[boardRef{app, id}], nil
	}
	return b.s.lockBoard(ctx, b.each, app, id)
}

func (a *batchApp) lock(ctx context.Context, b *batch) error {
	app, err := scanApp(b.tx.QueryRowContext(ctx, "SELECT "+appColumns+" FROM apps WHERE id = $1"+b.s.d.forUpdate, a.id).Scan)
	if err != nil {
		return err
	}
	a.locked, a.settings = true, settingsOf(&app.App)
	return b.tx.QueryRowContext(ctx, "SELECT boards, minute, minute_boards FROM apps WHERE id = $1", a.id).Scan(&a.boards, &a.minute, &a.added)
}

// admit counts a new board, if it is not one too many.
func (a *batchApp) admit(c *checkIn) error {
	if most := a.settings.MaxBoards; most > 0 && a.boards >= most {
		return fmt.Errorf("%w: the application %q has %d boards, as many as it may", fleet.ErrFull, c.App, a.boards)
	}
	if minute := c.Board.LastSeen.Unix() / 60; minute != a.minute {
		a.minute, a.added = minute, 0
	}
	if most := a.settings.MaxPerMinute; most > 0 && a.added >= most {
		return fmt.Errorf("%w: the application %q has taken in %d boards this minute, as many as it may", fleet.ErrFull, c.App, a.added)
	}
	a.boards++
	a.added++
	return nil
}

// store stores one check-in. refused is why nothing was stored.
func (b *batch) store(ctx context.Context, c *checkIn) (refused, err error) {
	app := b.apps[c.App]
	old, err := b.board(ctx, app.id, c.Board.ID)
	if err != nil {
		return nil, err
	}
	if (old == nil) != c.New || old != nil && (!sameTask(old.Task, c.Before) || !boardAuditOf(old).sameRules(boardAuditOf(&c.Board))) {
		return fmt.Errorf("%w: the board %q of %q", fleet.ErrConflict, c.Board.ID, c.App), nil
	}
	for _, m := range c.Moves {
		if m.Begins {
			if refused := mayBegin(b.rollouts[m.Rollout], c.Board.LastSeen); refused != nil {
				return refused, nil
			}
		}
	}
	next := c.Board
	next.Hidden = false
	if old == nil {
		if refused := app.admit(c); refused != nil {
			return refused, nil
		}
		if b.boards != nil {
			err = b.inserts.add(app.id, &next)
		} else if inserted, err := insertBoard(ctx, b.each, app.id, &next); err != nil || !inserted {
			// Another server has just done so.
			app.boards--
			app.added--
			return fmt.Errorf("%w: the board %q of %q", fleet.ErrConflict, c.Board.ID, c.App), err
		}
		if err != nil {
			return nil, err
		}
		if err := writeTags(ctx, b.each, app.id, next.ID, nil, next.Tags); err != nil {
			return nil, err
		}
	} else {
		next.FirstSeen = old.FirstSeen
		if next.LastSeen.Before(old.LastSeen) {
			next.LastSeen = old.LastSeen
		}
		if b.inserts.has(app.id, next.ID) {
			if err := b.inserts.write(ctx, b.tx); err != nil {
				return nil, err
			}
		}
		if err := writeBoard(ctx, b.each, app.id, &next); err != nil {
			return nil, err
		}
	}
	for _, m := range c.Moves {
		b.rollouts[m.Rollout].Move(m.From, m.To, c.Before.Since)
		if fleet.BoardEvent(m.To) == "" || c.Before.HasTold(m.To) {
			continue
		}
		task := c.Board.Task
		if task.Rollout != m.Rollout {
			task = c.Before // it ends with this
		}
		event, err := boardEvent(c.App, next.ID, task, m.To, &next.Report, next.LastSeen)
		if err != nil {
			return nil, err
		}
		b.events = append(b.events, event)
	}
	b.counts.replace(app.id, old, &next)
	if b.boards != nil {
		b.boards[boardRef{app.id, next.ID}] = &next // the same board may be in the batch again
	}
	return nil, nil
}

// sameRules reports whether what decides about a board is the same; whether it is
// hidden does not.
func (a boardAudit) sameRules(o boardAudit) bool {
	a.Hidden, o.Hidden = false, false
	return a.equal(o)
}

// sameTask compares tasks as they are stored, which times are to the microsecond.
func sameTask(a, b fleet.Task) bool {
	a.Since, b.Since = time.Time{}, time.Time{}
	return a == b
}

// mayBegin reports whether one more board may begin with a rollout.
func mayBegin(r *fleet.Rollout, now time.Time) error {
	if next, _ := r.Advance(now); r.State != fleet.Running || next.State == fleet.Halted {
		return fmt.Errorf("%w: rollout %d is %s, so no board begins", fleet.ErrState, r.ID, next.State)
	}
	if most := r.Plan.MaxUpdating; most > 0 && r.Counts.Updating() >= most {
		return fmt.Errorf("%w: rollout %d, %d of %d", fleet.ErrBusy, r.ID, r.Counts.Updating(), most)
	}
	return nil
}

// finish writes what all check-ins together have changed, and returns the rollouts
// that are to halt.
func (b *batch) finish(ctx context.Context) (halts []fleet.Rollout, err error) {
	if err := b.inserts.write(ctx, b.tx); err != nil {
		return nil, err
	}
	for _, r := range b.rollouts {
		if err := writeCounts(ctx, b.tx, r); err != nil {
			return nil, err
		}
		if next, changes := r.Advance(r.StepSince); changes && next.State == fleet.Halted {
			halts = append(halts, *r)
		}
	}
	for _, a := range b.apps {
		if a.locked {
			if _, err := b.tx.ExecContext(ctx, "UPDATE apps SET boards = $1, minute = $2, minute_boards = $3 WHERE id = $4", a.boards, a.minute, a.added, a.id); err != nil {
				return nil, err
			}
		}
	}
	if err := b.counts.write(ctx, b.each); err != nil {
		return nil, err
	}
	return halts, tell(ctx, b.tx, b.events...)
}
