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

const rolloutColumns = `rollouts.id, (SELECT name FROM apps WHERE apps.id = rollouts.app), channel, version, plan, state, reason, step, step_since, forgiven, forgiven_at,
	offered, downloading, trial, confirmed, undone, failed, timed_out, again`

func scanRollout(scan func(...any) error) (fleet.Rollout, error) {
	var r fleet.Rollout
	var plan, forgiven string
	var since, forgivenAt int64
	c := &r.Counts
	if err := scan(&r.ID, &r.App, &r.Channel, &r.Version, &plan, &r.State, &r.Reason, &r.Step, &since, &forgiven, &forgivenAt,
		&c[fleet.Offered], &c[fleet.Downloading], &c[fleet.Trial], &c[fleet.Confirmed], &c[fleet.Undone], &c[fleet.Failed], &c[fleet.TimedOut], &c[fleet.Again]); err != nil {
		return r, err
	}
	r.StepSince, r.ForgivenAt = fromUnix(since), fromUnix(forgivenAt)
	if err := errors.Join(json.Unmarshal([]byte(plan), &r.Plan), json.Unmarshal([]byte(forgiven), &r.Forgiven)); err != nil {
		return r, fmt.Errorf("rollout %d: %w", r.ID, err)
	}
	return r, nil
}

// writeRollout stores what can change of a rollout but its counts.
func writeRollout(ctx context.Context, tx *sql.Tx, r *fleet.Rollout) error {
	forgiven, err := json.Marshal(r.Forgiven)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE rollouts SET state = $1, reason = $2, step = $3, step_since = $4, forgiven = $5, forgiven_at = $6 WHERE id = $7",
		string(r.State), r.Reason, r.Step, unix(r.StepSince), string(forgiven), unix(r.ForgivenAt), r.ID)
	return err
}

// writeCounts stores the counts of a rollout whose row is locked, and what Rollout.Move
// has left forgiven.
func writeCounts(ctx context.Context, tx *sql.Tx, r *fleet.Rollout) error {
	forgiven, err := json.Marshal(r.Forgiven)
	if err != nil {
		return err
	}
	c := &r.Counts
	_, err = tx.ExecContext(ctx, "UPDATE rollouts SET offered = $1, downloading = $2, trial = $3, confirmed = $4, undone = $5, failed = $6, timed_out = $7, again = $8, forgiven = $9 WHERE id = $10",
		c[fleet.Offered], c[fleet.Downloading], c[fleet.Trial], c[fleet.Confirmed], c[fleet.Undone], c[fleet.Failed], c[fleet.TimedOut], c[fleet.Again], string(forgiven), r.ID)
	return err
}

// lockRollout reads a rollout that nobody else can change until tx ends.
func (s *Store) lockRollout(ctx context.Context, tx *sql.Tx, id int64) (fleet.Rollout, error) {
	r, err := scanRollout(tx.QueryRowContext(ctx, "SELECT "+rolloutColumns+" FROM rollouts WHERE id = $1"+s.d.forUpdate, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: rollout %d", fleet.ErrNotFound, id)
	}
	return r, err
}

// rolloutAudit is what the audit log tells of a rollout.
type rolloutAudit struct {
	Channel string             `json:"channel"`
	Version int64              `json:"version"`
	State   fleet.RolloutState `json:"state"`
	Reason  string             `json:"reason,omitempty"`
	Step    int                `json:"step"`
	Plan    *fleet.Plan        `json:"plan,omitempty"`
}

func auditOf(r *fleet.Rollout) rolloutAudit {
	return rolloutAudit{Channel: r.Channel, Version: r.Version, State: r.State, Reason: r.Reason, Step: r.Step}
}

// SetChannel implements fleet.Store.
func (s *Store) SetChannel(ctx context.Context, by fleet.Actor, app, channel string, version int64) error {
	if err := fleet.CheckName("the channel's name", channel); err != nil {
		return err
	}
	return s.change(ctx, by, "channel.set", app, channel, func(tx *sql.Tx, _ int64) (any, any, error) {
		id, err := appID(ctx, tx, app)
		if err != nil {
			return nil, nil, err
		}
		var open int64
		err = tx.QueryRowContext(ctx, "SELECT id FROM rollouts WHERE app = $1 AND channel = $2 AND state IN ('running', 'paused', 'halted')", id, channel).Scan(&open)
		if err == nil {
			return nil, nil, fmt.Errorf("%w: rollout %d of this channel is open; promote or abort it", fleet.ErrState, open)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return nil, nil, err
		}
		old, err := setChannel(ctx, tx, id, channel, version)
		return old, version, err
	})
}

// setChannel returns the version that was the channel's before.
func setChannel(ctx context.Context, tx *sql.Tx, app int64, channel string, version int64) (old int64, err error) {
	if err := hasRelease(ctx, tx, app, version); err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, "SELECT release FROM channels WHERE app = $1 AND name = $2", app, channel).Scan(&old)
	if err == nil && old == version {
		return old, errUnchanged
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO channels (app, name, release) VALUES ($1, $2, $3) ON CONFLICT (app, name) DO UPDATE SET release = excluded.release",
		app, channel, version)
	return old, err
}

