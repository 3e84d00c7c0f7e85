package httpapi

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cactuscon/saguarota/fleet"
)

// What comes out of the cache is what was put in, but for what decides nothing.
func TestCacheKeepsBoards(t *testing.T) {
	text := rapid.SampledFrom([]string{"", "a", "b", "ä"})
	at := rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMicro(rapid.Int64Range(1, 1<<52).Draw(t, "time")).UTC()
	})
	rapid.Check(t, func(t *rapid.T) {
		c := newBoardCache(1 << 20)
		want := map[fleet.BoardKey]*fleet.Board{}
		for range rapid.IntRange(1, 20).Draw(t, "boards") {
			key := fleet.BoardKey{App: text.Draw(t, "app"), ID: fmt.Sprint("b", rapid.IntRange(0, 9).Draw(t, "id"))}
			b := &fleet.Board{
				ID: key.ID, Channel: text.Draw(t, "channel"), Tags: rapid.SampledFrom([][]string{nil, {"x"}, {"x", "y"}}).Draw(t, "tags"),
				Pin: rapid.Int64Range(0, 2).Draw(t, "pin"), Hidden: rapid.Bool().Draw(t, "hidden"), Revoked: rapid.Bool().Draw(t, "revoked"),
				FirstSeen: at.Draw(t, "first"), LastSeen: at.Draw(t, "last"),
				Report: fleet.Report{
					ID: key.ID, Version: rapid.Int64Range(0, 2).Draw(t, "version"), State: text.Draw(t, "state"), Error: text.Draw(t, "error"),
					Board: text.Draw(t, "board"), MicroPython: text.Draw(t, "micropython"), Lib: text.Draw(t, "lib"),
					Free: rapid.Int64Range(-1, 9).Draw(t, "free"), Channel: text.Draw(t, "said"),
				},
			}
			if rapid.Bool().Draw(t, "in a rollout") {
				b.Task = fleet.Task{Rollout: 1, Target: 2, Offer: 2, Stage: fleet.Trial, Since: at.Draw(t, "since"), Before: text.Draw(t, "before")}
			}
			c.put(key, b)
			b.FirstSeen, b.LastSeen, b.Report.Free = time.Time{}, time.Time{}, 0
			want[key] = b
			if rapid.Bool().Draw(t, "remove") {
				c.remove(key)
				delete(want, key)
			}
		}
		for i := range 10 {
			for _, app := range []string{"", "a", "b", "ä"} {
				key := fleet.BoardKey{App: app, ID: fmt.Sprint("b", i)}
				if d := cmp.Diff(want[key], c.get(key)); d != "" {
					t.Fatalf("%v: %s", key, d)
				}
			}
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	const most = 10 * shards
	c := newBoardCache(most)
	for i := range 10 * most {
		key := fleet.BoardKey{App: "badge", ID: fmt.Sprint("b", i)}
		// Each with a name that nobody else has.
		c.put(key, &fleet.Board{ID: key.ID, Channel: key.ID, Report: fleet.Report{ID: key.ID, Board: key.ID}})
		if c.get(key) == nil {
			t.Fatalf("%v, which was put last, is not there", key)
		}
	}
	boards, traits, rules := 0, 0, 0
	for i := range c.shards {
		boards += len(c.shards[i].boards)
		traits += len(c.shards[i].traits)
		rules += len(c.shards[i].rules)
	}
	if boards > most || traits > shards*maxTraits || rules > shards*maxTraits {
		t.Errorf("it has %d boards, %d traits and %d rules", boards, traits, rules)
	}
	c.clear()
	if c.get(fleet.BoardKey{App: "badge", ID: fmt.Sprint("b", 10*most-1)}) != nil {
		t.Error("it is not empty")
	}
}
