package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// Backup writes a copy of the SQLite database where to the file name, which must not
// exist: fs.ErrExist. Servers may go on using the database; the copy is what it is at
// one moment. It is there whole or not at all.
func Backup(ctx context.Context, where, name string) error {
	if err := backup(ctx, where, name); err != nil {
		return fmt.Errorf("back up %s to %s: %w", where, name, err)
	}
	return nil
}

func backup(ctx context.Context, where, name string) (err error) {
	if _, err := os.Stat(where); err != nil { // opening it would make one
		return err
	}
	if _, err := os.Lstat(name); err == nil {
		return fs.ErrExist
	}
	part := name + ".part"
	// SQLite takes an empty file, and it is nobody else's to read: tokens are hashed,
	// but the secret that boards' tokens are derived from is in it.
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	defer func() {
		if err != nil {
			_ = os.Remove(part) // what went wrong is said already
		}
	}()
	db, err := sql.Open("sqlite", (&url.URL{
		Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(where)}).EscapedPath(),
		RawQuery: url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(10000)"}}.Encode(),
	}).String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(part, name)
}
