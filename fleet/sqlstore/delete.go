package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/cactuscon/saguarota/fleet"
)

// DeleteBoards implements fleet.Store.
func (s *Store) DeleteBoards(ctx context.Context, by fleet.Actor, app string, ids []string) (int, error) {
	n := 0
	err := s.changeBoards(ctx, by, "boards.delete", app, ids, func(tx *sql.Tx, id int64, b *fleet.Board, counts countDiff) (*boardAudit, error) {
		if b.Revoked {
			return nil, errUnchanged
		}
		counts.replace(id, b, nil)
		if err := writeTags(ctx, tx, id, b.ID, b.Tags, nil); err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM boards WHERE app = $1 AND id = $2", id, b.ID); err != nil {
			return nil, err
		}
		_, err := tx.ExecContext(ctx, "UPDATE apps SET boards = boards - 1 WHERE id = $1", id)
		return nil, err
	}, &n)
	return n, err
}

// lockRolloutsOf locks the rollouts that boards which are to be deleted are part of,
// in the order of their IDs. A board that begins with another rollout meanwhile has
// its place there until that ends.
func (s *Store) lockRolloutsOf(ctx context.Context, tx *sql.Tx, app int64, ids []string, deleted bool) (map[int64]*fleet.Rollout, error) {
	if !deleted {
		return nil, nil
	}
	var numbers []int64
	for _, id := range ids {
		var n int64
		err := tx.QueryRowContext(ctx, "SELECT rollout FROM boards WHERE app = $1 AND id = $2 AND (stage IN (1, 2, 3) OR again = 1)", app, id).Scan(&n)
		if err == nil {
			numbers = append(numbers, n)
		} else if !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
	}
	slices.Sort(numbers)
	rollouts := map[int64]*fleet.Rollout{}
	for _, n := range slices.Compact(numbers) {
		r, err := s.lockRollout(ctx, tx, n)
		if err != nil {
			return nil, err
		}
		rollouts[n] = &r
	}
	return rollouts, nil
}

// leaveRollout takes a board that is deleted out of the counts of a rollout, if it is
// being updated: it will not be heard of any more, and must not keep its place. Nobody
// knows how that has ended.
func leaveRollout(r *fleet.Rollout, t *fleet.Task) {
	gone := *t
	if gone.Again = false; t.Stage.Updating() {
		gone.Stage = fleet.Waiting
	}
	for _, m := range t.Moves(&gone) {
		r.Move(m.From, m.To, t.Since)
	}
}
