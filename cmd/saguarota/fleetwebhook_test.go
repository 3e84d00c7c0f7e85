package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cactuscon/saguarota/fleet/httpapi"
)

// Webhooks from the command line: added, tested, told, disabled by nobody, removed.
func TestWebhookCommands(t *testing.T) {
	f := newFleetRig(t)
	var status atomic.Int64
	status.Store(200)
	got := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get(httpapi.SignatureHeader) == "" {
			t.Errorf("%v, %v", r.Header, err)
		}
		got <- string(body)
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(receiver.Close)
	matches := func(args []string, want int, pattern string) {
		t.Helper()
		status, out := f.try(args...)
		if status != want || !regexp.MustCompile("(?m)"+pattern).MatchString(out) {
			t.Errorf("%q: status %d, %s", args, status, out)
		}
	}
	matches([]string{"fleet", "webhook", "add", receiver.URL + "/hook", "--event", "release.published,board.undone", "--app", "badge"}, 0, `^whsec_[\w-]{43}$`)
	matches([]string{"fleet", "webhook", "list"}, 0, `^1 +http://127.* +badge +board.undone,release.published +0 +told$`)
	matches([]string{"fleet", "webhook", "test", "1"}, 0, `^webhook 1: it was told, and answered 200$`)
	if body := <-got; !strings.Contains(body, `"event":"test"`) {
		t.Errorf("told %s", body)
	}
	f.release(100, map[string]string{"main.py": "one"})
	if body := <-got; !strings.Contains(body, `"event":"release.published"`) {
		t.Errorf("told %s", body)
	}
	status.Store(500)
	matches([]string{"fleet", "webhook", "test", "1"}, 1, `^saguarota: webhook 1 was not told: the answer is 500 Internal Server Error\nhint: it is tried again; "saguarota fleet webhook log 1" shows`)
	matches([]string{"fleet", "webhook", "log", "1"}, 0, `^3 +test +20\S+ +1 +500 +again at 20\S+: the answer is 500`)
	matches([]string{"fleet", "webhook", "log", "1"}, 0, `^1 +test +20\S+ +1 +200 +told$`)
	matches([]string{"fleet", "webhook", "list"}, 0, ` 1 +told$`)
	matches([]string{"fleet", "webhook", "enable", "1"}, 0, `^webhook 1: enabled$`)
	matches([]string{"fleet", "webhook", "list"}, 0, ` 0 +told$`)
	matches([]string{"fleet", "webhook", "remove", "1"}, 0, `^webhook 1: removed$`)

	matches([]string{"fleet", "webhook", "remove", "1"}, 1, `not found: there is no webhook 1$`)
	matches([]string{"fleet", "webhook", "test", "1"}, 1, `not found: there is no webhook 1$`)
	matches([]string{"fleet", "webhook", "test", "first"}, 1, `^hint: "saguarota fleet webhook list" lists them$`)
	matches([]string{"fleet", "webhook", "add", "example.com"}, 1, `is an http or https URL`)
	matches([]string{"fleet", "webhook", "add", "https://example.com", "--event", "moon.full"}, 1, `there is no event "moon.full"; there are release.published,`)
	matches([]string{"fleet", "webhook", "add", "https://example.com", "--app", "nope"}, 1, `not found: the application "nope"`)
	matches([]string{"fleet", "webhook", "add"}, 1, `^hint: type "saguarota fleet webhook add URL"$`)
}
