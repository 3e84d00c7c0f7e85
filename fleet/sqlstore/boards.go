package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cactuscon/saguarota/fleet"
)

const boardColumns = `id, channel, tags, pin, hidden, revoked, first_seen, last_seen,
	version, state, error, board, micropython, lib, free, said_channel,
	rollout, target, offer, stage, since, before, again, told`

func scanBoard(scan func(...any) error) (*fleet.Board, error) {
	b := new(fleet.Board)
	var tags string
	var hidden, revoked, again int
	var first, last, since int64
	r, t := &b.Report, &b.Task
	if err := scan(&b.ID, &b.Channel, &tags, &b.Pin, &hidden, &revoked, &first, &last,
		&r.Version, &r.State, &r.Error, &r.Board, &r.MicroPython, &r.Lib, &r.Free, &r.Channel,
		&t.Rollout, &t.Target, &t.Offer, &t.Stage, &since, &t.Before, &again, &t.Told); err != nil {
		return nil, err
	}
	if tags != "" {
		if err := json.Unmarshal([]byte(tags), &b.Tags); err != nil {
			return nil, fmt.Errorf("the tags of the board %q: %w", b.ID, err)
		}
	}
	r.ID, b.Hidden, b.Revoked, t.Again = b.ID, hidden != 0, revoked != 0, again != 0
	b.FirstSeen, b.LastSeen, t.Since = fromUnix(first), fromUnix(last), fromUnix(since)
	return b, nil
}

// boardValues returns what writeBoard and insertBoard store, in their order.
func boardValues(app int64, b *fleet.Board) ([]any, error) {
	tags := ""
	if len(b.Tags) > 0 {
		data, err := json.Marshal(b.Tags)
		if err != nil {
			return nil, err
		}
		tags = string(data)
	}
	r, t := &b.Report, &b.Task
	return []any{
		app, b.ID, b.Channel, tags, b.Pin, flag(b.Hidden), flag(b.Revoked), unix(b.FirstSeen), unix(b.LastSeen),
		r.Version, r.State, r.Error, r.Board, r.MicroPython, r.Lib, r.Free, r.Channel, b.Follows(),
		t.Rollout, t.Target, t.Offer, int(t.Stage), unix(t.Since), t.Before, flag(t.Again), int(t.Told),
	}, nil
}

const insertBoards = `INSERT INTO boards (app, id, channel, tags, pin, hidden, revoked, first_seen, last_seen,
	version, state, error, board, micropython, lib, free, said_channel, follows, rollout, target, offer, stage, since, before, again, told)`

func insertBoard(ctx context.Context, tx querier, app int64, b *fleet.Board) (bool, error) {
	values, err := boardValues(app, b)
	if err != nil {
		return false, err
	}
	r, err := tx.ExecContext(ctx, insertBoards+`
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)
		ON CONFLICT (app, id) DO NOTHING`, values...)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n == 1, err
}

