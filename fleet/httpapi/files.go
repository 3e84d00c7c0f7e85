package httpapi

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

// serveFile answers with a file of the release that the board was offered, or of the
// stable channel's for whoever does not say who he is. Boards check what they get
// against the statement that they have, so one that is answered with another
// release's file, because it was offered another one meanwhile, polls again.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request, v *fleet.View, path string) {
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("Vary", ReportHeader)
	report, ok := s.report(w, r)
	if !ok {
		return
	}
	rel := channelRelease(v)
	if report != nil {
		b, _, err := s.board(r.Context(), fleet.BoardKey{App: v.App.Name, ID: report.ID})
		if err != nil {
			s.tell(slog.LevelError, v.App.Name, "a board cannot be looked up", "app", v.App.Name, "board", report.ID, "error", err)
			writeText(w, http.StatusServiceUnavailable, "not now")
			return
		}
		// By what it said when it polled. Nobody begins with anything here.
		d := v.Fallback(s.now(), b, &b.Report, 0)
		if rel = d.Current; d.Release != nil {
			rel = d.Release
		}
	}
	if rel == nil {
		writeText(w, http.StatusNotFound, "there is no release yet")
		return
	}
	s.serveContent(w, r, rel, path)
}

// serveRelease answers with a file of one release, by the first 16 digits of its
// manifest's SHA-256. What is there never changes, so that any cache may keep it for
// ever; and below it is a whole site, as other tools understand it.
func (s *Server) serveRelease(w http.ResponseWriter, r *http.Request) {
	v := s.view(r.PathValue("app"))
	if v == nil {
		writeText(w, http.StatusNotFound, "there is no such application")
		return
	}
	rel := findRelease(v, r.PathValue("id"))
	if rel == nil {
		writeText(w, http.StatusNotFound, "there is no such release")
		return
	}
	path := r.PathValue("path")
	if n, ok := keysetNumber(path); ok {
		s.serveKeyset(w, r, v.App.Name, n)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	if path == release.StatementName {
		writeStatement(w, r, rel)
		return
	}
	s.serveContent(w, r, rel, path)
}

// releaseID returns what a release is called in URLs.
func releaseID(r *fleet.Release) string { return hex.EncodeToString(r.Statement.Manifest.SHA256[:8]) }

// serveContent answers with a file of a release, or a range of it.
func (s *Server) serveContent(w http.ResponseWriter, r *http.Request, rel *fleet.Release, path string) {
	sum, size, err := s.lookup(r.Context(), rel, path)
	var content io.ReadSeekCloser
	if err == nil {
		content, err = s.contents.open(r.Context(), s.blobs, sum, size)
	}
	switch {
	case errors.Is(err, errNoFile):
		writeText(w, http.StatusNotFound, "the release has no such file")
		return
	case err != nil:
		if r.Context().Err() == nil {
			s.tell(slog.LevelError, rel.Statement.App, "a file of a release cannot be read", "app", rel.Statement.App, "version", rel.Version(), "path", path, "error", err)
		}
		writeText(w, http.StatusServiceUnavailable, "not now")
		return
	}
	defer content.Close()
	h := w.Header()
	h.Set("ETag", `"`+sum.String()+`"`)
	// Never anything that a browser would run.
	h.Set("Content-Type", "application/octet-stream")
	http.ServeContent(&patientWriter{ResponseWriter: w}, r, "", time.Time{}, content)
}

// errNoFile: the release has no file of that path.
var errNoFile = errors.New("no such file")

// lookup returns which blob a path of a release is.
func (s *Server) lookup(ctx context.Context, rel *fleet.Release, path string) (blob.Sum, int64, error) {
	pin := rel.Statement.Manifest
	if path == release.ManifestName {
		return blob.Sum(pin.SHA256), pin.Size, nil
	}
	m, err := s.manifests.get(ctx, s.blobs, pin)
	if err != nil {
		return blob.Sum{}, 0, err
	}
	f, ok := m.Lookup(path)
	if !ok {
		return blob.Sum{}, 0, errNoFile
	}
	sum, err := blob.ParseSum(strings.ToLower(f.SHA256))
	return sum, f.Size, err
}

// maxManifests is how many manifests are kept in memory.
const maxManifests = 32

// a manifestCache holds manifests, by their pins.
type manifestCache struct {
	mu        sync.Mutex
	manifests map[release.Pin]*manifest.Manifest
}

func newManifestCache() *manifestCache {
	return &manifestCache{manifests: map[release.Pin]*manifest.Manifest{}}
}

func (c *manifestCache) get(ctx context.Context, blobs blob.Store, pin release.Pin) (*manifest.Manifest, error) {
	c.mu.Lock()
	m := c.manifests[pin]
	c.mu.Unlock()
	if m != nil {
		return m, nil
	}
	data, err := blob.Get(ctx, blobs, blob.Sum(pin.SHA256), pin.Size)
	if err != nil {
		return nil, err
	}
	if m, err = manifest.Read(bytes.NewReader(data)); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.manifests) >= maxManifests {
		for other := range c.manifests {
			delete(c.manifests, other)
			break
		}
	}
	c.manifests[pin] = m
	return m, nil
}

