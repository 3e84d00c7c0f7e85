package packcache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
)

// A Memory keeps the newest releases, whole, so that there can be packs from them
// when the files have changed. Files that several of them have are kept once. It
// is safe for concurrent use.
type Memory struct {
	limit int64

	mu       sync.Mutex
	releases []*kept // the newest last
	blobs    map[[sha256.Size]byte]*blob
	size     int64 // bytes of manifests and blobs
}

// kept is a release in memory.
type kept struct {
	id       string
	manifest []byte
	files    map[string]*blob // by path
}

// A blob is the content of files.
type blob struct {
	sum  [sha256.Size]byte
	data []byte
	uses int // files of releases that it is the content of
}

// NewMemory returns a memory of releases that have limit bytes together.
func NewMemory(limit int64) *Memory {
	return &Memory{limit: limit, blobs: make(map[[sha256.Size]byte]*blob)}
}

// Add keeps a release, and forgets the oldest ones where there is no room for them
// any more. A release that is there already becomes the newest. Every file is
// compared with the manifest; the error wraps pack.ErrContent where one is
// different, because somebody changes it just now, and pack.ErrTooLarge where the
// release alone is more than the limit. Then nothing is kept of it.
func (m *Memory) Add(ctx context.Context, r *pack.Release) error {
	id := pack.ID(r.Manifest)
	if m.again(id) {
		return nil
	}
	read, err := manifest.Read(bytes.NewReader(r.Manifest))
	if err != nil {
		return err
	}
	total := int64(len(r.Manifest))
	k := &kept{id: id, manifest: r.Manifest, files: make(map[string]*blob, len(read.Files))}
	for _, f := range read.Files {
		if f.Size > m.limit || total > m.limit {
			return fmt.Errorf("keep release %s: %w: more than %d bytes", id, pack.ErrTooLarge, m.limit)
		}
		b, err := m.blob(ctx, r, f)
		if err != nil {
			return fmt.Errorf("keep release %s: %s: %w", id, f.Path, err)
		}
		total += int64(len(b.data))
		k.files[f.Path] = b
	}
	if total > m.limit {
		return fmt.Errorf("keep release %s: %w: more than %d bytes", id, pack.ErrTooLarge, m.limit)
	}
	m.keep(k)
	return nil
}

// again moves a release to the end of the list, if it is in it.
func (m *Memory) again(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, k := range m.releases {
		if k.id == id {
			m.releases = append(append(m.releases[:i:i], m.releases[i+1:]...), k)
			return true
		}
	}
	return false
}

// blob returns the content of a file, which is read if it is not known.
func (m *Memory) blob(ctx context.Context, r *pack.Release, f manifest.File) (*blob, error) {
	var sum [sha256.Size]byte
	if n, err := hex.Decode(sum[:], []byte(f.SHA256)); err != nil || n != len(sum) {
		return nil, pack.ErrManifest
	}
	m.mu.Lock()
	b := m.blobs[sum]
	m.mu.Unlock()
	if b != nil {
		return b, nil
	}
	in, err := r.Open(ctx, f.Path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, m.limit+1))
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(data) != sum {
		return nil, pack.ErrContent
	}
	return &blob{sum: sum, data: data}, nil
}

// keep adds a release and forgets those for which there is no room.
func (m *Memory) keep(k *kept) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.releases {
		if other.id == k.id {
			return // somebody else was faster
		}
	}
	m.releases = append(m.releases, k)
	m.size += int64(len(k.manifest))
	for path, b := range k.files {
		if known, ok := m.blobs[b.sum]; ok {
			b = known
			k.files[path] = b
		} else {
			m.blobs[b.sum] = b
			m.size += int64(len(b.data))
		}
		b.uses++
	}
	for m.size > m.limit && len(m.releases) > 1 {
		oldest := m.releases[0]
		m.releases = m.releases[1:]
		m.size -= int64(len(oldest.manifest))
		for _, b := range oldest.files {
			if b.uses--; b.uses == 0 {
				delete(m.blobs, b.sum)
				m.size -= int64(len(b.data))
			}
		}
	}
}

// Find returns a release. It is a [Find].
func (m *Memory) Find(_ context.Context, id string) (*pack.Release, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.releases {
		if k.id == id {
			return k.release(), nil
		}
	}
	return nil, fmt.Errorf("release %s: %w", id, fs.ErrNotExist)
}

// release returns what is kept in the form that package pack takes. It stays good when
// it is forgotten here.
func (k *kept) release() *pack.Release {
	return &pack.Release{Manifest: k.manifest, Open: func(_ context.Context, path string) (io.ReadCloser, error) {
		b, ok := k.files[path]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return io.NopCloser(bytes.NewReader(b.data)), nil
	}}
}
