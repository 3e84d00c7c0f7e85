package fleet_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

func TestNewWebhook(t *testing.T) {
	w, err := fleet.NewWebhook([32]byte{1}, "https://example.com/hook?key=1", "badge", []fleet.Event{fleet.EventRolloutHalted, fleet.EventBoardUndone, fleet.EventRolloutHalted}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.Events, []fleet.Event{fleet.EventBoardUndone, fleet.EventRolloutHalted}) || !strings.HasPrefix(w.Secret, "whsec_AQAAA") || w.Host() != "https://example.com" {
		t.Errorf("%+v, at %s", w, w.Host())
	}
	for name, address := range map[string]string{
		"nothing":          "",
		"no scheme":        "example.com/hook",
		"another scheme":   "ftp://example.com/",
		"a file":           "file:///etc/passwd",
		"no host":          "http:///hook",
		"a port alone":     "http://:80/",
		"a password":       "https://me:secret@example.com/",
		"a fragment":       "https://example.com/#x",
		"a control":        "https://example.com/\n",
		"more than a line": "https://example.com/" + strings.Repeat("x", 2048),
	} {
		_, err := fleet.NewWebhook([32]byte{}, address, "", nil, noon)
		if !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
	if _, err := fleet.NewWebhook([32]byte{}, "https://example.com/", "", []fleet.Event{"rollout.exploded"}, noon); !errors.Is(err, fleet.ErrInvalid) {
		t.Errorf("an event that there is not: %v", err)
	}
	if _, err := fleet.NewWebhook([32]byte{}, "https://example.com/", "", []fleet.Event{fleet.EventTest}, noon); !errors.Is(err, fleet.ErrInvalid) {
		t.Errorf("the test event is for nobody to choose: %v", err)
	}
	if _, err := fleet.NewWebhook([32]byte{}, "https://example.com/", " badge", nil, noon); !errors.Is(err, fleet.ErrInvalid) {
		t.Errorf("an application that there cannot be: %v", err)
	}
}

func TestWebhookWants(t *testing.T) {
	all := fleet.Webhook{}
	some := fleet.Webhook{App: "badge", Events: []fleet.Event{fleet.EventBoardUndone}}
	off := fleet.Webhook{Disabled: noon}
	for _, c := range []struct {
		hook  fleet.Webhook
		app   string
		event fleet.Event
		want  bool
	}{
		{all, "badge", fleet.EventRolloutHalted, true},
		{all, "badge", fleet.EventBoardUndone, false}, // there may be many
		{some, "badge", fleet.EventBoardUndone, true},
		{some, "badge", fleet.EventBoardFailed, false},
		{some, "sensor", fleet.EventBoardUndone, false},
		{off, "badge", fleet.EventRolloutHalted, false},
	} {
		if got := c.hook.Wants(c.app, c.event); got != c.want {
			t.Errorf("%+v wants %s of %s: %v", c.hook, c.event, c.app, got)
		}
	}
}

func TestRolloutEvents(t *testing.T) {
	for _, c := range []struct {
		before, after fleet.RolloutState
		stepped       bool
		want          fleet.Event
	}{
		{fleet.Running, fleet.Running, true, fleet.EventRolloutStep},
		{fleet.Running, fleet.Running, false, ""},
		{fleet.Running, fleet.Paused, false, fleet.EventRolloutPaused},
		{fleet.Paused, fleet.Running, false, fleet.EventRolloutResumed},
		{fleet.Halted, fleet.Running, false, fleet.EventRolloutResumed},
		{fleet.Running, fleet.Halted, false, fleet.EventRolloutHalted},
		{fleet.Halted, fleet.Aborted, false, fleet.EventRolloutAborted},
		{fleet.Running, fleet.Done, false, fleet.EventRolloutFinished},
	} {
		if got := fleet.RolloutEvent(c.before, c.after, c.stepped); got != c.want {
			t.Errorf("from %s to %s: %q, want %q", c.before, c.after, got, c.want)
		}
	}
	for stage := fleet.Waiting; stage <= fleet.TimedOut; stage++ {
		bad := stage == fleet.Undone || stage == fleet.Failed || stage == fleet.TimedOut
		if got := fleet.BoardEvent(stage); (got != "") != bad {
			t.Errorf("%v is the event %q", stage, got)
		}
	}
}

// What receivers check must stay.
func TestSignWebhook(t *testing.T) {
	d := fleet.Delivery{ID: 17, Body: []byte(`{"event":"test"}`)}
	content := d.Content()
	if string(content) != `{"id":17,"event":"test"}` || !json.Valid(content) {
		t.Errorf("content %s", content)
	}
	// printf '1772452800.{"id":17,"event":"test"}' | openssl dgst -sha256 -hmac whsec_x
	const want = "t=1772452800,v1=5a560b1c6401e148f8f45b358f9a467dce765a4de5a06a51bc56d476b0519e05"
	if got := fleet.SignWebhook("whsec_x", noon, content); got != want {
		t.Errorf("signature %q, want %q", got, want)
	}
	for name, other := range map[string]string{
		"another secret":  fleet.SignWebhook("whsec_y", noon, content),
		"another time":    fleet.SignWebhook("whsec_x", noon.Add(time.Second), content),
		"another content": fleet.SignWebhook("whsec_x", noon, append(content, ' ')),
	} {
		if other[len("t=1772452800"):] == want[len("t=1772452800"):] {
			t.Errorf("%s has the same signature", name)
		}
	}
}

func TestRetry(t *testing.T) {
	last := time.Duration(0)
	for n := 1; n <= 100; n++ {
		low, high := fleet.Retry(n, 0), fleet.Retry(n, 0.999999)
		if low <= 0 || high <= low || high > 75*time.Minute || low < last {
			t.Errorf("after %d failures between %v and %v", n, low, high)
		}
		last = low
	}
	if first := fleet.Retry(1, 0.5); first != 10*time.Second {
		t.Errorf("first after %v", first)
	}
}

func TestDeliveryEnded(t *testing.T) {
	d := fleet.Delivery{ID: 1, Attempts: 1}
	if got := d.Ended(noon, 200, "", 0.5); !got.Done.Equal(noon) || got.Status != 200 || got.Problem != "" {
		t.Errorf("delivered: %+v", got)
	}
	if got := d.Ended(noon, 500, "the answer is 500", 0.5); !got.Done.IsZero() || !got.Due.Equal(noon.Add(10*time.Second)) || got.Status != 500 {
		t.Errorf("failed once: %+v", got)
	}
	d.Attempts = fleet.MaxAttempts
	if got := d.Ended(noon, 0, "no answer", 0.5); got.Done.IsZero() || got.Problem == "" {
		t.Errorf("failed for the last time: %+v", got)
	}
}

// A webhook is disabled when it has failed often and for long, not for one of these.
func TestWebhookEnded(t *testing.T) {
	w := fleet.Webhook{}
	for range 100 {
		w = w.Ended(noon, "no answer")
	}
	if !w.Disabled.IsZero() || w.Failures != 100 {
		t.Errorf("after many failures in one minute: %+v", w)
	}
	if one := (fleet.Webhook{Failures: 1, Failing: noon}).Ended(noon.Add(100*time.Hour), "no answer"); !one.Disabled.IsZero() {
		t.Errorf("after two failures: %+v", one)
	}
	if well := w.Ended(noon.Add(time.Hour), ""); well.Failures != 0 || !well.Failing.IsZero() {
		t.Errorf("after a success: %+v", well)
	}
	w = w.Ended(noon.Add(24*time.Hour), "no answer")
	if w.Disabled.IsZero() || !strings.Contains(w.Reason, "no answer") {
		t.Errorf("after a day of failures: %+v", w)
	}
	if w = w.Enabled(); !w.Disabled.IsZero() || w.Failures != 0 || w.Reason != "" {
		t.Errorf("enabled: %+v", w)
	}
}
