package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

const webhookColumns = "id, url, app, events, secret, created, failures, failing, disabled, reason"

func scanWebhook(scan func(...any) error) (fleet.Webhook, error) {
	var w fleet.Webhook
	var events string
	var created, failing, disabled int64
	err := scan(&w.ID, &w.URL, &w.App, &events, &w.Secret, &created, &w.Failures, &failing, &disabled, &w.Reason)
	w.Created, w.Failing, w.Disabled = fromUnix(created), fromUnix(failing), fromUnix(disabled)
	for name := range strings.FieldsSeq(events) {
		w.Events = append(w.Events, fleet.Event(name))
	}
	return w, err
}

// webhookAudit is what the audit log tells of a webhook: neither its secret nor its
// path, which often is one.
type webhookAudit struct {
	ID       int64         `json:"id"`
	Host     string        `json:"host"`
	App      string        `json:"app,omitempty"`
	Events   []fleet.Event `json:"events,omitempty"`
	Disabled bool          `json:"disabled,omitempty"`
}

func webhookAuditOf(w *fleet.Webhook) webhookAudit {
	return webhookAudit{w.ID, w.Host(), w.App, w.Events, !w.Disabled.IsZero()}
}

// AddWebhook implements fleet.Store.
func (s *Store) AddWebhook(ctx context.Context, by fleet.Actor, w fleet.Webhook) (fleet.Webhook, error) {
	if err := w.Check(); err != nil {
		return w, err
	}
	err := s.change(ctx, by, "webhook.add", w.App, w.Host(), func(tx *sql.Tx, _ int64) (any, any, error) {
		if w.App != "" {
			if _, err := appID(ctx, tx, w.App); err != nil {
				return nil, nil, err
			}
		}
		list, err := readWebhooks(ctx, tx)
		if err != nil {
			return nil, nil, err
		}
		if len(list) >= fleet.MaxWebhooks {
			return nil, nil, fmt.Errorf("%w: there are %d webhooks, as many as there may be", fleet.ErrFull, len(list))
		}
		var events []string
		for _, e := range w.Events {
			events = append(events, string(e))
		}
		err = tx.QueryRowContext(ctx, "INSERT INTO webhooks (url, app, events, secret, created) VALUES ($1, $2, $3, $4, $5) RETURNING id",
			w.URL, w.App, strings.Join(events, " "), w.Secret, unix(w.Created)).Scan(&w.ID)
		return nil, webhookAuditOf(&w), err
	})
	return w, err
}

// Webhooks implements fleet.Store.
func (s *Store) Webhooks(ctx context.Context) ([]fleet.Webhook, error) {
	list, err := readWebhooks(ctx, s.read)
	if err != nil {
		return nil, fmt.Errorf("read the webhooks: %w", err)
	}
	return list, nil
}

func readWebhooks(ctx context.Context, q querier) ([]fleet.Webhook, error) {
	var list []fleet.Webhook
	err := rows(ctx, q, func(r *sql.Rows) error {
		w, err := scanWebhook(r.Scan)
		list = append(list, w)
		return err
	}, "SELECT "+webhookColumns+" FROM webhooks ORDER BY id")
	return list, err
}

// lockWebhook reads a webhook that nobody else can change until tx ends.
func (s *Store) lockWebhook(ctx context.Context, tx *sql.Tx, id int64) (fleet.Webhook, error) {
	w, err := scanWebhook(tx.QueryRowContext(ctx, "SELECT "+webhookColumns+" FROM webhooks WHERE id = $1"+s.d.forUpdate, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: there is no webhook %d", fleet.ErrNotFound, id)
	}
	return w, err
}

// never is when the deliveries of a webhook are due that is disabled.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// writeWebhook stores how a webhook is. Where it is disabled by that, or enabled, so are
// its deliveries.
func writeWebhook(ctx context.Context, tx *sql.Tx, before, w *fleet.Webhook, now time.Time) error {
	_, err := tx.ExecContext(ctx, "UPDATE webhooks SET failures = $1, failing = $2, disabled = $3, reason = $4 WHERE id = $5",
		w.Failures, unix(w.Failing), unix(w.Disabled), w.Reason, w.ID)
	if err != nil || before.Disabled.IsZero() == w.Disabled.IsZero() {
		return err
	}
	due := now
	if !w.Disabled.IsZero() {
		due = never
	}
	_, err = tx.ExecContext(ctx, "UPDATE deliveries SET due = $1 WHERE webhook = $2 AND done = 0", unix(due), w.ID)
	return err
}

// EnableWebhook implements fleet.Store.
func (s *Store) EnableWebhook(ctx context.Context, by fleet.Actor, id int64) error {
	return s.change(ctx, by, "webhook.enable", "", fmt.Sprint(id), func(tx *sql.Tx, _ int64) (any, any, error) {
		w, err := s.lockWebhook(ctx, tx, id)
		if err != nil {
			return nil, nil, err
		}
		next := w.Enabled()
		if w.Failures == 0 && w.Disabled.IsZero() {
			return nil, nil, errUnchanged
		}
		return webhookAuditOf(&w), webhookAuditOf(&next), writeWebhook(ctx, tx, &w, &next, by.At)
	})
}

// RemoveWebhook implements fleet.Store.
func (s *Store) RemoveWebhook(ctx context.Context, by fleet.Actor, id int64) error {
	return s.change(ctx, by, "webhook.remove", "", fmt.Sprint(id), func(tx *sql.Tx, _ int64) (any, any, error) {
		w, err := s.lockWebhook(ctx, tx, id)
		if err != nil {
			return nil, nil, err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM webhooks WHERE id = $1", id)
		return webhookAuditOf(&w), nil, err
	})
}

// TestWebhook implements fleet.Store.
func (s *Store) TestWebhook(ctx context.Context, by fleet.Actor, id int64) (delivery int64, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		w, err := s.lockWebhook(ctx, tx, id)
		if err != nil {
			return err
		}
		if !w.Disabled.IsZero() {
			return fmt.Errorf("%w: webhook %d is disabled; enable it first", fleet.ErrState, id)
		}
		body, err := fleet.EventBody{Event: fleet.EventTest, At: by.At.UTC(), App: w.App, Actor: by.Name, Object: fmt.Sprint(id)}.Encode()
		if err != nil {
			return err
		}
		return insertDelivery(ctx, tx, id, fleet.EventTest, body, by.At).Scan(&delivery)
	})
	if err != nil {
		return 0, fmt.Errorf("test webhook %d: %w", id, err)
	}
	return delivery, nil
}

