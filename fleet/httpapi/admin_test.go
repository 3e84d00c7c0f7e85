package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
	"github.com/cactuscon/saguarota/manifest"
	"github.com/cactuscon/saguarota/release"
)

// token makes a token.
func (r *rig) token(name string, scope fleet.Scope) string {
	r.t.Helper()
	secret, err := r.server.NewToken(r.t.Context(), r.ada(), name, scope, time.Time{})
	r.must(err)
	return secret
}

// client returns a client of the API that shows a token.
func (r *rig) client(token string) *api.ClientWithResponses {
	r.t.Helper()
	c, err := api.NewClientWithResponses(r.web.URL+api.Path, api.WithRequestEditorFn(func(_ context.Context, req *http.Request) error {
		req.Header.Set("Authorization", "Bearer "+token)
		return nil
	}))
	r.must(err)
	return c
}

// call makes a call of the API, however wrong.
func (r *rig) call(method, path, token, body string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.web.URL+path, strings.NewReader(body))
	r.must(err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	r.must(err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	r.must(err)
	return answer{resp.StatusCode, resp.Header, string(data)}
}

// Every call of the document needs a token, a good one, and one with its scope.
func TestEveryCallNeedsItsScope(t *testing.T) {
	r := newRig(t)
	var document struct {
		Paths map[string]map[string]struct {
			Scope fleet.Scope `json:"x-scope"`
		} `json:"paths"`
	}
	r.must(json.Unmarshal(api.Document, &document))
	scopes := []fleet.Scope{fleet.ScopeRead, fleet.ScopePublish, fleet.ScopeManage, fleet.ScopeAdmin}
	tokens := map[fleet.Scope]string{}
	for _, scope := range scopes {
		tokens[scope] = r.token(string(scope), scope)
	}
	expired, err := r.server.NewToken(t.Context(), fleet.Actor{Name: "ada", At: noon.Add(-time.Hour)}, "late", fleet.ScopeAdmin, noon.Add(-time.Minute))
	r.must(err)
	revoked := r.token("revoked", fleet.ScopeAdmin)
	list, err := r.store.Tokens(t.Context())
	r.must(err)
	r.must(r.store.RevokeToken(t.Context(), r.ada(), list[len(list)-1].ID))

	calls := 0
	for path, methods := range document.Paths {
		for name := range strings.FieldsSeq("app sum version channel attribute") {
			path = strings.ReplaceAll(path, "{"+name+"}", map[string]string{"app": "nope", "sum": "x", "version": "99", "channel": "c", "attribute": "state"}[name])
		}
		path = strings.NewReplacer("{id}", "99", "{action}", "pause").Replace(path)
		for method, call := range methods {
			calls++
			what := strings.ToUpper(method) + " " + path
			do := func(token string) int { return r.call(strings.ToUpper(method), api.Path+path, token, "{}").status }
			for name, token := range map[string]string{
				"none": "", "no token": "x", "a board's": "sgb_abc", "expired": expired, "revoked": revoked,
				"another": strings.Replace(tokens[fleet.ScopeAdmin], "sga_", "sga_A", 1)[:len(tokens[fleet.ScopeAdmin])],
			} {
				if got := do(token); got != http.StatusUnauthorized {
					t.Errorf("%s with %s: %d", what, name, got)
				}
			}
			for _, scope := range scopes {
				got := do(tokens[scope])
				if allowed := got != http.StatusForbidden && got != http.StatusUnauthorized; allowed != scope.Allows(call.Scope) {
					t.Errorf("%s takes %s; with %s: %d", what, call.Scope, scope, got)
				}
				if got == http.StatusInternalServerError {
					t.Errorf("%s with %s: %d", what, scope, got)
				}
			}
		}
	}
	if calls < 20 {
		t.Errorf("the document has %d calls", calls)
	}
	if log := r.log.String(); strings.Contains(log, "sga_") || !strings.Contains(log, "a call is refused") {
		t.Errorf("the log:\n%s", log)
	}
	if a := r.call("GET", "/api/openapi.json", "", ""); a.body != string(api.Document) {
		t.Error("the document is not served")
	}
}

// ok fails the test unless a call has succeeded.
func ok(t *testing.T, status int, body []byte, err error) {
	t.Helper()
	if err != nil || status/100 != 2 {
		t.Fatalf("%d %s, %v", status, body, err)
	}
}

// The whole way of a release, by the API alone.
func TestAdministration(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	admin := r.client(r.token("ada", fleet.ScopeAdmin))

	app, err := admin.AddAppWithResponse(ctx, api.App{
		Name: "sensor", PublicKeys: []string{r.key.PublicKey().String()}, Threshold: 1, Keyset: 1, PollSeconds: 60, MaxBoards: 100,
	})
	ok(t, app.StatusCode(), app.Body, err)
	minute := int64(5)
	change, err := admin.ChangeAppWithResponse(ctx, "sensor", api.AppChange{MaxPerMinute: &minute})
	ok(t, change.StatusCode(), change.Body, err)
	apps, err := admin.ListAppsWithResponse(ctx)
	ok(t, apps.StatusCode(), apps.Body, err)
	if d := cmp.Diff(api.App{
		Name: "sensor", PublicKeys: []string{r.key.PublicKey().String()}, Threshold: 1, Keyset: 1, PollSeconds: 60, MaxBoards: 100, MaxPerMinute: 5,
	}, (*apps.JSON200)[1]); d != "" {
		t.Error(d)
	}

	// Somebody who may publish, and no more.
	made, err := admin.AddTokenWithResponse(ctx, api.NewToken{Name: "ci", Scope: "publish"})
	ok(t, made.StatusCode(), made.Body, err)
	ci := r.client(made.JSON200.Secret)
	r.build(map[string]string{"main.py": "pass\n", "lib/a.py": "A = 1\n"}, r.key, func(s *release.Statement) { s.App, s.Name = "sensor", "1.0" })
	p := api.Publication{Statement: string(r.read(release.StatementName)), Manifest: string(r.read(release.ManifestName)), Keysets: []string{}}
	early, err := ci.PublishWithResponse(ctx, "sensor", p)
	r.must(err)
	if early.StatusCode() != http.StatusUnprocessableEntity || early.JSONDefault.Error != "missing" {
		t.Errorf("before its files: %d %s", early.StatusCode(), early.Body)
	}
	m, err := manifest.Read(strings.NewReader(p.Manifest))
	r.must(err)
	var sums api.Sums
	content := map[string][]byte{}
	for _, f := range m.Files {
		sums.Sums = append(sums.Sums, f.SHA256)
		content[f.SHA256] = r.read(f.Path)
	}
	r.must(r.blobs.Put(ctx, blob.SumOf(content[sums.Sums[0]]), int64(len(content[sums.Sums[0]])), bytes.NewReader(content[sums.Sums[0]])))
	missing, err := ci.MissingBlobsWithResponse(ctx, "sensor", sums)
	ok(t, missing.StatusCode(), missing.Body, err)
	if d := cmp.Diff(sums.Sums[1:], missing.JSON200.Sums); d != "" {
		t.Error(d)
	}
	for _, sum := range missing.JSON200.Sums {
		put, err := ci.PutBlobWithBodyWithResponse(ctx, "sensor", sum, "application/octet-stream", bytes.NewReader(content[sum]))
		ok(t, put.StatusCode(), put.Body, err)
	}
	published, err := ci.PublishWithResponse(ctx, "sensor", p)
	ok(t, published.StatusCode(), published.Body, err)
	version := published.JSON200.Version
	if published.JSON200.Name != "1.0" || version == 0 {
		t.Errorf("published: %+v", published.JSON200)
	}

	set, err := admin.SetChannelWithResponse(ctx, "sensor", "beta", api.ChannelChange{Version: version})
	ok(t, set.StatusCode(), set.Body, err)
	start := noon.Add(time.Hour)
	most, timeout, berlin := int64(5), int64(3600), "Europe/Berlin"
	plan := api.Plan{
		Start: &start, Steps: []api.Step{{Percent: 12.5, Seconds: 3600}, {Percent: 100, Seconds: 60}},
		For:         &api.Selector{Tags: &[]string{"lab"}},
		Window:      &api.Window{From: "22:30", To: "04:00", Days: &[]int{1, 2}, Zone: &berlin},
		MaxUpdating: &most, TimeoutSeconds: &timeout, Halt: &api.HaltRule{Percent: 2.5, AtLeast: 10, Kind: "undone"},
	}
	started, err := admin.StartRolloutWithResponse(ctx, "sensor", api.NewRollout{Channel: "stable", Version: version, Plan: plan})
	ok(t, started.StatusCode(), started.Body, err)
	id := started.JSON200.ID
	for _, step := range []struct {
		action  api.SteerRolloutParamsAction
		state   string
		percent float64
	}{{"pause", "paused", 12.5}, {"resume", "running", 12.5}, {"forward", "running", 100}, {"promote", "done", 100}} {
		got, err := admin.SteerRolloutWithResponse(ctx, id, step.action, api.Reason{})
		ok(t, got.StatusCode(), got.Body, err)
		if got.JSON200.State != step.state || got.JSON200.Percent != step.percent {
			t.Errorf("%s: %s at %v %%", step.action, got.JSON200.State, got.JSON200.Percent)
		}
	}
	got, err := admin.GetRolloutWithResponse(ctx, id)
	ok(t, got.StatusCode(), got.Body, err)
	if d := cmp.Diff(plan, got.JSON200.Plan); d != "" {
		t.Error(d)
	}
	channels, err := admin.ListChannelsWithResponse(ctx, "sensor")
	ok(t, channels.StatusCode(), channels.Body, err)
	if d := cmp.Diff([]api.Channel{{Name: "beta", Version: version}, {Name: "stable", Version: version}}, *channels.JSON200); d != "" {
		t.Error(d)
	}
	yes := true
	withdrawn, err := admin.ChangeReleaseWithResponse(ctx, "sensor", version, api.ReleaseChange{Withdrawn: &yes})
	ok(t, withdrawn.StatusCode(), withdrawn.Body, err)
	releases, err := admin.ListReleasesWithResponse(ctx, "sensor")
	ok(t, releases.StatusCode(), releases.Body, err)
	if list := *releases.JSON200; len(list) != 1 || !list[0].Withdrawn || list[0].Version != version {
		t.Errorf("releases: %+v", list)
	}
	rollouts, err := admin.ListRolloutsWithResponse(ctx, "sensor", nil)
	ok(t, rollouts.StatusCode(), rollouts.Body, err)
	if len(*rollouts.JSON200) != 1 {
		t.Errorf("rollouts: %+v", rollouts.JSON200)
	}

	audit, err := admin.ListAuditWithResponse(ctx, &api.ListAuditParams{})
	ok(t, audit.StatusCode(), audit.Body, err)
	var who []string
	for _, e := range *audit.JSON200 {
		who = append(who, e.Actor+" "+e.Action)
	}
	if d := cmp.Diff([]string{
		"ada release.change", "ada rollout.promote", "ada rollout.step", "ada rollout.resume", "ada rollout.pause", "ada rollout.start",
		"ada channel.set", "ci release.add", "ada token.add", "ada app.change", "ada app.add", "ada token.add", "ada app.add",
	}, who); d != "" {
		t.Error(d)
	}
}

func TestBoardsByTheAPI(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	v := r.publish("one")
	r.give("stable", v)
	for i := range 5 {
		r.poll(fleet.Report{ID: fmt.Sprint("b", i), Version: v, Board: "Pico W", State: "idle"})
	}
	c := r.client(r.token("ada", fleet.ScopeAdmin))
	channel, pin, yes := "beta", v, true
	changed, err := c.ChangeBoardsWithResponse(ctx, "badge", api.BoardChange{
		Ids: []string{"b1", "b2", "nope"}, Channel: &channel, Pin: &pin, AddTags: &[]string{"lab", "blue"}, Revoked: &yes,
	})
	ok(t, changed.StatusCode(), changed.Body, err)
	again, err := c.ChangeBoardsWithResponse(ctx, "badge", api.BoardChange{Ids: []string{"b2"}, RemoveTags: &[]string{"blue"}, Hidden: &yes})
	ok(t, again.StatusCode(), again.Body, err)
	if changed.JSON200.Boards != 2 || again.JSON200.Boards != 1 {
		t.Errorf("changed %d, then %d", changed.JSON200.Boards, again.JSON200.Boards)
	}
	one, err := c.GetBoardWithResponse(ctx, "badge", "b2")
	ok(t, one.StatusCode(), one.Body, err)
	if d := cmp.Diff(&api.Board{
		ID: "b2", Channel: "beta", Tags: []string{"lab"}, Pin: v, Hidden: true, Revoked: true, FirstSeen: noon, LastSeen: noon,
		Version: v, State: "idle", Board: "Pico W", Stage: "waiting",
	}, one.JSON200); d != "" {
		t.Error(d)
	}
	ids := func(p api.ListBoardsParams) (ids []string) {
		list, err := c.ListBoardsWithResponse(ctx, "badge", &p)
		ok(t, list.StatusCode(), list.Body, err)
		for _, b := range *list.JSON200 {
			ids = append(ids, b.ID)
		}
		return ids
	}
	two, after, by, tag := 2, "b1", "tag", "lab"
	for _, q := range []struct {
		params api.ListBoardsParams
		want   []string
	}{
		{api.ListBoardsParams{}, []string{"b0", "b1", "b3", "b4"}},
		{api.ListBoardsParams{Limit: &two}, []string{"b0", "b1"}},
		{api.ListBoardsParams{Limit: &two, After: &after}, []string{"b3", "b4"}},
		{api.ListBoardsParams{By: &by, Value: &tag}, []string{"b1"}},
		{api.ListBoardsParams{Hidden: &yes}, []string{"b2"}},
	} {
		if d := cmp.Diff(q.want, ids(q.params)); d != "" {
			t.Error(d)
		}
	}
	counts, err := c.CountBoardsWithResponse(ctx, "badge", "channel")
	ok(t, counts.StatusCode(), counts.Body, err)
	if d := cmp.Diff(map[string]int64{"stable": 3, "beta": 1}, *counts.JSON200); d != "" {
		t.Error(d)
	}
	deleted, err := c.DeleteBoardsWithResponse(ctx, "badge", api.BoardIds{Ids: []string{"b4", "b4"}})
	ok(t, deleted.StatusCode(), deleted.Body, err)
	if deleted.JSON200.Boards != 1 || r.board("b4") != nil {
		t.Errorf("deleted %d", deleted.JSON200.Boards)
	}
	secret, err := c.BoardTokenWithResponse(ctx, "badge", "b7")
	ok(t, secret.StatusCode(), secret.Body, err)
	app, err := r.store.Apps(ctx)
	r.must(err)
	r.must(app[0].Enrolment.CheckBoardToken("badge", "b7", secret.JSON200.Secret))
}

func TestCallsThatMakeNoSense(t *testing.T) {
	r := newRig(t)
	v := r.publish("one")
	token := r.token("ada", fleet.ScopeAdmin)
	start := func(change string) string {
		return strings.Replace(fmt.Sprintf(`{"channel":"stable","version":%d,"plan":{"steps":[{"percent":100,"seconds":60}],"x":0}}`, v), `"x":0`, change, 1)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		word               string
	}{
		{"POST", "/apps", `{`, 400, "invalid"},
		{"POST", "/apps", `{"name":"x","publicKeys":["x"],"threshold":1,"keyset":1,"pollSeconds":60}`, 422, "release"},
		{"POST", "/apps", `{"name":"x","publicKeys":[],"threshold":1,"keyset":1,"pollSeconds":60}`, 422, "invalid"},
		{"PATCH", "/apps/badge", `{"pollSeconds":9223372036854775807}`, 422, "invalid"},
		{"PATCH", "/apps/nope", `{}`, 404, "not found"},
		{"GET", "/rollouts/x", ``, 400, "invalid"},
		{"GET", "/rollouts/99", ``, 404, "not found"},
		{"GET", "/apps/badge/boards?by=odd", ``, 422, "invalid"},
		{"GET", "/apps/badge/boards?stage=odd", ``, 422, "invalid"},
		{"GET", "/apps/badge/boards?limit=x", ``, 400, "invalid"},
		{"GET", "/apps/badge/board/nope", ``, 404, "not found"},
		{"PUT", "/apps/badge/channels/stable", `{"version":99}`, 404, "not found"},
		{"PUT", "/apps/badge/channels/%0a", fmt.Sprintf(`{"version":%d}`, v), 422, "invalid"},
		{"POST", "/apps/badge/rollouts", start(`"steps":[]`), 422, "invalid"},
		{"POST", "/apps/badge/rollouts", start(`"steps":[{"percent":1e300,"seconds":1}]`), 422, "invalid"},
		{"POST", "/apps/badge/rollouts", start(`"steps":[{"percent":1,"seconds":-1}]`), 422, "invalid"},
		{"POST", "/apps/badge/rollouts", start(`"window":{"from":"24:00","to":"01:00"}`), 422, "invalid"},
		{"POST", "/apps/badge/rollouts", start(`"window":{"from":"23:00","to":"01:00","days":[7]}`), 422, "invalid"},
		{"POST", "/apps/badge/rollouts", start(`"timeoutSeconds":9223372036854775807`), 422, "invalid"},
		{"POST", "/apps/badge/boards/change", `{"ids":[` + strings.Repeat(`"x",`, 1000) + `"x"]}`, 422, "invalid"},
		{"POST", "/apps/badge/board/a%2fb/token", ``, 422, "invalid"},
		{"POST", "/tokens", `{"name":"x","scope":"odd"}`, 422, "invalid"},
		{"POST", "/tokens", `{"name":"x","scope":"read","days":99999}`, 422, "invalid"},
		{"DELETE", "/tokens/99", ``, 404, "not found"},
		{"PUT", "/apps/badge/blobs/..%2f..%2fx", `x`, 422, "invalid"},
		{"PUT", "/apps/badge/blobs/" + blob.SumOf(nil).String(), `x`, 422, "content"},
		{"POST", "/apps/badge/releases", `{"statement":"x","manifest":"","keysets":[]}`, 422, "release"},
	} {
		a := r.call(c.method, api.Path+c.path, token, c.body)
		var e api.Error
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.status != c.status || e.Error != c.word || e.Message == "" {
			t.Errorf("%s %s %.80s: %d %s", c.method, c.path, c.body, a.status, a.body)
		}
	}
	if a := r.call("POST", api.Path+"/apps", token, `{"name":"`+strings.Repeat("x", manifest.MaxBytes+1<<20)+`"}`); a.status != http.StatusBadRequest && a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a request without end: %d %s", a.status, a.body)
	}
	if log := r.log.String(); strings.Contains(log, "level=ERROR") {
		t.Error(log)
	}
}