// hasRelease reports whether there is a release that may be offered.
func hasRelease(ctx context.Context, tx *sql.Tx, app, version int64) error {
	var withdrawn int
	err := tx.QueryRowContext(ctx, "SELECT withdrawn FROM releases WHERE app = $1 AND version = $2", app, version).Scan(&withdrawn)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: version %d; publish it first", fleet.ErrNotFound, version)
	}
	if err == nil && withdrawn != 0 {
		return fmt.Errorf("%w: version %d is withdrawn", fleet.ErrState, version)
	}
	return err
}

// goesForward reports whether a release is not older than what a channel holds, unless
// that is withdrawn. The error is ErrOlder.
func goesForward(ctx context.Context, tx *sql.Tx, app int64, channel string, version int64) error {
	var held int64
	err := tx.QueryRowContext(ctx, "SELECT release FROM channels WHERE app = $1 AND name = $2", app, channel).Scan(&held)
	if errors.Is(err, sql.ErrNoRows) || err == nil && held == version {
		return nil
	}
	if err != nil {
		return err
	}
	list, err := readReleases(ctx, tx, app, nil)
	if err != nil {
		return err
	}
	old, next := list[held], list[version]
	if old == nil || next == nil || old.Withdrawn || next.After(old) {
		return nil
	}
	return fmt.Errorf("%w: version %d, and the channel %s has version %d", fleet.ErrOlder, version, channel, held)
}

// StartRollout implements fleet.Store.
func (s *Store) StartRollout(ctx context.Context, by fleet.Actor, r fleet.Rollout) (fleet.Rollout, error) {
	if err := errors.Join(r.Plan.Check(), fleet.CheckName("the channel's name", r.Channel)); err != nil {
		return r, err
	}
	r.State, r.Reason, r.Step, r.StepSince = fleet.Running, "", 0, r.Plan.Start
	r.Counts, r.Forgiven, r.ForgivenAt = fleet.Counts{}, fleet.Counts{}, time.Time{}
	if r.StepSince.Before(by.At) {
		r.StepSince = by.At
	}
	e := &entry{by, "rollout.start", r.App, r.Channel}
	err := s.changeAs(ctx, e, func(tx *sql.Tx, _ int64) (any, any, error) {
		app, err := appID(ctx, tx, r.App)
		if err != nil {
			return nil, nil, err
		}
		if err := hasRelease(ctx, tx, app, r.Version); err != nil {
			return nil, nil, err
		}
		if err := goesForward(ctx, tx, app, r.Channel, r.Version); err != nil {
			return nil, nil, err
		}
		plan, err := json.Marshal(r.Plan)
		if err != nil {
			return nil, nil, err
		}
		forgiven, err := json.Marshal(r.Forgiven)
		if err != nil {
			return nil, nil, err
		}
		// A channel may begin with its first rollout.
		if _, err := tx.ExecContext(ctx, "INSERT INTO channels (app, name, release) VALUES ($1, $2, 0) ON CONFLICT (app, name) DO NOTHING", app, r.Channel); err != nil {
			return nil, nil, err
		}
		err = tx.QueryRowContext(ctx, `INSERT INTO rollouts (app, channel, version, plan, state, reason, step, step_since, forgiven)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (app, channel) WHERE state IN ('running', 'paused', 'halted') DO NOTHING RETURNING id`,
			app, r.Channel, r.Version, string(plan), string(r.State), r.Reason, r.Step, unix(r.StepSince), string(forgiven)).Scan(&r.ID)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil, fmt.Errorf("%w: another rollout of this channel is open; promote or abort it", fleet.ErrState)
		}
		after := auditOf(&r)
		after.Plan = &r.Plan
		e.object = fmt.Sprint(r.ID)
		return nil, after, err
	})
	return r, err
}

