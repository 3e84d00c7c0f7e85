package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/release"
)

func testApps(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := open(t)
	ctx := t.Context()
	sensor, badge := NewApp("sensor"), NewApp("badge")
	badge.Enrolment.Tokens, badge.Enrolment.MaxBoards, badge.Enrolment.MaxPerMinute = true, 100, 10
	must(t, s.AddApp(ctx, ada, sensor))
	must(t, s.AddApp(ctx, ada, badge))
	want(t, "a second badge", s.AddApp(ctx, ada, NewApp("badge")), fleet.ErrExists)
	want(t, "no name", s.AddApp(ctx, ada, NewApp("")), fleet.ErrInvalid)

	must(t, s.ChangeApp(ctx, ada, "badge", func(a *fleet.App) error {
		a.PollPeriod, a.Enrolment.MaxBoards = time.Minute, 200
		return nil
	}))
	badge.PollPeriod, badge.Enrolment.MaxBoards = time.Minute, 200
	want(t, "an app that there is not", s.ChangeApp(ctx, ada, "nope", func(*fleet.App) error { return nil }), fleet.ErrNotFound)
	want(t, "a period of nothing", s.ChangeApp(ctx, ada, "badge", func(a *fleet.App) error { a.PollPeriod = 0; return nil }), fleet.ErrInvalid)
	mine := errors.New("mine")
	want(t, "a change that fails", s.ChangeApp(ctx, ada, "badge", func(a *fleet.App) error { a.PollPeriod = time.Hour; return mine }), mine)

	got, err := s.Apps(ctx)
	must(t, err)
	diff(t, "the applications", []fleet.App{badge, sensor}, got)
	must(t, s.Ping(ctx))
}

func testReleases(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := open(t)
	ctx := t.Context()
	must(t, s.AddApp(ctx, ada, NewApp("badge")))
	first := NewRelease(t, "badge", 10, func(s *release.Statement) { s.Name, s.Channels = "1.0", []string{"stable"} })
	must(t, s.AddRelease(ctx, ada, first, nil))
	before, err := s.Snapshot(ctx, nil)
	must(t, err)

	must(t, s.AddRelease(ctx, ada, first, nil))
	again, err := s.Snapshot(ctx, nil)
	must(t, err)
	if again.Epoch != before.Epoch {
		t.Error("the same release again is a change")
	}
	other := func(s *release.Statement) { s.Manifest = release.PinOf([]byte("other")) }
	want(t, "other content", s.AddRelease(ctx, ada, NewRelease(t, "badge", 10, other), nil), fleet.ErrExists)
	want(t, "an older version", s.AddRelease(ctx, ada, NewRelease(t, "badge", 9), nil), fleet.ErrOlder)
	want(t, "an app that there is not", s.AddRelease(ctx, ada, NewRelease(t, "nope", 11), nil), fleet.ErrNotFound)

	// A later keyset goes before a higher version, and after that only it counts.
	later := func(s *release.Statement) { s.Keyset = 2 }
	second := NewRelease(t, "badge", 3, later)
	second.StepThrough = true
	must(t, s.AddRelease(ctx, ada, second, nil))
	want(t, "an older keyset", s.AddRelease(ctx, ada, NewRelease(t, "badge", 11), nil), fleet.ErrOlder)
	want(t, "a version that there was", s.AddRelease(ctx, ada, NewRelease(t, "badge", 10, later), nil), fleet.ErrExists)

	must(t, s.ChangeRelease(ctx, ada, "badge", 10, func(r *fleet.Release) error { r.Withdrawn = true; return nil }))
	want(t, "a version that there is not", s.ChangeRelease(ctx, ada, "badge", 11, func(*fleet.Release) error { return nil }), fleet.ErrNotFound)
	first.Withdrawn = true
	got, err := s.Snapshot(ctx, before)
	must(t, err)
	diff(t, "the releases", map[int64]*fleet.Release{10: first, 3: second}, got.Views["badge"].Releases)
}

func testKeysets(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := open(t)
	ctx := t.Context()
	must(t, s.AddApp(ctx, ada, NewApp("badge")))
	document := func(n int64, threshold int) []byte {
		k := *NewApp("badge").Root
		k.Version, k.Threshold = n, threshold
		doc, err := k.Document()
		must(t, err)
		return doc.Bytes()
	}
	two, three := document(2, 1), document(3, 1)
	keyset := func(n int64) func(*release.Statement) { return func(s *release.Statement) { s.Keyset = n } }
	must(t, s.AddRelease(ctx, ada, NewRelease(t, "badge", 1, keyset(2)), [][]byte{two}))
	must(t, s.AddRelease(ctx, ada, NewRelease(t, "badge", 2, keyset(3)), [][]byte{two, three}))

	otherKey := *NewApp("badge").Root
	otherKey.Version = 3
	otherKey.Keys = append(otherKey.Keys, release.PublicKey{1: 7, 31: 1})
	var forked []byte
	if doc, err := otherKey.Document(); err == nil {
		forked = doc.Bytes()
	} else {
		t.Fatal(err)
	}
	want(t, "another third keyset", s.AddRelease(ctx, ada, NewRelease(t, "badge", 3, keyset(3)), [][]byte{two, forked}), fleet.ErrExists)
	for n, data := range map[int64][]byte{2: two, 3: three} {
		got, err := s.Keyset(ctx, "badge", n)
		must(t, err)
		diff(t, "a keyset", string(data), string(got))
	}
	_, err := s.Keyset(ctx, "badge", 4)
	want(t, "the fourth keyset", err, fleet.ErrNotFound)
	_, err = s.Keyset(ctx, "nope", 2)
	want(t, "a keyset of another app", err, fleet.ErrNotFound)
}

