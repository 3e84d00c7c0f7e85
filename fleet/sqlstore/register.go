package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/cactuscon/saguarota/fleet"
)

// AddBoard implements fleet.Store.
func (s *Store) AddBoard(ctx context.Context, by fleet.Actor, app, id string) error {
	if err := fleet.CheckBoardID(id); err != nil {
		return err
	}
	return s.change(ctx, by, "boards.add", app, id, func(tx *sql.Tx, epoch int64) (any, any, error) {
		number, err := appID(ctx, tx, app)
		if err != nil {
			return nil, nil, err
		}
		// As where boards are changed: applications before boards.
		var boards int64
		if err := tx.QueryRowContext(ctx, "SELECT boards FROM apps WHERE id = $1"+s.d.forUpdate, number).Scan(&boards); err != nil {
			return nil, nil, err
		}
		if old, err := s.lockBoard(ctx, tx, number, id); err != nil || old != nil {
			if err == nil {
				err = fmt.Errorf("%w: the board %q", fleet.ErrExists, id)
			}
			return nil, nil, err
		}
		stored, err := scanApp(tx.QueryRowContext(ctx, "SELECT "+appColumns+" FROM apps WHERE id = $1", number).Scan)
		if err != nil {
			return nil, nil, err
		}
		if most := settingsOf(&stored.App).MaxBoards; most > 0 && boards >= most {
			return nil, nil, fmt.Errorf("%w: the application %q has %d boards, as many as it may", fleet.ErrFull, app, boards)
		}
		b := fleet.Board{ID: id, FirstSeen: by.At}
		inserted, err := insertBoard(ctx, tx, number, &b)
		if err != nil {
			return nil, nil, err
		}
		if !inserted {
			return nil, nil, fmt.Errorf("%w: the board %q", fleet.ErrExists, id)
		}
		counts := countDiff{}
		counts.replace(number, nil, &b)
		if err := counts.write(ctx, tx); err != nil {
			return nil, nil, err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE apps SET boards = boards + 1 WHERE id = $1", number); err != nil {
			return nil, nil, err
		}
		return nil, boardAuditOf(&b), noteChanged(ctx, tx, epoch, number, []string{id})
	})
}
