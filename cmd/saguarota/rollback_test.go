package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
	"github.com/cactuscon/saguarota/internal/releases"
	"github.com/cactuscon/saguarota/rehearse"
)

// a fleetRig is a fleet server in this process, and the program's commands against it.
type fleetRig struct {
	t     *testing.T
	dir   string
	store *sqlstore.Store
	web   *httptest.Server
	// between, if set, is what a request goes through on its way to the server.
	between atomic.Pointer[func(w http.ResponseWriter, r *http.Request, next http.Handler)]
}

func newFleetRig(t *testing.T) *fleetRig {
	t.Helper()
	f := &fleetRig{t: t, dir: t.TempDir()}
	var err error
	f.store, err = sqlstore.Open(t.Context(), filepath.Join(f.dir, "fleet.db"))
	f.must(err)
	t.Cleanup(func() { f.must(f.store.Close()) })
	blobs, err := blob.Open(filepath.Join(f.dir, "blobs"))
	f.must(err)
	s, err := httpapi.New(t.Context(), httpapi.Config{
		Store: f.store, Blobs: blobs, Now: time.Now, Jitter: func() float64 { return 0.5 }, Log: slog.New(slog.DiscardHandler), WebhooksLocal: true,
	})
	f.must(err)
	ctx, stop := context.WithCancel(context.Background())
	var told sync.WaitGroup
	told.Go(func() { s.RunWebhooks(ctx) })
	t.Cleanup(func() { stop(); told.Wait() })
	f.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if between := f.between.Load(); between != nil {
			(*between)(w, r, s.Handler())
			return
		}
		s.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(f.web.Close)
	token, err := s.NewToken(t.Context(), fleet.Actor{Name: "test", At: time.Now()}, "first", fleet.ScopeAdmin, time.Time{})
	f.must(err)
	t.Setenv("SAGUAROTA_SERVER", f.web.URL)
	t.Setenv("SAGUAROTA_TOKEN", token)
	f.run("keygen", "-o", f.path("release.key"))
	f.run("fleet", "app", "add", "badge", "--pub", f.path("release.key.pub"), "--max-boards-per-minute", "0")
	return f
}

func (f *fleetRig) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleetRig) path(name string) string { return filepath.Join(f.dir, name) }

// try runs the program, and returns its exit status and what it said.
func (f *fleetRig) try(args ...string) (int, string) {
	f.t.Helper()
	var out bytes.Buffer
	status := run(f.t.Context(), args, &out, &out)
	return status, out.String()
}

func (f *fleetRig) run(args ...string) {
	f.t.Helper()
	if status, out := f.try(args...); status != 0 {
		f.t.Fatalf("%q: status %d, %s", args, status, out)
	}
}

// release builds and publishes a release, and gives it to the channel stable.
func (f *fleetRig) release(version int64, files map[string]string) {
	f.t.Helper()
	src := f.t.TempDir()
	at := time.Unix(version, 0)
	for name, content := range files {
		f.must(os.WriteFile(filepath.Join(src, name), []byte(content), 0o666))
		f.must(os.Chtimes(filepath.Join(src, name), at, at))
	}
	f.run("build", src, "-o", f.path("site"), "--key", f.path("release.key"), "--app", "badge", "--no-packs")
	f.run("publish", f.path("site"), "--channel", "stable")
}

// state returns the versions that there are, and that of the channel stable.
func (f *fleetRig) state() (releases int, stable int64) {
	f.t.Helper()
	snap, err := f.store.Snapshot(f.t.Context(), nil)
	f.must(err)
	v := snap.Views["badge"]
	return len(v.Releases), v.Channels["stable"].Release
}

// Wherever the network goes away, a rollback has either done nothing or published a
// release that nobody is offered; and the next try completes it.
func TestRollbackWithoutNetwork(t *testing.T) {
	f := newFleetRig(t)
	f.release(100, map[string]string{"main.py": "one", "gone.py": "gone"})
	f.release(200, map[string]string{"main.py": "two"})
	rollback := []string{"rollback", "badge", "--to", "100", "--key", f.path("release.key"), "--yes"}
	done := 0
	for cut := int64(0); ; cut++ {
		var asked atomic.Int64
		between := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if asked.Add(1) > cut {
				panic(http.ErrAbortHandler) // the connection just ends
			}
			next.ServeHTTP(w, r)
		}
		f.between.Store(&between)
		status, out := f.try(rollback...)
		f.between.Store(nil)
		releases, stable := f.state()
		switch {
		case status == 0:
			if releases != 3 || stable != 201 {
				t.Errorf("done: %d releases, stable has %d; %s", releases, stable, out)
			}
			if done == 0 {
				t.Error("no cut left the release published and not offered")
			}
			return
		case stable != 200:
			t.Fatalf("cut at request %d, stable has %d: %s", cut+1, stable, out)
		case releases == 3:
			done++
		case releases != 2 || done > 0:
			t.Fatalf("cut at request %d, %d releases: %s", cut+1, releases, out)
		case cut > 100:
			t.Fatal("it does not come to an end")
		}
	}
}

