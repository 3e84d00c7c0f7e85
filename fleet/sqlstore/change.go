package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// errUnchanged tells change that there was nothing to do.
var errUnchanged = errors.New("unchanged")

// change does what people and rules change: f in a transaction that has a new
// epoch, with an entry in the audit log. before and after are written as JSON. If f
// returns errUnchanged, nothing is written, and that is no error.
func (s *Store) change(ctx context.Context, by fleet.Actor, action, app, object string, f func(tx *sql.Tx, epoch int64) (before, after any, err error)) error {
	return s.changeAs(ctx, &entry{by, action, app, object}, f)
}

// an entry is what the audit log says of a change, but for what was before and after.
type entry struct {
	by                  fleet.Actor
	action, app, object string
}

// changeAs is change where f may still say what it does, and to what.
func (s *Store) changeAs(ctx context.Context, e *entry, f func(tx *sql.Tx, epoch int64) (before, after any, err error)) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		var epoch int64
		if err := tx.QueryRowContext(ctx, "UPDATE epoch SET epoch = epoch + 1 RETURNING epoch").Scan(&epoch); err != nil {
			return err
		}
		before, after, err := f(tx, epoch)
		if err != nil {
			return err
		}
		return e.write(ctx, tx, before, after)
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		what := e.app
		if e.object != "" {
			what += "/" + e.object
		}
		return fmt.Errorf("%s %s: %w", e.action, what, err)
	}
	return nil
}

// write adds the entry to the log, and tells webhooks.
func (e *entry) write(ctx context.Context, tx *sql.Tx, before, after any) error {
	b, err := auditJSON(before)
	if err != nil {
		return err
	}
	a, err := auditJSON(after)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO audit (at, actor, action, app, object, before, after) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		unix(e.by.At), e.by.Name, e.action, e.app, e.object, b, a)
	if err != nil {
		return err
	}
	return tellChange(ctx, tx, e.by, e.action, e.app, e.object, before, after)
}

// auditJSON returns v as JSON, "" for nil.
func auditJSON(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	data, err := json.Marshal(v)
	return string(data), err
}

// Audit implements fleet.Store.
func (s *Store) Audit(ctx context.Context, app string, before int64, limit int) ([]fleet.AuditEntry, error) {
	var list []fleet.AuditEntry
	query := "SELECT id, at, actor, action, app, object, before, after FROM audit WHERE ($1 = 0 OR id < $1)"
	args := []any{before, limit}
	if app != "" {
		query += " AND app = $3"
		args = append(args, app)
	}
	err := rows(ctx, s.read, func(r *sql.Rows) error {
		var e fleet.AuditEntry
		var at int64
		var b, a string
		err := r.Scan(&e.ID, &at, &e.Actor, &e.Action, &e.App, &e.Object, &b, &a)
		e.At = fromUnix(at)
		if b != "" {
			e.Before = json.RawMessage(b)
		}
		if a != "" {
			e.After = json.RawMessage(a)
		}
		list = append(list, e)
		return err
	}, query+" ORDER BY id DESC LIMIT $2", args...)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return list, nil
}

// AddToken implements fleet.Store.
func (s *Store) AddToken(ctx context.Context, by fleet.Actor, t fleet.Token) (fleet.Token, error) {
	err := s.change(ctx, by, "token.add", "", t.Name, func(tx *sql.Tx, _ int64) (any, any, error) {
		// Who did what could not be told apart otherwise. Changes come one after the other.
		var valid int
		err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM tokens WHERE name = $1 AND revoked = 0 AND (expires = 0 OR expires > $2)", t.Name, unix(by.At)).Scan(&valid)
		if err == nil && valid > 0 {
			err = fmt.Errorf("%w: a valid token of the name %q", fleet.ErrExists, t.Name)
		}
		if err != nil {
			return nil, nil, err
		}
		err = tx.QueryRowContext(ctx, "INSERT INTO tokens (name, hash, scope, created, expires, revoked) VALUES ($1, $2, $3, $4, $5, 0) RETURNING id",
			t.Name, t.Hash[:], string(t.Scope), unix(t.Created), unix(t.Expires)).Scan(&t.ID)
		return nil, tokenAudit{t.ID, t.Scope, t.Expires}, err
	})
	return t, err
}

// tokenAudit is what the audit log tells of a token: not its hash.
type tokenAudit struct {
	ID      int64       `json:"id"`
	Scope   fleet.Scope `json:"scope"`
	Expires time.Time   `json:"expires,omitzero"`
}

const tokenColumns = "id, name, hash, scope, created, expires, revoked"

func scanToken(scan func(...any) error) (fleet.Token, error) {
	var t fleet.Token
	var hash []byte
	var created, expires, revoked int64
	if err := scan(&t.ID, &t.Name, &hash, &t.Scope, &created, &expires, &revoked); err != nil {
		return t, err
	}
	if copy(t.Hash[:], hash) != len(t.Hash) {
		return t, fmt.Errorf("the hash of token %d has %d bytes", t.ID, len(hash))
	}
	t.Created, t.Expires, t.Revoked = fromUnix(created), fromUnix(expires), fromUnix(revoked)
	return t, nil
}

// Tokens implements fleet.Store.
func (s *Store) Tokens(ctx context.Context) ([]fleet.Token, error) {
	var list []fleet.Token
	err := rows(ctx, s.read, func(r *sql.Rows) error {
		t, err := scanToken(r.Scan)
		list = append(list, t)
		return err
	}, "SELECT "+tokenColumns+" FROM tokens ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("read the tokens: %w", err)
	}
	return list, nil
}

// TokenByHash implements fleet.Store.
func (s *Store) TokenByHash(ctx context.Context, hash [32]byte) (*fleet.Token, error) {
	t, err := scanToken(s.read.QueryRowContext(ctx, "SELECT "+tokenColumns+" FROM tokens WHERE hash = $1", hash[:]).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: it is not known here", fleet.ErrUnauthorized)
	}
	if err != nil {
		return nil, fmt.Errorf("look up a token: %w", err)
	}
	return &t, nil
}

// RevokeToken implements fleet.Store.
func (s *Store) RevokeToken(ctx context.Context, by fleet.Actor, id int64) error {
	return s.change(ctx, by, "token.revoke", "", fmt.Sprint(id), func(tx *sql.Tx, _ int64) (any, any, error) {
		t, err := scanToken(tx.QueryRowContext(ctx, "SELECT "+tokenColumns+" FROM tokens WHERE id = $1"+s.d.forUpdate, id).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil, fmt.Errorf("%w: there is no token %d", fleet.ErrNotFound, id)
		}
		if err != nil {
			return nil, nil, err
		}
		if !t.Revoked.IsZero() {
			return nil, nil, errUnchanged
		}
		_, err = tx.ExecContext(ctx, "UPDATE tokens SET revoked = $1 WHERE id = $2", unix(by.At), id)
		return tokenAudit{t.ID, t.Scope, t.Expires}, nil, err
	})
}
