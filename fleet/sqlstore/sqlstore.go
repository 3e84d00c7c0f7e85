// Package sqlstore keeps a fleet in SQLite or in PostgreSQL.
//
// The two differ in how they are opened and migrated, in how rows are locked, and
// in how many rows are written at once; all else is the same SQL.
//
// Whatever writes locks in one order, so that no two can wait for each other: the
// epoch (only what people and rules change), rollouts by ID, applications, boards
// by application and ID, counts. SQLite has one writer at a time anyway.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/cactuscon/saguarota/fleet"
)

//go:embed migrations
var migrations embed.FS

// A Store is a fleet.Store.
type Store struct {
	read  *sql.DB // may be the same as write
	write *sql.DB
	d     dialect

	checkIns chan *checkIn
	seen     seen
	stop     context.CancelFunc
	stopped  sync.WaitGroup
	closed   chan struct{}
	close    func() error
}

var _ fleet.Store = (*Store)(nil)

// dialect is what the two databases do not have in common.
type dialect struct {
	name      goose.Dialect
	folder    string
	forUpdate string             // locks the rows of a SELECT
	snapshot  sql.IsolationLevel // in which all queries see the same
	postgres  bool
}

var (
	sqliteDialect   = dialect{name: goose.DialectSQLite3, folder: "migrations/sqlite"}
	postgresDialect = dialect{name: goose.DialectPostgres, folder: "migrations/postgres", forUpdate: " FOR UPDATE", snapshot: sql.LevelRepeatableRead, postgres: true}
)

// Open opens the database at where: "postgres://USER:PASSWORD@HOST/NAME", or the
// path of an SQLite file, which is made where there is none. It brings the schema
// up to date; any number of servers may do so at once. Errors show no password; what
// is neither of the two is ErrWhere.
func Open(ctx context.Context, where string) (*Store, error) {
	if err := CheckWhere(where); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	s := &Store{checkIns: make(chan *checkIn), closed: make(chan struct{})}
	s.seen.notes = map[fleet.BoardKey]note{}
	open := s.openSQLite
	if IsPostgres(where) {
		open = s.openPostgres
	}
	if err := open(ctx, where); err != nil {
		return nil, fmt.Errorf("open the database %s: %w", Redacted(where), redactedError(err, where))
	}
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.stopped.Go(func() { s.commitCheckIns() })
	s.stopped.Go(func() { s.writeSeen(background) })
	s.close = sync.OnceValue(s.closeAll)
	return s, nil
}

func (s *Store) openSQLite(ctx context.Context, path string) error {
	s.d = sqliteDialect
	// Nobody but this user may read what boards and people have told.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	dsn := func(options string) string {
		u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: options}
		return u.String()
	}
	const pragmas = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"
	if s.write, err = sql.Open("sqlite", dsn(pragmas+"&_txlock=immediate")); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1) // SQLite's writers would only wait for each other
	if err := s.migrateSQLite(ctx, path, dsn); err != nil {
		return errors.Join(err, s.write.Close())
	}
	if s.read, err = sql.Open("sqlite", dsn(pragmas+"&_pragma=query_only(1)")); err != nil {
		return errors.Join(err, s.write.Close())
	}
	s.read.SetMaxOpenConns(max(4, runtime.NumCPU()))
	s.read.SetMaxIdleConns(max(4, runtime.NumCPU()))
	return nil
}

// migrateSQLite migrates while it holds the lock of a second database: goose has
// none for SQLite.
func (s *Store) migrateSQLite(ctx context.Context, path string, dsn func(string) string) (err error) {
	guard, err := sql.Open("sqlite", strings.Replace(dsn("_pragma=busy_timeout(60000)&_txlock=exclusive"), "?", "-lock?", 1))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, guard.Close()) }()
	tx, err := guard.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("wait for another server to migrate %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	return s.migrate(ctx)
}

func (s *Store) openPostgres(ctx context.Context, where string) (err error) {
	s.d = postgresDialect
	scheme, rest, _ := strings.Cut(where, "://")
	where = strings.ToLower(scheme) + "://" + rest // the driver knows no other
	if s.write, err = sql.Open("pgx", where); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(max(8, 2*runtime.NumCPU()))
	s.write.SetMaxIdleConns(max(8, 2*runtime.NumCPU()))
	s.read = s.write
	// Whoever waits for the lock asks for it for minutes, also where nobody answers.
	if err := s.write.PingContext(ctx); err != nil {
		return errors.Join(err, s.write.Close())
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120), lock.WithUnlockTimeout(1, 10))
	if err == nil {
		err = s.migrate(ctx, goose.WithSessionLocker(locker))
	}
	if err != nil {
		return errors.Join(err, s.write.Close())
	}
	return nil
}

func (s *Store) migrate(ctx context.Context, options ...goose.ProviderOption) error {
	files, err := fs.Sub(migrations, s.d.folder)
	if err != nil {
		return err
	}
	// Every folder is scanned for migrations that are Go code; there are none.
	provider, err := goose.NewProvider(s.d.name, s.write, files, append(options, goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Ping implements fleet.Store.
func (s *Store) Ping(ctx context.Context) error {
	var epoch int64
	if err := s.read.QueryRowContext(ctx, "SELECT epoch FROM epoch").Scan(&epoch); err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	return nil
}

// Close implements fleet.Store. It may be called more than once.
func (s *Store) Close() error { return s.close() }

func (s *Store) closeAll() error {
	s.stop()
	close(s.closed)
	s.stopped.Wait()
	err := s.seen.last
	if s.read != s.write {
		err = errors.Join(err, s.read.Close())
	}
	return errors.Join(err, s.write.Close())
}

// a querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// maxTries is how often a transaction is tried that another one got into the way of.
const maxTries = 5

// inTx calls f in a transaction, again where the database gave it up for another
// one, and commits what it did if it returns no error.
func (s *Store) inTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	for try := 1; ; try++ {
		err := s.tryTx(ctx, f)
		if err == nil || try == maxTries || !isRetryable(err) || ctx.Err() != nil {
			return err
		}
	}
}

func (s *Store) tryTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f(tx); err != nil {
		if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
			err = errors.Join(err, undo)
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// isRetryable reports whether the same transaction may well succeed now: PostgreSQL says
// that there was a deadlock or a serialization failure, or somebody else was faster.
func isRetryable(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, errTaken) || errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001")
}

// rows calls scan for each row of a query.
func rows(ctx context.Context, q querier, scan func(r *sql.Rows) error, query string, args ...any) error {
	r, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	for r.Next() {
		if err := scan(r); err != nil {
			return errors.Join(err, r.Close())
		}
	}
	return errors.Join(r.Err(), r.Close())
}

// unix returns a time as it is stored, and fromUnix as it was.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromUnix(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
