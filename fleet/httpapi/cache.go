package httpapi

import (
	"hash/maphash"
	"sync"

	"github.com/cactuscon/saguarota/fleet"
)

// shards is into how many parts the cache is divided, so that requests on different
// cores do not wait for each other.
const shards = 64

// a boardCache holds the boards that polled last. A board in it is not changed: it
// is replaced.
type boardCache struct {
	seed   maphash.Seed
	most   int // in one shard
	shards [shards]boardShard
}

type boardShard struct {
	mu     sync.RWMutex
	boards map[fleet.BoardKey]*fleet.Board
	texts  map[string]string
}

func newBoardCache(most int) *boardCache {
	c := &boardCache{seed: maphash.MakeSeed(), most: max(1, most/shards)}
	c.clear()
	return c
}

func (c *boardCache) shard(key fleet.BoardKey) *boardShard {
	return &c.shards[maphash.String(c.seed, key.ID)%shards]
}

func (c *boardCache) get(key fleet.BoardKey) *fleet.Board {
	s := c.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.boards[key]
}

// put keeps a board. Where there are too many, any other has to go: boards poll one
// after the other, so who polled longest ago is who will poll next.
func (c *boardCache) put(key fleet.BoardKey, b *fleet.Board) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.boards[key]; !known && len(s.boards) >= c.most {
		for other := range s.boards {
			delete(s.boards, other)
			break
		}
	}
	s.share(&b.Report)
	s.boards[key] = b
}

// maxTexts is how many different texts of reports are shared in one shard. There are
// few, unless somebody invents them.
const maxTexts = 1000

// share replaces texts by equal ones of other boards: a million boards have a handful
// of versions and names between them.
func (s *boardShard) share(r *fleet.Report) {
	for _, text := range []*string{&r.State, &r.Error, &r.Board, &r.MicroPython, &r.Lib, &r.Channel} {
		if *text == "" {
			continue
		}
		if known, ok := s.texts[*text]; ok {
			*text = known
		} else if len(s.texts) < maxTexts {
			s.texts[*text] = *text
		}
	}
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
		s.boards, s.texts = map[fleet.BoardKey]*fleet.Board{}, map[string]string{}
		s.mu.Unlock()
	}
}
