package devserver

import (
	"fmt"
	"testing"
	"time"
)

func newBoards() *boards { return &boards{known: make(map[string]*progress)} }

func TestProgressOfAnUpdate(t *testing.T) {
	b, now := newBoards(), time.Unix(1000, 0)
	want := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	b.started("desk", now)
	want(b.fetched("desk", "boot.py", 100, now), "file 1, 100 B of this update so far")
	want(b.fetched("desk", "main.py", 1000, now), "file 2, 1.1 kB of this update so far")
	// Resumed: the same file again.
	want(b.fetched("desk", "main.py", 500, now), "file 2, 1.6 kB of this update so far")
	want(b.fetched("shelf", "main.py", 7, now), "file 1, 7 B of this update so far")
	b.started("desk", now)
	want(b.fetched("desk", "main.py", 500, now), "file 1, 500 B of this update so far")
}

func TestProgressForgetsWhoeverIsAwayLongest(t *testing.T) {
	b, start := newBoards(), time.Unix(1000, 0)
	for i := range maxBoards {
		b.fetched(fmt.Sprint(i), "a.py", 1, start.Add(time.Duration(i)*time.Second))
	}
	b.fetched("0", "b.py", 1, start.Add(time.Hour)) // seen again
	b.fetched("new", "a.py", 1, start.Add(time.Hour))
	if len(b.known) != maxBoards {
		t.Errorf("%d boards are remembered, want %d", len(b.known), maxBoards)
	}
	if b.known["0"] == nil || b.known["1"] != nil || b.known["new"] == nil {
		t.Error("the wrong board was forgotten")
	}
}

func TestPollsTellVersions(t *testing.T) {
	b := newBoards()
	for _, step := range []struct {
		has, etag string
		version   int64
		want      string
	}{
		{"", `"a"`, 10, "polls: offered 10, 1 file"},
		{`"a"`, `"a"`, 10, "polls: version 10, up to date"},
		{`"a"`, `"b"`, 11, "polls: version 10, offered 11, 1 file"},
		{`"unknown"`, `"b"`, 11, "polls: offered 11, 1 file"},
	} {
		if got := b.polled(step.has, step.etag, step.version, 1); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
	for i := range 3 * maxPolls {
		b.polled("", fmt.Sprint(i), int64(i), 2)
	}
	if len(b.polls) != maxPolls {
		t.Errorf("%d manifests are remembered, want %d", len(b.polls), maxPolls)
	}
}
