package httpapi

import (
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
	"time"
	"unique"

	"github.com/cactuscon/saguarota/fleet"
)

// shards is into how many parts the cache is divided, so that requests on different
// cores do not wait for each other.
const shards = 64

// a boardCache holds what decides about the boards that polled last, packed: a million
// boards have a handful of things to say between them, so nearly all that is kept of one
// is its ID and where what it has in common with others is. When a board was seen, and
// how much it has free, decides nothing and is not here.
type boardCache struct {
	seed   maphash.Seed
	most   int // in one shard
	shards [shards]boardShard
}

type boardShard struct {
	mu     sync.RWMutex
	boards map[boardKey]packedBoard
	traits map[traits]*traits
	rules  map[string]*rules
}

// a boardKey is a fleet.BoardKey.
type boardKey struct {
	app unique.Handle[string]
	id  string
}

// a packedBoard is a board.
type packedBoard struct {
	*traits       // shared by boards that are alike, so never changed
	since   int64 // of the task, in microseconds
}

// traits are all of a board but its ID and times.
type traits struct {
	report          fleet.Report // without ID and Free
	task            fleet.Task   // without Since
	rules           *rules       // nil if there are none
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

func (c *boardCache) shard(key fleet.BoardKey) (*boardShard, boardKey) {
	return &c.shards[maphash.String(c.seed, key.ID)%shards], boardKey{unique.Make(key.App), key.ID}
}

// get returns a board without its times and free bytes, nil if it is not here.
func (c *boardCache) get(key fleet.BoardKey) *fleet.Board {
	s, k := c.shard(key)
	s.mu.RLock()
	p, known := s.boards[k]
	s.mu.RUnlock()
	if !known {
		return nil
	}
	b := &fleet.Board{ID: key.ID, Hidden: p.hidden, Revoked: p.revoked, Report: p.report, Task: p.task}
	b.Report.ID = key.ID
	if p.rules != nil {
		b.Channel, b.Tags, b.Pin = p.rules.channel, p.rules.tags, p.rules.pin
	}
	if p.since != 0 {
		b.Task.Since = time.UnixMicro(p.since).UTC()
	}
	return b
}

// put keeps a board. Where there are too many, any other has to go: boards poll one
// after the other, so who polled longest ago is who will poll next.
func (c *boardCache) put(key fleet.BoardKey, b *fleet.Board) {
	p := packedBoard{}
	t := traits{report: b.Report, task: b.Task, hidden: b.Hidden, revoked: b.Revoked}
	t.report.ID, t.report.Free = "", 0
	if !t.task.Since.IsZero() {
		p.since, t.task.Since = t.task.Since.UnixMicro(), time.Time{}
	}
	s, k := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.boards[k]; !known {
		// A part of a request would keep the whole of it in memory.
		k.id = strings.Clone(k.id)
		if len(s.boards) >= c.most {
			for other := range s.boards {
				delete(s.boards, other)
				break
			}
		}
	}
	t.rules = s.shareRules(b)
	p.traits = s.share(t)
	s.boards[k] = p
}

// maxTraits is how many different traits, and rules, are shared in one shard. There are
// few, unless somebody invents them.
const maxTraits = 1000

// share returns the traits that other boards have, too.
func (s *boardShard) share(t traits) *traits {
	if known := s.traits[t]; known != nil {
		return known
	}
	r := &t.report
	for _, text := range []*string{&r.State, &r.Error, &r.Board, &r.MicroPython, &r.Lib, &r.Channel, &t.task.Before} {
		*text = strings.Clone(*text)
	}
	if len(s.traits) >= maxTraits {
		clear(s.traits) // those that are still used are soon here again
	}
	s.traits[t] = &t
	return &t
}

// shareRules returns what people have set for a board, the same for all for which it is.
func (s *boardShard) shareRules(b *fleet.Board) *rules {
	if b.Channel == "" && len(b.Tags) == 0 && b.Pin == 0 {
		return nil
	}
	name := strings.Join(append([]string{strconv.FormatInt(b.Pin, 10), b.Channel}, b.Tags...), "\x00") // which no name has
	if known := s.rules[name]; known != nil {
		return known
	}
	if len(s.rules) >= maxTraits {
		clear(s.rules)
	}
	s.rules[name] = &rules{b.Channel, b.Tags, b.Pin}
	return s.rules[name]
}

func (c *boardCache) remove(key fleet.BoardKey) {
	s, k := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.boards, k)
}

func (c *boardCache) clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.boards, s.traits, s.rules = map[boardKey]packedBoard{}, map[traits]*traits{}, map[string]*rules{}
		s.mu.Unlock()
	}
}
