package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/pack"
)

// maxPacks is how many bytes of packs are kept in memory.
const maxPacks = 64 << 20

// servePack answers with the pack from one release of the application to another, or
// of a whole one. It is made when it is asked for first: from whatever release a board
// says that it has, as long as that was published here. A board that gets none goes on
// without.
func (s *Server) servePack(w http.ResponseWriter, r *http.Request, v *fleet.View, from, to string) {
	if findRelease(v, to) == nil || from != "" && findRelease(v, from) == nil {
		writeText(w, http.StatusNotFound, "there is no such pack")
		return
	}
	source := "memory"
	if !s.packs.Has(from, to) {
		source = "made"
		if wait := s.limits.packs.take(s.from(r), s.now()); wait > 0 {
			w.Header().Del("Vary")
			s.metrics.limited.WithLabelValues("packs").Inc()
			writeTooMany(w, wait)
			return
		}
	}
	data, err := s.packs.Get(r.Context(), from, to)
	switch {
	case r.Context().Err() != nil:
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
	h.Set("ETag", `"`+blob.SumOf(data).String()+`"`)
	http.ServeContent(&patientWriter{ResponseWriter: w}, r, "", time.Time{}, bytes.NewReader(data))
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