func insertDelivery(ctx context.Context, tx *sql.Tx, webhook int64, e fleet.Event, body []byte, now time.Time) *sql.Row {
	return tx.QueryRowContext(ctx, "INSERT INTO deliveries (webhook, event, body, created, due) VALUES ($1, $2, $3, $4, $4) RETURNING id",
		webhook, string(e), string(body), unix(now))
}

// tell writes down, in the transaction of what has happened, which webhooks are to be
// told of it.
func tell(ctx context.Context, tx *sql.Tx, happened ...fleet.EventBody) error {
	if len(happened) == 0 {
		return nil
	}
	hooks, err := readWebhooks(ctx, tx)
	if err != nil {
		return err
	}
	for _, h := range happened {
		var body []byte
		for _, w := range hooks {
			if !w.Wants(h.App, h.Event) {
				continue
			}
			if body == nil {
				if body, err = h.Encode(); err != nil {
					return err
				}
			}
			var id int64
			if err := insertDelivery(ctx, tx, w.ID, h.Event, body, h.At).Scan(&id); err != nil {
				return err
			}
		}
	}
	return nil
}

// eventOf returns which event a change is, "" if it is none.
func eventOf(action string, before, after any) fleet.Event {
	switch action {
	case "release.add":
		return fleet.EventReleasePublished
	case "release.change":
		was, _ := before.(releaseAudit)
		if is, _ := after.(releaseAudit); is.Withdrawn && !was.Withdrawn {
			return fleet.EventReleaseWithdrawn
		}
	case "channel.set":
		return fleet.EventChannelSet
	case "rollout.start":
		return fleet.EventRolloutStarted
	}
	if was, ok := before.(rolloutAudit); ok {
		is, _ := after.(rolloutAudit)
		return fleet.RolloutEvent(was.State, is.State, was.Step != is.Step)
	}
	return ""
}

// tellChange is tell for what people and rules change.
func tellChange(ctx context.Context, tx *sql.Tx, by fleet.Actor, action, app, object string, before, after any) error {
	e := eventOf(action, before, after)
	if e == "" {
		return nil
	}
	b := fleet.EventBody{Event: e, At: by.At.UTC(), App: app, Actor: by.Name, Object: object}
	var err error
	if before != nil {
		if b.Before, err = json.Marshal(before); err != nil {
			return err
		}
	}
	if after != nil {
		if b.After, err = json.Marshal(after); err != nil {
			return err
		}
	}
	return tell(ctx, tx, b)
}

// boardEvent returns what is told of a board whose update has not gone well.
func boardEvent(app, id string, t fleet.Task, stage fleet.Stage, r *fleet.Report, at time.Time) (fleet.EventBody, error) {
	b := fleet.EventBody{Event: fleet.BoardEvent(stage), At: at.UTC(), App: app, Actor: "board", Object: id}
	after := struct {
		Rollout int64  `json:"rollout"`
		Target  int64  `json:"target"`
		Version int64  `json:"version"`
		Error   string `json:"error,omitempty"`
		Board   string `json:"board,omitempty"`
	}{t.Rollout, t.Target, r.Version, r.Error, r.Board}
	var err error
	b.After, err = json.Marshal(after)
	return b, err
}

// ClaimDeliveries implements fleet.Store.
func (s *Store) ClaimDeliveries(ctx context.Context, now time.Time, most int, except []int64) ([]fleet.Claim, error) {
	claims, err := s.claim(ctx, now, most, except)
	if err != nil {
		return nil, fmt.Errorf("look for what webhooks are to be told: %w", err)
	}
	return claims, nil
}

