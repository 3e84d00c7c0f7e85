package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// newWebhook adds a webhook of all applications for some events.
func newWebhook(t testing.TB, s fleet.Store, events ...fleet.Event) fleet.Webhook {
	t.Helper()
	w, err := fleet.NewWebhook([32]byte{1}, "https://example.com/secret-path", "", events, noon)
	must(t, err)
	w, err = s.AddWebhook(t.Context(), ada, w)
	must(t, err)
	return w
}

// claimed returns the deliveries of one webhook that can be claimed at a time.
func claimed(t testing.TB, s fleet.Store, id int64, now time.Time) []fleet.Delivery {
	t.Helper()
	claims, err := s.ClaimDeliveries(t.Context(), now, 100, nil)
	must(t, err)
	for _, c := range claims {
		if c.Webhook.ID == id {
			return c.Deliveries
		}
	}
	return nil
}

// told returns what a webhook was or is to be told, the oldest first.
func told(t testing.TB, s fleet.Store, id int64) (list []string) {
	t.Helper()
	deliveries, err := s.Deliveries(t.Context(), id, 0, 1000)
	must(t, err)
	slices.Reverse(deliveries)
	for _, d := range deliveries {
		var b fleet.EventBody
		must(t, json.Unmarshal(d.Body, &b))
		if b.Event != d.Event {
			t.Errorf("delivery %d of %s says that it is %s", d.ID, d.Event, b.Event)
		}
		list = append(list, fmt.Sprintf("%s %s %s %s", b.Event, b.App, b.Object, b.Actor))
	}
	return list
}

func testWebhooks(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	first := newWebhook(t, s)
	second := newWebhook(t, s, fleet.EventRolloutHalted, fleet.EventBoardUndone)
	list, err := s.Webhooks(ctx)
	must(t, err)
	diff(t, "the webhooks", []fleet.Webhook{first, second}, list)

	bad := first
	bad.URL = "ftp://example.com/"
	_, err = s.AddWebhook(ctx, ada, bad)
	want(t, "an address that is none", err, fleet.ErrInvalid)
	other := first
	other.App = "nope"
	_, err = s.AddWebhook(ctx, ada, other)
	want(t, "an app that there is not", err, fleet.ErrNotFound)
	want(t, "enabling one that there is not", s.EnableWebhook(ctx, ada, 99), fleet.ErrNotFound)
	want(t, "removing one that there is not", s.RemoveWebhook(ctx, ada, 99), fleet.ErrNotFound)
	_, err = s.TestWebhook(ctx, ada, 99)
	want(t, "testing one that there is not", err, fleet.ErrNotFound)

	// Another server sees it, with its deliveries; neither its secret nor its path is in
	// the log.
	id, err := s.TestWebhook(ctx, ada, second.ID)
	must(t, err)
	again := open(t)
	if got := claimed(t, again, second.ID, noon); len(got) != 1 || got[0].ID != id || got[0].Attempts != 1 || got[0].Event != fleet.EventTest {
		t.Errorf("claimed %+v", got)
	}
	must(t, s.RemoveWebhook(ctx, ada, second.ID))
	if got, err := again.Deliveries(ctx, second.ID, 0, 10); err != nil || len(got) != 0 {
		t.Errorf("of one that was removed: %+v, %v", got, err)
	}
	// What is under way ends without a word.
	must(t, again.EndDelivery(ctx, noon, fleet.Delivery{ID: id, Webhook: second.ID, Attempts: 1}))
	audit, err := s.Audit(ctx, "", 0, 100)
	must(t, err)
	actions := 0
	for _, e := range audit {
		if strings.HasPrefix(e.Action, "webhook.") {
			actions++
		}
		text := e.Object + string(e.Before) + string(e.After)
		if strings.Contains(text, first.Secret) || strings.Contains(text, "secret-path") {
			t.Errorf("the log has %s", text)
		}
	}
	if actions != 3 {
		t.Errorf("%d entries of webhooks", actions)
	}

	for range fleet.MaxWebhooks - 1 {
		newWebhook(t, s)
	}
	_, err = s.AddWebhook(ctx, ada, first)
	want(t, "one too many", err, fleet.ErrFull)
}

