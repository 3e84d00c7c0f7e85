// Package packcache makes packs when they are asked for, each once.
//
// A server that knows releases can answer for any pack between them. A [Cache]
// makes it at the first request; whoever asks for the same meanwhile waits for
// it, and who asks later gets it from memory. Where releases come from is the
// server's own business: a fleet server has them in its store, the development
// server in a [Memory], which keeps what the source tree was before.
//
// A pack is the dearest thing that a stranger can ask a server for, so there are
// bounds: see [Config].
package packcache

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"runtime"
	"sync"

	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/pack"
)

// Find returns the release with an ID (see [pack.ID]). The error wraps fs.ErrNotExist
// where it is not known.
type Find func(ctx context.Context, id string) (*pack.Release, error)

// ErrBusy: too much is asked for at the same time; later it may well be had.
var ErrBusy = errors.New("too many packs are asked for")

// Config says how much a Cache does. Of all but Keep, 0 is no bound.
type Config struct {
	Keep int64 // bytes of packs that are kept

	// Input is of how many bytes a pack may be made: those of the old release, which
	// are all read, and those of the new one's files that are not the same in it.
	Input int64
	// Queue is how many packs may be under way: waiting to be made, or being made.
	Queue int
	// Waiters is how many callers may wait for packs, and FromOne how many of one
	// address.
	Waiters, FromOne int

	Options pack.Options
}

// A Pack is a pack that was made. It must not be changed.
type Pack struct {
	Data []byte
	Sum  [sha256.Size]byte // its SHA-256
}

// A Cache makes packs and keeps them. It is safe for concurrent use.
type Cache struct {
	find   Find
	config Config
	making chan struct{} // a place for each pack that is made at the same time

	mu      sync.Mutex
	packs   map[string]*entry
	used    list.List // of *entry that are made, the most recently used first
	size    int64     // bytes of these
	work    int       // packs under way, also those that nobody waits for any more
	workOf  map[netip.Addr]bool
	waiting int
	waitOf  map[netip.Addr]int
}

// An entry is a pack that is made or being made.
type entry struct {
	name    string
	cancel  context.CancelFunc
	waiters int
	done    chan struct{} // closed when made or err is set
	made    *Pack
	err     error
	at      *list.Element // in used; nil while it is being made
}

// failure is what an entry counts for that only says that there is no such pack.
const failure = 512

// cost returns how many bytes an entry counts for.
func (e *entry) cost() int64 {
	if e.made == nil {
		return failure
	}
	return int64(len(e.made.Data))
}

// New returns a cache of packs of the releases that find finds.
func New(c Config, find Find) *Cache {
	// A pack is made on all processors; a second one fills the gaps.
	places := min(2, runtime.GOMAXPROCS(0))
	return &Cache{
		find: find, config: c, making: make(chan struct{}, places), packs: map[string]*entry{},
		workOf: map[netip.Addr]bool{}, waitOf: map[netip.Addr]int{},
	}
}

