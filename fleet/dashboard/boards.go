package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// boardPage is how many boards are on a page.
const boardPage = 100

// maxChoices is how many values of an attribute are proposed.
const maxChoices = 100

type boardsData struct {
	App        *api.App
	Boards     []fleet.Board
	Names      map[int64]string
	Filter     fleet.Filter
	StageName  string
	Problem    string
	Attributes []fleet.Attribute
	Choices    []string // values that boards have of the attribute
	After      string   // the board that the page begins after
	Next       string   // address of the next page
	First      string   // and of the first
	All        string   // address of this page with all of it chosen
	Chosen     bool
	Fleet      int64 // boards that the application has
	Back       string
}

func (q *request) boardsPage() error {
	app, err := q.app()
	if err != nil {
		return err
	}
	form := q.r.URL.Query()
	data := boardsData{
		App: app, Attributes: fleet.Attributes, After: form.Get("after"), Chosen: form.Get("all") != "",
		Filter: fleet.Filter{Prefix: strings.TrimSpace(form.Get("q")), By: fleet.Attribute(form.Get("by")), Value: form.Get("value"), Hidden: form.Get("hidden") != ""},
		Back:   q.r.URL.RequestURI(),
	}
	f := &data.Filter
	if f.Rollout, err = number("the rollout", orZero(form.Get("rollout"))); err != nil {
		return err
	}
	if name := form.Get("stage"); name != "" && f.Rollout != 0 {
		if f.Stage, err = fleet.ParseStage(name); err != nil {
			return err
		}
		data.StageName = name
	}
	if data.Names, err = q.names(app.Name); err != nil {
		return err
	}
	boards, err := q.d.store.Boards(q.r.Context(), app.Name, *f, data.After, boardPage+1)
	if err != nil {
		return err
	}
	if len(boards) > boardPage {
		boards = boards[:boardPage]
		form.Set("after", boards[boardPage-1].ID)
		form.Del("all")
		data.Next = "?" + form.Encode()
	}
	data.Boards = boards
	form.Del("all")
	form.Del("after")
	if data.After != "" {
		data.First = "?" + form.Encode()
		form.Set("after", data.After)
	}
	form.Set("all", "1")
	data.All = "?" + form.Encode()
	if len(boards) == 0 {
		counts, err := q.d.store.Count(q.r.Context(), app.Name, fleet.ByVersion)
		if err != nil {
			return err
		}
		for _, n := range counts {
			data.Fleet += n
		}
	}
	if f.By != "" {
		counts, err := q.d.store.Count(q.r.Context(), app.Name, f.By)
		if err != nil {
			return err
		}
		var parts []part
		for value, n := range counts {
			if value != "" && n > 0 {
				parts = append(parts, part{Name: value, Value: n})
			}
		}
		sortParts(parts)
		for _, p := range parts[:min(len(parts), maxChoices)] {
			data.Choices = append(data.Choices, p.Name)
		}
	}
	q.render(http.StatusOK, view{Template: "boards", Title: "Boards of " + app.Name, App: app.Name, Section: "boards", Data: data})
	return nil
}

type boardData struct {
	App *api.App
	*fleet.Board
	Names    map[int64]string
	Releases []api.Release
	Back     string
}

func (q *request) boardPage() error {
	app, err := q.app()
	if err != nil {
		return err
	}
	b, err := q.d.store.Board(q.r.Context(), app.Name, q.r.URL.Query().Get("id"))
	if err != nil {
		return err
	}
	data := boardData{App: app, Board: b, Back: q.r.URL.Path + "?" + queryOf("id", b.ID)}
	if data.Names, err = q.names(app.Name); err != nil {
		return err
	}
	answer, err := q.d.api.ListReleases(q.r.Context(), api.ListReleasesRequestObject{App: app.Name})
	if err != nil {
		return err
	}
	data.Releases = answer.(api.ListReleases200JSONResponse)
	q.render(http.StatusOK, view{Template: "board", Title: "Board " + b.ID, App: app.Name, Section: "boards", Data: data})
	return nil
}

// boardAction is something that can be done to boards.
type boardAction struct {
	Name   string
	Label  string
	Does   string
	Value  string // label of what it takes; "": nothing
	Danger bool
}

var boardActions = []boardAction{
	{Name: "tag", Label: "Add a tag", Value: "Tag", Does: "They get the tag. Rollouts that are for boards with it, or without it, take that in at the next poll."},
	{Name: "untag", Label: "Take a tag away", Value: "Tag", Does: "They lose the tag. Rollouts that are for boards with it, or without it, take that in at the next poll."},
	{Name: "pin", Label: "Pin to a version", Value: "Version", Does: "They get this version and no other, whatever channels and rollouts say, until they are unpinned. Boards never go back to an older one by themselves."},
	{Name: "unpin", Label: "Unpin", Does: "They follow their channel again."},
	{Name: "channel", Label: "Put on a channel", Value: "Channel (empty: its own)", Does: "They follow this channel, whatever they say themselves."},
	{Name: "hide", Label: "Hide", Does: "They are not listed or counted any more. One that polls again comes back by itself."},
	{Name: "unhide", Label: "Show again", Does: "They are listed and counted again."},
	{Name: "revoke", Label: "Revoke", Danger: true, Does: "Their tokens are not accepted any more: they get no release, until that is taken back."},
	{Name: "unrevoke", Label: "Accept again", Does: "Their tokens are accepted again."},
	{Name: "delete", Label: "Forget", Danger: true, Does: "All that is known of them is forgotten, tags and pins included. One that polls again is new, so one that is revoked stays."},
}

