package rehearse

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// smallestHeap finds the smallest heap in which the update works.
func (p *play) smallestHeap(ctx context.Context) error {
	enough, err := heapBytes(p.Board.Heap)
	if err != nil {
		return err
	}
	const precise = 1 << 10
	for little := p.taken; enough-little > precise; {
		heap := (enough + little) / 2
		works, err := p.works(ctx, heap)
		if err != nil {
			return err
		}
		if works {
			enough = heap
		} else {
			little = heap
		}
	}
	p.report.PeakHeap = enough - p.taken
	return nil
}

// heapBytes reads a heap's size as the interpreter takes it.
func heapBytes(size string) (int, error) {
	if size == "" {
		return 2 << 20, nil
	}
	unit := 1
	switch size[len(size)-1] {
	case 'K', 'k':
		unit = 1 << 10
	case 'M', 'm':
		unit = 1 << 20
	}
	n, err := strconv.Atoi(strings.TrimRight(size, "KkMm"))
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("heap of size %q: want something like 200K", size)
	}
	return n * unit, nil
}

// works reports whether the update works in a heap of that many bytes.
func (p *play) works(ctx context.Context, heap int) (bool, error) {
	board := p.board("heap")
	board.Heap = strconv.Itoa(heap)
	if err := os.WriteFile(board.Image, p.base, 0o666); err != nil {
		return false, err
	}
	for range maxBoots {
		res, err := p.boot(ctx, board, true)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			return false, nil // not even the simulation fits
		}
		if res.Ending.Reboots() {
			continue
		}
		if res.Tree != p.new.whole || res.Raised != "" {
			return false, nil
		}
		// Confirmed, if a start finds nothing to do.
		before, err := os.ReadFile(board.Image)
		if err != nil {
			return false, err
		}
		again, err := p.boot(ctx, board, false)
		if err != nil {
			return false, ctx.Err()
		}
		after, err := os.ReadFile(board.Image)
		return again.Tree == p.new.whole && bytes.Equal(before, after), err
	}
	return false, nil
}
