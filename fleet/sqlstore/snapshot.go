package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"maps"

	"github.com/cactuscon/saguarota/fleet"
)

// Snapshot implements fleet.Store.
func (s *Store) Snapshot(ctx context.Context, since *fleet.Snapshot) (*fleet.Snapshot, error) {
	snap, err := s.snapshot(ctx, since)
	if err != nil {
		return nil, fmt.Errorf("read what decisions depend on: %w", err)
	}
	return snap, nil
}

func (s *Store) snapshot(ctx context.Context, since *fleet.Snapshot) (snap *fleet.Snapshot, err error) {
	// All of it as it was at one moment.
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.d.snapshot})
	if err != nil {
		return nil, err
	}
	defer func() {
		if undo := tx.Rollback(); err == nil && undo != nil {
			err = undo
		}
	}()
	var epoch int64
	if err := tx.QueryRowContext(ctx, "SELECT epoch FROM epoch").Scan(&epoch); err != nil {
		return nil, err
	}
	open, err := readRollouts(ctx, tx, openRollouts)
	if err != nil {
		return nil, err
	}
	if since != nil && since.Epoch == epoch {
		return withCounts(since, open), nil
	}

	snap = &fleet.Snapshot{Views: map[string]*fleet.View{}, Epoch: epoch, All: since == nil}
	apps, err := readApps(ctx, tx)
	if err != nil {
		return nil, err
	}
	names := map[int64]string{}
	for _, app := range apps {
		var known map[int64]*fleet.Release
		if since != nil && since.Views[app.Name] != nil {
			known = since.Views[app.Name].Releases
		}
		v := &fleet.View{App: app.App, Channels: map[string]*fleet.Channel{}}
		if v.Releases, err = readReleases(ctx, tx, app.id, known); err != nil {
			return nil, err
		}
		err := rows(ctx, tx, func(r *sql.Rows) error {
			c := new(fleet.Channel)
			err := r.Scan(&c.Name, &c.Release)
			v.Channels[c.Name] = c
			return err
		}, "SELECT name, release FROM channels WHERE app = $1", app.id)
		if err != nil {
			return nil, err
		}
		snap.Views[app.Name], names[app.id] = v, app.Name
	}
	for i := range open {
		channel := snap.Views[open[i].App].Channels[open[i].Channel]
		if channel == nil {
			return nil, fmt.Errorf("rollout %d is of the channel %q, which there is not", open[i].ID, open[i].Channel)
		}
		channel.Rollout = &open[i]
	}
	if since == nil {
		return snap, nil
	}
	if since.Epoch < epoch-keptChanges {
		snap.All = true // what has been changed is not kept for so long
		return snap, nil
	}
	err = rows(ctx, tx, func(r *sql.Rows) error {
		var app int64
		var key fleet.BoardKey
		if err := r.Scan(&app, &key.ID); err != nil {
			return err
		}
		key.App = names[app]
		snap.All = snap.All || key.ID == ""
		snap.Changed = append(snap.Changed, key)
		return nil
	}, "SELECT app, id FROM changes WHERE epoch > $1", since.Epoch)
	if snap.All {
		snap.Changed = nil
	}
	return snap, err
}

// withCounts returns the snapshot with new counts of its open rollouts; itself if
// they are the same.
func withCounts(since *fleet.Snapshot, open []fleet.Rollout) *fleet.Snapshot {
	snap := &fleet.Snapshot{Views: since.Views, Epoch: since.Epoch}
	same := !since.All && since.Changed == nil
	for _, r := range open {
		v := snap.Views[r.App]
		if v == nil || v.Channels[r.Channel] == nil || v.Channels[r.Channel].Rollout == nil {
			continue
		}
		c := v.Channels[r.Channel]
		if c.Rollout.Counts == r.Counts {
			continue
		}
		if same {
			snap.Views, same = maps.Clone(since.Views), false
		}
		view, channel := *v, *c
		channel.Rollout = &r
		view.Channels = maps.Clone(v.Channels)
		view.Channels[r.Channel] = &channel
		snap.Views[r.App] = &view
	}
	if same {
		return since
	}
	return snap
}

// keptChanges is for how many epochs it is kept which boards were changed. A server
// that has not looked for longer forgets what it knows of all.
const keptChanges = 1000

// maxNamed is how many boards are named in one change.
const maxNamed = 1000

// noteChanged tells all servers that these boards are not what they remember.
func noteChanged(ctx context.Context, tx *sql.Tx, epoch, app int64, ids []string) error {
	if len(ids) > maxNamed {
		ids = []string{""}
	}
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, "INSERT INTO changes (epoch, app, id) VALUES ($1, $2, $3)", epoch, app, id); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM changes WHERE epoch <= $1", epoch-keptChanges)
	return err
}
