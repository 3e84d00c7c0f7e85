package dashboard_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// What there is none of says which command makes one.
func TestEmpty(t *testing.T) {
	p := newRig(t).signedIn(fleet.ScopeAdmin)
	p.has(p.get("/ui/"), http.StatusOK, "No application yet", "saguarota fleet app add badge --pub release.key.pub")
	p.has(p.get("/ui/webhooks"), http.StatusOK, "saguarota fleet webhook add")
	p.has(p.get("/ui/apps/badge/"), http.StatusNotFound, "the application &#34;badge&#34;")

	p = newRig(t, "badge").signedIn(fleet.ScopeAdmin)
	if a := p.get("/ui/"); a.path != "/ui/apps/badge/" {
		t.Errorf("the only application is not led to: %s", a.path)
	}
	p.has(p.get("/ui/apps/badge/"), http.StatusOK, "saguarota publish site --channel stable", "saguarota fleet simulate badge --boards 100")
	p.has(p.get("/ui/apps/badge/rollouts"), http.StatusOK, "saguarota publish site")
	p.has(p.get("/ui/apps/badge/boards"), http.StatusOK, "saguarota fleet simulate badge --boards 100")
	p.has(p.get("/ui/apps/badge/releases"), http.StatusOK, "saguarota build src -o site --app badge --key release.key")
	p.has(p.get("/ui/rollouts/7"), http.StatusNotFound, "This page cannot be shown")
	p.has(p.get("/ui/rollouts/x"), http.StatusUnprocessableEntity, "is no number")
	p.has(p.get("/ui/nowhere"), http.StatusNotFound, "no page of this address")

	p = newRig(t, "badge", "a/b <c>").signedIn(fleet.ScopeRead)
	p.has(p.get("/ui/"), http.StatusOK, `href="/ui/apps/a%2Fb%20%3Cc%3E/"`, "a/b &lt;c&gt;")
	p.has(p.get("/ui/apps/a%2Fb%20%3Cc%3E/boards"), http.StatusOK, "a/b &lt;c&gt;")
}

// fleetOf returns a rig with a rollout under way: of 40 boards 20 are members, of which 3
// have failed, 2 are on trial and one has confirmed.
func fleetOf(t *testing.T) (r *rig, rollout, old, version int64) {
	r = newRig(t, "badge")
	old = r.publish("print(1)\n", "1.0")
	r.must(r.store.SetChannel(t.Context(), r.ada(), "badge", "stable", old))
	r.must(r.server.Refresh(t.Context()))
	version = r.publish("print(2)\n", "1.1")
	rollout = r.start(version)
	var members []string
	for i := range 40 {
		id := fmt.Sprintf("b%02d", i)
		r.poll(fleet.Report{ID: id, Version: old, State: "idle", Board: "Pico W"})
		b, err := r.store.Board(t.Context(), "badge", id)
		r.must(err)
		if b.Task.Stage == fleet.Offered {
			members = append(members, id)
		}
	}
	if len(members) < 8 {
		t.Fatalf("only %d members", len(members))
	}
	for i, id := range members[:6] {
		report := fleet.Report{ID: id, Version: version, State: fleet.StateConfirmPending, Board: "Pico W"}
		switch {
		case i < 3:
			report.Version, report.State, report.Error = old, "idle", "download_failed"
		case i == 5:
			report.State = "idle"
		}
		r.poll(report)
	}
	return r, rollout, old, version
}

func TestFleetPage(t *testing.T) {
	r, rollout, old, _ := fleetOf(t)
	p := r.signedIn(fleet.ScopeRead)
	a := p.get("/ui/apps/badge/")
	p.has(a, http.StatusOK, "<b>40</b>", "download_failed", "3 failed", "2 trial", "1 confirmed",
		fmt.Sprintf("/ui/rollouts/%d", rollout), fmt.Sprintf("boards?by=version&amp;value=%d", old), "37")
	if !regexp.MustCompile(`On trial</span><b class="t-trial">2</b>`).MatchString(a.body) {
		t.Error("not how many are on trial")
	}
}

