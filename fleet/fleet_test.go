package fleet_test

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/release"
)

// newApp returns an app that Check accepts.
func newApp() fleet.App {
	var key release.PublicKey
	copy(key[:], ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey))
	return fleet.App{
		Name:       "badge",
		Root:       &release.Keyset{App: "badge", Version: 1, Threshold: 1, Keys: []release.PublicKey{key}},
		PollPeriod: fleet.DefaultPollPeriod,
		Enrolment:  fleet.Enrolment{Secret: make([]byte, 32)},
	}
}

func TestAppCheck(t *testing.T) {
	app := newApp()
	if err := app.Check(); err != nil {
		t.Error(err)
	}
	for why, spoil := range map[string]func(*fleet.App){
		"is empty":            func(a *fleet.App) { a.Name = "" },
		"no public keys":      func(a *fleet.App) { a.Root = nil },
		`application "other"`: func(a *fleet.App) { a.Root.App = "other" },
		"poll every 0s":       func(a *fleet.App) { a.PollPeriod = 0 },
		"poll every 1000h":    func(a *fleet.App) { a.PollPeriod = 1000 * 3600e9 },
		"negative":            func(a *fleet.App) { a.Enrolment.MaxBoards = -1 },
		"31 bytes":            func(a *fleet.App) { a.Enrolment.Secret = make([]byte, 31) },
		"threshold":           func(a *fleet.App) { a.Root.Threshold = 2 },
	} {
		app := newApp()
		spoil(&app)
		if err := app.Check(); !errors.Is(err, fleet.ErrInvalid) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "stable 2", "β", strings.Repeat("n", 64)} {
		if err := fleet.CheckName("it", name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", " a", "a ", "a\nb", "\xff", "\ufffd", "\u0085", strings.Repeat("n", 65)} {
		if err := fleet.CheckName("it", name); !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTags(t *testing.T) {
	messy := []string{"b", "a", "b"}
	tags := fleet.SortTags(messy)
	if d := cmp.Diff([]string{"a", "b"}, tags); d != "" {
		t.Error(d)
	}
	if err := fleet.CheckTags(tags); err != nil {
		t.Error(err)
	}
	for _, tags := range [][]string{messy, {"a", "a"}, {""}, make([]string, 33)} {
		if err := fleet.CheckTags(tags); !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("%q: %v", tags, err)
		}
	}
}
