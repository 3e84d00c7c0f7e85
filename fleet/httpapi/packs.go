package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/internal/packcache"
	"github.com/cactuscon/saguarota/pack"
)

// DefaultMaxPackInput is of how many bytes a pack is made at most if nothing is said:
// more than most boards have room for. To make one of so many takes seconds, and a few
// hundred megabytes for as long, and two are made at a time.
const DefaultMaxPackInput = 8 << 20

const (
	maxPacks      = 64 << 20 // bytes of packs that are kept in memory
	maxPacksQueue = 32       // packs that wait to be made, or are being made

	// Of the connections that there may be, so many may wait for packs, and of one
	// address so many of these.
	waitersShare = 4
	oneShare     = 8

	// busyFor is after how long one may ask again where too many packs are asked for.
	busyFor = 2 * time.Second
)

// packConfig returns the bounds of making packs.
func packConfig(c *Config) packcache.Config {
	waiters := max(1, c.MaxConnections/waitersShare)
	return packcache.Config{
		Keep: maxPacks, Input: c.MaxPackInput, Queue: maxPacksQueue,
		Waiters: waiters, FromOne: max(1, waiters/oneShare),
	}
}

// servePack answers with the pack from one release of the application to another, or
// of a whole one. It is made when it is asked for first: from whatever release a board
// says that it has, as long as that was published here. A board that gets none goes on
// without: where there cannot be one, at once, and where there is none now, when it has
// asked some times.
func (s *Server) servePack(w http.ResponseWriter, r *http.Request, v *fleet.View, from, to string) {
	if from == to || findRelease(v, to) == nil || from != "" && findRelease(v, from) == nil {
		writeText(w, http.StatusNotFound, "there is no such pack")
		return
	}
	source, who := "memory", s.from(r)
	if !s.packs.Has(from, to) {
		source = "made"
		if wait := s.limits.packs.take(who, s.now()); wait > 0 {
			w.Header().Del("Vary")
			s.metrics.limited.WithLabelValues("packs").Inc()
			writeTooMany(w, wait)
			return
		}
	}
	p, err := s.packs.Get(r.Context(), who.address, from, to)
	switch {
	case r.Context().Err() != nil:
		return
	case errors.Is(err, pack.ErrTooLarge):
		w.Header().Del("Vary")
		writeText(w, http.StatusNotFound, "there is no such pack: it would be made of too much")
		return
	case errors.Is(err, packcache.ErrBusy):
		w.Header().Del("Vary")
		s.metrics.limited.WithLabelValues("packs").Inc()
		retryAfter(w, busyFor)
		writeText(w, http.StatusServiceUnavailable, "too many packs are asked for; Retry-After says when to try again")
		return
	case err != nil:
		s.tell(slog.LevelError, v.App.Name, "a pack cannot be made", "app", v.App.Name, "from", from, "to", to, "error", err)
		writeText(w, http.StatusServiceUnavailable, "not now")
		return
	}
	s.metrics.packs.WithLabelValues(source).Inc()
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Del("Vary")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("ETag", `"`+blob.Sum(p.Sum).String()+`"`)
	http.ServeContent(&patientWriter{ResponseWriter: w}, r, "", time.Time{}, bytes.NewReader(p.Data))
}

// findRelease returns the release with an ID, nil if there is none.
func findRelease(v *fleet.View, id string) *fleet.Release {
	for _, r := range v.Releases {
		if releaseID(r) == id {
			return r
		}
	}
	return nil
}

// packed returns the release with an ID, of any application, as packs are made of.
func (s *Server) packed(ctx context.Context, id string) (*pack.Release, error) {
	for _, v := range s.snapshot.Load().Views {
		rel := findRelease(v, id)
		if rel == nil {
			continue
		}
		pin := rel.Statement.Manifest
		encoded, err := blob.Get(ctx, s.blobs, blob.Sum(pin.SHA256), pin.Size)
		if err != nil {
			return nil, err
		}
		return &pack.Release{Manifest: encoded, Open: func(ctx context.Context, path string) (io.ReadCloser, error) {
			sum, size, err := s.lookup(ctx, rel, path)
			if err != nil {
				return nil, err
			}
			return s.contents.open(ctx, s.blobs, sum, size)
		}}, nil
	}
	return nil, fmt.Errorf("the release %s: %w", id, fs.ErrNotExist)
}
