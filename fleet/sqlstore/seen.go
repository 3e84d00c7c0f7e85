package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// a note is that a board was seen.
type note struct {
	at   time.Time
	free int64
}

// seen is what Seen was told and is not written yet: one note a board, the last.
type seen struct {
	mu    sync.Mutex
	notes map[fleet.BoardKey]note
	last  error // of the last time that it was written
}

// Seen implements fleet.Store.
func (s *Store) Seen(app, id string, at time.Time, free int64) {
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	s.seen.put(fleet.BoardKey{App: app, ID: id}, note{at, free})
}

// put keeps the later of two notes.
func (s *seen) put(key fleet.BoardKey, n note) {
	if old, ok := s.notes[key]; !ok || !old.at.After(n.at) {
		s.notes[key] = n
	}
}

// take returns all notes, and begins anew.
func (s *seen) take() map[fleet.BoardKey]note {
	s.mu.Lock()
	defer s.mu.Unlock()
	notes := s.notes
	s.notes = make(map[fleet.BoardKey]note, len(notes))
	return notes
}

// seenTimeout is how long the database may take for the notes, so that a server
// that stops does.
const seenTimeout = 10 * time.Second

// writeSeen writes notes until ctx ends, and then the last ones. Half the time that
// the notes may be lost for is for waiting, the other half for writing.
func (s *Store) writeSeen(ctx context.Context) {
	tick := time.NewTicker(fleet.MaxUnwritten / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = s.flushSeen(ctx, seenOver) // kept for the next time
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.Background(), seenTimeout)
			defer cancel()
			s.seen.last = s.FlushSeen(last)
			return
		}
	}
}

// How notes are written.
const (
	// seenBatch is how many are written in one transaction at most: check-ins wait so
	// long.
	seenBatch = 2000

	// Written all at once they would take a processor from the polls, again and again
	// for a tenth of a second, in which these pile up. So they are divided into so many
	// transactions, of at least so many notes, which are spread over a time; what is
	// left of MaxUnwritten is for a database that takes longer.
	seenParts = 20
	seenLeast = 100
	seenOver  = 700 * time.Millisecond
)

// FlushSeen writes now what Seen was told. What cannot be written is kept.
func (s *Store) FlushSeen(ctx context.Context) error { return s.flushSeen(ctx, 0) }

// flushSeen is FlushSeen, spread over a time.
func (s *Store) flushSeen(ctx context.Context, over time.Duration) error {
	notes := s.seen.take()
	if len(notes) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(notes), func(a, b fleet.BoardKey) int {
		return cmp.Or(strings.Compare(a.App, b.App), strings.Compare(a.ID, b.ID))
	})
	size, written, start := seenBatch, 0, time.Now()
	if over > 0 {
		size = min(seenBatch, max(seenLeast, (len(keys)+seenParts-1)/seenParts))
	}
	for part := range slices.Chunk(keys, size) {
		pause(ctx, time.Until(start.Add(over*time.Duration(written)/time.Duration(len(keys)))))
		written += len(part)
		if err := s.inTx(ctx, func(tx *sql.Tx) error { return s.writeNotes(ctx, tx, part, notes) }); err != nil {
			s.seen.mu.Lock()
			for key, n := range notes {
				s.seen.put(key, n)
			}
			s.seen.mu.Unlock()
			return fmt.Errorf("write when boards were seen: %w", err)
		}
		for _, key := range part {
			delete(notes, key)
		}
	}
	return nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (s *Store) writeNotes(ctx context.Context, tx *sql.Tx, keys []fleet.BoardKey, notes map[fleet.BoardKey]note) error {
	apps := map[string]int64{}
	var app, at, free []int64
	var id []string
	for _, k := range keys {
		n, ok := apps[k.App]
		if !ok {
			var err error
			if n, err = appID(ctx, tx, k.App); err != nil && !errors.Is(err, fleet.ErrNotFound) {
				return err
			}
			apps[k.App] = n // 0, which no board has, if there is none of that name
		}
		app, id, at, free = append(app, n), append(id, k.ID), append(at, unix(notes[k].at)), append(free, notes[k].free)
	}
	if s.d.postgres {
		_, err := tx.ExecContext(ctx, `UPDATE boards SET last_seen = GREATEST(last_seen, v.at), free = v.free
			FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) AS v (app, id, at, free)
			WHERE boards.app = v.app AND boards.id = v.id`, app, id, at, free)
		return err
	}
	update, err := tx.PrepareContext(ctx, "UPDATE boards SET last_seen = MAX(last_seen, $1), free = $2 WHERE app = $3 AND id = $4")
	if err != nil {
		return err
	}
	// The driver watches over each call whose context can end, which takes longer than the
	// call does.
	each := context.WithoutCancel(ctx)
	for i := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := update.ExecContext(each, at[i], free[i], app[i], id[i]); err != nil {
			return err
		}
	}
	return update.Close()
}