// Rollout implements fleet.Store.
func (s *Store) Rollout(ctx context.Context, id int64) (fleet.Rollout, error) {
	r, err := scanRollout(s.read.QueryRowContext(ctx, "SELECT "+rolloutColumns+" FROM rollouts WHERE id = $1", id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return r, fmt.Errorf("%w: rollout %d", fleet.ErrNotFound, id)
	}
	if err != nil {
		return r, fmt.Errorf("read rollout %d: %w", id, err)
	}
	return r, nil
}

// Rollouts implements fleet.Store.
func (s *Store) Rollouts(ctx context.Context, app string, before int64, limit int) ([]fleet.Rollout, error) {
	list, err := readRollouts(ctx, s.read, "app = (SELECT id FROM apps WHERE name = $1) AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3", app, before, limit)
	if err != nil {
		return nil, fmt.Errorf("read the rollouts of %q: %w", app, err)
	}
	return list, nil
}

const openRollouts = "state IN ('running', 'paused', 'halted') ORDER BY id"

func readRollouts(ctx context.Context, q querier, where string, args ...any) ([]fleet.Rollout, error) {
	var list []fleet.Rollout
	err := rows(ctx, q, func(row *sql.Rows) error {
		r, err := scanRollout(row.Scan)
		list = append(list, r)
		return err
	}, "SELECT "+rolloutColumns+" FROM rollouts WHERE "+where, args...)
	return list, err
}

// rolloutAction returns what the audit log calls it that a rollout has become another.
func rolloutAction(r, next *fleet.Rollout, by fleet.Actor) string {
	switch {
	case next.State == r.State && next.Step != r.Step:
		return "rollout.step"
	case next.State == r.State:
		return "rollout.change"
	case next.State == fleet.Running:
		return "rollout.resume"
	case next.State == fleet.Paused:
		return "rollout.pause"
	case next.State == fleet.Halted:
		return "rollout.halt"
	case next.State == fleet.Aborted:
		return "rollout.abort"
	case by.Name == fleet.RuleActor:
		return "rollout.finish"
	}
	return "rollout.promote"
}

// ChangeRollout implements fleet.Store.
func (s *Store) ChangeRollout(ctx context.Context, by fleet.Actor, id int64, change func(fleet.Rollout) (fleet.Rollout, error)) (fleet.Rollout, error) {
	// The application's name is for the log, and never changes.
	next, err := s.Rollout(ctx, id)
	if err != nil {
		return next, err
	}
	e := &entry{by, "rollout.change", next.App, fmt.Sprint(id)}
	err = s.changeAs(ctx, e, func(tx *sql.Tx, _ int64) (any, any, error) {
		r, err := s.lockRollout(ctx, tx, id)
		if err != nil {
			return nil, nil, err
		}
		if next, err = change(r); err != nil {
			return nil, nil, err
		}
		if r.State == next.State && r.Step == next.Step && r.StepSince.Equal(next.StepSince) && r.Reason == next.Reason && r.Forgiven == next.Forgiven {
			return nil, nil, errUnchanged
		}
		e.action = rolloutAction(&r, &next, by)
		if err := writeRollout(ctx, tx, &next); err != nil {
			return nil, nil, err
		}
		app, err := appID(ctx, tx, r.App)
		if err != nil {
			return nil, nil, err
		}
		if next.Step != r.Step || next.State == fleet.Running && r.State != fleet.Running {
			if err := hasRelease(ctx, tx, app, r.Version); err != nil {
				return nil, nil, err
			}
		}
		if next.State == fleet.Done {
			if err := goesForward(ctx, tx, app, r.Channel, r.Version); err != nil {
				return nil, nil, err
			}
			if _, err := setChannel(ctx, tx, app, r.Channel, r.Version); err != nil && !errors.Is(err, errUnchanged) {
				return nil, nil, err
			}
		}
		return auditOf(&r), auditOf(&next), nil
	})
	return next, err
}

// releaseWithdrawn pauses the rollouts of a release that is withdrawn. Where that is taken
// back, those that run by what an older server wrote begin their step anew.
func (s *Store) releaseWithdrawn(ctx context.Context, tx *sql.Tx, by fleet.Actor, app int64, version int64, withdrawn bool) error {
	list, err := readRollouts(ctx, tx, "app = $1 AND version = $2 AND "+openRollouts, app, version)
	if err != nil {
		return err
	}
	for _, r := range list {
		if r, err = s.lockRollout(ctx, tx, r.ID); err != nil {
			return err
		}
		if r.State != fleet.Running {
			continue
		}
		next := r
		if withdrawn {
			if next, err = r.Pause(fmt.Sprintf("version %d is withdrawn", version)); err != nil {
				return err
			}
		} else if by.At.After(r.StepSince) {
			next.StepSince = by.At
		}
		if err := writeRollout(ctx, tx, &next); err != nil {
			return err
		}
		e := entry{by, rolloutAction(&r, &next, by), r.App, fmt.Sprint(r.ID)}
		if err := e.write(ctx, tx, auditOf(&r), auditOf(&next)); err != nil {
			return err
		}
	}
	return nil
}
