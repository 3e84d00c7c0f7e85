package httpapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

func (a admin) ListChannels(ctx context.Context, r api.ListChannelsRequestObject) (api.ListChannelsResponseObject, error) {
	v, err := a.known(ctx, r.App)
	if err != nil {
		return nil, err
	}
	list := api.ListChannels200JSONResponse{}
	for _, name := range slices.Sorted(maps.Keys(v.Channels)) {
		c := v.Channels[name]
		out := api.Channel{Name: c.Name, Version: c.Release}
		if c.Rollout != nil {
			out.Rollout = &c.Rollout.ID
		}
		list = append(list, out)
	}
	return list, nil
}

func (a admin) SetChannel(ctx context.Context, r api.SetChannelRequestObject) (api.SetChannelResponseObject, error) {
	err := a.store.SetChannel(ctx, a.actor(ctx), r.App, r.Channel, r.Body.Version)
	return api.SetChannel204Response{}, a.refreshed(ctx, err)
}

func (a admin) ListRollouts(ctx context.Context, r api.ListRolloutsRequestObject) (api.ListRolloutsResponseObject, error) {
	if _, err := a.known(ctx, r.App); err != nil {
		return nil, err
	}
	rollouts, err := a.store.Rollouts(ctx, r.App, or(r.Params.Before), page(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	list := api.ListRollouts200JSONResponse{}
	for _, ro := range rollouts {
		list = append(list, rolloutOut(&ro))
	}
	return list, nil
}

func (a admin) StartRollout(ctx context.Context, r api.StartRolloutRequestObject) (api.StartRolloutResponseObject, error) {
	plan, err := planIn(&r.Body.Plan, a.now())
	if err != nil {
		return nil, err
	}
	ro, err := a.store.StartRollout(ctx, a.actor(ctx), fleet.Rollout{App: r.App, Channel: r.Body.Channel, Version: r.Body.Version, Plan: plan})
	if err := a.refreshed(ctx, err); err != nil {
		return nil, err
	}
	return api.StartRollout200JSONResponse(rolloutOut(&ro)), nil
}

func (a admin) GetRollout(ctx context.Context, r api.GetRolloutRequestObject) (api.GetRolloutResponseObject, error) {
	ro, err := a.store.Rollout(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return api.GetRollout200JSONResponse(rolloutOut(&ro)), nil
}

func (a admin) SteerRollout(ctx context.Context, r api.SteerRolloutRequestObject) (api.SteerRolloutResponseObject, error) {
	by := a.actor(ctx)
	reason := or(r.Body.Reason)
	if reason == "" {
		reason = "by " + by.Name
	}
	const maxReason = 200
	if len(reason) > maxReason {
		return nil, fmt.Errorf("%w: a reason of %d bytes, more than %d", fleet.ErrInvalid, len(reason), maxReason)
	}
	ro, err := a.store.ChangeRollout(ctx, by, r.ID, func(ro fleet.Rollout) (fleet.Rollout, error) {
		switch r.Action {
		case "pause":
			return ro.Pause(reason)
		case "resume":
			return ro.Resume(by.At)
		case "forward":
			return ro.Forward(by.At)
		case "abort":
			return ro.Abort(reason)
		case "promote":
			return ro.Promote(reason)
		}
		return ro, fmt.Errorf("%w: rollouts cannot %q; they can pause, resume, forward, abort and promote", fleet.ErrInvalid, r.Action)
	})
	if err := a.refreshed(ctx, err); err != nil {
		return nil, err
	}
	return api.SteerRollout200JSONResponse(rolloutOut(&ro)), nil
}

// seconds returns a number of seconds as a duration, one that no check accepts where
// it is none.
func seconds(n int64) time.Duration {
	const most = int64(fleet.MaxTimeout / time.Second)
	return time.Duration(max(-most, min(n, most+1))) * time.Second
}

// planIn reads a plan. The rest is for its Check to say.
func planIn(p *api.Plan, now time.Time) (fleet.Plan, error) {
	plan := fleet.Plan{
		Salt: rand.Text(), Start: now,
		MaxUpdating: or(p.MaxUpdating), Timeout: seconds(or(p.TimeoutSeconds)),
	}
	if p.Start != nil && p.Start.After(now) {
		plan.Start = *p.Start
	}
	for _, s := range p.Steps {
		share := fleet.Share(math.Round(max(-1, min(s.Percent, 1000)) * 100))
		plan.Steps = append(plan.Steps, fleet.Step{Share: share, Every: seconds(s.Seconds)})
	}
	if f := p.For; f != nil {
		plan.For = fleet.Selector{
			Tags: or(f.Tags), Not: or(f.Not), Cohort: or(f.Cohort),
			Board: or(f.Board), MicroPython: or(f.Micropython), Lib: or(f.Lib), Version: or(f.Version), MinFree: or(f.MinFree),
		}
	}
	if h := p.Halt; h != nil {
		plan.Halt = fleet.HaltRule{Percent: h.Percent, AtLeast: h.AtLeast, Kind: fleet.FailureKind(h.Kind)}
	}
	if w := p.Window; w != nil {
		from, err := minuteOfDay(w.From)
		if err != nil {
			return plan, err
		}
		to, err := minuteOfDay(w.To)
		if err != nil {
			return plan, err
		}
		plan.Only = fleet.Window{From: from, To: to, Zone: or(w.Zone)}
		for _, day := range or(w.Days) {
			if day < 0 || day > 6 {
				return plan, fmt.Errorf("%w: there is no day %d of the week; Sunday is 0", fleet.ErrInvalid, day)
			}
			plan.Only.Days[day] = true
		}
	}
	return plan, nil
}

// minuteOfDay reads a time such as "22:30".
func minuteOfDay(text string) (int, error) {
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is no time of day, such as 22:30", fleet.ErrInvalid, text)
	}
	return t.Hour()*60 + t.Minute(), nil
}

func rolloutOut(r *fleet.Rollout) api.Rollout {
	c := &r.Counts
	return api.Rollout{
		ID: r.ID, App: r.App, Channel: r.Channel, Version: r.Version, State: string(r.State), Reason: r.Reason,
		Step: r.Step, StepSince: r.StepSince, Percent: float64(r.Share()) / 100, Plan: planOut(&r.Plan),
		Counts: api.Counts{
			Offered: c[fleet.Offered], Downloading: c[fleet.Downloading], Trial: c[fleet.Trial], Confirmed: c[fleet.Confirmed],
			Undone: c[fleet.Undone], Failed: c[fleet.Failed], TimedOut: c[fleet.TimedOut], Again: c[fleet.Again],
		},
	}
}

// ptr returns a pointer to v, nil if it is the zero value.
func ptr[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// listPtr returns a pointer to a list, nil if it is empty.
func listPtr[T any](list []T) *[]T {
	if len(list) == 0 {
		return nil
	}
	return &list
}

func planOut(p *fleet.Plan) api.Plan {
	out := api.Plan{Start: &p.Start, Steps: []api.Step{}, MaxUpdating: ptr(p.MaxUpdating), TimeoutSeconds: ptr(int64(p.Timeout / time.Second))}
	for _, s := range p.Steps {
		out.Steps = append(out.Steps, api.Step{Percent: float64(s.Share) / 100, Seconds: int64(s.Every / time.Second)})
	}
	f := &p.For
	out.For = &api.Selector{
		Tags: listPtr(f.Tags), Not: listPtr(f.Not), Cohort: listPtr(f.Cohort),
		Board: ptr(f.Board), Micropython: ptr(f.MicroPython), Lib: ptr(f.Lib), Version: ptr(f.Version), MinFree: ptr(f.MinFree),
	}
	if *out.For == (api.Selector{}) {
		out.For = nil
	}
	if !p.Halt.IsZero() {
		out.Halt = &api.HaltRule{Percent: p.Halt.Percent, AtLeast: p.Halt.AtLeast, Kind: string(p.Halt.Kind)}
	}
	if w := p.Only; !w.IsZero() {
		clock := func(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }
		var days []int
		for day, on := range w.Days {
			if on {
				days = append(days, day)
			}
		}
		out.Window = &api.Window{From: clock(w.From), To: clock(w.To), Days: listPtr(days), Zone: ptr(w.Zone)}
	}
	return out
}