const (
	maxInMemory = 1 << 20  // bytes of a blob that is kept in memory
	maxContents = 64 << 20 // bytes of all of these
	maxVerified = 10_000   // blobs that are known to be good
)

// a contentCache holds blobs that were verified: small ones themselves, of larger
// ones that they are good.
type contentCache struct {
	mu       sync.Mutex
	contents map[blob.Sum][]byte
	size     int
	verified map[blob.Sum]bool
}

func newContentCache() *contentCache {
	return &contentCache{contents: map[blob.Sum][]byte{}, verified: map[blob.Sum]bool{}}
}

// open opens a blob of the given size that is good. A damaged one is an error: no
// byte of it is sent, since boards would ask for it again and again.
func (c *contentCache) open(ctx context.Context, blobs blob.Store, sum blob.Sum, size int64) (io.ReadSeekCloser, error) {
	c.mu.Lock()
	data, ok := c.contents[sum]
	good := c.verified[sum]
	c.mu.Unlock()
	if ok {
		return nopCloser{bytes.NewReader(data)}, nil
	}
	if size > maxInMemory {
		if !good {
			if err := blob.Verify(ctx, blobs, sum); err != nil {
				return nil, err
			}
			c.mu.Lock()
			if len(c.verified) >= maxVerified {
				clear(c.verified)
			}
			c.verified[sum] = true
			c.mu.Unlock()
		}
		content, have, err := blobs.Open(ctx, sum)
		if err == nil && have != size {
			err = errors.Join(blob.ErrContent, content.Close())
		}
		if err != nil {
			return nil, err
		}
		return content, nil
	}
	data, err := blob.Get(ctx, blobs, sum, max(size, 0))
	if err != nil {
		return nil, err
	}
	c.keep(sum, data)
	return nopCloser{bytes.NewReader(data)}, nil
}

func (c *contentCache) keep(sum blob.Sum, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.contents[sum]; ok {
		return
	}
	for other, old := range c.contents {
		if c.size+len(data) <= maxContents {
			break
		}
		c.size -= len(old)
		delete(c.contents, other)
	}
	c.size += len(data)
	c.contents[sum] = data
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// patience is how long a client may take nothing of an answer.
const patience = 30 * time.Second

// piece is the most that is written under one deadline.
const piece = 16 << 10

// a patientWriter gives a client time for every piece of an answer, however long the
// whole takes, and none to one that takes nothing.
type patientWriter struct{ http.ResponseWriter }

// Unwrap lets http.ResponseController find the connection.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements io.Writer.
func (w *patientWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		// The network compares deadlines with the system's clock. Writers of tests have
		// no deadline to set.
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(patience))
		var m int
		m, err = w.ResponseWriter.Write(p[:min(len(p), piece)])
		n += m
		p = p[m:]
	}
	return n, err
}
