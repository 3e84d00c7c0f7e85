package fleet_test

import (
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/release"
)

// noon is when most of these tests begin.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) // a Monday

// newRelease returns a release of keyset 1.
func newRelease(version int64, change ...func(*fleet.Release)) *fleet.Release {
	r := &fleet.Release{Statement: release.Statement{App: "badge", Version: version, Keyset: 1}}
	for _, f := range change {
		f(r)
	}
	return r
}

// newView returns an app whose stable channel holds the first of the releases; the
// last comes to it by the rollout, if that is not nil.
func newView(ro *fleet.Rollout, releases ...*fleet.Release) *fleet.View {
	v := &fleet.View{
		App:      fleet.App{Name: "badge", Root: &release.Keyset{App: "badge", Version: 1}, PollPeriod: 10 * time.Minute},
		Releases: map[int64]*fleet.Release{},
		Channels: map[string]*fleet.Channel{},
	}
	for _, r := range releases {
		v.Releases[r.Version()] = r
	}
	v.Channels["stable"] = &fleet.Channel{Name: "stable", Release: releases[0].Version(), Rollout: ro}
	if ro != nil {
		ro.Version = releases[len(releases)-1].Version()
	}
	return v
}

// newRollout returns a rollout to all boards at once that began at noon.
func newRollout(change ...func(*fleet.Rollout)) *fleet.Rollout {
	ro := &fleet.Rollout{
		ID: 7, App: "badge", Channel: "stable", State: fleet.Running, StepSince: noon,
		Plan: fleet.Plan{Salt: "salt", Start: noon, Steps: []fleet.Step{{Share: fleet.All, Every: time.Hour}}},
	}
	for _, f := range change {
		f(ro)
	}
	return ro
}

// offered returns the version that is offered, 0 if none is.
func offered(d fleet.Decision) int64 {
	if d.Release == nil {
		return 0
	}
	return d.Release.Version()
}

// apply does to the rollout's counts what a store does.
func apply(t *testing.T, counts map[int64]*fleet.Counts, moves []fleet.Move) {
	t.Helper()
	for _, m := range moves {
		if m.From == m.To {
			t.Fatalf("a move from %v to itself", m.From)
		}
		if counts[m.Rollout] == nil {
			counts[m.Rollout] = new(fleet.Counts)
		}
		counts[m.Rollout].Move(m.From, m.To)
	}
}