// Get returns the pack from one release to another, given by their IDs; an empty
// from is for the pack of the whole release.
//
// who is the address that asks: it has one pack under way at a time, whoever else
// waits for that. The zero address is nobody's, and has no such bound.
//
// The error wraps fs.ErrNotExist where one of the releases is not known,
// pack.ErrTooLarge where the pack would be made of too much, and ErrBusy where it is
// to be asked for later; it is that of ctx if this ends before the pack is made. A
// pack that nobody waits for any more is given up. Failures are not kept, but for
// what is too large.
func (c *Cache) Get(ctx context.Context, who netip.Addr, from, to string) (*Pack, error) {
	if from == to {
		return nil, fmt.Errorf("pack from %s to itself: %w", to, fs.ErrNotExist)
	}
	name := from + "-" + to
	c.mu.Lock()
	e := c.packs[name]
	if e != nil && e.at != nil {
		c.used.MoveToFront(e.at)
		c.mu.Unlock()
		return e.made, e.err
	}
	if err := c.admit(who, e == nil); err != nil {
		c.mu.Unlock()
		return nil, fmt.Errorf("pack %s: %w", name, err)
	}
	if e == nil {
		work, cancel := context.WithCancel(context.WithoutCancel(ctx))
		e = &entry{name: name, cancel: cancel, done: make(chan struct{})}
		c.packs[name] = e
		c.work++
		c.workOf[who] = true
		go c.fill(work, e, who, from, to)
	}
	e.waiters++
	c.waiting++
	c.waitOf[who]++
	c.mu.Unlock()
	var err error
	select {
	case <-e.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.leave(e, who)
	if err != nil {
		return nil, err
	}
	return e.made, e.err
}

// admit reports whether one more caller may wait; for a pack that has to be made, if
// begins is set.
func (c *Cache) admit(who netip.Addr, begins bool) error {
	over := func(n, bound int) bool { return bound > 0 && n >= bound }
	known := who.IsValid()
	if over(c.waiting, c.config.Waiters) || known && over(c.waitOf[who], c.config.FromOne) ||
		begins && (over(c.work, c.config.Queue) || known && c.workOf[who]) {
		return ErrBusy
	}
	return nil
}

// leave counts one caller less, and gives up what nobody waits for any more.
func (c *Cache) leave(e *entry, who netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting--
	if c.waitOf[who]--; c.waitOf[who] == 0 {
		delete(c.waitOf, who)
	}
	if e.waiters--; e.waiters == 0 {
		e.cancel()
		if e.at == nil && c.packs[e.name] == e {
			delete(c.packs, e.name)
		}
	}
}

// Has reports whether Get would not begin to make the pack: it is made, or being made.
func (c *Cache) Has(from, to string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.packs[from+"-"+to] != nil
}

// fill makes a pack, for all who wait for it.
func (c *Cache) fill(ctx context.Context, e *entry, who netip.Addr, from, to string) {
	e.made, e.err = c.make(ctx, from, to)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(e.done)
	c.work--
	delete(c.workOf, who)
	if c.packs[e.name] != e {
		return // it was given up
	}
	if e.err != nil && !errors.Is(e.err, pack.ErrTooLarge) || e.cost() > c.config.Keep {
		delete(c.packs, e.name)
		return
	}
	e.at = c.used.PushFront(e)
	for c.size += e.cost(); c.size > c.config.Keep; {
		last := c.used.Remove(c.used.Back()).(*entry)
		c.size -= last.cost()
		delete(c.packs, last.name)
	}
}

func (c *Cache) make(ctx context.Context, from, to string) (*Pack, error) {
	select {
	case c.making <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.making }()
	new, err := c.find(ctx, to)
	if err != nil {
		return nil, err
	}
	var old *pack.Release
	if from != "" {
		if old, err = c.find(ctx, from); err != nil {
			return nil, err
		}
	}
	if c.config.Input > 0 {
		n, err := input(old, new)
		if err == nil && n > c.config.Input {
			err = fmt.Errorf("%w: it is made of %d bytes, more than %d", pack.ErrTooLarge, n, c.config.Input)
		}
		if err != nil {
			return nil, fmt.Errorf("pack %s-%s: %w", from, to, err)
		}
	}
	var b bytes.Buffer
	if _, err := pack.Encode(ctx, &b, old, new, c.config.Options); err != nil {
		return nil, err
	}
	return &Pack{b.Bytes(), sha256.Sum256(b.Bytes())}, nil
}

// input returns of how many bytes a pack is made, as far as the manifests tell.
func input(old, new *pack.Release) (int64, error) {
	had := map[string]manifest.File{}
	total := int64(len(new.Manifest))
	if old != nil {
		m, err := manifest.Read(bytes.NewReader(old.Manifest))
		if err != nil {
			return 0, err
		}
		total += int64(len(old.Manifest))
		for _, f := range m.Files {
			had[f.Path] = f
			total = add(total, f.Size)
		}
	}
	m, err := manifest.Read(bytes.NewReader(new.Manifest))
	if err != nil {
		return 0, err
	}
	for _, f := range m.Files {
		if before, ok := had[f.Path]; !ok || before.Size != f.Size || before.SHA256 != f.SHA256 {
			total = add(total, f.Size)
		}
	}
	return total, nil
}

// add returns a sum of sizes, of which those below 0 are not known, or the largest number.
func add(total, size int64) int64 {
	if size = max(0, size); total > math.MaxInt64-size {
		return math.MaxInt64
	}
	return total + size
}
