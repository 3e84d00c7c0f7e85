package rehearse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// site serves a release to simulated boards. A board asks for the URLs that its own
// configuration names, so a request is answered by the longest end of its path that names a
// file of the release.
type site struct {
	dir   string            // of the release
	files map[string]bool   // of it
	extra map[string][]byte // what is served besides: versions.json, packs

	requests atomic.Int64
	bytes    atomic.Int64
	polled   atomic.Bool // whether the manifest was asked for
	port     int
	server   *http.Server
}

func (s *site) start(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve the release: %w", err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	s.server = &http.Server{Handler: s}
	go func() { _ = s.server.Serve(l) }() // ends with Close
	return nil
}

func (s *site) close() { _ = s.server.Close() }

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	cw := &countingWriter{ResponseWriter: w, n: &s.bytes}
	for path := r.URL.Path; path != ""; {
		path = strings.TrimPrefix(path, "/")
		if data, ok := s.extra[path]; ok {
			if path == manifestName {
				s.polled.Store(true)
			}
			cw.Header().Set("Content-Type", "application/octet-stream")
			cw.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(data)))
			http.ServeContent(cw, r, path, time.Time{}, bytes.NewReader(data))
			return
		}
		if s.files[path] {
			f, err := os.Open(filepath.Join(s.dir, filepath.FromSlash(path)))
			if err != nil {
				break
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				break
			}
			http.ServeContent(cw, r, path, info.ModTime(), f)
			return
		}
		_, path, _ = strings.Cut(path, "/")
	}
	http.NotFound(w, r)
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.n.Add(int64(n))
	return n, err
}
