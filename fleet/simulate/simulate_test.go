package simulate_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/simulate"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

// a site offers one release to every board that does not have it, and writes down
// what one of them says.
type site struct {
	mu    sync.Mutex
	files map[string][]byte
	heard []string
}

func newSite(t *testing.T) (*site, string) {
	t.Helper()
	content := []byte("pass\n")
	m := &manifest.Manifest{Version: 7, Files: []manifest.File{{
		Path: "lib/a b.py", Version: 7, Size: int64(len(content)),
		SHA256: "9f56e761d79bfdb34304a012586cb04d16b435ef6130091a97702e559260a2f2",
	}}}
	encoded, err := m.Encode(-1)
	if err != nil {
		t.Fatal(err)
	}
	statement := release.Statement{App: "badge", Version: 7, Keyset: 1, Manifest: release.PinOf(encoded)}
	doc, err := statement.Document()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{files: map[string][]byte{release.StatementName: doc.Bytes(), release.ManifestName: encoded, "lib/a b.py": content}}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return s, web.URL + "/"
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	report, err := fleet.ParseReport(r.Header.Get(httpapi.ReportHeader))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	if path == release.StatementName {
		if report.ID == "sim-00000000" {
			s.heard = append(s.heard, strings.TrimSpace(strconv.FormatInt(report.Version, 10)+" "+report.State+" "+report.Error))
		}
		if report.Version == 7 {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	data, ok := s.files[path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = w.Write(data)
}

func config(url string, change func(*simulate.Config)) simulate.Config {
	c := simulate.Config{URL: url, Boards: 5, Rounds: 4, Connections: 2, Now: time.Now}
	change(&c)
	return c
}

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*simulate.Config)
		want   simulate.Result
		heard  []string
	}{
		"all goes well": {
			func(c *simulate.Config) { c.Files = true },
			simulate.Result{Polls: 20, Offers: 5, Nothing: 15, Confirmed: 5, Files: 5, Versions: map[int64]int{7: 5}},
			[]string{"0 idle", "7 confirm_pending", "7 idle", "7 idle"},
		},
		"every trial is undone": {
			func(c *simulate.Config) { c.Undo = 1 },
			simulate.Result{Polls: 20, Offers: 15, Nothing: 5, Undone: 5, Versions: map[int64]int{0: 5}},
			[]string{"0 idle", "7 confirm_pending", "0 idle trial_failed", "0 idle version_rejected"},
		},
		"every attempt fails": {
			func(c *simulate.Config) { c.Fail = 1 },
			simulate.Result{Polls: 20, Offers: 20, Failed: 20, Versions: map[int64]int{0: 5}},
			[]string{"0 idle", "0 idle download_failed", "0 idle download_failed", "0 idle download_failed"},
		},
		"and they reboot": {
			func(c *simulate.Config) { c.Fail, c.Reboot = 1, 1 },
			simulate.Result{Polls: 20, Offers: 20, Failed: 20, Versions: map[int64]int{0: 5}},
			[]string{"0 idle", "0 idle", "0 idle", "0 idle"},
		},
	} {
		s, url := newSite(t)
		got, err := simulate.Run(t.Context(), config(url, c.change))
		if err != nil || got.Problem != nil {
			t.Fatalf("%s: %v, %v", name, err, got.Problem)
		}
		if len(got.Latencies) != got.Polls || got.Percentile(0.99) < got.Percentile(0.5) || got.Bytes == 0 {
			t.Errorf("%s: %d latencies, %d bytes", name, len(got.Latencies), got.Bytes)
		}
		got.Latencies, got.Elapsed, got.Bytes = nil, 0, 0
		if d := cmp.Diff(&c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if d := cmp.Diff(c.heard, s.heard); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestRunTellsWhatIsWrong(t *testing.T) {
	s, url := newSite(t)
	s.files["lib/a b.py"] = []byte("PASS\n")
	got, err := simulate.Run(t.Context(), config(url, func(c *simulate.Config) { c.Files = true }))
	if err != nil || !errors.Is(got.Problem, release.ErrContent) || got.Confirmed != 0 {
		t.Errorf("another file: %v, %+v", err, got)
	}
	got, err = simulate.Run(t.Context(), config(url+"nope/", func(*simulate.Config) {}))
	if err != nil || got.Refused != 20 || got.Problem == nil {
		t.Errorf("another URL: %v, %+v", err, got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := simulate.Run(ctx, config(url, func(*simulate.Config) {})); !errors.Is(err, context.Canceled) || got.Polls != 0 {
		t.Errorf("given up: %v, %+v", err, got)
	}
}

func TestCheck(t *testing.T) {
	for name, change := range map[string]func(*simulate.Config){
		"boards":      func(c *simulate.Config) { c.Boards = 0 },
		"rounds":      func(c *simulate.Config) { c.Rounds = 0 },
		"connections": func(c *simulate.Config) { c.Connections = 0 },
		"slash":       func(c *simulate.Config) { c.URL = "http://x" },
		"share":       func(c *simulate.Config) { c.Undo = 1.5 },
	} {
		c := config("http://x/", change)
		if err := c.Check(); !errors.Is(err, fleet.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
