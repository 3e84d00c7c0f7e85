package packcache

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cactuscon/saguarota/pack"
)

// Addresses that ask.
var (
	ann = netip.MustParseAddr("192.0.2.1")
	bob = netip.MustParseAddr("192.0.2.2")
)

// a gate finds releases only once it is opened, and knows which were looked for. Nobody
// waits there who has given up.
type gate struct {
	open chan struct{}

	mu     sync.Mutex
	looked []string
}

func (g *gate) find(t *testing.T) Find {
	return func(ctx context.Context, id string) (*pack.Release, error) {
		g.mu.Lock()
		g.looked = append(g.looked, id)
		g.mu.Unlock()
		select {
		case <-g.open:
			return release(t, 1, map[string]string{"a.py": id}), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// asked is what came of a call of Get, once it has ended.
type asked struct {
	give context.CancelFunc // gives up
	err  error
}

func ask(t *testing.T, c *Cache, who netip.Addr, name string) *asked {
	ctx, cancel := context.WithCancel(t.Context())
	a := &asked{give: cancel, err: errors.New("it waits")}
	go func() { _, a.err = c.Get(ctx, who, "", name) }()
	synctest.Wait()
	return a
}

// Packs that nobody waits for any more are not made, and are in nobody's way: neither
// those that wait for their turn nor those that are being made.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		c := New(Config{Keep: 1 << 20, Queue: 60}, g.find(t))
		var gone []*asked
		for i := range 58 {
			gone = append(gone, ask(t, c, netip.Addr{}, fmt.Sprint("gone ", i)))
		}
		stays, leaves := ask(t, c, ann, "shared"), ask(t, c, bob, "shared")
		begun := len(g.looked)
		for _, a := range slices.Backward(append(gone, leaves)) { // those that are being made at last
			a.give()
			if synctest.Wait(); !errors.Is(a.err, context.Canceled) {
				t.Fatalf("it gave up: %v", a.err)
			}
		}
		if n := len(c.packs); n != 1 || c.work != 1 {
			t.Errorf("%d packs are under way, %d are known", c.work, n)
		}
		close(g.open)
		if synctest.Wait(); stays.err != nil {
			t.Errorf("whoever waits: %v", stays.err)
		}
		if got := strings.Join(g.looked[begun:], ", "); got != "shared" {
			t.Errorf("afterwards, it made %s", got)
		}
		// It can be asked for again.
		if a := ask(t, c, ann, "gone 3"); a.err != nil {
			t.Error(a.err)
		}
	})
}

// An address has one pack under way, also when it does not wait for that any more, and
// whoever else does; there are so many under way, and so many who wait.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		c := New(Config{Keep: 1 << 20, Queue: 3, Waiters: 6, FromOne: 3}, g.find(t))
		busy := func(what string, a *asked) {
			t.Helper()
			if !errors.Is(a.err, ErrBusy) {
				t.Errorf("%s: %v", what, a.err)
			}
		}
		waits := func(what string, a *asked) *asked {
			t.Helper()
			if a.err == nil || a.err.Error() != "it waits" {
				t.Errorf("%s: %v", what, a.err)
			}
			return a
		}
		first := waits("Ann's first", ask(t, c, ann, "one"))
		busy("Ann's second", ask(t, c, ann, "two"))
		waits("Bob's first", ask(t, c, bob, "two"))
		waits("Ann at Bob's", ask(t, c, ann, "two"))
		last := waits("Ann's third connection", ask(t, c, ann, "one"))
		busy("Ann's fourth", ask(t, c, ann, "one"))
		waits("the third under way", ask(t, c, nobody, "three"))
		busy("the fourth", ask(t, c, nobody, "four"))
		last.give()
		synctest.Wait()
		waits("Ann again", ask(t, c, ann, "one"))
		waits("the sixth who waits", ask(t, c, nobody, "three"))
		busy("the seventh", ask(t, c, nobody, "three"))
		close(g.open)
		if synctest.Wait(); first.err != nil {
			t.Error(first.err)
		}
		if a := ask(t, c, ann, "four"); a.err != nil {
			t.Errorf("when all is made: %v", a.err)
		}
		if len(c.workOf) != 0 || len(c.waitOf) != 0 || c.waiting != 0 || c.work != 0 {
			t.Errorf("left: %v, %v, %d, %d", c.workOf, c.waitOf, c.waiting, c.work)
		}
	})
}

// What is being made for an address counts as its own until that has really ended.
func TestEncoderThatDoesNotHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		c := New(Config{Keep: 1 << 20}, func(_ context.Context, id string) (*pack.Release, error) {
			<-open
			return release(t, 1, map[string]string{"a.py": id}), nil
		})
		a := ask(t, c, ann, "one")
		a.give()
		synctest.Wait()
		for _, name := range []string{"one", "two"} {
			if a := ask(t, c, ann, name); !errors.Is(a.err, ErrBusy) {
				t.Errorf("%s: %v", name, a.err)
			}
		}
		close(open)
		synctest.Wait()
		if a := ask(t, c, ann, "two"); a.err != nil {
			t.Error(a.err)
		}
	})
}

// A pack that would be made of too much is not made, and that is remembered.
func TestInput(t *testing.T) {
	same := strings.Repeat("s", 1000)
	old := release(t, 1, map[string]string{"a.py": strings.Repeat("a", 500), "same.py": same})
	new := release(t, 2, map[string]string{"a.py": strings.Repeat("b", 600), "same.py": same, "new.py": strings.Repeat("n", 70)})
	looked := 0
	find := func(_ context.Context, want string) (*pack.Release, error) {
		looked++
		return map[string]*pack.Release{id(old): old, id(new): new}[want], nil
	}
	both := int64(len(old.Manifest) + len(new.Manifest))
	for _, c := range []struct {
		from string
		size int64
	}{{id(old), both + 1500 + 670}, {"", int64(len(new.Manifest)) + 1670}} {
		looked = 0
		small := New(Config{Keep: 1 << 20, Input: c.size - 1}, find)
		for range 2 {
			if _, err := small.Get(t.Context(), ann, c.from, id(new)); !errors.Is(err, pack.ErrTooLarge) {
				t.Errorf("from %q, of one byte too many: %v", c.from, err)
			}
		}
		if looked > 2 {
			t.Errorf("it looked %d times", looked)
		}
		if _, err := New(Config{Keep: 1 << 20, Input: c.size}, find).Get(t.Context(), ann, c.from, id(new)); err != nil {
			t.Errorf("from %q, of as much as may be: %v", c.from, err)
		}
	}
}
