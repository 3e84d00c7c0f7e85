package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

// A Publication is a release that somebody wants to publish. Its files are in the
// blob store already.
type Publication struct {
	Statement   []byte   // versions.json.sig
	Manifest    []byte   // versions.json
	Keysets     [][]byte // keys/<n>.json; what boards have built in, and what came with a release before, may be missing
	StepThrough bool
}

// Publish checks a release as every board will, with all of its files, and stores
// it. From then on it can be offered; nothing points to it yet. Errors are those of
// release.VerifySite, fleet.Store.AddRelease, and fleet.ErrNotFound where there is
// no such application.
func (s *Server) Publish(ctx context.Context, by fleet.Actor, app string, p Publication) (*fleet.Release, error) {
	// The application may be newer than what this server knows.
	if err := s.Refresh(ctx); err != nil {
		return nil, err
	}
	v := s.view(app)
	if v == nil {
		return nil, fmt.Errorf("%w: the application %q", fleet.ErrNotFound, app)
	}
	site := &publishedSite{p: &p, blobs: s.blobs, stored: func(ctx context.Context, n int64) ([]byte, error) { return s.store.Keyset(ctx, app, n) }}
	report, err := release.VerifySite(ctx, site, v.App.Root, release.Board{App: app})
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	for _, f := range report.Manifest.Files {
		if f.Size < 0 {
			return nil, fmt.Errorf("publish: %w: the manifest does not say how long %s is; build it with this program", release.ErrContent, f.Path)
		}
	}
	// Only what was verified: keysets up to the one that signed. The first of them boards
	// have, but tools that build on a release begin with it.
	var keysets [][]byte
	for n := v.App.Root.Version; n <= report.Statement.Keyset; n++ {
		if data := site.keyset(n); data != nil {
			keysets = append(keysets, data)
		}
	}
	if err := s.blobs.Put(ctx, blob.SumOf(p.Manifest), int64(len(p.Manifest)), bytes.NewReader(p.Manifest)); err != nil {
		return nil, err
	}
	rel := &fleet.Release{Statement: *report.Statement, Signed: p.Statement, Published: by.At, StepThrough: p.StepThrough}
	if err := s.store.AddRelease(ctx, by, rel, keysets); err != nil {
		return nil, err
	}
	s.metrics.published.Inc()
	return rel, s.Refresh(ctx)
}

// a publishedSite is a Publication as a release.Source.
type publishedSite struct {
	p      *Publication
	blobs  blob.Store
	stored func(ctx context.Context, n int64) ([]byte, error) // keysets of releases before
	files  map[string]blob.Sum                                // by path, once the manifest was read
}

// String implements release.Source.
func (s *publishedSite) String() string { return "what was uploaded" }

// Open implements release.Source.
func (s *publishedSite) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	switch path {
	case release.StatementName:
		return io.NopCloser(bytes.NewReader(s.p.Statement)), nil
	case release.ManifestName:
		return io.NopCloser(bytes.NewReader(s.p.Manifest)), nil
	}
	if n, ok := keysetNumber(path); ok {
		if data := s.keyset(n); data != nil {
			return io.NopCloser(bytes.NewReader(data)), nil
		}
		data, err := s.stored(ctx, n)
		if errors.Is(err, fleet.ErrNotFound) {
			return nil, missing(path)
		}
		return io.NopCloser(bytes.NewReader(data)), err
	}
	if s.files == nil {
		s.files = map[string]blob.Sum{}
		m, err := manifest.Read(bytes.NewReader(s.p.Manifest))
		if err != nil {
			return nil, err
		}
		for _, f := range m.Files {
			if sum, err := blob.ParseSum(f.SHA256); err == nil {
				s.files[f.Path] = sum
			}
		}
	}
	sum, ok := s.files[path]
	if !ok {
		return nil, missing(path)
	}
	content, _, err := s.blobs.Open(ctx, sum)
	return content, err
}

func missing(path string) error {
	return &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

// keyset returns the n-th keyset, nil if it was not given.
func (s *publishedSite) keyset(n int64) []byte {
	for _, data := range s.p.Keysets {
		if k, _, err := release.ReadKeyset(data); err == nil && k.Version == n {
			return data
		}
	}
	return nil
}
