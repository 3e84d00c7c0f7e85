package boardtest

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cactuscon/saguarota/fleet"
)

// A listener writes down what a board says of itself, and may answer its poll.
type listener struct {
	mu      sync.Mutex
	reports []fleet.Report
	tokens  []string
	answer  func(w http.ResponseWriter) bool
}

func (l *listener) hear(t *testing.T, w http.ResponseWriter, r *http.Request) bool {
	text := r.Header.Get("Saguarota")
	if !strings.HasSuffix(r.URL.Path, "/versions.json.sig") {
		if text != "id=badge-7" || r.Header.Get("Authorization") != "" {
			t.Errorf("the board says %q of itself to %s", text, r.URL.Path)
		}
		return false
	}
	report, err := fleet.ParseReport(text)
	if err != nil {
		t.Errorf("report %q: %v", text, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reports = append(l.reports, report)
	l.tokens = append(l.tokens, r.Header.Get("Authorization"))
	return l.answer != nil && l.answer(w)
}

func (l *listener) heard() []fleet.Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	reports := l.reports
	l.reports = nil
	return reports
}

// A board with a device_id says at every poll who and how it is, and after it has confirmed a release.
func TestReport(t *testing.T) {
	l := &listener{}
	p := newPublisher(t, setup{options: `device_id="badge-7", device_token="s3cret", board="Badge; 50%"`})
	p.site.misbehave(func(w http.ResponseWriter, r *http.Request) bool { return l.hear(t, w, r) })
	expect := func(want ...fleet.Report) {
		t.Helper()
		got := l.heard()
		if len(got) != len(want) {
			t.Fatalf("the board reported %+v, want %+v", got, want)
		}
		for i, w := range want {
			w.ID, w.Board, w.Lib, w.MicroPython, w.Channel, w.Free = "badge-7", "Badge; 50%", got[i].Lib, got[i].MicroPython, "stable", got[i].Free
			if got[i] != w || got[i].Lib == "" || got[i].MicroPython == "" || got[i].Free < 100_000 {
				t.Errorf("report %d: %+v, want %+v", i, got[i], w)
			}
		}
	}
	p.publish(200, release2)
	p.run()
	// Of the first release nobody signed anything, so the board does not know its version.
	expect(fleet.Report{State: fleet.StateIdle}, fleet.Report{State: fleet.StateConfirmPending, Version: 200}, fleet.Report{State: fleet.StateIdle, Version: 200})
	for _, token := range l.tokens {
		if token != "Bearer s3cret" {
			t.Errorf("the token was %q", token)
		}
	}

	// A release that is undone is reported by the next poll.
	bad := release2.with(release{"main.py": "raise ValueError\n"})
	p.publish(300, bad)
	p.run()
	l.heard()
	for range 4 {
		p.run()
	}
	if p.read("main.py") != release2["main.py"] {
		t.Error("the bad release was not undone")
	}
	got := l.heard()
	if last := got[len(got)-1]; last.Version != 200 || last.State != fleet.StateIdle {
		t.Errorf("the last report is %+v", last)
	}
	var told bool
	for _, r := range got {
		told = told || r.Error == "trial_failed"
	}
	if !told {
		t.Errorf("no report says that the trial failed: %+v", got)
	}

	// The server has nothing, and says when to ask again.
	l.answer = func(w http.ResponseWriter) bool {
		w.Header().Set("Saguarota-Poll", "77")
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	p.set(p.setup.options, `print("next", ota.next_poll_s, ota.last_error_code)`)
	says(t, p.run(), "the server has none for this board", "next 77 ")
	// A server that is not the fleet's silences no board for ever.
	l.answer = func(w http.ResponseWriter) bool {
		w.Header().Set("Saguarota-Poll", "999999999")
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	says(t, p.run(), "the server has none for this board", "next 1209600 ")

	// A server that turns boards away is not asked again at once where it says when to come back.
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		l.heard()
		l.answer = func(w http.ResponseWriter) bool {
			w.Header().Set("Saguarota-Poll", "240")
			w.WriteHeader(status)
			return true
		}
		says(t, p.run(), "next 240 statement_fetch_failed")
		if n := len(l.heard()); n != 1 {
			t.Errorf("a board that is answered %d polls %d times", status, n)
		}
	}

	// It hears nothing from a board without a device_id.
	p.set(trusting(1, keyA), "")
	p.site.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Saguarota") != "" {
			t.Error("a board without device_id reports")
		}
		return false
	})
	p.run()
}

// device_id=None is the same as none, also where a release is confirmed.
func TestReportNothing(t *testing.T) {
	p := newPublisher(t, setup{options: "device_id=None"})
	p.site.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if text, ok := r.Header["Saguarota"]; ok {
			t.Errorf("the board says %q", text)
		}
		return false
	})
	p.publish(200, release2)
	p.updates(release2)
	if got := p.site.asked(); slices.Index(got[1:], "versions.json.sig") >= 0 {
		t.Errorf("the board asked for %q, and the statement only once is enough", got)
	}
}

// What a report holds is for the server that was named: no redirect carries it to another.
func TestReportRedirect(t *testing.T) {
	other := newSite(t)
	other.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Saguarota") != "" {
			t.Errorf("the other server was told %v", r.Header)
		}
		return false
	})
	p := newPublisher(t, setup{options: `device_id=True, device_token="s3cret"`})
	p.site.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.server.URL+r.URL.Path, http.StatusFound)
		return true
	})
	p.publish(200, release2)
	other.publish(200, release2)
	p.run()
	if len(other.asked()) == 0 {
		t.Error("the board followed no redirect")
	}
}
