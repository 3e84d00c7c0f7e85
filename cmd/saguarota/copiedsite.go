package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cactuscon/saguarota/release"
)

// a copiedSite is a site of which every file is fetched once, and then read from the
// copy: so what was checked is what is used, whatever a server answers the next time.
type copiedSite struct {
	release.Source
	dir    string            // of the copies, under names that nobody else chose
	copies map[string]string // by path
}

// maxCopied is how large a file can be: as fleet servers take them.
const maxCopied = 256 << 20

// Open implements release.Source.
func (c *copiedSite) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	name, ok := c.copies[path]
	if !ok {
		var err error
		if name, err = c.fetch(ctx, path); err != nil {
			return nil, err
		}
		c.copies[path] = name
	}
	return os.Open(name)
}

func (c *copiedSite) fetch(ctx context.Context, path string) (name string, err error) {
	r, err := c.Source.Open(ctx, path)
	if err != nil {
		return "", err
	}
	defer r.Close()
	f, err := os.CreateTemp(c.dir, "")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(f, io.LimitReader(r, maxCopied+1))
	if err == nil && n > maxCopied {
		err = fmt.Errorf("%w: more than %d bytes", release.ErrFormat, maxCopied)
	}
	if err != nil {
		return "", fmt.Errorf("fetch %s of %s: %w", path, c.Source, err)
	}
	return f.Name(), nil
}
