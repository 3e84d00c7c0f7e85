package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// Boards that have not polled for long are hidden or forgotten at once, also where they
// are more than one call takes; those that are awaited stay.
func TestUnseenBoards(t *testing.T) {
	f := newFleetRig(t)
	now := time.Now()
	const dead = maxDevices + 5
	done := make(chan error)
	for i := range dead + 3 {
		b := fleet.Board{ID: fmt.Sprintf("dead-%04d", i), FirstSeen: now.AddDate(-1, 0, 0), LastSeen: now.AddDate(0, 0, -100)}
		if i >= dead {
			b.ID, b.LastSeen = fmt.Sprintf("live-%d", i-dead), now.AddDate(0, 0, -80)
		}
		b.Report.ID = b.ID
		go func() { done <- f.store.CheckIn(t.Context(), fleet.CheckIn{App: "badge", New: true, Board: b}) }()
	}
	for range dead + 3 {
		f.must(<-done)
	}
	f.run("fleet", "device", "add", "badge", "new")
	// One that is revoked would be taken in again.
	out := fleet.Board{ID: "out", FirstSeen: now.AddDate(-1, 0, 0), LastSeen: now.AddDate(0, 0, -100), Report: fleet.Report{ID: "out"}}
	f.must(f.store.CheckIn(t.Context(), fleet.CheckIn{App: "badge", New: true, Board: out}))
	f.run("fleet", "device", "revoke", "badge", "out")
	list := func(hidden bool) []string {
		t.Helper()
		var ids []string
		after := ""
		for {
			boards, err := f.store.Boards(t.Context(), "badge", fleet.Filter{Hidden: hidden}, after, 1000)
			f.must(err)
			if len(boards) == 0 {
				return ids
			}
			for _, b := range boards {
				ids = append(ids, b.ID)
			}
			after = ids[len(ids)-1]
		}
	}
	alive := []string{"live-0", "live-1", "live-2", "new", "out"}

	if status, out := f.try("fleet", "device", "hide", "badge", "--unseen", "90d"); status != 0 || !strings.Contains(out, fmt.Sprintf("%d boards: hidden\n", dead)) {
		t.Errorf("status %d, %s", status, out)
	}
	if got := list(false); !slices.Equal(got, alive) {
		t.Errorf("%d boards are not hidden", len(got))
	}
	if status, out := f.try("fleet", "device", "delete", "badge", "--unseen", "90d"); status == 0 || len(list(true)) != dead {
		t.Errorf("nobody has said yes: status %d, %s", status, out)
	}
	status, said := f.try("fleet", "device", "delete", "badge", "--unseen", "90d", "--yes")
	if status != 0 || !strings.Contains(said, fmt.Sprintf("%d boards: deleted\n1 board of --unseen: revoked, so not touched\n", dead)) {
		t.Errorf("status %d, %s", status, said)
	}
	if got := list(true); len(got) != 0 {
		t.Errorf("%d boards are left", len(got))
	}
	if got := list(false); !slices.Equal(got, alive) {
		t.Errorf("left are %q", got)
	}
}