// A server that is not honest gets nothing signed that was not signed before.
func TestRollbackFromAHostileServer(t *testing.T) {
	f := newFleetRig(t)
	f.release(100, map[string]string{"main.py": "one", "other.py": "other"})
	f.release(200, map[string]string{"main.py": "two"})
	id := map[string]string{}
	_, list := f.try("fleet", "release", "list", "badge")
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) > 2 {
			id[fields[0]] = fields[2]
		}
	}
	swap := func(suffix, old, new string) func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if !strings.HasSuffix(r.URL.Path, suffix) {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
			_, _ = io.WriteString(w, strings.ReplaceAll(rec.Body.String(), old, new))
		}
	}
	for name, between := range map[string]func(w http.ResponseWriter, r *http.Request, next http.Handler){
		"another file":                 swap("/main.py", "one", "evil"),
		"one of the same length":       swap("/main.py", "one", "eno"),
		"a longer one":                 swap("/main.py", "one", strings.Repeat("evil", 1000)),
		"another manifest":             swap("/versions.json", "other.py", "evil_.py"),
		"another statement":            swap("/versions.json.sig", `"keyset":1`, `"keyset":2`),
		"another version":              swap("/versions.json.sig", `"version":100`, `"version":300`),
		"the other release":            swap("/releases", id["100"], id["200"]),
		"an application of other keys": swap("/apps", `"keyset":1`, `"keyset":2`),
		"something else": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			_, _ = io.WriteString(w, "<p>Welcome to nginx!")
		},
		"versions without end":          swap("/releases", `"version":200`, `"version":9223372036854775807`),
		"a version that was not signed": swap("/releases", `"version":100`, `"version":99`),
	} {
		if name == "the other release" && id["100"] == "" {
			t.Fatalf("no list of releases: %s", list)
		}
		f.between.Store(&between)
		status, out := f.try("rollback", "badge", "--to", "100", "--key", f.path("release.key"), "--yes")
		f.between.Store(nil)
		releases, stable := f.state()
		if name == "versions without end" {
			// Only what is signed counts.
			if status != 0 || stable != 201 {
				t.Errorf("%s: status %d, stable has %d; %s", name, status, stable, out)
			}
			continue
		}
		if status == 0 || releases > 3 || stable == 100 {
			t.Errorf("%s: status %d, %d releases, stable has %d; %s", name, status, releases, stable, out)
		}
	}
}

// A board, MicroPython with the library, that runs the second release goes back to what
// the first one was.
func TestRollbackReachesABoard(t *testing.T) {
	f := newFleetRig(t)
	library, err := releases.Compiled(t.Context(), releases.Library(""))
	f.must(err)
	key, err := os.ReadFile(f.path("release.key.pub"))
	f.must(err)
	boot := fmt.Sprintf(`from saguarota import OTAUpdater
def show(event, details):
    if event == "pack_failed":
        print(event, details)
base = %q
ota = OTAUpdater(base + "versions.json", base, public_keys=[%q], app="badge", device_id="b1", progress_callback=show)
ota.check_and_perform_ota()
`, f.web.URL+"/ota/badge/", strings.TrimSpace(string(key)))
	tree := fstest.MapFS{"boot.py": {Data: []byte(boot)}}
	for name, text := range library {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	board := &rehearse.Board{Image: f.path("board.img")}
	f.must(board.Format(t.Context(), tree))
	say := func(want string) {
		t.Helper()
		results, err := board.Run(t.Context(), 10)
		f.must(err)
		said := ""
		for _, r := range results {
			for line := range strings.Lines(r.Output) {
				if rest, ok := strings.CutPrefix(line, "main "); ok {
					said = strings.TrimSpace(rest)
				}
			}
			if strings.Contains(r.Output, "pack_failed") {
				t.Errorf("it had to do without a pack:\n%s", r.Output)
			}
		}
		if said != want {
			t.Errorf("the board says %q, want %q:\n%s", said, want, results[len(results)-1].Output)
		}
	}
	const confirm = "\nota.confirm_update(True)\n"
	f.release(100, map[string]string{"main.py": "import extra\nprint('main one', extra.X)" + confirm, "extra.py": "X = 1\n"})
	say("one 1")
	f.release(200, map[string]string{"main.py": "print('main two')" + confirm})
	say("two")
	f.run("rollback", "badge", "--to", "100", "--key", f.path("release.key"), "--yes")
	say("one 1")
	b, err := f.store.Board(context.Background(), "badge", "b1")
	f.must(err)
	if b.Report.Version != 200 && b.Report.Version != 201 {
		t.Errorf("the board reports version %d", b.Report.Version)
	}
}
