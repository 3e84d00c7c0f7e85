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

const rolloutColumns = `rollouts.id, (SELECT name FROM apps WHERE apps.id = rollouts.app), channel, version, plan, state, reason, step, step_since, forgiven,
	offered, downloading, trial, confirmed, undone, failed, timed_out`

func scanRollout(scan func(...any) error) (fleet.Rollout, error) {
	var r fleet.Rollout
	var plan, forgiven string
	var since int64
	c := &r.Counts
	if err := scan(&r.ID, &r.App, &r.Channel, &r.Version, &plan, &r.State, &r.Reason, &r.Step, &since, &forgiven,
		&c[fleet.Offered], &c[fleet.Downloading], &c[fleet.Trial], &c[fleet.Confirmed], &c[fleet.Undone], &c[fleet.Failed], &c[fleet.TimedOut]); err != nil {
		return r, err
	}
	r.StepSince = fromUnix(since)
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
	_, err = tx.ExecContext(ctx, "UPDATE rollouts SET state = $1, reason = $2, step = $3, step_since = $4, forgiven = $5 WHERE id = $6",
		string(r.State), r.Reason, r.Step, unix(r.StepSince), string(forgiven), r.ID)
	return err
}

// writeCounts stores the counts of a rollout whose row is locked.
func writeCounts(ctx context.Context, tx *sql.Tx, r *fleet.Rollout) error {
	c := &r.Counts
	_, err := tx.ExecContext(ctx, "UPDATE rollouts SET offered = $1, downloading = $2, trial = $3, confirmed = $4, undone = $5, failed = $6, timed_out = $7 WHERE id = $8",
		c[fleet.Offered], c[fleet.Downloading], c[fleet.Trial], c[fleet.Confirmed], c[fleet.Undone], c[fleet.Failed], c[fleet.TimedOut], r.ID)
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

// StartRollout implements fleet.Store.
func (s *Store) StartRollout(ctx context.Context, by fleet.Actor, r fleet.Rollout) (fleet.Rollout, error) {
	if err := errors.Join(r.Plan.Check(), fleet.CheckName("the channel's name", r.Channel)); err != nil {
		return r, err
	}
	r.State, r.Reason, r.Step, r.StepSince, r.Counts, r.Forgiven = fleet.Running, "", 0, r.Plan.Start, fleet.Counts{}, fleet.Counts{}
	if r.StepSince.Before(by.At) {
		r.StepSince = by.At
	}
	err := s.change(ctx, by, "rollout.start", r.App, r.Channel, func(tx *sql.Tx, _ int64) (any, any, error) {
		app, err := appID(ctx, tx, r.App)
		if err != nil {
			return nil, nil, err
		}
		if err := hasRelease(ctx, tx, app, r.Version); err != nil {
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

// ChangeRollout implements fleet.Store.
func (s *Store) ChangeRollout(ctx context.Context, by fleet.Actor, id int64, change func(fleet.Rollout) (fleet.Rollout, error)) (fleet.Rollout, error) {
	// The application's name is for the log, and never changes.
	next, err := s.Rollout(ctx, id)
	if err != nil {
		return next, err
	}
	err = s.change(ctx, by, "rollout.change", next.App, fmt.Sprint(id), func(tx *sql.Tx, _ int64) (any, any, error) {
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
		if err := writeRollout(ctx, tx, &next); err != nil {
			return nil, nil, err
		}
		if next.State == fleet.Done {
			app, err := appID(ctx, tx, r.App)
			if err != nil {
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

// Advance implements fleet.Store.
func (s *Store) Advance(ctx context.Context, now time.Time) ([]fleet.Rollout, error) {
	open, err := readRollouts(ctx, s.read, openRollouts)
	if err != nil {
		return nil, fmt.Errorf("read the open rollouts: %w", err)
	}
	var changed []fleet.Rollout
	for _, r := range open {
		if err := s.timeOut(ctx, &r, now); err != nil {
			return changed, fmt.Errorf("let boards of rollout %d time out: %w", r.ID, err)
		}
		next, did, err := s.advance(ctx, r, now)
		if err != nil {
			return changed, err
		}
		if did {
			changed = append(changed, next)
		}
	}
	return changed, nil
}

// advance does what Rollout.Advance says, if it still says so when nobody else can.
func (s *Store) advance(ctx context.Context, r fleet.Rollout, now time.Time) (fleet.Rollout, bool, error) {
	if _, due := r.Advance(now); !due {
		return r, false, nil
	}
	did := false
	next, err := s.ChangeRollout(ctx, fleet.Actor{Name: fleet.RuleActor, At: now}, r.ID, func(r fleet.Rollout) (fleet.Rollout, error) {
		next, due := r.Advance(now)
		did = due
		return next, nil
	})
	if errors.Is(err, fleet.ErrState) {
		// Its release was withdrawn, so it cannot become the channel's; that the
		// rollout is over is for a person to say.
		return r, false, nil
	}
	return next, did && err == nil, err
}

// lateQuery returns the query for boards of a rollout that are under way since some time.
func (s *Store) lateQuery(since string) string {
	return "SELECT app, id, stage, since, rollout, target, version, error, board FROM boards WHERE rollout = $1 AND stage IN (1, 2, 3) AND " + since + " ORDER BY since, id LIMIT $3" + s.d.forUpdate
}

// timeOutBatch is how many boards time out in one transaction.
const timeOutBatch = 500

// timeOut lets those boards time out that are due, and updates r.Counts: what
// Task.TimeOut says.
func (s *Store) timeOut(ctx context.Context, r *fleet.Rollout, now time.Time) error {
	after := r.Plan.Timeout
	if after == 0 || r.Counts.Updating() == 0 {
		return nil
	}
	for {
		n := 0
		err := s.inTx(ctx, func(tx *sql.Tx) error {
			locked, err := s.lockRollout(ctx, tx, r.ID)
			if err != nil {
				return err
			}
			type late struct {
				app    int64
				id     string
				task   fleet.Task
				report fleet.Report
			}
			var list []late
			var events []fleet.EventBody
			// Two queries: an index has no part of its own for both ends of it.
			for _, when := range []struct {
				is string
				at time.Time
			}{{"since <= $2", now.Add(-after)}, {"since > $2", now.Add(fleet.MaxSkew)}} {
				err := rows(ctx, tx, func(row *sql.Rows) error {
					var l late
					var since int64
					err := row.Scan(&l.app, &l.id, &l.task.Stage, &since, &l.task.Rollout, &l.task.Target, &l.report.Version, &l.report.Error, &l.report.Board)
					l.task.Since = fromUnix(since)
					list = append(list, l)
					return err
				}, s.lateQuery(when.is), r.ID, unix(when.at), timeOutBatch)
				if err != nil {
					return err
				}
			}
			for _, l := range list {
				next := l.task.TimeOut(now, after)
				if next == l.task {
					continue
				}
				if _, err := tx.ExecContext(ctx, "UPDATE boards SET stage = $1, since = $2 WHERE app = $3 AND id = $4", next.Stage, unix(next.Since), l.app, l.id); err != nil {
					return err
				}
				locked.Counts.Move(l.task.Stage, next.Stage)
				if next.Stage == l.task.Stage {
					continue
				}
				event, err := boardEvent(r.App, l.id, l.task, next.Stage, &l.report, now)
				if err != nil {
					return err
				}
				events = append(events, event)
			}
			n = len(list)
			r.Counts = locked.Counts
			if n == 0 {
				return nil
			}
			if err := writeCounts(ctx, tx, &locked); err != nil {
				return err
			}
			return tell(ctx, tx, events...)
		})
		if err != nil || n < timeOutBatch {
			return err
		}
	}
}