func TestRolloutPage(t *testing.T) {
	r, rollout, _, _ := fleetOf(t)
	p := r.signedIn(fleet.ScopeManage)
	a := p.get(fmt.Sprint("/ui/rollouts/", rollout))
	p.has(a, http.StatusOK, "Rollout 1: 1.1", "20 % of at least 10 finished", "<b>3</b> of <b>4</b> finished", "<b>75 %</b>",
		"6 more bad boards in a row would halt it", "It counts once 6 more boards finished", "failed: <code>download_failed</code>", "b0", "for 1 h")
	if n := strings.Count(a.body, `class="button`); n != 4 {
		t.Errorf("%d actions", n)
	}
	// Each of 40 boards is a square.
	if n := strings.Count(a.body, "h17v17h-17z"); n != 40 {
		t.Errorf("%d squares", n)
	}
}

func TestSteer(t *testing.T) {
	r, rollout, _, _ := fleetOf(t)
	p := r.signedIn(fleet.ScopeManage)
	at := fmt.Sprint("/ui/rollouts/", rollout)
	state := func(want fleet.RolloutState, step int) {
		t.Helper()
		ro, err := r.store.Rollout(t.Context(), rollout)
		r.must(err)
		if ro.State != want || ro.Step != step {
			t.Errorf("%s at step %d, want %s at %d", ro.State, ro.Step, want, step)
		}
	}
	seen := regexp.MustCompile(`name="seen" value="([^"]*)"`)
	do := func(action string, pairs ...string) answer {
		t.Helper()
		a := p.get(at + "/" + action)
		p.has(a, http.StatusOK, "What this does")
		return p.post(at+"/"+action, append(pairs, "seen", seen.FindStringSubmatch(a.body)[1])...)
	}
	p.has(p.get(at+"/pause"), http.StatusOK, "No further board begins.")
	state(fleet.Running, 0)
	p.has(do("pause", "reason", "lunch <b>"), http.StatusOK, "The rollout is paused.", "lunch &lt;b&gt;")
	state(fleet.Paused, 0)
	p.has(p.get(at+"/forward"), http.StatusConflict, "is paused")
	p.has(do("resume"), http.StatusOK, "The rollout goes on.")
	p.has(p.get(at+"/forward"), http.StatusOK, "from 50% to 100%", "about 20 of 40 more")
	p.has(do("forward"), http.StatusOK)
	state(fleet.Running, 1)
	// A form that was made before is not done, since nobody has read what it does now.
	p.has(p.post(at+"/promote", "seen", "running 0"), http.StatusConflict, "Nothing was done yet")
	state(fleet.Running, 1)
	p.has(p.get(at+"/promote"), http.StatusOK, "all 40 boards of it get it now")
	p.has(p.get(at+"/abort"), http.StatusOK, "saguarota rollback badge --to VERSION --key KEY")
	p.has(do("abort"), http.StatusOK, "The rollout is aborted.")
	state(fleet.Aborted, 1)
	p.has(p.get(at+"/explode"), http.StatusConflict)
	entries, err := r.store.Audit(t.Context(), "badge", 0, 1)
	r.must(err)
	if entries[0].Actor != "manage" {
		t.Errorf("the log says that %s did it", entries[0].Actor)
	}
}

