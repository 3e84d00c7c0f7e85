package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/pack"
)

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// goneBlobs is a blob store that has lost everything.
type goneBlobs struct{ blob.Store }

func (goneBlobs) Open(context.Context, blob.Sum) (io.ReadSeekCloser, int64, error) {
	return nil, 0, io.ErrUnexpectedEOF
}

func TestMetrics(t *testing.T) {
	r := newRig(t)
	first := r.publish("one")
	old := r.read("versions.json")
	r.give("stable", first)
	limited(r, func(c *httpapi.Config) { c.Limits.Board = 3 })
	r.clock.Add(1)
	second := r.publish("two")
	rollout := r.start(second)
	token := r.token("prometheus", fleet.ScopeRead)
	read := func() map[string]bool {
		t.Helper()
		a := r.ask("192.0.2.9:1", "/metrics", "Authorization: Bearer "+token)
		if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
			t.Fatalf("%d %s", a.status, a.body)
		}
		lines := map[string]bool{}
		for line := range strings.Lines(a.body) {
			lines[strings.TrimSpace(line)] = true
		}
		return lines
	}
	want := func(lines ...string) {
		t.Helper()
		have := read()
		for _, line := range lines {
			if !have[line] {
				t.Errorf("there is no line %q", line)
			}
		}
	}
	want(`saguarota_polls_total{answer="offered"} 0`, `saguarota_releases_published_total 1`, `saguarota_errors_total 0`,
		`saguarota_packs_total{from="made"} 0`)

	poll := func(report string) int { return r.ask("192.0.2.1:1", pollPath, "Saguarota: "+report).status }
	poll("id=b1; version=" + decimal(first))                        // offered
	poll("id=b1; version=" + decimal(first) + "; state=installing") // offered
	poll("id=b1; version=" + decimal(second))                       // nothing
	poll("id=b1; version=" + decimal(second))                       // limited
	poll("version=1")                                               // senseless
	poll("id=b2; version=" + decimal(first))                        // offered
	r.ask("192.0.2.1:1", pollPath)
	path := "/ota/badge/" + pack.Name(old, r.read("versions.json"))
	for range 2 {
		if a := r.ask("192.0.2.1:1", path); a.status != http.StatusOK {
			t.Fatalf("the pack: %d", a.status)
		}
	}
	stage := func(name string, n string) string {
		return `saguarota_rollout_boards{app="badge",channel="stable",rollout="` + decimal(rollout) + `",stage="` + name + `"} ` + n
	}
	want(`saguarota_polls_total{answer="offered"} 3`, `saguarota_polls_total{answer="nothing"} 1`,
		`saguarota_polls_total{answer="limited"} 1`, `saguarota_polls_total{answer="senseless"} 1`,
		`saguarota_polls_total{answer="anonymous"} 1`, `saguarota_limited_total{limit="board"} 1`,
		`saguarota_packs_total{from="made"} 1`, `saguarota_packs_total{from="memory"} 1`,
		stage("offered", "1"), stage("undone", "0"))
	if !read()[stage("trial", "1")] && !read()[stage("confirmed", "1")] {
		t.Error("b1 is in neither stage")
	}

	// What goes wrong.
	r.blobs = goneBlobs{r.blobs}
	limited(r, func(*httpapi.Config) {})
	if a := r.ask("192.0.2.1:1", "/ota/badge/main.py"); a.status != http.StatusServiceUnavailable {
		t.Errorf("without blobs: %d", a.status)
	}
	want(`saguarota_errors_total 1`)

	for _, headers := range [][]string{nil, {"Authorization: Bearer sga_x"}} {
		if a := r.ask("192.0.2.9:1", "/metrics", headers...); a.status != http.StatusUnauthorized || strings.Contains(a.body, "saguarota_") {
			t.Errorf("with %v: %d", headers, a.status)
		}
	}
}
