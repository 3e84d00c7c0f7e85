package rehearse

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strings"
	"sync"
)

// cuts judges every cut.
func (p *play) cuts(ctx context.Context) error {
	var jobs []Cut
	for n := 0; n <= len(p.log); n += p.Every {
		for _, torn := range []bool{false, true} {
			if torn && (!p.Torn || n == len(p.log) || p.log[n].Length < 2) {
				continue
			}
			for _, online := range []bool{false, true} {
				if torn && online && !p.TornOnline {
					continue
				}
				jobs = append(jobs, Cut{Write: n, Torn: torn, Network: online, Second: -1})
			}
		}
	}
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		first error
		done  int
		least = p.least
		next  = make(chan Cut)
	)
	if p.Depth == 2 && p.Seconds > 0 {
		// A recovery is about half as long as the update, if one takes all cuts together.
		p.Every2 = max(p.Every2, len(jobs)*len(p.log)/2/p.Seconds)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for w := range p.Workers {
		wg.Go(func() {
			board := p.board(fmt.Sprintf("cut%d", w))
			for cut := range next {
				cuts, room, err := p.cut(ctx, board, cut)
				mu.Lock()
				if err != nil && first == nil {
					first = err
					cancel()
				}
				p.report.Cuts = append(p.report.Cuts, cuts...)
				least = min(least, room)
				done++
				if p.Progress != nil {
					p.Progress(done, len(jobs))
				}
				mu.Unlock()
			}
		})
	}
	for _, cut := range jobs {
		select {
		case next <- cut:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	if first == nil {
		first = ctx.Err()
	}
	p.report.RoomNeeded = p.room - least
	slices.SortFunc(p.report.Cuts, compareCuts)
	return first
}

func compareCuts(a, b Cut) int {
	key := func(c Cut) int {
		k := c.Write * 4
		if c.Torn {
			k += 2
		}
		if c.Network {
			k++
		}
		return k
	}
	if d := key(a) - key(b); d != 0 {
		return d
	}
	return a.Second - b.Second
}

// cut plays one cut, and with Depth 2 all cuts of the recovery from it. It also returns how
// much room the cut had left.
func (p *play) cut(ctx context.Context, board *Board, cut Cut) ([]Cut, int, error) {
	torn := 0
	if cut.Torn {
		torn = p.log[cut.Write].Length / 2
	}
	image, err := p.replay(p.base, p.log, cut.Write, torn)
	if err != nil {
		return nil, 0, err
	}
	if p.Depth == 2 {
		board.Log = board.Image + ".log"
		defer func() { board.Log = "" }()
		if err := os.RemoveAll(board.Log); err != nil {
			return nil, 0, err
		}
	}
	room, err := p.judge(ctx, board, image, &cut)
	cuts := []Cut{cut}
	if err != nil || p.Depth != 2 {
		return cuts, room, err
	}
	recovery, err := ReadLog(board.Log)
	if err != nil {
		return nil, 0, err
	}
	board.Log = ""
	for n := p.first(cut); n < len(recovery); n += p.Every2 {
		second := Cut{Write: cut.Write, Torn: cut.Torn, Network: cut.Network, Second: n}
		twice, err := p.replay(image, recovery, n, 0)
		if err != nil {
			return nil, 0, err
		}
		if _, err := p.judge(ctx, board, twice, &second); err != nil {
			return nil, 0, err
		}
		cuts = append(cuts, second)
	}
	return cuts, room, nil
}

// first returns where the second cuts of a cut begin: not always at the same step of the recovery,
// and each time at the same step for the same cut.
func (p *play) first(cut Cut) int {
	h := fnv.New32a()
	fmt.Fprint(h, cut.Write, cut.Torn, cut.Network)
	return 1 + int(h.Sum32()%uint32(p.Every2))
}

func (p *play) replay(base []byte, log []Write, n, torn int) ([]byte, error) {
	image := slices.Clone(base)
	return image, Replay(image, p.Board.blockSize(), log, n, torn)
}

// judge boots a board until it is at rest, and looks at the tree each time main.py starts. A
// boot that left something on the flash is followed by one more: what it left must do no harm.
func (p *play) judge(ctx context.Context, board *Board, image []byte, cut *Cut) (room int, err error) {
	if err := os.WriteFile(board.Image, image, 0o666); err != nil {
		return 0, err
	}
	var console strings.Builder
	fail := func(o Outcome) (int, error) {
		cut.Outcome, cut.Console = o, console.String()
		return room, nil
	}
	again, same := false, 0
	for last := ""; ; {
		if cut.Boots == maxBoots {
			return fail(Stuck)
		}
		res, err := p.boot(ctx, board, cut.Network)
		if err != nil {
			return 0, err
		}
		cut.Boots++
		if cut.Boots == 1 {
			room = res.Room
		}
		fmt.Fprintf(&console, "--- boot %d: %s\n%s", cut.Boots, res.Ending, res.Output)
		switch {
		case res.Tree == "":
		case res.Tree == p.old.whole:
			cut.Outcome = OldRelease
		case res.Tree == p.new.whole:
			cut.Outcome = NewRelease
		case res.Bootless && (res.Rest == p.old.rest || res.Rest == p.new.rest):
			cut.Bootless = true
			if !res.Ending.Reboots() {
				return fail(Mixed) // and it stays so
			}
		default:
			return fail(Mixed)
		}
		if res.Ending.Reboots() {
			if same++; res.Tree != last {
				last, same = res.Tree, 0
			}
			if same < 3 || !p.restless[res.Tree] {
				continue
			}
		}
		if res.Tree == "" {
			return fail(Stuck) // at the REPL, and main.py did not start
		}
		left, err := os.ReadFile(board.Image)
		if err != nil {
			return 0, err
		}
		if again || bytes.Equal(left, image) {
			if p.KeepConsoles {
				cut.Console = console.String()
			}
			return room, nil
		}
		again = true
	}
}
