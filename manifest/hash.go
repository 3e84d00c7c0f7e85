package manifest

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// content is what reading a file found.
type content struct {
	info   fs.FileInfo // of the file that was read, from before it was
	size   int64
	md5    string
	sha256 string
	stable bool // a later change would show in info
}

// racyWindow is how long after a change a second one may leave the same
// modification time: the resolution of FAT.
const racyWindow = 2 * time.Second

// sameFile reports whether a file still has the content that c tells of.
func (c *content) sameFile(info fs.FileInfo) bool {
	return c.stable && os.SameFile(c.info, info) &&
		c.info.Size() == info.Size() && c.info.ModTime().Equal(info.ModTime())
}

// readAll reads files in parallel, except those that the cache knows, and
// makes what it found the new cache. The caller holds s.building.
func (s *Scanner) readAll(ctx context.Context, files []*node) ([]content, error) {
	found := make([]content, len(files))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		wg.Go(func() {
			r := newReader()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(files) || ctx.Err() != nil {
					return
				}
				var err error
				if found[i], err = s.read(r, files[i]); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	s.cache = make(map[string]content, len(files))
	for i, n := range files {
		s.cache[n.rel] = found[i]
	}
	return found, nil
}

func (s *Scanner) read(r *reader, n *node) (content, error) {
	if n.irregular {
		// Opening says why a link leads nowhere; opening a pipe would wait.
		if _, err := os.Stat(n.path); err != nil {
			return content{}, fmt.Errorf("a link of the release leads nowhere: %w", err)
		}
		return content{}, &fs.PathError{Op: "read", Path: n.path, Err: errors.New("not a regular file")}
	}
	if known, ok := s.cache[n.rel]; ok {
		if info, err := os.Stat(n.path); err == nil && known.sameFile(info) {
			return known, nil
		}
	}
	c, err := r.read(n.path)
	if err != nil {
		return content{}, err
	}
	c.stable = s.now().Sub(c.info.ModTime()) > racyWindow
	return c, nil
}

// A reader hashes one file after the other.
type reader struct {
	buf    []byte
	md5    hash.Hash
	sha256 hash.Hash
	sum    [sha256.Size]byte
}

func newReader() *reader {
	return &reader{buf: make([]byte, 64<<10), md5: md5.New(), sha256: sha256.New()}
}

func (r *reader) read(path string) (content, error) {
	f, err := os.Open(path)
	if err != nil {
		return content{}, err
	}
	defer f.Close()
	var c content
	if c.info, err = f.Stat(); err != nil {
		return content{}, err
	}
	r.md5.Reset()
	r.sha256.Reset()
	for {
		n, err := f.Read(r.buf)
		r.md5.Write(r.buf[:n])
		r.sha256.Write(r.buf[:n])
		c.size += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return content{}, err
		}
	}
	c.md5 = hex.EncodeToString(r.md5.Sum(r.sum[:0]))
	c.sha256 = hex.EncodeToString(r.sha256.Sum(r.sum[:0]))
	return c, nil
}