func (s *Store) claim(ctx context.Context, now time.Time, most int, except []int64) ([]fleet.Claim, error) {
	// Mostly there is nothing, which costs no transaction.
	var due []int64
	err := rows(ctx, s.read, func(r *sql.Rows) error {
		var id int64
		err := r.Scan(&id)
		if !slices.Contains(except, id) {
			due = append(due, id)
		}
		return err
	}, `SELECT id FROM webhooks WHERE disabled = 0 AND
		EXISTS (SELECT 1 FROM deliveries WHERE webhook = webhooks.id AND done = 0 AND due <= $1) ORDER BY id`, unix(now))
	if err != nil || len(due) == 0 {
		return nil, err
	}
	var claims []fleet.Claim
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		claims = nil
		for _, id := range due {
			c, err := s.claimOf(ctx, tx, id, now, most)
			if err != nil {
				return err
			}
			if len(c.Deliveries) > 0 {
				claims = append(claims, c)
			}
		}
		return nil
	})
	return claims, err
}

func (s *Store) claimOf(ctx context.Context, tx *sql.Tx, id int64, now time.Time, most int) (c fleet.Claim, err error) {
	c.Webhook, err = scanWebhook(tx.QueryRowContext(ctx, "SELECT "+webhookColumns+" FROM webhooks WHERE id = $1 AND disabled = 0", id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil // it was removed, or disabled
	}
	if err != nil {
		return c, err
	}
	lock := s.d.forUpdate
	if lock != "" {
		lock += " SKIP LOCKED" // those that another server is just claiming are not ours
	}
	err = rows(ctx, tx, func(r *sql.Rows) error {
		d, err := scanDelivery(r.Scan)
		c.Deliveries = append(c.Deliveries, d)
		return err
	}, "SELECT "+deliveryColumns+" FROM deliveries WHERE webhook = $1 AND done = 0 AND due <= $2 ORDER BY due, id LIMIT $3"+lock, id, unix(now), most)
	if err != nil {
		return c, err
	}
	for i := range c.Deliveries {
		d := &c.Deliveries[i]
		d.Attempts, d.Due = d.Attempts+1, now.Add(fleet.Lease)
		if _, err := tx.ExecContext(ctx, "UPDATE deliveries SET attempts = $1, due = $2 WHERE id = $3", d.Attempts, unix(d.Due), d.ID); err != nil {
			return c, err
		}
	}
	return c, nil
}

const deliveryColumns = "id, webhook, event, body, created, due, attempts, done, status, problem"

func scanDelivery(scan func(...any) error) (fleet.Delivery, error) {
	var d fleet.Delivery
	var body string
	var created, due, done int64
	err := scan(&d.ID, &d.Webhook, &d.Event, &body, &created, &due, &d.Attempts, &done, &d.Status, &d.Problem)
	d.Body, d.Created, d.Due, d.Done = []byte(body), fromUnix(created), fromUnix(due), fromUnix(done)
	return d, err
}

// keptDeliveries is for how long it is kept what became of a delivery.
const keptDeliveries = 30 * 24 * time.Hour

// EndDelivery implements fleet.Store.
func (s *Store) EndDelivery(ctx context.Context, now time.Time, d fleet.Delivery) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		w, err := s.lockWebhook(ctx, tx, d.Webhook)
		if errors.Is(err, fleet.ErrNotFound) {
			return nil // it was removed meanwhile, with all that it was to be told
		}
		if err != nil {
			return err
		}
		due := d.Due
		next := w.Ended(now, d.Problem)
		// Where somebody else tries it by now, it is his to say.
		_, err = tx.ExecContext(ctx, "UPDATE deliveries SET due = $1, done = $2, status = $3, problem = $4 WHERE id = $5 AND done = 0 AND attempts = $6",
			unix(due), unix(d.Done), d.Status, d.Problem, d.ID, d.Attempts)
		if err != nil {
			return err
		}
		if err := writeWebhook(ctx, tx, &w, &next, now); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM deliveries WHERE done <> 0 AND done < $1", unix(now.Add(-keptDeliveries)))
		return err
	})
	if err != nil {
		return fmt.Errorf("store what became of delivery %d: %w", d.ID, err)
	}
	return nil
}

// Deliveries implements fleet.Store.
func (s *Store) Deliveries(ctx context.Context, webhook, before int64, limit int) ([]fleet.Delivery, error) {
	var list []fleet.Delivery
	err := rows(ctx, s.read, func(r *sql.Rows) error {
		d, err := scanDelivery(r.Scan)
		list = append(list, d)
		return err
	}, "SELECT "+deliveryColumns+" FROM deliveries WHERE webhook = $1 AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3", webhook, before, limit)
	if err != nil {
		return nil, fmt.Errorf("read the deliveries of webhook %d: %w", webhook, err)
	}
	return list, nil
}
