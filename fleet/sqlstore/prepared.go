package sqlstore

import (
	"context"
	"database/sql"
	"errors"
)

// a preparedTx is a transaction that prepares each statement once. To understand one
// takes SQLite as long as to do what it says; PostgreSQL's driver remembers by itself.
// Nor does it watch over each call whose context can end, which takes as long again: it
// looks whether it has before each.
type preparedTx struct {
	*sql.Tx
	statements map[string]*sql.Stmt
}

func (p *preparedTx) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s := p.statements[query]; s != nil {
		return s, nil
	}
	s, err := p.PrepareContext(ctx, query)
	if err == nil {
		p.statements[query] = s
	}
	return s, err
}

// ExecContext implements querier.
func (p *preparedTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := p.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(context.WithoutCancel(ctx), args...)
}

// QueryContext implements querier.
func (p *preparedTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := p.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(context.WithoutCancel(ctx), args...)
}

// QueryRowContext implements querier.
func (p *preparedTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := p.prepare(ctx, query)
	if err != nil {
		return p.Tx.QueryRowContext(ctx, query, args...) // which fails as well, and says so
	}
	return s.QueryRowContext(context.WithoutCancel(ctx), args...)
}

// close forgets the statements.
func (p *preparedTx) close() error {
	var all []error
	for _, s := range p.statements {
		all = append(all, s.Close())
	}
	return errors.Join(all...)
}
