// Package storetest is what every fleet.Store must pass.
package storetest

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/release"
)

// Run tests stores. Each call of fresh makes an empty database and returns what
// opens it, also several times at once, as several servers do. Stores are closed by
// who opened them.
func Run(t *testing.T, fresh func(t *testing.T) func(t *testing.T) fleet.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, open func(t *testing.T) fleet.Store)
	}{
		{"Apps", testApps},
		{"Releases", testReleases},
		{"Keysets", testKeysets},
		{"Channels", testChannels},
		{"Rollouts", testRollouts},
		{"RolloutOperations", testRolloutOperations},
		{"AdvanceOnce", testAdvanceOnce},
		{"TimeOut", testTimeOut},
		{"CheckIn", testCheckIn},
		{"CheckInConflicts", testCheckInConflicts},
		{"Enrolment", testEnrolment},
		{"MaxUpdating", testMaxUpdating},
		{"MaxUpdatingAgain", testMaxUpdatingAgain},
		{"MaxUpdatingAgainElsewhere", testMaxUpdatingAgainElsewhere},
		{"AgainTimesOut", testAgainTimesOut},
		{"AgainEnds", testAgainEnds},
		{"Halt", testHalt},
		{"ForgivenRecover", forgivenRecover},
		{"ForgivenLater", forgivenLater},
		{"ForgivenOthers", forgivenOthers},
		{"WithdrawnInRollout", testWithdrawnInRollout},
		{"OlderRollout", testOlderRollout},
		{"RolloutAudit", testRolloutAudit},
		{"Seen", testSeen},
		{"Boards", testBoards},
		{"ChangeBoards", testChangeBoards},
		{"AddBoard", testAddBoard},
		{"DeleteBoards", testDeleteBoards},
		{"DeleteRevokedBoards", testDeleteRevokedBoards},
		{"Counts", testCounts},
		{"Snapshot", testSnapshot},
		{"SnapshotChanges", testSnapshotChanges},
		{"Tokens", testTokens},
		{"Audit", testAudit},
		{"Webhooks", testWebhooks},
		{"WebhookEvents", testWebhookEvents},
		{"WebhookBoardEvents", testWebhookBoardEvents},
		{"WebhookBoardEventsOnce", testWebhookBoardEventsOnce},
		{"WebhookClaims", testWebhookClaims},
		{"WebhookFailures", testWebhookFailures},
		{"OpenedAtOnce", testOpenedAtOnce},
		{"Closed", testClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, fresh(t))
		})
	}
}

// noon is when these tests play.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// ada is who changes things.
var ada = fleet.Actor{Name: "ada", At: noon}

// sameEmpty compares nothing with an empty list as people do.
var sameEmpty = cmpopts.EquateEmpty()

// NewApp returns an application that can be added.
func NewApp(name string) fleet.App {
	var key release.PublicKey
	copy(key[:], ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey))
	return fleet.App{
		Name:       name,
		Root:       &release.Keyset{App: name, Version: 1, Threshold: 1, Keys: []release.PublicKey{key}},
		PollPeriod: 10 * time.Minute,
		Enrolment:  fleet.Enrolment{Secret: []byte("0123456789abcdef0123456789abcdef")},
	}
}

// NewRelease returns a release of keyset 1; its statement is not signed.
func NewRelease(t testing.TB, app string, version int64, change ...func(*release.Statement)) *fleet.Release {
	t.Helper()
	s := release.Statement{App: app, Version: version, Keyset: 1, Manifest: release.PinOf([]byte(fmt.Sprint(version)))}
	for _, f := range change {
		f(&s)
	}
	doc, err := s.Document()
	if err != nil {
		t.Fatal(err)
	}
	return &fleet.Release{Statement: s, Signed: doc.Bytes(), Published: noon}
}

// NewRollout returns a rollout of version 2 to all boards of "stable".
func NewRollout(app string, change ...func(*fleet.Rollout)) fleet.Rollout {
	r := fleet.Rollout{
		App: app, Channel: "stable", Version: 2,
		Plan: fleet.Plan{Salt: "salt", Start: noon, Steps: []fleet.Step{{Share: fleet.All, Every: time.Hour}}},
	}
	for _, f := range change {
		f(&r)
	}
	return r
}

// must fails the test where there is an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want reports an error other than the expected one.
func want(t testing.TB, what string, err, expected error) {
	t.Helper()
	if !errors.Is(err, expected) || expected == nil && err != nil {
		t.Errorf("%s: %v, want %v", what, err, expected)
	}
}

// begin returns a store that has the app "badge" with versions 1 and 2, of which
// the channel stable holds 1.
func begin(t *testing.T, open func(t *testing.T) fleet.Store) fleet.Store {
	t.Helper()
	s := open(t)
	must(t, s.AddApp(t.Context(), ada, NewApp("badge")))
	for v := int64(1); v <= 2; v++ {
		must(t, s.AddRelease(t.Context(), ada, NewRelease(t, "badge", v), nil))
	}
	must(t, s.SetChannel(t.Context(), ada, "badge", "stable", 1))
	return s
}

// newBoard returns the check-in of a board that is new and runs version 1.
func newBoard(id string) fleet.CheckIn {
	return fleet.CheckIn{App: "badge", New: true, Board: fleet.Board{
		ID: id, FirstSeen: noon, LastSeen: noon,
		Report: fleet.Report{ID: id, Version: 1, State: "idle", Board: "Pico W", MicroPython: "1.26.1", Lib: "2.0", Free: 1000},
	}}
}

// poll lets a board poll as a server does, and returns what is decided and stored.
// The error is that of CheckIn; then nothing is.
func poll(t testing.TB, s fleet.Store, r fleet.Report, now time.Time) (fleet.Decision, error) {
	t.Helper()
	snap, err := s.Snapshot(t.Context(), nil)
	must(t, err)
	b, err := s.Board(t.Context(), "badge", r.ID)
	c := fleet.CheckIn{App: "badge"}
	if errors.Is(err, fleet.ErrNotFound) {
		c.New, b = true, &fleet.Board{ID: r.ID, FirstSeen: now}
	} else {
		must(t, err)
	}
	d := snap.Views["badge"].Decide(now, b, &r, 0)
	c.Before, c.Moves, c.Board = b.Task, d.Moves, *b
	c.Board.Report, c.Board.Task, c.Board.LastSeen = r, d.Task, now
	return d, s.CheckIn(t.Context(), c)
}

// rollout reads a rollout.
func rollout(t testing.TB, s fleet.Store, id int64) fleet.Rollout {
	t.Helper()
	r, err := s.Rollout(t.Context(), id)
	must(t, err)
	return r
}

// diff reports a difference.
func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, sameEmpty); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
