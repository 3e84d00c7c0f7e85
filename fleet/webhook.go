package fleet

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Event is something that webhooks are told of.
type Event string

const (
	EventReleasePublished Event = "release.published"
	EventReleaseWithdrawn Event = "release.withdrawn"
	EventChannelSet       Event = "channel.set"      // a release was given to a channel, at once
	EventRolloutStarted   Event = "rollout.started"  //
	EventRolloutStep      Event = "rollout.step"     // it went on to its next step
	EventRolloutPaused    Event = "rollout.paused"   //
	EventRolloutResumed   Event = "rollout.resumed"  //
	EventRolloutHalted    Event = "rollout.halted"   // by its rule
	EventRolloutAborted   Event = "rollout.aborted"  // by a person
	EventRolloutFinished  Event = "rollout.finished" // its release is the channel's
	EventBoardUndone      Event = "board.undone"     // a board has gone back from a release
	EventBoardFailed      Event = "board.failed"     // a board could not install a release
	EventBoardTimedOut    Event = "board.timed_out"  // a board was not heard of in time
	EventTest             Event = "test"             // somebody has asked for it
)

// Events are all events that a webhook can be for.
var Events = []Event{
	EventReleasePublished, EventReleaseWithdrawn, EventChannelSet,
	EventRolloutStarted, EventRolloutStep, EventRolloutPaused, EventRolloutResumed, EventRolloutHalted, EventRolloutAborted, EventRolloutFinished,
	EventBoardUndone, EventBoardFailed, EventBoardTimedOut,
}

// RolloutEvent returns what it is called that a rollout has become after from before,
// "" if it is nothing.
func RolloutEvent(before, after RolloutState, stepped bool) Event {
	if before == after {
		if stepped {
			return EventRolloutStep
		}
		return ""
	}
	switch after {
	case Running:
		return EventRolloutResumed
	case Paused:
		return EventRolloutPaused
	case Halted:
		return EventRolloutHalted
	case Aborted:
		return EventRolloutAborted
	case Done:
		return EventRolloutFinished
	}
	return ""
}

// BoardEvent returns what it is called that a board comes to a stage, "" if it is
// nothing.
func BoardEvent(s Stage) Event {
	switch s {
	case Undone:
		return EventBoardUndone
	case Failed:
		return EventBoardFailed
	case TimedOut:
		return EventBoardTimedOut
	}
	return ""
}

// A Webhook is an address that is told of events.
type Webhook struct {
	ID     int64
	URL    string  // http or https
	App    string  // "": of all applications
	Events []Event // none: of all but those of boards, which may be many
	// Secret is what deliveries are signed with. A signature takes the secret itself,
	// so it is kept as it is, and not as a hash.
	Secret  string
	Created time.Time

	Failures int       // in a row, of attempts
	Failing  time.Time // since when there was nothing else; zero: it works
	Disabled time.Time // it is told nothing any more; zero: it is
	Reason   string    // why
}

// MaxWebhooks is how many webhooks there can be.
const MaxWebhooks = 100

const (
	maxWebhookURL = 2048
	webhookPrefix = "whsec_"
)

// NewWebhook makes a webhook with a secret of 32 random bytes.
func NewWebhook(random [32]byte, address, app string, events []Event, now time.Time) (Webhook, error) {
	w := Webhook{URL: address, App: app, Created: now, Secret: webhookPrefix + base64.RawURLEncoding.EncodeToString(random[:])}
	w.Events = slices.Clone(events)
	slices.Sort(w.Events)
	w.Events = slices.Compact(w.Events)
	return w, w.Check()
}

// Check reports whether w can be a webhook. The error is ErrInvalid.
func (w *Webhook) Check() error {
	u, err := url.Parse(w.URL)
	switch {
	case len(w.URL) > maxWebhookURL:
		return fmt.Errorf("%w: a webhook's address of %d bytes, more than %d", ErrInvalid, len(w.URL), maxWebhookURL)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return fmt.Errorf("%w: a webhook's address is an http or https URL, such as https://example.com/hook", ErrInvalid)
	case u.User != nil:
		return fmt.Errorf("%w: a webhook's address holds a name or password; what comes from here is known by its signature", ErrInvalid)
	case u.Fragment != "":
		return fmt.Errorf("%w: a webhook's address has a part behind #, which is never sent", ErrInvalid)
	}
	for _, e := range w.Events {
		if !slices.Contains(Events, e) {
			return fmt.Errorf("%w: there is no event %q; there are %s", ErrInvalid, e, eventNames())
		}
	}
	if w.App != "" {
		return CheckName("the application's name", w.App)
	}
	return nil
}