func testWebhookEvents(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	must(t, s.AddApp(ctx, ada, NewApp("sensor")))
	all := newWebhook(t, s)
	halts := newWebhook(t, s, fleet.EventRolloutHalted, fleet.EventReleaseWithdrawn)
	w, err := fleet.NewWebhook([32]byte{2}, "https://example.com/", "sensor", nil, noon)
	must(t, err)
	sensor, err := s.AddWebhook(ctx, ada, w)
	must(t, err)

	must(t, s.AddRelease(ctx, ada, NewRelease(t, "badge", 3), nil))
	must(t, s.AddRelease(ctx, ada, NewRelease(t, "badge", 3), nil)) // nothing new
	must(t, s.SetChannel(ctx, ada, "badge", "beta", 3))
	ro, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) {
		r.Plan.Steps = []fleet.Step{{Share: 100, Every: time.Hour}, {Share: fleet.All, Every: time.Hour}}
	}))
	must(t, err)
	steer := func(f func(fleet.Rollout) (fleet.Rollout, error)) {
		t.Helper()
		_, err := s.ChangeRollout(ctx, ada, ro.ID, f)
		must(t, err)
	}
	steer(func(r fleet.Rollout) (fleet.Rollout, error) { return r.Pause("wait") })
	steer(func(r fleet.Rollout) (fleet.Rollout, error) { return r.Resume(noon) })
	_, err = s.Advance(ctx, noon.Add(time.Hour))
	must(t, err)
	_, err = s.Advance(ctx, noon.Add(2*time.Hour))
	must(t, err)
	for _, withdrawn := range []bool{true, false} {
		must(t, s.ChangeRelease(ctx, ada, "badge", 3, func(r *fleet.Release) error { r.Withdrawn = withdrawn; return nil }))
	}
	must(t, s.AddRelease(ctx, ada, NewRelease(t, "sensor", 1), nil))
	// What fails tells nobody.
	want(t, "an older release", s.AddRelease(ctx, ada, NewRelease(t, "badge", 0), nil), fleet.ErrOlder)
	want(t, "a channel of nothing", s.SetChannel(ctx, ada, "badge", "beta", 99), fleet.ErrNotFound)

	id := fmt.Sprint(ro.ID)
	diff(t, "told all", []string{
		"release.published badge 3 ada",
		"channel.set badge beta ada",
		"rollout.started badge " + id + " ada",
		"rollout.paused badge " + id + " ada",
		"rollout.resumed badge " + id + " ada",
		"rollout.step badge " + id + " rule",
		"rollout.finished badge " + id + " rule",
		"release.withdrawn badge 3 ada",
		"release.published sensor 1 ada",
	}, told(t, s, all.ID))
	diff(t, "told one that wants two events", []string{"release.withdrawn badge 3 ada"}, told(t, s, halts.ID))
	diff(t, "told one of another application", []string{"release.published sensor 1 ada"}, told(t, s, sensor.ID))
}

func testWebhookBoardEvents(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	all := newWebhook(t, s)
	boards := newWebhook(t, s, fleet.EventBoardUndone, fleet.EventBoardFailed, fleet.EventBoardTimedOut, fleet.EventRolloutHalted)
	ro, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) {
		r.Plan.Timeout = time.Hour
		r.Plan.Halt = fleet.HaltRule{Percent: 1, AtLeast: 3, Kind: fleet.KindAll}
	}))
	must(t, err)
	report := func(id, state, code string, version int64) fleet.Report {
		return fleet.Report{ID: id, Version: version, State: state, Error: code, Board: "Pico W", Free: -1}
	}
	for _, r := range []fleet.Report{
		report("b1", "idle", "", 1), report("b2", "idle", "", 1), report("b3", "idle", "", 1), report("b4", "idle", "", 1),
		report("b1", "confirm_pending", "", 2), report("b1", "idle", "trial_failed", 1),
		report("b2", "idle", "download_failed", 1),
		report("b4", "idle", "", 2),
	} {
		_, err := poll(t, s, r, noon)
		must(t, err)
	}
	_, err = s.Advance(ctx, noon.Add(time.Hour))
	must(t, err)
	diff(t, "told of boards", []string{
		"board.undone badge b1 board", "board.failed badge b2 board", "rollout.halted badge " + fmt.Sprint(ro.ID) + " rule",
		"board.timed_out badge b3 board",
	}, told(t, s, boards.ID))
	if got := told(t, s, all.ID); slices.ContainsFunc(got, func(e string) bool { return strings.HasPrefix(e, "board.") }) {
		t.Errorf("one that named no events is told %q", got)
	}
	deliveries, err := s.Deliveries(ctx, boards.ID, 0, 10)
	must(t, err)
	if body := string(deliveries[len(deliveries)-1].Body); !strings.Contains(body, fmt.Sprintf(`"after":{"rollout":%d,"target":2,"version":1,"error":"trial_failed","board":"Pico W"}`, ro.ID)) {
		t.Errorf("the body is %s", body)
	}
}

