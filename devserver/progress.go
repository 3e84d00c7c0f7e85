package devserver

import (
	"fmt"
	"sync"
	"time"
)

// maxBoards bounds what is remembered: whoever has not been seen for longest
// is forgotten first.
const maxBoards = 1024

// maxPolls is how many manifests are remembered by their ETag, so that a board
// that says which one it has can be told apart by version.
const maxPolls = 64

// boards remembers how far each client is in the update that it is fetching. A
// client is an address and a name: boards behind one router stay apart if their
// names differ. An update begins where the manifest, or the listing of the
// whole release, is asked for.
type boards struct {
	mu    sync.Mutex
	known map[string]*progress
	polls []poll
}

// progress is what one board has fetched of one update.
type progress struct {
	seen  time.Time
	files int    // files, a file that is resumed or retried at once counts once
	last  string // path of the last one
	bytes int64
}

// poll is a manifest that was offered.
type poll struct {
	etag    string
	version int64
}

// started notes that a client begins an update.
func (b *boards) started(client string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*b.of(client, now) = progress{seen: now}
}

// fetched notes that a client was sent n bytes of a file, and describes how far
// it is.
func (b *boards) fetched(client, path string, n int64, now time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.of(client, now)
	if p.last != path {
		p.files++
		p.last = path
	}
	p.bytes += n
	return fmt.Sprintf("file %d, %s of this update so far", p.files, FormatBytes(p.bytes))
}

// of returns a client's progress, made where there is none.
func (b *boards) of(client string, now time.Time) *progress {
	p, ok := b.known[client]
	if !ok {
		if len(b.known) >= maxBoards {
			b.forgetOne()
		}
		p = new(progress)
		b.known[client] = p
	}
	p.seen = now
	return p
}

// forgetOne drops the client that has been away for longest.
func (b *boards) forgetOne() {
	var oldest string
	var seen time.Time
	for client, p := range b.known {
		if oldest == "" || p.seen.Before(seen) {
			oldest, seen = client, p.seen
		}
	}
	delete(b.known, oldest)
}

// polled notes that a manifest is offered, and describes the poll. has is the
// ETag of the manifest that the client says it has, "" if it says nothing.
func (b *boards) polled(has, etag string, version int64, files int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	had, known := int64(0), false
	latest := true
	for _, p := range b.polls {
		if p.etag == has {
			had, known = p.version, true
		}
		if p.etag == etag {
			latest = false
		}
	}
	if latest {
		if len(b.polls) == maxPolls {
			b.polls = b.polls[1:]
		}
		b.polls = append(b.polls, poll{etag, version})
	}
	offered := fmt.Sprintf("offered %d, %s", version, plural(files, "file", "files"))
	switch {
	case has == etag:
		return fmt.Sprintf("polls: version %d, up to date", version)
	case known:
		return fmt.Sprintf("polls: version %d, %s", had, offered)
	}
	return "polls: " + offered
}

// plural writes a number of things: "1 file", "2 files".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