func writeBoard(ctx context.Context, tx querier, app int64, b *fleet.Board) error {
	values, err := boardValues(app, b)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE boards SET channel = $3, tags = $4, pin = $5, hidden = $6, revoked = $7, first_seen = $8, last_seen = $9,
		version = $10, state = $11, error = $12, board = $13, micropython = $14, lib = $15, free = $16, said_channel = $17, follows = $18,
		rollout = $19, target = $20, offer = $21, stage = $22, since = $23, before = $24, again = $25, told = $26 WHERE app = $1 AND id = $2`, values...)
	return err
}

// lockBoard reads a board that nobody else can change until tx ends: nil if there
// is none.
func (s *Store) lockBoard(ctx context.Context, tx querier, app int64, id string) (*fleet.Board, error) {
	b, err := scanBoard(tx.QueryRowContext(ctx, "SELECT "+boardColumns+" FROM boards WHERE app = $1 AND id = $2"+s.d.forUpdate, app, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return b, err
}

// Board implements fleet.Store.
func (s *Store) Board(ctx context.Context, app, id string) (*fleet.Board, error) {
	b, err := scanBoard(s.read.QueryRowContext(ctx, "SELECT "+boardColumns+" FROM boards WHERE app = (SELECT id FROM apps WHERE name = $1) AND id = $2", app, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: the board %q of %q", fleet.ErrNotFound, id, app)
	}
	if err != nil {
		return nil, fmt.Errorf("read the board %q of %q: %w", id, app, err)
	}
	return b, nil
}

// attributeColumns are the columns with an index, in which boards are looked up.
var attributeColumns = map[fleet.Attribute]string{
	fleet.ByChannel:     "follows",
	fleet.ByVersion:     "version",
	fleet.ByState:       "state",
	fleet.ByError:       "error",
	fleet.ByBoard:       "board",
	fleet.ByMicroPython: "micropython",
	fleet.ByLib:         "lib",
}

// Boards implements fleet.Store.
func (s *Store) Boards(ctx context.Context, app string, f fleet.Filter, after string, limit int) ([]fleet.Board, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	id, err := appID(ctx, s.read, app)
	if err != nil {
		return nil, err
	}
	text, args, err := s.boardsQuery(id, f, after, limit)
	if err != nil {
		return nil, err
	}
	var list []fleet.Board
	err = rows(ctx, s.read, func(r *sql.Rows) error {
		b, err := scanBoard(r.Scan)
		if err == nil {
			list = append(list, *b)
		}
		return err
	}, text, args...)
	if err != nil {
		return nil, fmt.Errorf("list the boards of %q: %w", app, err)
	}
	return list, nil
}

// boardsQuery returns the query for the boards of an application that a filter chooses,
// and its arguments.
func (s *Store) boardsQuery(app int64, f fleet.Filter, after string, limit int) (string, []any, error) {
	q := query{args: []any{app}}
	from, index, id := "boards", "", "boards.id"
	if f.By == fleet.ByTag {
		from, id = "tags CROSS JOIN boards", "tags.id" // in this order
	}
	q.add("boards.app = $1")
	q.add("boards.hidden = " + strconv.Itoa(flag(f.Hidden)))
	if f.Hidden {
		index = "boards_hidden"
	}
	if after != "" {
		q.add(id+" > ?", after)
	}
	if f.Prefix != "" {
		q.add(id+" >= ?", f.Prefix)
		if end := afterPrefix(f.Prefix); end != "" {
			q.add(id+" < ?", end)
		}
	}
	switch {
	case f.By == fleet.ByTag:
		index = ""
		q.add("boards.app = tags.app")
		q.add("boards.id = tags.id")
		q.add("tags.app = $1")
		q.add("tags.tag = ?", f.Value)
	case f.By == fleet.ByVersion:
		version, err := strconv.ParseInt(f.Value, 10, 64)
		if err != nil {
			return "", nil, fmt.Errorf("%w: %q is no version", fleet.ErrInvalid, f.Value)
		}
		index = "boards_version"
		q.add("boards.version = ?", version)
	case f.By != "":
		column := attributeColumns[f.By]
		index = "boards_" + column
		q.add("boards."+column+" = ?", f.Value)
	case f.Rollout != 0:
		index = "boards_stage"
		q.add("boards.rollout <> 0") // all that the index has
		q.add("boards.rollout = ?", f.Rollout)
		q.add("boards.stage = ?", int(f.Stage))
	}
	if index != "" && !s.d.postgres {
		from += " INDEXED BY " + index // it would take the primary key, and look at all
	}
	columns := "boards." + strings.Join(strings.Fields(strings.ReplaceAll(boardColumns, ",", " ")), ", boards.")
	return "SELECT " + columns + " FROM " + from + " WHERE " + strings.Join(q.conditions, " AND ") + q.order(id, limit), q.args, nil
}

// a query is put together of conditions.
type query struct {
	conditions []string
	args       []any
}

// add adds a condition; a "?" in it stands for the argument.
func (q *query) add(condition string, args ...any) {
	for _, a := range args {
		q.args = append(q.args, a)
		condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(q.args)), 1)
	}
	q.conditions = append(q.conditions, condition)
}

func (q *query) order(column string, limit int) string {
	q.args = append(q.args, limit)
	return " ORDER BY " + column + " LIMIT $" + strconv.Itoa(len(q.args))
}

// afterPrefix returns the first text after all that begin with prefix, "" if there
// is none.
func afterPrefix(prefix string) string {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		// Texts are UTF-8, so what ends in a byte above all of its is no text, but
		// IDs are ASCII.
		if end[i] < 0x7f {
			end[i]++
			return string(end[:i+1])
		}
	}
	return ""
}

// Count implements fleet.Store.
func (s *Store) Count(ctx context.Context, app string, by fleet.Attribute) (map[string]int64, error) {
	counts := map[string]int64{}
	err := rows(ctx, s.read, func(r *sql.Rows) error {
		var value string
		var n int64
		err := r.Scan(&value, &n)
		counts[value] = n
		return err
	}, "SELECT value, boards FROM counts WHERE app = (SELECT id FROM apps WHERE name = $1) AND attribute = $2 AND boards <> 0", app, string(by))
	if err != nil {
		return nil, fmt.Errorf("count the boards of %q by %s: %w", app, by, err)
	}
	return counts, nil
}

// a countKey names a row of the table counts.
type countKey struct {
	app   int64
	by    fleet.Attribute
	value string
}

func (k countKey) compare(o countKey) int {
	if k.app != o.app {
		return int(k.app - o.app)
	}
	if c := strings.Compare(string(k.by), string(o.by)); c != 0 {
		return c
	}
	return strings.Compare(k.value, o.value)
}

// countDiff is how many boards more have a value.
type countDiff map[countKey]int64

// replace counts a board that is now another: before or after may be nil, where it
// is new or deleted. Hidden boards do not count.
func (d countDiff) replace(app int64, before, after *fleet.Board) {
	for _, by := range fleet.Attributes {
		if before != nil && !before.Hidden {
			for _, v := range before.Values(by) {
				d[countKey{app, by, v}]--
			}
		}
		if after != nil && !after.Hidden {
			for _, v := range after.Values(by) {
				d[countKey{app, by, v}]++
			}
		}
	}
}

// write adds the differences to what is stored.
func (d countDiff) write(ctx context.Context, tx querier) error {
	var keys []countKey
	for k, n := range d {
		if n != 0 {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, countKey.compare)
	for _, k := range keys {
		_, err := tx.ExecContext(ctx, `INSERT INTO counts (app, attribute, value, boards) VALUES ($1, $2, $3, $4)
			ON CONFLICT (app, attribute, value) DO UPDATE SET boards = counts.boards + excluded.boards`, k.app, string(k.by), k.value, d[k])
		if err == nil && d[k] < 0 {
			// Boards can say what they like; what none says any more is not kept.
			_, err = tx.ExecContext(ctx, "DELETE FROM counts WHERE app = $1 AND attribute = $2 AND value = $3 AND boards = 0", k.app, string(k.by), k.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// boardAudit is what people can change of a board.
type boardAudit struct {
	ID      string   `json:"id"`
	Channel string   `json:"channel,omitempty"`
	Tags    []string `json:"tags,omitempty"`
	Pin     int64    `json:"pin,omitempty"`
	Hidden  bool     `json:"hidden,omitempty"`
	Revoked bool     `json:"revoked,omitempty"`
}

func boardAuditOf(b *fleet.Board) boardAudit {
	return boardAudit{b.ID, b.Channel, b.Tags, b.Pin, b.Hidden, b.Revoked}
}

func (a boardAudit) equal(b boardAudit) bool {
	return a.Channel == b.Channel && slices.Equal(a.Tags, b.Tags) && a.Pin == b.Pin && a.Hidden == b.Hidden && a.Revoked == b.Revoked
}

// ChangeBoards implements fleet.Store.
func (s *Store) ChangeBoards(ctx context.Context, by fleet.Actor, app string, ids []string, change func(*fleet.Board) error) (int, error) {
	n := 0
	err := s.changeBoards(ctx, by, "boards.change", app, ids, func(tx *sql.Tx, id int64, b *fleet.Board, counts countDiff) (*boardAudit, error) {
		before, after := boardAuditOf(b), *b
		after.Tags = slices.Clone(b.Tags)
		if err := change(&after); err != nil {
			return nil, err
		}
		// All else is not for people to change.
		next := *b
		next.Channel, next.Tags, next.Pin, next.Hidden, next.Revoked = after.Channel, after.Tags, after.Pin, after.Hidden, after.Revoked
		if next.Channel != "" {
			if err := fleet.CheckName("the board's channel", next.Channel); err != nil {
				return nil, err
			}
		}
		if err := fleet.CheckTags(next.Tags); err != nil {
			return nil, err
		}
		changed := boardAuditOf(&next)
		if before.equal(changed) {
			return nil, errUnchanged
		}
		if next.Pin != 0 && next.Pin != b.Pin {
			if err := hasRelease(ctx, tx, id, next.Pin); err != nil && !errors.Is(err, fleet.ErrState) {
				return nil, err
			}
		}
		counts.replace(id, b, &next)
		if err := writeTags(ctx, tx, id, b.ID, b.Tags, next.Tags); err != nil {
			return nil, err
		}
		return &changed, writeBoard(ctx, tx, id, &next)
	}, &n)
	return n, err
}

// changeBoards calls one for each of the boards that there are, in a transaction,
// and sets n to for how many it did not return errUnchanged.
func (s *Store) changeBoards(ctx context.Context, by fleet.Actor, action, app string, ids []string,
	one func(tx *sql.Tx, app int64, b *fleet.Board, counts countDiff) (*boardAudit, error), n *int,
) error {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	object := strconv.Itoa(len(ids)) + " boards"
	if len(ids) == 1 {
		object = ids[0]
	}
	return s.change(ctx, by, action, app, object, func(tx *sql.Tx, epoch int64) (any, any, error) {
		*n = 0
		id, err := appID(ctx, tx, app)
		if err != nil {
			return nil, nil, err
		}
		rollouts, err := s.lockRolloutsOf(ctx, tx, id, ids, action == "boards.delete")
		if err != nil {
			return nil, nil, err
		}
		// The order of locks: applications before boards.
		if s.d.postgres {
			if _, err := tx.ExecContext(ctx, "SELECT 1 FROM apps WHERE id = $1 FOR UPDATE", id); err != nil {
				return nil, nil, err
			}
		}
		counts := countDiff{}
		var changed []string
		var before, after []boardAudit
		for _, board := range ids {
			b, err := s.lockBoard(ctx, tx, id, board)
			if err != nil {
				return nil, nil, err
			}
			if b == nil {
				continue
			}
			next, err := one(tx, id, b, counts)
			if errors.Is(err, errUnchanged) {
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			if r := rollouts[b.Task.Rollout]; r != nil {
				leaveRollout(r, &b.Task)
			}
			changed, before = append(changed, board), append(before, boardAuditOf(b))
			if next != nil {
				after = append(after, *next)
			}
		}
		if *n = len(changed); *n == 0 {
			return nil, nil, errUnchanged
		}
		for _, r := range rollouts {
			if err := writeCounts(ctx, tx, r); err != nil {
				return nil, nil, err
			}
		}
		if err := counts.write(ctx, tx); err != nil {
			return nil, nil, err
		}
		return before, after, noteChanged(ctx, tx, epoch, id, changed)
	})
}

// writeTags makes the index of tags fit.
func writeTags(ctx context.Context, tx querier, app int64, id string, before, after []string) error {
	for _, tag := range before {
		if !slices.Contains(after, tag) {
			if _, err := tx.ExecContext(ctx, "DELETE FROM tags WHERE app = $1 AND tag = $2 AND id = $3", app, tag, id); err != nil {
				return err
			}
		}
	}
	for _, tag := range after {
		if !slices.Contains(before, tag) {
			if _, err := tx.ExecContext(ctx, "INSERT INTO tags (app, tag, id) VALUES ($1, $2, $3)", app, tag, id); err != nil {
				return err
			}
		}
	}
	return nil
}
