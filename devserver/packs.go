package devserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"strings"

	"github.com/cactuscon/saguarota/pack"
)

// Bytes that are kept in memory: of what the tree was when it was offered, and of
// packs. A tree that is larger than that has no packs; boards then get file by file.
const (
	statesLimit = 64 << 20
	packsLimit  = 16 << 20
)

// remember keeps the state of the tree that is offered. That somebody saves a file
// just now is no reason not to offer it: there will be no packs of it, that is all.
func (s *Server) remember(ctx context.Context, o offer) {
	_ = s.states.Add(ctx, &pack.Release{Manifest: o.encoded, Open: func(_ context.Context, path string) (io.ReadCloser, error) {
		return s.scanner.Open(path)
	}})
}

// servePack answers with a pack, which is made if nobody asked for it before.
func (s *Server) servePack(w *response, r *http.Request, client, path, from, to string) string {
	p, err := s.packs.Get(r.Context(), netip.Addr{}, from, to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.fail(http.StatusNotFound, "not found: no pack, for one of the releases was not offered here")
		return "no pack: " + printableError(err)
	case err != nil:
		return s.broken(w, "the pack could not be made", err)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	done := func() int64 { return rangeStart(w.Header().Get("Content-Range")) + w.bytes }
	if r.Method == http.MethodGet {
		w.sent = func() {
			s.progress(Progress{remoteHost(r.RemoteAddr), boardName(r.UserAgent()), done(), int64(len(p.Data))})
		}
	}
	serveContent(w, r, quoteSum(p.Sum), bytes.NewReader(p.Data))
	if r.Method != http.MethodGet || w.status != http.StatusOK && w.status != http.StatusPartialContent {
		return ""
	}
	s.boards.fetched(client, path, w.bytes, s.config.Now())
	return "pack " + bar(done(), int64(len(p.Data)))
}

// Progress is how far a board is with the download of a pack.
type Progress struct {
	Remote string // address
	Board  string // name of the board, or of the program
	Done   int64  // bytes, those that it had before included
	Total  int64
}

// String shows it as a bar, for people.
func (p Progress) String() string {
	return strings.TrimSuffix(p.Remote+"  "+p.Board, "  ") + "  " + bar(p.Done, p.Total)
}

// progress passes it on.
func (s *Server) progress(p Progress) {
	s.logging.Lock()
	defer s.logging.Unlock()
	s.config.Progress(p)
}

// rangeStart returns the first byte that a Content-Range names, 0 if there is none.
func rangeStart(header string) int64 {
	var start int64
	if _, err := fmt.Sscanf(header, "bytes %d-", &start); err != nil {
		return 0
	}
	return start
}

// bar shows how far a board is with a download.
func bar(done, total int64) string {
	const width = 20
	n := int(done * width / max(total, 1))
	return fmt.Sprintf("[%s%s] %s of %s", strings.Repeat("#", n), strings.Repeat(".", width-n), FormatBytes(done), FormatBytes(total))
}
