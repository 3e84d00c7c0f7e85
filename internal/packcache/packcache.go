// Package packcache makes packs when they are asked for, each once.
//
// A server that knows releases can answer for any pack between them. A [Cache]
// makes it at the first request; whoever asks for the same meanwhile waits for
// it, and who asks later gets it from memory. Where releases come from is the
// server's own business: a fleet server has them in its store, the development
// server in a [Memory], which keeps what the source tree was before.
package packcache

import (
	"bytes"
	"container/list"
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"sync"

	"github.com/cactuscon/saguarota/pack"
)

// Find returns the release with an ID (see [pack.ID]). The error wraps fs.ErrNotExist
// where it is not known.
type Find func(ctx context.Context, id string) (*pack.Release, error)

// A Cache makes packs and keeps them. It is safe for concurrent use.
type Cache struct {
	find    Find
	options pack.Options
	limit   int64
	making  chan struct{} // a place for each pack that is made at the same time

	mu    sync.Mutex
	packs map[string]*entry
	used  list.List // of *entry that are made, the most recently used first
	size  int64     // bytes of these
}

// An entry is a pack that is made or being made.
type entry struct {
	name string
	done chan struct{} // closed when data or err is set
	data []byte
	err  error
	at   *list.Element // in used; nil while it is being made
}

// New returns a cache of packs, limit bytes at most, of the releases that find finds.
func New(limit int64, o pack.Options, find Find) *Cache {
	// A pack is made on all processors; a second one fills the gaps.
	places := min(2, runtime.GOMAXPROCS(0))
	return &Cache{find: find, options: o, limit: limit, making: make(chan struct{}, places), packs: make(map[string]*entry)}
}

// Get returns the pack from one release to another, given by their IDs; an empty
// from is for the pack of the whole release. The bytes must not be changed.
//
// The error wraps fs.ErrNotExist where one of the releases is not known, and is
// that of ctx if this ends before the pack is made. The work goes on all the
// same, for the next who asks: a board that lost patience asks again. Failures are
// not kept.
func (c *Cache) Get(ctx context.Context, from, to string) ([]byte, error) {
	name := from + "-" + to
	c.mu.Lock()
	e, ok := c.packs[name]
	if !ok {
		e = &entry{name: name, done: make(chan struct{})}
		c.packs[name] = e
		go c.fill(context.WithoutCancel(ctx), e, from, to)
	} else if e.at != nil {
		c.used.MoveToFront(e.at)
	}
	c.mu.Unlock()
	select {
	case <-e.done:
		return e.data, e.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Has reports whether Get would not begin to make the pack: it is made, or being made.
func (c *Cache) Has(from, to string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.packs[from+"-"+to] != nil
}

// fill makes a pack, for all who wait for it.
func (c *Cache) fill(ctx context.Context, e *entry, from, to string) {
	e.data, e.err = c.make(ctx, from, to)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(e.done)
	if e.err != nil || int64(len(e.data)) > c.limit {
		delete(c.packs, e.name)
		return
	}
	e.at = c.used.PushFront(e)
	for c.size += int64(len(e.data)); c.size > c.limit; {
		last := c.used.Remove(c.used.Back()).(*entry)
		c.size -= int64(len(last.data))
		delete(c.packs, last.name)
	}
}

func (c *Cache) make(ctx context.Context, from, to string) (data []byte, err error) {
	new, err := c.find(ctx, to)
	if err != nil {
		return nil, err
	}
	var old *pack.Release
	if from == to {
		return nil, fmt.Errorf("pack from %s to itself: %w", to, fs.ErrNotExist)
	}
	if from != "" {
		if old, err = c.find(ctx, from); err != nil {
			return nil, err
		}
	}
	c.making <- struct{}{}
	defer func() { <-c.making }()
	var b bytes.Buffer
	if _, err := pack.Encode(ctx, &b, old, new, c.options); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
