package dashboard

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// maxBars is how many versions have a bar of their own; the rest share one.
const maxBars = 12

// fleetData is what the page about the fleet of an application shows.
type fleetData struct {
	App      *api.App
	Boards   int64
	Versions []part // the most frequent first
	Others   int    // versions that share the last bar
	Trial    int64  // boards that run what they have not confirmed
	Errors   []part // by error, the most frequent first
	Failing  int64  // boards that report one
	Survey   survey
	Rate     string // polls a second
	Rollouts []rolloutCard
	Channels []channelRow
	Releases int
}

// a rolloutCard is an open rollout, in short.
type rolloutCard struct {
	fleet.Rollout
	Name  string // of the release
	Parts []part
	Bad   int64
	Done  int64 // boards that have finished
	All   int64 // boards of the channel
}

type channelRow struct {
	Name    string
	Version int64
	Label   string
	Boards  int64
	Rollout int64
}

func (q *request) fleetPage() error {
	v, err := q.fleetView()
	if err != nil {
		return err
	}
	q.render(http.StatusOK, v)
	return nil
}

func (q *request) liveFleet() error {
	return q.stream("fleet "+q.r.PathValue("app"), q.fleetView)
}

func (q *request) fleetView() (view, error) {
	app, err := q.app()
	if err != nil {
		return view{}, err
	}
	data := fleetData{App: app}
	count := func(by fleet.Attribute) (map[string]int64, error) {
		return q.d.store.Count(q.r.Context(), app.Name, by)
	}
	names, err := q.names(app.Name)
	if err != nil {
		return view{}, err
	}
	data.Releases = len(names)
	versions, err := count(fleet.ByVersion)
	if err != nil {
		return view{}, err
	}
	data.Versions, data.Boards, data.Others = versionBars(app.Name, versions, names)
	states, err := count(fleet.ByState)
	if err != nil {
		return view{}, err
	}
	data.Trial = states[fleet.StateConfirmPending]
	codes, err := count(fleet.ByError)
	if err != nil {
		return view{}, err
	}
	for code, n := range codes {
		if code != "" && n > 0 {
			data.Failing += n
			data.Errors = append(data.Errors, part{Name: code, Key: "failed", Value: n, Link: boardsBy(app.Name, fleet.ByError, code)})
		}
	}
	sortParts(data.Errors)
	data.Errors = data.Errors[:min(len(data.Errors), maxBars)]
	scale(data.Errors)
	follows, err := count(fleet.ByChannel)
	if err != nil {
		return view{}, err
	}
	answer, err := q.d.api.ListChannels(q.r.Context(), api.ListChannelsRequestObject{App: app.Name})
	if err != nil {
		return view{}, err
	}
	for _, c := range answer.(api.ListChannels200JSONResponse) {
		row := channelRow{Name: c.Name, Version: c.Version, Label: names[c.Version], Boards: follows[c.Name]}
		if c.Rollout != nil {
			row.Rollout = *c.Rollout
			r, err := q.d.store.Rollout(q.r.Context(), row.Rollout)
			if err != nil {
				return view{}, err
			}
			data.Rollouts = append(data.Rollouts, newCard(r, names[r.Version], follows[r.Channel]))
		}
		data.Channels = append(data.Channels, row)
	}
	data.Survey = q.d.survey(app.Name, time.Duration(app.PollSeconds)*time.Second)
	if r, known := q.d.rate.of(q.d.now(), q.d.server.Polls()); known {
		data.Rate = strconv.FormatFloat(r, 'f', 1, 64)
	}
	return view{
		Template: "fleet", Title: "Fleet of " + app.Name, App: app.Name, Section: "fleet",
		Live: httpapi.PagesPath + "live/apps/" + url.PathEscape(app.Name), Data: data,
	}, nil
}

// versionBars returns a bar for each of the versions that most boards run, how many
// boards there are, and how many versions the last bar is of.
func versionBars(app string, counts map[string]int64, names map[int64]string) (bars []part, boards int64, others int) {
	for version, n := range counts {
		if n <= 0 {
			continue
		}
		boards += n
		p := part{Name: version, Key: "version", Value: n, Link: boardsBy(app, fleet.ByVersion, version)}
		if v, err := strconv.ParseInt(version, 10, 64); err == nil {
			p.Hint = names[v]
			if v == 0 {
				p.Hint = "no release yet, or not said"
			}
		}
		bars = append(bars, p)
	}
	sortParts(bars)
	if len(bars) > maxBars {
		others = len(bars) - maxBars + 1
		rest := part{Name: plural(int64(others), "other version"), Key: "waiting", Link: ""}
		for _, p := range bars[maxBars-1:] {
			rest.Value += p.Value
		}
		bars = append(bars[:maxBars-1:maxBars-1], rest)
	}
	scale(bars)
	return bars, boards, others
}

func sortParts(parts []part) {
	slices.SortFunc(parts, func(a, b part) int { return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(b.Name, a.Name)) })
}

// scale gives each part the length of a bar of its own.
func scale(parts []part) {
	var most int64
	for _, p := range parts {
		most = max(most, p.Value)
	}
	for i := range parts {
		parts[i].Width = barWidth * float64(parts[i].Value) / float64(max(1, most))
	}
}

// boardsBy returns the address of the boards with a value of an attribute.
func boardsBy(app string, by fleet.Attribute, value string) string {
	// The value may be "", which says something here.
	return appPath(app) + "boards?" + url.Values{"by": {string(by)}, "value": {value}}.Encode()
}

func boardsOf(app string, rollout int64, stage fleet.Stage) string {
	return appPath(app) + "boards?" + queryOf("rollout", strconv.FormatInt(rollout, 10), "stage", stage.String())
}

func newCard(r fleet.Rollout, name string, all int64) rolloutCard {
	c := rolloutCard{Rollout: r, Name: name, All: all, Bad: r.Counts.Failures(fleet.KindAll), Done: r.Counts.Finished()}
	c.Parts = stageParts(&r, all)
	layOut(c.Parts)
	return c
}

// stageParts returns the boards of a rollout by stage; all is how many follow its
// channel. Those that have no part in it yet wait.
func stageParts(r *fleet.Rollout, all int64) []part {
	waiting := all
	for stage := fleet.Offered; stage <= fleet.TimedOut; stage++ {
		waiting -= r.Counts[stage]
	}
	var parts []part
	for _, stage := range stageOrder {
		p := part{Name: stage.String(), Key: stageKey(stage), Value: r.Counts[stage], Hint: stageHints[stage], Link: boardsOf(r.App, r.ID, stage)}
		if stage == fleet.Waiting {
			p.Value, p.Link = max(0, waiting), ""
		}
		parts = append(parts, p)
	}
	return parts
}

func stageKey(s fleet.Stage) string {
	if s == fleet.TimedOut {
		return "timed-out"
	}
	return s.String()
}

// silentData is what the page about boards that were not heard of shows.
type silentData struct {
	App    *api.App
	Survey survey
}

func (q *request) silentPage() error {
	app, err := q.app()
	if err != nil {
		return err
	}
	s := q.d.survey(app.Name, time.Duration(app.PollSeconds)*time.Second)
	q.render(http.StatusOK, view{Template: "silent", Title: "Silent boards of " + app.Name, App: app.Name, Section: "fleet", Data: silentData{app, s}})
	return nil
}