// A board that fails again and again at one version is told of once.
func testWebhookBoardEventsOnce(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	w := newWebhook(t, s, fleet.EventBoardUndone, fleet.EventBoardFailed, fleet.EventBoardTimedOut)
	start := func(version int64) fleet.Rollout {
		t.Helper()
		r, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) {
			r.Version, r.Plan.Timeout = version, time.Hour
			r.Plan.Steps[0].Every = 0
		}))
		must(t, err)
		return r
	}
	alternate := func() {
		t.Helper()
		for range 3 {
			for _, r := range []fleet.Report{
				{ID: "b1", Version: 1, State: "idle"},
				{ID: "b1", Version: 1, State: "installing"},
				{ID: "b1", Version: 1, State: "installing", Error: "download_failed"},
				{ID: "b1", Version: 1, State: "installing"},
			} {
				_, err := poll(t, s, r, noon)
				must(t, err)
			}
			_, err := s.Advance(ctx, noon.Add(time.Hour))
			must(t, err)
		}
	}
	abort := func(r fleet.Rollout) {
		t.Helper()
		_, err := s.ChangeRollout(ctx, ada, r.ID, func(r fleet.Rollout) (fleet.Rollout, error) { return r.Abort("") })
		must(t, err)
	}
	once := []string{"board.failed badge b1 board", "board.timed_out badge b1 board"}
	r := start(2)
	alternate()
	diff(t, "told", once, told(t, s, w.ID))
	abort(r)
	r = start(2) // of the same version
	alternate()
	diff(t, "told of the same version again", once, told(t, s, w.ID))
	abort(r)
	must(t, s.AddRelease(ctx, ada, NewRelease(t, "badge", 3), nil))
	start(3)
	alternate()
	diff(t, "told of the next version", append(once, once...), told(t, s, w.ID))
}

// Any number of servers tell each webhook of each event once, as long as none is killed.
func testWebhookClaims(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	w, other := newWebhook(t, s), newWebhook(t, s)
	const events = 40
	for range events {
		_, err := s.TestWebhook(ctx, ada, w.ID)
		must(t, err)
		_, err = s.TestWebhook(ctx, ada, other.ID)
		must(t, err)
	}
	if claims, err := s.ClaimDeliveries(ctx, noon.Add(-time.Second), 10, nil); err != nil || len(claims) != 0 {
		t.Errorf("before they are due: %+v, %v", claims, err)
	}
	stores := []fleet.Store{s, open(t), open(t)}
	var mu sync.Mutex
	got := map[int64]int{}
	var wait sync.WaitGroup
	for _, store := range stores {
		wait.Go(func() {
			for {
				claims, err := store.ClaimDeliveries(ctx, noon, 3, []int64{other.ID})
				if err != nil {
					t.Error(err)
					return
				}
				if len(claims) == 0 {
					return
				}
				for _, c := range claims {
					if c.Webhook.Secret != w.Secret || c.Webhook.ID != w.ID || len(c.Deliveries) > 3 {
						t.Errorf("claimed %+v", c)
					}
					for _, d := range c.Deliveries {
						mu.Lock()
						got[d.ID]++
						mu.Unlock()
						if err := store.EndDelivery(ctx, noon, d.Ended(noon, 200, "", 0)); err != nil {
							t.Error(err)
						}
					}
				}
			}
		})
	}
	wait.Wait()
	if len(got) != events {
		t.Errorf("%d of %d were claimed", len(got), events)
	}
	for id, n := range got {
		if n != 1 {
			t.Errorf("delivery %d was claimed %d times", id, n)
		}
	}
	// A server that claimed some and was killed: after the lease they are another's.
	late := claimed(t, s, other.ID, noon)
	if len(late) != events {
		t.Fatalf("%d are claimed", len(late))
	}
	if again := claimed(t, stores[1], other.ID, noon.Add(fleet.Lease-time.Second)); len(again) != 0 {
		t.Errorf("%d are claimed twice", len(again))
	}
	again := claimed(t, stores[1], other.ID, noon.Add(fleet.Lease))
	if len(again) != events || again[0].Attempts != 2 {
		t.Errorf("after the lease %d are claimed", len(again))
	}
	// Who comes late with how it ended does not end what another is at.
	must(t, s.EndDelivery(ctx, noon, late[0].Ended(noon, 200, "", 0)))
	list, err := s.Deliveries(ctx, other.ID, 0, 1000)
	must(t, err)
	for _, d := range list {
		if !d.Done.IsZero() {
			t.Errorf("delivery %d is done", d.ID)
		}
	}
}