func findAction(name string) (boardAction, error) {
	i := slices.IndexFunc(boardActions, func(a boardAction) bool { return a.Name == name })
	if i < 0 {
		return boardAction{}, fmt.Errorf("%w: boards cannot be changed by %q", fleet.ErrInvalid, name)
	}
	return boardActions[i], nil
}

// boardChange returns what an action is for the API.
func boardChange(action, value string, ids []string) (*api.BoardChange, error) {
	on, off := true, false
	c := &api.BoardChange{Ids: ids}
	switch action {
	case "tag":
		if err := fleet.CheckName("the tag", value); err != nil {
			return nil, err
		}
		c.AddTags = &[]string{value}
	case "untag":
		c.RemoveTags = &[]string{value}
	case "pin":
		v, err := number("the version", value)
		if err != nil || v == 0 {
			return nil, fmt.Errorf("%w: %q is no version to pin to", fleet.ErrInvalid, value)
		}
		c.Pin = &v
	case "unpin":
		c.Pin = new(int64)
	case "channel":
		c.Channel = &value
	case "hide":
		c.Hidden = &on
	case "unhide":
		c.Hidden = &off
	case "revoke":
		c.Revoked = &on
	case "unrevoke":
		c.Revoked = &off
	}
	return c, nil
}

// reviewData is what the page before a change of boards shows.
type reviewData struct {
	App    *api.App
	Action boardAction
	IDs    []string
	Value  string
	Back   string
	Path   string // where it is sent to
}

// back returns the page of ours that a form came from.
func (q *request) back(app string) string {
	to := q.r.PostFormValue("back")
	if u, err := url.Parse(to); err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(to, appPath(app)) {
		return appPath(app) + "boards"
	}
	return to
}

// review returns what is to be done to which boards. Where that is not confirmed yet,
// it shows it and returns ok false.
func (q *request) review() (d reviewData, ok bool, err error) {
	app, err := q.app()
	if err != nil {
		return d, false, err
	}
	d = reviewData{App: app, IDs: q.r.PostForm["id"], Value: strings.TrimSpace(q.r.PostFormValue("value")), Back: q.back(app.Name)}
	if d.Action, err = findAction(q.r.PostFormValue("action")); err != nil {
		return d, false, err
	}
	if len(d.IDs) == 0 {
		return d, false, fmt.Errorf("%w: no board is chosen; tick some first", fleet.ErrInvalid)
	}
	d.Path = appPath(app.Name) + "boards/change"
	if d.Action.Name == "delete" {
		d.Path = appPath(app.Name) + "boards/delete"
	}
	if q.r.PostFormValue("confirmed") == "" {
		q.render(http.StatusOK, view{Template: "review", Title: d.Action.Label + ": " + plural(int64(len(d.IDs)), "board"), App: app.Name, Section: "boards", Data: d})
		return d, false, nil
	}
	return d, true, nil
}

func (q *request) changeBoards() error {
	d, ok, err := q.review()
	if err != nil || !ok {
		return err
	}
	if d.Action.Name == "delete" {
		return fmt.Errorf("%w: boards are not forgotten by a change", fleet.ErrInvalid)
	}
	body, err := boardChange(d.Action.Name, d.Value, d.IDs)
	if err != nil {
		return err
	}
	if _, err := q.d.api.ChangeBoards(q.ctx, api.ChangeBoardsRequestObject{App: d.App.Name, Body: body}); err != nil {
		return err
	}
	return q.redirect(d.Back, "changed")
}

func (q *request) deleteBoards() error {
	d, ok, err := q.review()
	if err != nil || !ok {
		return err
	}
	if d.Action.Name != "delete" {
		return fmt.Errorf("%w: boards are forgotten here, and nothing else", fleet.ErrInvalid)
	}
	if _, err := q.d.api.DeleteBoards(q.ctx, api.DeleteBoardsRequestObject{App: d.App.Name, Body: &api.BoardIds{Ids: d.IDs}}); err != nil {
		return err
	}
	if strings.HasPrefix(d.Back, appPath(d.App.Name)+"board?") {
		d.Back = appPath(d.App.Name) + "boards" // that of the board is gone
	}
	return q.redirect(d.Back, "deleted")
}

// label returns a version for people.
func label(names map[int64]string, v int64) string {
	if name := names[v]; name != "" {
		return name
	}
	if v == 0 {
		return "none"
	}
	return strconv.FormatInt(v, 10)
}