func TestBoards(t *testing.T) {
	r, rollout, old, _ := fleetOf(t)
	for i := range 130 {
		r.poll(fleet.Report{ID: fmt.Sprintf("z%03d", i), Version: old})
	}
	p := r.signedIn(fleet.ScopeManage)
	ids := regexp.MustCompile(`<code>([bz][0-9]+)</code></a></th>`)
	list := func(query string) []string {
		t.Helper()
		a := p.get("/ui/apps/badge/boards" + query)
		p.has(a, http.StatusOK)
		var found []string
		for _, m := range ids.FindAllStringSubmatch(a.body, -1) {
			found = append(found, m[1])
		}
		return found
	}
	if l := list(""); len(l) != 100 || l[0] != "b00" || l[99] != "z059" {
		t.Errorf("the first page has %d boards: %v", len(l), l)
	}
	a := p.get("/ui/apps/badge/boards?q=z")
	next := regexp.MustCompile(`rel="next" href="([^"]*)"`).FindStringSubmatch(a.body)
	if l := list(strings.ReplaceAll(next[1], "&amp;", "&")); len(l) != 30 || l[0] != "z100" {
		t.Errorf("the next page has %d boards: %v", len(l), l)
	}
	if l := list("?by=error&value=download_failed"); len(l) != 3 {
		t.Errorf("by error: %v", l)
	}
	if l := list(fmt.Sprintf("?rollout=%d&stage=trial", rollout)); len(l) != 2 {
		t.Errorf("by stage: %v", l)
	}
	p.has(p.get("/ui/apps/badge/boards?by=size"), http.StatusUnprocessableEntity, "boards have no attribute")
	p.has(p.get("/ui/apps/badge/boards?q=nope"), http.StatusOK, "No board fits", "170 boards")

	change := func(action, value string, ids ...string) answer {
		t.Helper()
		pairs := []string{"action", action, "value", value, "back", "/ui/apps/badge/boards?q=z"}
		for _, id := range ids {
			pairs = append(pairs, "id", id)
		}
		path := "/ui/apps/badge/boards/change"
		if action == "delete" {
			path = "/ui/apps/badge/boards/delete"
		}
		before := r.state()
		p.has(p.post(path, pairs...), http.StatusOK, "What this does", ids[0], `name="confirmed"`)
		if r.state() != before {
			t.Errorf("%s is done before it is confirmed", action)
		}
		return p.post(path, append(pairs, "confirmed", "1")...)
	}
	board := func(id string) *fleet.Board {
		t.Helper()
		b, err := r.store.Board(t.Context(), "badge", id)
		r.must(err)
		return b
	}
	if a := change("tag", "lab", "z001", "z002"); a.path != "/ui/apps/badge/boards?q=z&said=changed" {
		t.Errorf("led to %s", a.path)
	}
	if l := list("?by=tag&value=lab"); len(l) != 2 {
		t.Errorf("tagged: %v", l)
	}
	change("untag", "lab", "z001")
	change("pin", fmt.Sprint(old), "z001")
	change("channel", "beta", "z001")
	change("revoke", "", "z001")
	if b := board("z001"); len(b.Tags) != 0 || b.Pin != old || b.Channel != "beta" || !b.Revoked {
		t.Errorf("%+v", b)
	}
	p.has(p.get("/ui/apps/badge/board?id=z001"), http.StatusOK, "revoked", "beta", "1.0", "Accept again")
	change("unrevoke", "", "z001")
	change("unpin", "", "z001")
	change("hide", "", "z001")
	if b := board("z001"); b.Pin != 0 || b.Revoked || !b.Hidden {
		t.Errorf("%+v", b)
	}
	if l := list("?hidden=1"); len(l) != 1 {
		t.Errorf("hidden: %v", l)
	}
	change("unhide", "", "z001")
	p.has(change("delete", "", "z001", "z002"), http.StatusOK, "The boards are forgotten.")
	p.has(p.get("/ui/apps/badge/board?id=z001"), http.StatusNotFound)
	for _, bad := range [][]string{
		{"action", "hide"}, {"id", "z003"}, {"id", "z003", "action", "explode"},
		{"id", "z003", "action", "pin", "value", "x", "confirmed", "1"}, {"id", "z003", "action", "tag", "value", "", "confirmed", "1"},
		{"id", "z003", "action", "delete", "confirmed", "1"},
	} {
		p.has(p.post("/ui/apps/badge/boards/change", bad...), http.StatusUnprocessableEntity, "Nothing was changed")
	}
	// Where to go back to is one of these pages.
	for _, back := range []string{"https://evil.example/", "https://evil.example/ui/apps/badge/", "//evil.example/", "/ui/tokens", "/api/v1/apps", ""} {
		a = p.post("/ui/apps/badge/boards/change", "id", "z003", "action", "hide", "confirmed", "1", "back", back)
		if a.path != "/ui/apps/badge/boards?said=changed" {
			t.Errorf("%q led to %s", back, a.path)
		}
	}
}

