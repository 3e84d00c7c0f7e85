package httpapi

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// shards is into how many parts the cache is divided, so that requests on different
// cores do not wait for each other.
const shards = 64

// a boardCache holds the boards that polled last, packed: a million boards have a
// handful of versions and names between them, and most have no tags, no task and no
// channel of their own.
type boardCache struct {
	seed   maphash.Seed
	most   int // in one shard
	shards [shards]boardShard
}

type boardShard struct {
	mu     sync.RWMutex
	boards map[fleet.BoardKey]*packedBoard
	traits map[fleet.Report]*fleet.Report
}

// a packedBoard is a fleet.Board. It is not changed: it is replaced.
type packedBoard struct {
	report          *fleet.Report // without ID and Free; shared by boards that say the same
	free            int64
	first, last     int64 // microseconds
	rules           *rules
	task            *fleet.Task
	hidden, revoked bool
}

// rules are what people have set for a board.
type rules struct {
	channel string
	tags    []string
	pin     int64
}

func newBoardCache(most int) *boardCache {
	c := &boardCache{seed: maphash.MakeSeed(), most: max(1, most/shards)}
	c.clear()
	return c
}

func (c *boardCache) shard(key fleet.BoardKey) *boardShard {
	return &c.shards[maphash.String(c.seed, key.ID)%shards]
}

// get returns a board, nil if it is not here.
func (c *boardCache) get(key fleet.BoardKey) *fleet.Board {
	s := c.shard(key)
	s.mu.RLock()
	p := s.boards[key]
	s.mu.RUnlock()
	if p == nil {
		return nil
	}
	b := &fleet.Board{
		ID: key.ID, Hidden: p.hidden, Revoked: p.revoked,
		FirstSeen: time.UnixMicro(p.first).UTC(), LastSeen: time.UnixMicro(p.last).UTC(),
		Report: *p.report,
	}
	b.Report.ID, b.Report.Free = key.ID, p.free
	if p.rules != nil {
		b.Channel, b.Tags, b.Pin = p.rules.channel, p.rules.tags, p.rules.pin
	}
	if p.task != nil {
		b.Task = *p.task
	}
	return b
}

// put keeps a board. Where there are too many, any other has to go: boards poll one
// after the other, so who polled longest ago is who will poll next.
func (c *boardCache) put(key fleet.BoardKey, b *fleet.Board) {
	p := &packedBoard{free: b.Report.Free, first: b.FirstSeen.UnixMicro(), last: b.LastSeen.UnixMicro(), hidden: b.Hidden, revoked: b.Revoked}
	if b.Channel != "" || len(b.Tags) > 0 || b.Pin != 0 {
		p.rules = &rules{b.Channel, b.Tags, b.Pin}
	}
	if b.Task != (fleet.Task{}) {
		task := b.Task
		task.Before = strings.Clone(task.Before)
		p.task = &task
	}
	// A part of a request would keep the whole of it in memory.
	key = fleet.BoardKey{App: key.App, ID: strings.Clone(key.ID)}
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.boards[key]; !known && len(s.boards) >= c.most {
		for other := range s.boards {
			delete(s.boards, other)
			break
		}
	}
	p.report = s.share(b.Report)
	s.boards[key] = p
}

// maxTraits is how many different reports are shared in one shard. There are few,
// unless somebody invents them.
const maxTraits = 1000

// share returns what a report has in common with others.
func (s *boardShard) share(r fleet.Report) *fleet.Report {
	r.ID, r.Free = "", 0
	if known := s.traits[r]; known != nil {
		return known
	}
	for _, text := range []*string{&r.State, &r.Error, &r.Board, &r.MicroPython, &r.Lib, &r.Channel} {
		*text = strings.Clone(*text)
	}
	if len(s.traits) >= maxTraits {
		clear(s.traits) // those that are still used are soon here again
	}
	s.traits[r] = &r
	return &r
}

func (c *boardCache) remove(key fleet.BoardKey) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.boards, key)
}

func (c *boardCache) clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.boards, s.traits = map[fleet.BoardKey]*packedBoard{}, map[fleet.Report]*fleet.Report{}
		s.mu.Unlock()
	}
}
