package devserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"math"
	"net/http"
	"sync"
	"time"
)

// pinTime is how long a board that was given a statement is given the manifest
// which that pins, even if a file is saved meanwhile. It asks for it at once.
const pinTime = time.Minute

// An offer is what a board can be given at one time: a manifest and, if there
// are keys, the statement about it.
type offer struct {
	version   int64
	files     int
	encoded   []byte // the manifest
	statement []byte
}

// offers remembers what was offered. Boards refuse a signed release that is
// older than theirs, or that has the version of theirs and other files; so where
// statements are made the version grows with every change, also where it is that
// of a file's time and the file was removed or put back.
type offers struct {
	making sync.Mutex // held while an offer is made; guards last
	last   *offer

	mu     sync.Mutex
	pinned map[string]pin
}

// A pin is the offer whose statement a client has got.
type pin struct {
	offer offer
	at    time.Time
}

// offer builds the manifest of the tree as it is now, and signs it. What is offered
// is kept, for packs to it, and from it once it is no more.
func (s *Server) offer(ctx context.Context) (offer, error) {
	// A client that lost patience does not stop the work: what was read is
	// remembered, so that its next try is quick.
	ctx = context.WithoutCancel(ctx)
	o, err := s.makeOffer(ctx)
	if err == nil {
		s.remember(ctx, o)
	}
	return o, err
}

func (s *Server) makeOffer(ctx context.Context) (offer, error) {
	if s.config.Sign != nil {
		s.offers.making.Lock()
		defer s.offers.making.Unlock()
	}
	m, err := s.Manifest(ctx)
	if err != nil {
		return offer{}, err
	}
	encode := func() (offer, error) {
		encoded, err := m.Encode(s.config.Indent)
		return offer{version: m.Version, files: len(m.Files), encoded: encoded}, err
	}
	if s.config.Sign == nil {
		return encode()
	}

	o, err := encode()
	if last := s.offers.last; err == nil && last != nil && m.Version <= last.version {
		again := func(version int64) {
			m.Version = version
			if err = s.addHMAC(m); err == nil {
				o, err = encode()
			}
		}
		if again(last.version); err == nil && bytes.Equal(o.encoded, last.encoded) {
			return *last, nil
		}
		if err == nil && last.version < math.MaxInt64 {
			again(last.version + 1)
		}
	}
	if err != nil {
		return offer{}, err
	}
	if o.statement, err = s.config.Sign(ctx, o.encoded, o.version); err != nil {
		return offer{}, err
	}
	s.offers.last = &o
	return o, nil
}

// pin remembers which statement a client was given.
func (o *offers) pin(client string, given offer, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for other, p := range o.pinned {
		if now.Sub(p.at) > pinTime {
			delete(o.pinned, other)
		}
	}
	if len(o.pinned) < maxBoards {
		o.pinned[client] = pin{given, now}
	}
}

// pinnedFor returns the offer whose statement a client was given last, if that
// is not long ago.
func (o *offers) pinnedFor(client string, now time.Time) (offer, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, ok := o.pinned[client]
	return p.offer, ok && now.Sub(p.at) <= pinTime
}

// serveStatement answers with the signed statement.
func (s *Server) serveStatement(w *response, r *http.Request, client string) string {
	o, err := s.offer(r.Context())
	if err != nil {
		return s.broken(w, "the release could not be signed", err)
	}
	if r.Method == http.MethodGet {
		s.offers.pin(client, o, s.config.Now())
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return s.servePolled(w, r, client, o, o.statement)
}

// serveKeyset answers with a keyset.
func (s *Server) serveKeyset(w *response, r *http.Request, path string) string {
	body := s.keysets[path]
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	serveContent(w, r, quoteSum(sha256.Sum256(body)), bytes.NewReader(body))
	return "keyset"
}