func eventNames() string {
	var names []string
	for _, e := range Events {
		names = append(names, string(e))
	}
	return strings.Join(names, ", ")
}

// Host returns where the address leads, for logs: paths of webhooks often are secrets.
func (w *Webhook) Host() string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Wants reports whether the webhook is to be told of an event of an application.
func (w *Webhook) Wants(app string, e Event) bool {
	if !w.Disabled.IsZero() || w.App != "" && w.App != app {
		return false
	}
	if len(w.Events) == 0 {
		return !strings.HasPrefix(string(e), "board.")
	}
	return slices.Contains(w.Events, e)
}

// A Delivery is one event on its way to one webhook.
type Delivery struct {
	ID      int64
	Webhook int64
	Event   Event
	Body    []byte // JSON, without the delivery's ID
	Created time.Time

	Due      time.Time // when it is tried next
	Attempts int
	Done     time.Time // zero: it is still to be tried
	Status   int       // of the last answer; 0: there was none
	Problem  string    // of the last attempt; "": it succeeded, or was not tried yet
}

// A Claim is what one webhook is to be told now, by whoever has claimed it.
type Claim struct {
	Webhook    Webhook
	Deliveries []Delivery // the attempt that is to be made is counted already
}

// EventBody is what a webhook is told.
type EventBody struct {
	Event  Event           `json:"event"`
	At     time.Time       `json:"at"`
	App    string          `json:"app"`
	Actor  string          `json:"actor"` // name of a token; "rule"; "board" where a board reports
	Object string          `json:"object"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Encode returns the body as it is stored.
func (b EventBody) Encode() ([]byte, error) { return json.Marshal(b) }

// Content returns what is sent: the body, with the delivery's ID, by which a receiver
// knows what it has had already.
func (d *Delivery) Content() []byte {
	rest := strings.TrimPrefix(string(d.Body), "{")
	return []byte(`{"id":` + strconv.FormatInt(d.ID, 10) + "," + rest)
}

// SignWebhook returns the header that says who sent content, and when:
// "t=<Unix seconds>,v1=<hex>", of which the latter is the HMAC-SHA256 of the seconds, a
// dot and the content.
func SignWebhook(secret string, at time.Time, content []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(content)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// How webhooks are tried again.
const (
	MaxAttempts = 20 // of one delivery, within some twelve hours

	// A webhook is disabled that for so long has had nothing but failures, at least so
	// many.
	disableAfter    = 24 * time.Hour
	disableFailures = MaxAttempts

	// Lease is for how long a delivery is a server's alone; then another one tries. It
	// is longer than an attempt takes.
	Lease = time.Minute

	firstRetry = 10 * time.Second
	lastRetry  = time.Hour
)

// Retry returns after which time to try again what has failed so many times; jitter, from
// 0 up to but not 1, spreads what failed at once.
func Retry(attempts int, jitter float64) time.Duration {
	wait := lastRetry
	if n := max(0, attempts-1); n < 16 {
		wait = min(lastRetry, firstRetry<<n)
	}
	return spread(wait, jitter)
}

// Ended returns the delivery after an attempt: problem "" if it has succeeded.
func (d Delivery) Ended(now time.Time, status int, problem string, jitter float64) Delivery {
	d.Status, d.Problem = status, problem
	if problem == "" || d.Attempts >= MaxAttempts {
		d.Done = now
		return d
	}
	d.Due = now.Add(Retry(d.Attempts, jitter))
	return d
}

// Ended returns the webhook after an attempt.
func (w Webhook) Ended(now time.Time, problem string) Webhook {
	if problem == "" {
		w.Failures, w.Failing = 0, time.Time{}
		return w
	}
	w.Failures++
	if w.Failing.IsZero() {
		w.Failing = now
	}
	if w.Disabled.IsZero() && w.Failures >= disableFailures && now.Sub(w.Failing) >= disableAfter {
		w.Disabled = now
		w.Reason = fmt.Sprintf("nothing but failures since %s; the last: %s", w.Failing.UTC().Format(time.RFC3339), problem)
	}
	return w
}

// Enabled returns the webhook as it is told again.
func (w Webhook) Enabled() Webhook {
	w.Failures, w.Failing, w.Disabled, w.Reason = 0, time.Time{}, time.Time{}, ""
	return w
}