func testChannels(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	must(t, s.SetChannel(ctx, ada, "badge", "beta", 2))
	want(t, "a version that there is not", s.SetChannel(ctx, ada, "badge", "stable", 9), fleet.ErrNotFound)
	want(t, "an app that there is not", s.SetChannel(ctx, ada, "nope", "stable", 1), fleet.ErrNotFound)
	want(t, "a channel without name", s.SetChannel(ctx, ada, "badge", "", 1), fleet.ErrInvalid)
	must(t, s.ChangeRelease(ctx, ada, "badge", 1, func(r *fleet.Release) error { r.Withdrawn = true; return nil }))
	want(t, "a withdrawn version", s.SetChannel(ctx, ada, "badge", "beta", 1), fleet.ErrState)
	must(t, s.AddRelease(ctx, ada, NewRelease(t, "badge", 3), nil))
	_, err := s.StartRollout(ctx, ada, NewRollout("badge", func(r *fleet.Rollout) { r.Channel, r.Version = "beta", 3 }))
	must(t, err)
	want(t, "a channel with a rollout", s.SetChannel(ctx, ada, "badge", "beta", 1), fleet.ErrState)

	snap, err := s.Snapshot(ctx, nil)
	must(t, err)
	got := map[string]int64{}
	for name, c := range snap.Views["badge"].Channels {
		got[name] = c.Release
	}
	diff(t, "the channels", map[string]int64{"stable": 1, "beta": 2}, got)
}

func testTokens(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := open(t)
	ctx := t.Context()
	var tokens []fleet.Token
	for i, name := range []string{"ada", "ci"} {
		token, _, err := fleet.NewToken([32]byte{byte(i)}, name, fleet.ScopePublish, noon, noon.Add(time.Hour))
		must(t, err)
		token, err = s.AddToken(ctx, ada, token)
		must(t, err)
		tokens = append(tokens, token)
	}
	later := fleet.Actor{Name: "ada", At: noon.Add(time.Minute)}
	must(t, s.RevokeToken(ctx, later, tokens[1].ID))
	must(t, s.RevokeToken(ctx, fleet.Actor{Name: "ada", At: noon.Add(time.Hour)}, tokens[1].ID)) // it was
	want(t, "a token that there is not", s.RevokeToken(ctx, ada, 99), fleet.ErrNotFound)
	tokens[1].Revoked = later.At

	// A name is that of one valid token: the audit log has nothing else to tell them by.
	for _, c := range []struct {
		name string
		at   time.Time
		want error
	}{{"ada", later.At, fleet.ErrExists}, {"ci", later.At, nil}, {"ada", noon.Add(time.Hour), nil}, {"ada", noon.Add(time.Hour), fleet.ErrExists}} {
		token, _, err := fleet.NewToken([32]byte{byte(len(tokens))}, c.name, fleet.ScopeRead, c.at, time.Time{})
		must(t, err)
		token, err = s.AddToken(ctx, fleet.Actor{Name: "ada", At: c.at}, token)
		want(t, "another token named "+c.name, err, c.want)
		if err == nil {
			tokens = append(tokens, token)
		}
	}

	got, err := s.Tokens(ctx)
	must(t, err)
	diff(t, "the tokens", tokens, got)
	one, err := s.TokenByHash(ctx, tokens[1].Hash)
	must(t, err)
	diff(t, "a token", &tokens[1], one)
	_, err = s.TokenByHash(ctx, [32]byte{9})
	want(t, "a hash that there is not", err, fleet.ErrUnauthorized)
}

func testAudit(t *testing.T, open func(t *testing.T) fleet.Store) {
	s := begin(t, open)
	ctx := t.Context()
	must(t, s.AddApp(ctx, fleet.Actor{Name: "bob", At: noon.Add(time.Second)}, NewApp("sensor")))
	must(t, s.SetChannel(ctx, fleet.Actor{Name: "bob", At: noon.Add(time.Minute)}, "badge", "stable", 2))
	must(t, s.SetChannel(ctx, ada, "badge", "stable", 2)) // it was
	want(t, "what is refused", s.SetChannel(ctx, ada, "badge", "stable", 9), fleet.ErrNotFound)

	all, err := s.Audit(ctx, "", 0, 100)
	must(t, err)
	var got []string
	for i, e := range all {
		got = append(got, e.Actor+" "+e.Action+" "+e.App+" "+e.Object)
		if i > 0 && e.ID >= all[i-1].ID {
			t.Errorf("entry %d after entry %d", e.ID, all[i-1].ID)
		}
	}
	diff(t, "the log", []string{
		"bob channel.set badge stable",
		"bob app.add sensor ",
		"ada channel.set badge stable",
		"ada release.add badge 2",
		"ada release.add badge 1",
		"ada app.add badge ",
	}, got)
	if newest := all[0]; string(newest.Before) != "1" || string(newest.After) != "2" || !newest.At.Equal(noon.Add(time.Minute)) {
		t.Errorf("the newest entry is %+v", newest)
	}
	page, err := s.Audit(ctx, "badge", all[0].ID, 2)
	must(t, err)
	diff(t, "a page of one app's", all[2:4], page)
}