// Whatever boards and people write is text.
func TestHostile(t *testing.T) {
	const evil = `"'><script>alert(1)</script><img src=x onerror=alert(2)>{{.}}`
	r := newRig(t, "badge")
	version := r.publish("print(1)\n", "<script>alert(1)</script>")
	rollout := r.start(version)
	r.poll(fleet.Report{ID: "b1", Version: 5, State: evil, Error: evil, Board: evil, MicroPython: evil, Lib: evil, Channel: evil})
	r.poll(fleet.Report{ID: "b2", Version: 5, Channel: "stable"})
	_, err := r.store.ChangeBoards(t.Context(), r.ada(), "badge", []string{"b1", "b2"}, func(b *fleet.Board) error {
		b.Channel, b.Tags = "stable", []string{evil}
		return nil
	})
	r.must(err)
	r.must(r.server.Refresh(t.Context()))
	r.must(r.store.SetChannel(t.Context(), fleet.Actor{Name: evil, At: r.now()}, "badge", evil, version))
	p := r.signedIn(fleet.ScopeAdmin)
	p.post(fmt.Sprintf("/ui/rollouts/%d/pause", rollout), "seen", "running 0", "reason", evil)
	p.get("/ui/tokens")
	p.post(fmt.Sprintf("/ui/rollouts/%d/pause", rollout), "seen", "running 0", "reason", evil)
	query := "%22%27%3E%3Cscript%3Ealert(1)%3C/script%3E"
	for _, path := range []string{
		"/ui/apps/badge/", fmt.Sprint("/ui/rollouts/", rollout), "/ui/apps/badge/rollouts", "/ui/apps/badge/boards", "/ui/apps/badge/board?id=b1",
		"/ui/apps/badge/boards?q=" + query, "/ui/apps/badge/boards?by=tag&value=" + query, "/ui/apps/badge/boards?by=error&value=x",
		"/ui/apps/badge/boards?after=" + query, "/ui/apps/badge/boards?by=" + query, "/ui/apps/badge/board?id=" + query,
		"/ui/apps/badge/releases", fmt.Sprint("/ui/apps/badge/releases/", version), "/ui/audit", "/ui/audit?app=" + query,
		"/ui/apps/" + query + "/", "/ui/sign-in?next=" + query, "/ui/sign-in?next=/ui/" + query, "/ui/?said=" + query,
	} {
		a := p.get(path)
		for _, bad := range []string{"<script>alert", "<img src=x", "onerror=alert(2)>{{", "javascript:"} {
			if strings.Contains(a.body, bad) {
				t.Errorf("%s has %s:\n%s", path, bad, a.main())
			}
		}
	}
	p.has(p.get("/ui/apps/badge/board?id=b1"), http.StatusOK, "&lt;script&gt;alert(1)")
	p.has(p.get(fmt.Sprint("/ui/rollouts/", rollout)), http.StatusOK, "&lt;script&gt;alert(1)")
	p.has(p.get("/ui/audit"), http.StatusOK, "&lt;script&gt;alert(1)")
	p.has(p.get("/ui/apps/badge/boards"), http.StatusOK, "&lt;script&gt;alert(1)")
}

func TestReleases(t *testing.T) {
	r, _, old, version := fleetOf(t)
	p := r.signedIn(fleet.ScopeManage)
	p.has(p.get("/ui/apps/badge/releases"), http.StatusOK, "1.0", "1.1", fmt.Sprint(version), "stable")
	at := fmt.Sprint("/ui/apps/badge/releases/", version)
	p.has(p.get(at+fmt.Sprintf("?with=%d", old)), http.StatusOK, "main.py", "changed", "9 B")
	p.has(p.post(at, "action", "withdraw"), http.StatusOK, "withdrawn", "The release is changed.")
	p.has(p.post(at, "action", "restore"), http.StatusOK, "Withdraw…")
	p.has(p.post(at, "action", "step"), http.StatusOK, "step through")
	p.has(p.post(at, "action", "skip"), http.StatusOK, "Let no board skip it")
	p.has(p.post(at, "action", "x"), http.StatusUnprocessableEntity)
	p.has(p.get("/ui/apps/badge/releases/7"), http.StatusNotFound)
}