func testWebhookFailures(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	w := newWebhook(t, s)
	_, err := s.TestWebhook(ctx, ada, w.ID)
	must(t, err)
	now := noon
	state := func() fleet.Webhook {
		t.Helper()
		list, err := s.Webhooks(ctx)
		must(t, err)
		return list[0]
	}
	fail := func() {
		t.Helper()
		got := claimed(t, s, w.ID, now)
		if len(got) != 1 {
			t.Fatalf("claimed %+v at %v", got, now)
		}
		next := got[0].Ended(now, 500, "the answer is 500", 0.5)
		must(t, s.EndDelivery(ctx, now, next))
		if !next.Done.IsZero() {
			_, err := s.TestWebhook(ctx, fleet.Actor{Name: "ada", At: now}, w.ID)
			must(t, err)
			return
		}
		if early := claimed(t, s, w.ID, next.Due.Add(-time.Millisecond)); len(early) != 0 {
			t.Fatalf("tried again before it is due: %+v", early)
		}
		now = next.Due
	}
	fail()
	if got := state(); got.Failures != 1 || !got.Failing.Equal(noon) || !got.Disabled.IsZero() {
		t.Errorf("after a failure: %+v", got)
	}
	for state().Disabled.IsZero() {
		fail()
		if now.Sub(noon) > 48*time.Hour {
			t.Fatal("it is not disabled")
		}
	}
	got := state()
	if got.Failures < fleet.MaxAttempts || now.Sub(noon) < 24*time.Hour || !strings.Contains(got.Reason, "500") {
		t.Errorf("disabled as %+v", got)
	}
	// It is told nothing, neither what waits nor what happens; the first of these it is
	// told when it is enabled.
	must(t, s.SetChannel(ctx, ada, "badge", "beta", 2))
	if late := claimed(t, s, w.ID, now.Add(1000*time.Hour)); len(late) != 0 {
		t.Errorf("while it is disabled: %+v", late)
	}
	_, err = s.TestWebhook(ctx, ada, w.ID)
	want(t, "testing a disabled one", err, fleet.ErrState)
	must(t, s.EnableWebhook(ctx, fleet.Actor{Name: "ada", At: now}, w.ID))
	if late := claimed(t, s, w.ID, now); len(late) != 1 || late[0].Event != fleet.EventTest {
		t.Errorf("enabled again: %+v", late)
	}
	if got := state(); got.Failures != 0 || !got.Disabled.IsZero() || got.Reason != "" {
		t.Errorf("enabled again: %+v", got)
	}
	// What is done is forgotten after a month.
	before, err := s.Deliveries(ctx, w.ID, 0, 1000)
	must(t, err)
	month := now.Add(32 * 24 * time.Hour)
	for _, d := range claimed(t, s, w.ID, month) {
		must(t, s.EndDelivery(ctx, month, d.Ended(month, 200, "", 0)))
	}
	after, err := s.Deliveries(ctx, w.ID, 0, 1000)
	must(t, err)
	if len(after) >= len(before) || len(after) != 1 {
		t.Errorf("%d deliveries before, %d after a month", len(before), len(after))
	}
}
