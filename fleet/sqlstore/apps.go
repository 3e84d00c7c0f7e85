package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/release"
)

// settings are what can be changed of an application.
type settings struct {
	PollPeriod   time.Duration `json:"pollPeriod"`
	Tokens       bool          `json:"tokens"`
	MaxBoards    int64         `json:"maxBoards"`
	MaxPerMinute int64         `json:"maxPerMinute"`
}

func settingsOf(a *fleet.App) settings {
	return settings{a.PollPeriod, a.Enrolment.Tokens, a.Enrolment.MaxBoards, a.Enrolment.MaxPerMinute}
}

func (o settings) to(a *fleet.App) {
	a.PollPeriod = o.PollPeriod
	a.Enrolment.Tokens, a.Enrolment.MaxBoards, a.Enrolment.MaxPerMinute = o.Tokens, o.MaxBoards, o.MaxPerMinute
}

// AddApp implements fleet.Store.
func (s *Store) AddApp(ctx context.Context, by fleet.Actor, app fleet.App) error {
	if err := app.Check(); err != nil {
		return err
	}
	root, err := app.Root.Document()
	if err != nil {
		return err
	}
	return s.change(ctx, by, "app.add", app.Name, "", func(tx *sql.Tx, _ int64) (any, any, error) {
		text, err := json.Marshal(settingsOf(&app))
		if err != nil {
			return nil, nil, err
		}
		r, err := tx.ExecContext(ctx, "INSERT INTO apps (name, root, settings, secret) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING",
			app.Name, root.Bytes(), string(text), app.Enrolment.Secret)
		if err != nil {
			return nil, nil, err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return nil, nil, errors.Join(err, fmt.Errorf("%w: the application %q", fleet.ErrExists, app.Name))
		}
		return nil, json.RawMessage(text), nil
	})
}

// ChangeApp implements fleet.Store.
func (s *Store) ChangeApp(ctx context.Context, by fleet.Actor, name string, change func(*fleet.App) error) error {
	return s.change(ctx, by, "app.change", name, "", func(tx *sql.Tx, _ int64) (any, any, error) {
		id, err := appID(ctx, tx, name)
		if err != nil {
			return nil, nil, err
		}
		app, err := scanApp(tx.QueryRowContext(ctx, "SELECT "+appColumns+" FROM apps WHERE id = $1"+s.d.forUpdate, id).Scan)
		if err != nil {
			return nil, nil, err
		}
		before := settingsOf(&app.App)
		if err := change(&app.App); err != nil {
			return nil, nil, err
		}
		if err := app.Check(); err != nil {
			return nil, nil, err
		}
		after := settingsOf(&app.App)
		if before == after {
			return nil, nil, errUnchanged
		}
		text, err := json.Marshal(after)
		if err != nil {
			return nil, nil, err
		}
		_, err = tx.ExecContext(ctx, "UPDATE apps SET settings = $1 WHERE id = $2", string(text), id)
		return before, after, err
	})
}

// Apps implements fleet.Store.
func (s *Store) Apps(ctx context.Context) ([]fleet.App, error) {
	stored, err := readApps(ctx, s.read)
	if err != nil {
		return nil, fmt.Errorf("read the applications: %w", err)
	}
	list := make([]fleet.App, len(stored))
	for i, a := range stored {
		list[i] = a.App
	}
	return list, nil
}

// a storedApp is an application with the number that other tables know it by.
type storedApp struct {
	id int64
	fleet.App
}

const appColumns = "id, name, root, settings, secret"

func scanApp(scan func(...any) error) (storedApp, error) {
	var a storedApp
	var root []byte
	var text string
	if err := scan(&a.id, &a.Name, &root, &text, &a.Enrolment.Secret); err != nil {
		return a, err
	}
	var err error
	if a.Root, _, err = release.ReadKeyset(root); err != nil {
		return a, fmt.Errorf("the keyset of the application %q: %w", a.Name, err)
	}
	var o settings
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return a, fmt.Errorf("the settings of the application %q: %w", a.Name, err)
	}
	o.to(&a.App)
	return a, nil
}

func readApps(ctx context.Context, q querier) ([]storedApp, error) {
	var list []storedApp
	err := rows(ctx, q, func(r *sql.Rows) error {
		a, err := scanApp(r.Scan)
		list = append(list, a)
		return err
	}, "SELECT "+appColumns+" FROM apps ORDER BY name")
	return list, err
}

// appID returns the number of an application: ErrNotFound.
func appID(ctx context.Context, q querier, name string) (int64, error) {
	var id int64
	err := q.QueryRowContext(ctx, "SELECT id FROM apps WHERE name = $1", name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("%w: the application %q", fleet.ErrNotFound, name)
	}
	return id, err
}

// AddRelease implements fleet.Store.
func (s *Store) AddRelease(ctx context.Context, by fleet.Actor, r *fleet.Release, keysets [][]byte) error {
	version := r.Version()
	return s.change(ctx, by, "release.add", r.Statement.App, fmt.Sprint(version), func(tx *sql.Tx, _ int64) (any, any, error) {
		app, err := appID(ctx, tx, r.Statement.App)
		if err != nil {
			return nil, nil, err
		}
		list, err := readReleases(ctx, tx, app, nil)
		if err != nil {
			return nil, nil, err
		}
		if old := list[version]; old != nil {
			if old.Statement.Manifest == r.Statement.Manifest && old.Statement.Keyset == r.Statement.Keyset {
				return nil, nil, errUnchanged
			}
			return nil, nil, fmt.Errorf("%w: version %d, with other content", fleet.ErrExists, version)
		}
		for _, old := range list {
			if !r.After(old) {
				return nil, nil, fmt.Errorf("%w: version %d of keyset %d, after version %d of keyset %d", fleet.ErrOlder,
					version, r.Statement.Keyset, old.Version(), old.Statement.Keyset)
			}
		}
		if err := addKeysets(ctx, tx, app, keysets); err != nil {
			return nil, nil, err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO releases (app, version, signed, published, step_through, withdrawn) VALUES ($1, $2, $3, $4, $5, $6)",
			app, version, r.Signed, unix(r.Published), flag(r.StepThrough), flag(r.Withdrawn))
		return nil, releaseAudit{r.Statement.Name, r.StepThrough, r.Withdrawn}, err
	})
}

