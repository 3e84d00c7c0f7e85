package dashboard

import (
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// listPage is how many entries a list has on a page.
const listPage = 50

type rolloutsData struct {
	App      *api.App
	Cards    []rolloutCard
	Next     int64 // ID to go on before; 0: that is all
	Releases int
	Newest   int64 // version of the newest release
}

func (q *request) rolloutsPage() error {
	app, err := q.app()
	if err != nil {
		return err
	}
	before, err := number("the rollout to go on at", orZero(q.r.FormValue("before")))
	if err != nil {
		return err
	}
	rollouts, err := q.d.store.Rollouts(q.r.Context(), app.Name, before, listPage+1)
	if err != nil {
		return err
	}
	names, err := q.names(app.Name)
	if err != nil {
		return err
	}
	follows, err := q.d.store.Count(q.r.Context(), app.Name, fleet.ByChannel)
	if err != nil {
		return err
	}
	data := rolloutsData{App: app, Releases: len(names)}
	for v := range names {
		data.Newest = max(data.Newest, v)
	}
	if len(rollouts) > listPage {
		rollouts = rollouts[:listPage]
		data.Next = rollouts[listPage-1].ID
	}
	for _, r := range rollouts {
		data.Cards = append(data.Cards, newCard(r, names[r.Version], follows[r.Channel]))
	}
	q.render(http.StatusOK, view{Template: "rollouts", Title: "Rollouts of " + app.Name, App: app.Name, Section: "rollouts", Data: data})
	return nil
}

func orZero(text string) string {
	if text == "" {
		return "0"
	}
	return text
}

// rolloutData is what the page of a rollout shows.
type rolloutData struct {
	rolloutCard
	Each    int64 // boards that a square stands for, at most
	Height  int   // of the picture
	Steps   []stepRow
	NextAt  time.Time
	Halt    haltState
	For     string // which boards it is for
	Window  string
	Groups  []errorGroup
	Sampled bool // there are more boards than were looked at for the groups
	Actions []action
}

type stepRow struct {
	Share string
	Every string
	State string // "done", "current", "next"
}

// a haltState is how far a rollout is from its rule.
type haltState struct {
	Rule     string
	None     bool
	Finished int64
	Bad      int64
	Needs    int64 // boards that are still to finish before the rule counts
	Share    string
	More     int64 // bad boards in a row that would halt it; 0: not to be said
	Width    float64
}

// an errorGroup is boards of a rollout that have ended badly in the same way.
type errorGroup struct {
	Stage  string
	Key    string
	Error  string
	Boards int64
	IDs    []string
	Link   string
}

// Bounds of the groups of errors.
const (
	maxGrouped  = 1000 // boards of a stage that are looked at
	maxGroupIDs = 10   // that are named
)

// groupCache has groups of errors, which are the same as long as no board ends badly.
type groupCache struct {
	mu sync.Mutex
	of map[int64]grouped
}

type grouped struct {
	counts  fleet.Counts
	groups  []errorGroup
	sampled bool
}

func (q *request) errorGroups(r *fleet.Rollout) ([]errorGroup, bool, error) {
	var bad fleet.Counts
	for _, s := range []fleet.Stage{fleet.Undone, fleet.Failed, fleet.TimedOut} {
		bad[s] = r.Counts[s]
	}
	c := &q.d.groups
	c.mu.Lock()
	known, ok := c.of[r.ID]
	c.mu.Unlock()
	if ok && known.counts == bad {
		return known.groups, known.sampled, nil
	}
	found := map[[2]string]*errorGroup{}
	g := grouped{counts: bad}
	for _, stage := range []fleet.Stage{fleet.Undone, fleet.Failed, fleet.TimedOut} {
		if bad[stage] == 0 {
			continue
		}
		boards, err := q.d.store.Boards(q.r.Context(), r.App, fleet.Filter{Rollout: r.ID, Stage: stage}, "", maxGrouped)
		if err != nil {
			return nil, false, err
		}
		g.sampled = g.sampled || len(boards) == maxGrouped
		for _, b := range boards {
			key := [2]string{stage.String(), b.Report.Error}
			e := found[key]
			if e == nil {
				e = &errorGroup{Stage: stage.String(), Key: stageKey(stage), Error: b.Report.Error, Link: boardsOf(r.App, r.ID, stage)}
				found[key] = e
			}
			e.Boards++
			if len(e.IDs) < maxGroupIDs {
				e.IDs = append(e.IDs, b.ID)
			}
		}
	}
	for _, e := range found {
		g.groups = append(g.groups, *e)
	}
	sort.Slice(g.groups, func(i, j int) bool {
		a, b := g.groups[i], g.groups[j]
		if a.Boards != b.Boards {
			return a.Boards > b.Boards
		}
		return a.Stage+a.Error < b.Stage+b.Error
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil || len(c.of) >= maxFragments {
		c.of = map[int64]grouped{}
	}
	c.of[r.ID] = g
	return g.groups, g.sampled, nil
}

// rollout returns the rollout that the path names, and how many boards follow its
// channel.
func (q *request) rollout() (fleet.Rollout, int64, error) {
	id, err := number("the rollout", q.r.PathValue("id"))
	if err != nil {
		return fleet.Rollout{}, 0, err
	}
	r, err := q.d.store.Rollout(q.r.Context(), id)
	if err != nil {
		return r, 0, err
	}
	follows, err := q.d.store.Count(q.r.Context(), r.App, fleet.ByChannel)
	return r, follows[r.Channel], err
}

func (q *request) rolloutPage() error {
	v, err := q.rolloutView()
	if err != nil {
		return err
	}
	q.render(http.StatusOK, v)
	return nil
}

func (q *request) liveRollout() error {
	return q.stream("rollout "+q.r.PathValue("id"), q.rolloutView)
}

func (q *request) rolloutView() (view, error) {
	r, all, err := q.rollout()
	if err != nil {
		return view{}, err
	}
	names, err := q.names(r.App)
	if err != nil {
		return view{}, err
	}
	data := rolloutData{rolloutCard: newCard(r, names[r.Version], all)}
	data.Each = layOut(data.Parts)
	data.Height = rowsOf(data.Parts)
	data.NextAt = r.Next()
	for i, s := range r.Plan.Steps {
		row := stepRow{Share: s.Share.String(), State: "next"}
		switch {
		case s.Every > 0:
			row.Every = "for " + span(s.Every)
		default:
			row.Every = "until somebody goes on"
		}
		switch {
		case i < r.Step || r.State == fleet.Done:
			row.State = "done"
		case i == r.Step:
			row.State = "current"
		}
		data.Steps = append(data.Steps, row)
	}
	data.Halt = haltOf(&r)
	data.For = selectorText(&r.Plan.For)
	if w := r.Plan.Only; !w.IsZero() {
		data.Window = fmt.Sprintf("%02d:%02d–%02d:%02d %s", w.From/60, w.From%60, w.To/60, w.To%60, w.Zone)
	}
	if data.Groups, data.Sampled, err = q.errorGroups(&r); err != nil {
		return view{}, err
	}
	if q.allows("steerRollout") {
		data.Actions = actionsOf(&r, all)
	}
	label := names[r.Version]
	if label == "" {
		label = strconv.FormatInt(r.Version, 10)
	}
	return view{
		Template: "rollout", Title: fmt.Sprintf("Rollout %d: %s to %s", r.ID, label, r.Channel), App: r.App, Section: "rollouts",
		Live: httpapi.PagesPath + "live/rollouts/" + strconv.FormatInt(r.ID, 10), Data: data,
	}, nil
}

// haltOf says how far a rollout is from its rule.
func haltOf(r *fleet.Rollout) haltState {
	rule := r.Plan.Halt
	h := haltState{Rule: rule.String(), None: rule.IsZero()}
	if h.None {
		return h
	}
	counts := r.Counts.Minus(&r.Forgiven)
	h.Finished, h.Bad = counts.Finished(), counts.Failures(rule.Kind)
	h.Needs = max(0, rule.AtLeast-h.Finished)
	h.Share = percentOf(h.Bad, h.Finished)
	if h.Finished > 0 {
		h.Width = min(barWidth, barWidth*100*float64(h.Bad)/float64(h.Finished)/rule.Percent)
	}
	if rule.Halts(&counts) {
		h.Width = barWidth
		return h
	}
	stage := fleet.Undone
	switch rule.Kind {
	case fleet.KindFailed:
		stage = fleet.Failed
	case fleet.KindTimedOut:
		stage = fleet.TimedOut
	}
	// The rule itself is asked; more bad boards never make it milder.
	most := 100*(h.Finished+rule.AtLeast) + 100
	h.More = int64(sort.Search(int(most), func(n int) bool {
		then := counts
		then[stage] += int64(n)
		return rule.Halts(&then)
	}))
	if h.More == most {
		h.More = 0
	}
	return h
}

func selectorText(s *fleet.Selector) string {
	var parts []string
	add := func(what string, values ...string) {
		if len(values) > 0 && values[0] != "" {
			parts = append(parts, what+" "+strings.Join(values, ", "))
		}
	}
	add("with the tags", s.Tags...)
	add("without", s.Not...)
	add("in one of", s.Cohort...)
	add("of the kind", s.Board)
	add("with MicroPython", s.MicroPython)
	add("with the library", s.Lib)
	if s.Version != 0 {
		add("that run", strconv.FormatInt(s.Version, 10))
	}
	if s.MinFree != 0 {
		add("with free bytes, at least", strconv.FormatInt(s.MinFree, 10))
	}
	return strings.Join(parts, "; ")
}

// an action is something that a rollout can do now.
type action struct {
	Name   string // of the API
	Label  string
	Does   []string // what it will do
	Danger bool
	Reason bool // it takes one
}

// actionsOf returns what a rollout can do, as its own methods say.
func actionsOf(r *fleet.Rollout, all int64) []action {
	can := func(_ fleet.Rollout, err error) bool { return err == nil }
	updating, finished := r.Counts.Updating(), r.Counts[fleet.Confirmed]
	var list []action
	if can(r.Pause("")) {
		list = append(list, action{Name: "pause", Label: "Pause", Reason: true, Does: []string{
			"No further board begins.",
			fmt.Sprintf("%s that %s begun %s on.", plural(updating, "board"), hasHave(updating), goesGo(updating)),
			"The steps stand still; the halt rule still counts. Resume lets it go on.",
		}})
	}
	if can(r.Resume(r.StepSince)) {
		does := []string{fmt.Sprintf("Boards begin again, up to %v of the channel’s; the step begins anew.", r.Share())}
		if r.State == fleet.Halted {
			does = append(does, fmt.Sprintf("The halt rule forgets the %s so far, and counts only what comes after.", plural(r.Counts.Failures(fleet.KindAll), "bad board")))
		}
		list = append(list, action{Name: "resume", Label: "Resume", Does: does, Danger: r.State == fleet.Halted})
	}
	if can(r.Forward(r.StepSince)) {
		to := r.Plan.Steps[r.Step+1].Share
		list = append(list, action{Name: "forward", Label: "Next step", Does: []string{
			fmt.Sprintf("The share goes from %v to %v of the boards now, without waiting for the time of the step.", r.Share(), to),
			fmt.Sprintf("That is about %s of %s more.", num(all*int64(to-r.Share())/int64(fleet.All)), num(all)),
		}})
	}
	if can(r.Promote("")) {
		does := []string{
			fmt.Sprintf("The release becomes that of the channel %q: all %s of it get it now, whatever the plan’s steps, selection, window and limits were.", r.Channel, plural(all, "board")),
			"The rollout is over. Nothing halts it any more.",
		}
		if r.State == fleet.Halted {
			does = append(does, "It has halted by its rule: "+r.Reason+".")
		}
		list = append(list, action{Name: "promote", Label: "Promote", Does: does, Reason: true, Danger: true})
	}
	if can(r.Abort("")) {
		list = append(list, action{Name: "abort", Label: "Abort", Reason: true, Danger: true, Does: []string{
			"The release is offered to nobody any more, for good; the channel keeps the release that it has.",
			fmt.Sprintf("%s that run the release keep it. To bring them back, type: saguarota rollback %s --to VERSION --key KEY", plural(finished, "board"), r.App),
			fmt.Sprintf("%s being updated may still finish.", plural(updating, "board")),
		}})
	}
	return list
}

func hasHave(n int64) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

func goesGo(n int64) string {
	if n == 1 {
		return "goes"
	}
	return "go"
}

// steerData is what the page before an action shows.
type steerData struct {
	fleet.Rollout
	Release string // its name
	Action  action
	Seen    string // what the rollout was like when the page was made
	Stale   bool   // and is not any more
}

// seen says what a rollout is like, so that nobody does something to it that he has not
// looked at.
func seen(r *fleet.Rollout) string { return fmt.Sprintf("%s %d", r.State, r.Step) }

func (q *request) steerPage() error { return q.showSteer(http.StatusOK, false) }

func (q *request) showSteer(status int, stale bool) error {
	r, all, err := q.rollout()
	if err != nil {
		return err
	}
	names, err := q.names(r.App)
	if err != nil {
		return err
	}
	name := q.r.PathValue("action")
	for _, a := range actionsOf(&r, all) {
		if a.Name == name {
			q.render(status, view{
				Template: "steer", Title: fmt.Sprintf("%s rollout %d", a.Label, r.ID), App: r.App, Section: "rollouts",
				Data: &steerData{Rollout: r, Release: names[r.Version], Action: a, Seen: seen(&r), Stale: stale},
			})
			return nil
		}
	}
	return fmt.Errorf("%w: rollout %d is %s, and cannot %q now", fleet.ErrState, r.ID, r.State, name)
}

func (q *request) steer() error {
	r, _, err := q.rollout()
	if err != nil {
		return err
	}
	if q.r.PostFormValue("seen") != seen(&r) {
		return q.showSteer(http.StatusConflict, true)
	}
	body := api.Reason{}
	if reason := strings.TrimSpace(q.r.PostFormValue("reason")); reason != "" {
		body.Reason = &reason
	}
	name := q.r.PathValue("action")
	if _, err := q.d.api.SteerRollout(q.ctx, api.SteerRolloutRequestObject{ID: r.ID, Action: api.SteerRolloutParamsAction(name), Body: &body}); err != nil {
		return err
	}
	return q.redirect(rolloutPath(r.ID), name)
}