func TestTokensAndWebhooks(t *testing.T) {
	r := newRig(t, "badge")
	p := r.signedIn(fleet.ScopeAdmin)
	p.get("/ui/tokens")
	a := p.post("/ui/tokens", "name", "bob", "scope", "read", "days", "30")
	p.has(a, http.StatusOK, "The token of bob")
	secret := regexp.MustCompile(`sga_[A-Za-z0-9_-]{43}`).FindString(a.body)
	if strings.Contains(p.get("/ui/tokens").body, secret) {
		t.Error("the token is shown again")
	}
	bob := r.person()
	bob.has(bob.signIn(secret), http.StatusOK)
	p.has(p.post("/ui/tokens", "name", "bob", "scope", "king"), http.StatusUnprocessableEntity, "there is no scope")
	p.has(p.post("/ui/tokens", "name", "bob", "scope", "read", "days", "x"), http.StatusUnprocessableEntity, "is no number")
	p.has(p.post("/ui/tokens/2/revoke"), http.StatusOK, "The token is revoked.")
	if a := bob.get("/ui/audit"); !strings.HasPrefix(a.path, "/ui/sign-in") {
		t.Errorf("bob is at %s", a.path)
	}
	p.has(p.post("/ui/webhooks", "url", "http://hooks.example/x", "app", "badge", "event", "rollout.halted", "event", "board.undone"), http.StatusOK, "whsec_", "rollout.halted")
	if a := p.get("/ui/webhooks"); strings.Contains(a.body, "whsec_") {
		t.Error("the secret is shown again")
	}
	p.has(p.post("/ui/webhooks/1/test"), http.StatusOK, "A test is on its way", "<code>test</code>")
	p.has(p.post("/ui/webhooks/1/enable"), http.StatusOK, "is told again")
	p.has(p.post("/ui/webhooks", "url", "ftp://x"), http.StatusUnprocessableEntity, "http or https")
	p.has(p.post("/ui/webhooks/1/remove"), http.StatusOK, "is forgotten", "No webhook yet")
	p.has(p.get("/ui/webhooks/1"), http.StatusNotFound)
}

// A page that moves gets what has changed, without asking, until the sign-in ends.
func TestStream(t *testing.T) {
	r, rollout, old, _ := fleetOf(t)
	p := r.signedIn(fleet.ScopeRead)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.web.URL+fmt.Sprint("/ui/live/rollouts/", rollout), nil)
	r.must(err)
	resp, err := p.client.Do(req)
	r.must(err)
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatal(got)
	}
	lines := bufio.NewScanner(resp.Body)
	until := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("no %q comes: %v", text, lines.Err())
	}
	until("<b>3</b> of <b>4</b> finished")
	boards, err := r.store.Boards(t.Context(), "badge", fleet.Filter{Rollout: rollout, Stage: fleet.Trial}, "", 1)
	r.must(err)
	r.poll(fleet.Report{ID: boards[0].ID, Version: old, Error: "trial_failed"})
	r.clock.Add(1)
	until("undone: <code>trial_failed</code>")
	r.must(r.store.RevokeToken(t.Context(), r.ada(), 1))
	until("The sign-in has ended")
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "event:") {
			t.Error("it goes on after the sign-in has ended")
		}
	}
	if a := r.person().get(fmt.Sprint("/ui/live/rollouts/", rollout)); a.status != http.StatusUnauthorized {
		t.Errorf("nobody gets a stream: %d", a.status)
	}
}

// A server that stops does not wait for streams.
func TestClose(t *testing.T) {
	r := newRig(t, "badge")
	p := r.signedIn(fleet.ScopeRead)
	resp, err := p.client.Get(r.web.URL + "/ui/live/apps/badge")
	r.must(err)
	defer resp.Body.Close()
	r.pages.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
	}
	r.must(lines.Err())
}
