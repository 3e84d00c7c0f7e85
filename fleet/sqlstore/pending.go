package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/cactuscon/saguarota/fleet"
)

// errTaken: another server has just stored a board that was new. Whoever tries the
// transaction again sees it.
var errTaken = errors.New("a board is stored by somebody else")

// pendingBoards are new boards that are to be stored at once: PostgreSQL is a round trip
// away, and thousands of boards can power up in one second.
type pendingBoards struct {
	ids     map[boardRef]bool
	columns []any // a []int64 or []string each
}

func (p *pendingBoards) has(app int64, id string) bool { return p.ids[boardRef{app, id}] }

func (p *pendingBoards) add(app int64, b *fleet.Board) error {
	values, err := boardValues(app, b)
	if err != nil {
		return err
	}
	if p.ids == nil {
		p.ids, p.columns = map[boardRef]bool{}, make([]any, len(values))
	}
	p.ids[boardRef{app, b.ID}] = true
	for i, v := range values {
		switch v := v.(type) {
		case int:
			list, _ := p.columns[i].([]int64)
			p.columns[i] = append(list, int64(v))
		case int64:
			list, _ := p.columns[i].([]int64)
			p.columns[i] = append(list, v)
		case string:
			list, _ := p.columns[i].([]string)
			p.columns[i] = append(list, v)
		default:
			return fmt.Errorf("column %d of a board is a %T", i, v)
		}
	}
	return nil
}

// write stores them, and begins anew. The error is errTaken where one is there already.
func (p *pendingBoards) write(ctx context.Context, tx *sql.Tx) error {
	if len(p.ids) == 0 {
		return nil
	}
	var lists []string
	for i, c := range p.columns {
		kind := "bigint"
		if _, ok := c.([]string); ok {
			kind = "text"
		}
		lists = append(lists, fmt.Sprintf("$%d::%s[]", i+1, kind))
	}
	r, err := tx.ExecContext(ctx, insertBoards+" SELECT * FROM unnest("+strings.Join(lists, ", ")+") ON CONFLICT (app, id) DO NOTHING", p.columns...)
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n != int64(len(p.ids)) {
		err = errTaken
	}
	*p = pendingBoards{}
	return err
}
