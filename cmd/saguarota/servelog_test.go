package main

import (
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/devserver"
)

// On a terminal a download is one line that changes, and makes room for the log.
func TestDownloadIsShownOnATerminal(t *testing.T) {
	var b strings.Builder
	log := requestLog{w: &b, fancy: true}
	log.progress(devserver.Progress{Remote: "10.0.0.7", Board: "badge", Done: 500, Total: 1000})
	log.progress(devserver.Progress{Remote: "10.0.0.7", Done: 1000, Total: 1000})
	log.print(devserver.Event{Time: time.Unix(0, 0).UTC(), Method: "GET", Path: "/ota/x", Status: 200, Bytes: 1000})
	first := "10.0.0.7  badge  [##########..........] 500 B of 1.0 kB"
	second := "10.0.0.7  [####################] 1.0 kB of 1.0 kB"
	blank := strings.Repeat(" ", len(second))
	want := "\r" + first + "\r" + second + strings.Repeat(" ", len(first)-len(second)) + "\r" + blank + "\r00:00:00"
	if got := b.String(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\n") {
		t.Errorf("%q\nwant to begin with\n%q", got, want)
	}
	b.Reset()
	plain := requestLog{w: &b}
	plain.progress(devserver.Progress{Done: 1, Total: 2})
	if b.Len() > 0 {
		t.Errorf("in a file: %q", b.String())
	}
}