// releaseAudit is what the audit log tells of a release.
type releaseAudit struct {
	Name        string `json:"name,omitempty"`
	StepThrough bool   `json:"stepThrough"`
	Withdrawn   bool   `json:"withdrawn"`
}

// addKeysets stores the keysets of a chain that are not there. One that is there
// as another would split the fleet.
func addKeysets(ctx context.Context, tx *sql.Tx, app int64, keysets [][]byte) error {
	for _, data := range keysets {
		keyset, doc, err := release.ReadKeyset(data)
		if err != nil {
			return err
		}
		var have []byte
		err = tx.QueryRowContext(ctx, "SELECT document FROM keysets WHERE app = $1 AND n = $2", app, keyset.Version).Scan(&have)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			if _, err := tx.ExecContext(ctx, "INSERT INTO keysets (app, n, document) VALUES ($1, $2, $3)", app, keyset.Version, data); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			old, err := release.ReadDocument(release.KindKeyset, have)
			if err != nil {
				return err
			}
			if !bytes.Equal(old.Object(), doc.Object()) {
				return fmt.Errorf("%w: keyset %d, with other content", fleet.ErrExists, keyset.Version)
			}
		}
	}
	return nil
}

// Keyset implements fleet.Store.
func (s *Store) Keyset(ctx context.Context, app string, n int64) ([]byte, error) {
	var data []byte
	err := s.read.QueryRowContext(ctx, "SELECT document FROM keysets WHERE n = $1 AND app = (SELECT id FROM apps WHERE name = $2)", n, app).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: keyset %d of the application %q", fleet.ErrNotFound, n, app)
	}
	if err != nil {
		return nil, fmt.Errorf("read keyset %d of the application %q: %w", n, app, err)
	}
	return data, nil
}

// ChangeRelease implements fleet.Store.
func (s *Store) ChangeRelease(ctx context.Context, by fleet.Actor, app string, version int64, change func(*fleet.Release) error) error {
	return s.change(ctx, by, "release.change", app, fmt.Sprint(version), func(tx *sql.Tx, _ int64) (any, any, error) {
		id, err := appID(ctx, tx, app)
		if err != nil {
			return nil, nil, err
		}
		r, err := scanRelease(tx.QueryRowContext(ctx, "SELECT "+releaseColumns+" FROM releases WHERE app = $1 AND version = $2"+s.d.forUpdate, id, version).Scan, nil)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil, fmt.Errorf("%w: version %d", fleet.ErrNotFound, version)
		}
		if err != nil {
			return nil, nil, err
		}
		before := releaseAudit{r.Statement.Name, r.StepThrough, r.Withdrawn}
		if err := change(r); err != nil {
			return nil, nil, err
		}
		after := releaseAudit{before.Name, r.StepThrough, r.Withdrawn}
		if before == after {
			return nil, nil, errUnchanged
		}
		_, err = tx.ExecContext(ctx, "UPDATE releases SET step_through = $1, withdrawn = $2 WHERE app = $3 AND version = $4",
			flag(r.StepThrough), flag(r.Withdrawn), id, version)
		if err == nil && before.Withdrawn != after.Withdrawn {
			err = s.releaseWithdrawn(ctx, tx, by, id, version, after.Withdrawn)
		}
		return before, after, err
	})
}

const releaseColumns = "version, signed, published, step_through, withdrawn"

// scanRelease reads a release. What was known before is not parsed again.
func scanRelease(scan func(...any) error, known map[int64]*fleet.Release) (*fleet.Release, error) {
	var version, published int64
	var step, withdrawn int
	r := new(fleet.Release)
	if err := scan(&version, &r.Signed, &published, &step, &withdrawn); err != nil {
		return nil, err
	}
	r.Published, r.StepThrough, r.Withdrawn = fromUnix(published), step != 0, withdrawn != 0
	if old := known[version]; old != nil {
		if bytes.Equal(old.Signed, r.Signed) && old.StepThrough == r.StepThrough && old.Withdrawn == r.Withdrawn {
			return old, nil
		}
	}
	statement, _, err := release.ReadStatement(r.Signed)
	if err != nil {
		return nil, fmt.Errorf("the statement of version %d: %w", version, err)
	}
	r.Statement = *statement
	return r, nil
}

// readReleases returns an application's releases by version.
func readReleases(ctx context.Context, q querier, app int64, known map[int64]*fleet.Release) (map[int64]*fleet.Release, error) {
	list := map[int64]*fleet.Release{}
	err := rows(ctx, q, func(row *sql.Rows) error {
		r, err := scanRelease(row.Scan, known)
		if err == nil {
			list[r.Version()] = r
		}
		return err
	}, "SELECT "+releaseColumns+" FROM releases WHERE app = $1", app)
	return list, err
}
