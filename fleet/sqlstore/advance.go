package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// Advance implements fleet.Store.
func (s *Store) Advance(ctx context.Context, now time.Time) ([]fleet.Rollout, error) {
	open, err := readRollouts(ctx, s.read, openRollouts)
	if err != nil {
		return nil, fmt.Errorf("read the open rollouts: %w", err)
	}
	var changed []fleet.Rollout
	for _, r := range open {
		if err := s.timeOut(ctx, &r, now); err != nil {
			return changed, fmt.Errorf("let boards of rollout %d time out: %w", r.ID, err)
		}
		next, did, err := s.advance(ctx, r, now)
		if err != nil {
			return changed, err
		}
		if did {
			changed = append(changed, next)
		}
	}
	return changed, nil
}

// advance does what Rollout.Advance says, if it still says so when nobody else can.
func (s *Store) advance(ctx context.Context, r fleet.Rollout, now time.Time) (fleet.Rollout, bool, error) {
	if _, due := r.Advance(now); !due {
		return r, false, nil
	}
	did := false
	next, err := s.ChangeRollout(ctx, fleet.Actor{Name: fleet.RuleActor, At: now}, r.ID, func(r fleet.Rollout) (fleet.Rollout, error) {
		next, due := r.Advance(now)
		did = due
		return next, nil
	})
	if errors.Is(err, fleet.ErrState) || errors.Is(err, fleet.ErrOlder) {
		// Its release was withdrawn, or the channel has a newer one; that the rollout is
		// over is for a person to say.
		return r, false, nil
	}
	return next, did && err == nil, err
}

// Boards that are under way, and those that are again. An index has no part of its own for
// both, or for both ends of a time.
var lateBoards = []string{"stage IN (1, 2, 3)", "again = 1"}

// lateQuery returns the query for boards of a rollout, of lateBoards, that are so since
// some time.
func (s *Store) lateQuery(boards, since string) string {
	return "SELECT app, id, stage, since, rollout, target, again, told, version, error, board FROM boards WHERE rollout = $1 AND " + boards + " AND " + since + " ORDER BY since, id LIMIT $3" + s.d.forUpdate
}

// timeOutBatch is how many boards time out in one transaction.
const timeOutBatch = 500

// timeOut lets those boards time out that are due, and updates r.Counts: what
// Task.TimeOut says.
func (s *Store) timeOut(ctx context.Context, r *fleet.Rollout, now time.Time) error {
	after := r.Plan.Timeout
	if after == 0 || r.Counts.Updating() == 0 {
		return nil
	}
	for {
		n := 0
		err := s.inTx(ctx, func(tx *sql.Tx) error {
			locked, err := s.lockRollout(ctx, tx, r.ID)
			if err != nil {
				return err
			}
			list, err := s.late(ctx, tx, r.ID, now, after)
			if err != nil {
				return err
			}
			var events []fleet.EventBody
			for _, l := range list {
				next := l.task.TimeOut(now, after)
				if next == l.task {
					continue
				}
				if _, err := tx.ExecContext(ctx, "UPDATE boards SET stage = $1, since = $2, again = $3, told = $4 WHERE app = $5 AND id = $6",
					int(next.Stage), unix(next.Since), flag(next.Again), int(next.Told), l.app, l.id); err != nil {
					return err
				}
				for _, m := range l.task.Moves(&next) {
					locked.Move(m.From, m.To, l.task.Since)
				}
				if next.Told == l.task.Told {
					continue
				}
				event, err := boardEvent(r.App, l.id, l.task, next.Stage, &l.report, now)
				if err != nil {
					return err
				}
				events = append(events, event)
			}
			n = len(list)
			r.Counts, r.Forgiven = locked.Counts, locked.Forgiven
			if n == 0 {
				return nil
			}
			if err := writeCounts(ctx, tx, &locked); err != nil {
				return err
			}
			return tell(ctx, tx, events...)
		})
		if err != nil || n < timeOutBatch {
			return err
		}
	}
}

// a lateBoard is a board that may have timed out.
type lateBoard struct {
	app    int64
	id     string
	task   fleet.Task
	report fleet.Report
}

// late returns boards of a rollout for which Task.TimeOut may have something to do, and
// locks them.
func (s *Store) late(ctx context.Context, tx *sql.Tx, rollout int64, now time.Time, after time.Duration) ([]lateBoard, error) {
	var list []lateBoard
	for _, boards := range lateBoards {
		for _, when := range []struct {
			is string
			at time.Time
		}{{"since <= $2", now.Add(-after)}, {"since > $2", now.Add(fleet.MaxSkew)}} {
			err := rows(ctx, tx, func(row *sql.Rows) error {
				var l lateBoard
				var since int64
				var again int
				err := row.Scan(&l.app, &l.id, &l.task.Stage, &since, &l.task.Rollout, &l.task.Target, &again, &l.task.Told, &l.report.Version, &l.report.Error, &l.report.Board)
				l.task.Since, l.task.Again = fromUnix(since), again != 0
				list = append(list, l)
				return err
			}, s.lateQuery(boards, when.is), rollout, unix(when.at), timeOutBatch)
			if err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}
