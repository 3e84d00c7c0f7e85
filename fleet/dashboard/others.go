package dashboard

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
	"github.com/cactuscon/saguarota/manifest"
)

type releaseRow struct {
	api.Release
	Boards   int64    // that run it
	Channels []string // whose release it is
}

type releasesData struct {
	App  *api.App
	Rows []releaseRow
}

// releases returns the releases of an application, the newest first.
func (q *request) releases(app string) ([]releaseRow, error) {
	answer, err := q.d.api.ListReleases(q.r.Context(), api.ListReleasesRequestObject{App: app})
	if err != nil {
		return nil, err
	}
	counts, err := q.d.store.Count(q.r.Context(), app, fleet.ByVersion)
	if err != nil {
		return nil, err
	}
	channels, err := q.d.api.ListChannels(q.r.Context(), api.ListChannelsRequestObject{App: app})
	if err != nil {
		return nil, err
	}
	var rows []releaseRow
	for _, r := range answer.(api.ListReleases200JSONResponse) {
		row := releaseRow{Release: r, Boards: counts[strconv.FormatInt(r.Version, 10)]}
		for _, c := range channels.(api.ListChannels200JSONResponse) {
			if c.Version == r.Version {
				row.Channels = append(row.Channels, c.Name)
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (q *request) releasesPage() error {
	app, err := q.app()
	if err != nil {
		return err
	}
	rows, err := q.releases(app.Name)
	if err != nil {
		return err
	}
	q.render(http.StatusOK, view{Template: "releases", Title: "Releases of " + app.Name, App: app.Name, Section: "releases", Data: releasesData{app, rows}})
	return nil
}

type releaseData struct {
	App *api.App
	releaseRow
	Manifest *manifest.Manifest
	Bytes    int64
	With     int64 // version that it is compared with; 0: none
	Changes  []manifest.Change
	Others   []releaseRow
}

func (q *request) releasePage() error {
	app, err := q.app()
	if err != nil {
		return err
	}
	version, err := number("the version", q.r.PathValue("version"))
	if err != nil {
		return err
	}
	rows, err := q.releases(app.Name)
	if err != nil {
		return err
	}
	data := releaseData{App: app}
	if data.Manifest, err = q.d.server.Manifest(q.ctx, app.Name, version); err != nil {
		return err
	}
	for _, f := range data.Manifest.Files {
		data.Bytes += max(0, f.Size)
	}
	for _, row := range rows {
		if row.Version == version {
			data.releaseRow = row
		} else {
			data.Others = append(data.Others, row)
		}
	}
	if data.With, err = number("the version to compare with", orZero(q.r.FormValue("with"))); err != nil {
		return err
	}
	if data.With != 0 {
		old, err := q.d.server.Manifest(q.ctx, app.Name, data.With)
		if err != nil {
			return err
		}
		data.Changes = manifest.Compare(old, data.Manifest)
	}
	name := data.Name
	if name == "" {
		name = strconv.FormatInt(version, 10)
	}
	q.render(http.StatusOK, view{Template: "release", Title: "Release " + name, App: app.Name, Section: "releases", Data: data})
	return nil
}

func (q *request) changeRelease() error {
	app, err := q.app()
	if err != nil {
		return err
	}
	version, err := number("the version", q.r.PathValue("version"))
	if err != nil {
		return err
	}
	on, off := true, false
	body := api.ReleaseChange{}
	switch action := q.r.PostFormValue("action"); action {
	case "withdraw":
		body.Withdrawn = &on
	case "restore":
		body.Withdrawn = &off
	case "step":
		body.StepThrough = &on
	case "skip":
		body.StepThrough = &off
	default:
		return fmt.Errorf("%w: releases cannot be changed by %q", fleet.ErrInvalid, action)
	}
	if _, err := q.d.api.ChangeRelease(q.ctx, api.ChangeReleaseRequestObject{App: app.Name, Version: version, Body: &body}); err != nil {
		return err
	}
	return q.redirect(appPath(app.Name)+"releases/"+strconv.FormatInt(version, 10), "release")
}

type auditData struct {
	App     string
	Entries []api.AuditEntry
	Next    int64
}

func (q *request) auditPage() error {
	app := q.r.FormValue("app")
	before, err := number("the entry to go on at", orZero(q.r.FormValue("before")))
	if err != nil {
		return err
	}
	limit := listPage + 1
	answer, err := q.d.api.ListAudit(q.ctx, api.ListAuditRequestObject{Params: api.ListAuditParams{App: &app, Before: &before, Limit: &limit}})
	if err != nil {
		return err
	}
	data := auditData{App: app, Entries: answer.(api.ListAudit200JSONResponse)}
	if len(data.Entries) > listPage {
		data.Entries = data.Entries[:listPage]
		data.Next = data.Entries[listPage-1].ID
	}
	q.render(http.StatusOK, view{Template: "audit", Title: "What was changed", App: app, Section: "audit", Data: data})
	return nil
}

type tokensData struct {
	Tokens []api.Token
	Secret string // of the one that was just made
	Name   string
}

func (q *request) showTokens(secret, name string) error {
	answer, err := q.d.api.ListTokens(q.ctx, api.ListTokensRequestObject{})
	if err != nil {
		return err
	}
	q.render(http.StatusOK, view{Template: "tokens", Title: "Tokens", Section: "tokens", Data: tokensData{answer.(api.ListTokens200JSONResponse), secret, name}})
	return nil
}

func (q *request) tokensPage() error { return q.showTokens("", "") }

func (q *request) addToken() error {
	days, err := number("the number of days", orZero(strings.TrimSpace(q.r.PostFormValue("days"))))
	if err != nil {
		return err
	}
	body := api.NewToken{Name: strings.TrimSpace(q.r.PostFormValue("name")), Scope: q.r.PostFormValue("scope"), Days: &days}
	answer, err := q.d.api.AddToken(q.ctx, api.AddTokenRequestObject{Body: &body})
	if err != nil {
		return err
	}
	return q.showTokens(answer.(api.AddToken200JSONResponse).Secret, body.Name)
}

// id returns the number that the path names.
func (q *request) id(what string) (int64, error) { return number(what, q.r.PathValue("id")) }

func (q *request) revokeToken() error {
	id, err := q.id("the token")
	if err != nil {
		return err
	}
	if _, err := q.d.api.RevokeToken(q.ctx, api.RevokeTokenRequestObject{ID: id}); err != nil {
		return err
	}
	return q.redirect(httpapi.PagesPath+"tokens", "revoked")
}

type webhooksData struct {
	Webhooks []api.Webhook
	Events   []fleet.Event
	Secret   string // of the one that was just made
	URL      string
}

func (q *request) showWebhooks(secret, address string) error {
	answer, err := q.d.api.ListWebhooks(q.ctx, api.ListWebhooksRequestObject{})
	if err != nil {
		return err
	}
	q.render(http.StatusOK, view{Template: "webhooks", Title: "Webhooks", Section: "webhooks", Data: webhooksData{answer.(api.ListWebhooks200JSONResponse), fleet.Events, secret, address}})
	return nil
}

func (q *request) webhooksPage() error { return q.showWebhooks("", "") }

func (q *request) addWebhook() error {
	body := api.NewWebhook{URL: strings.TrimSpace(q.r.PostFormValue("url"))}
	if app := q.r.PostFormValue("app"); app != "" {
		body.App = &app
	}
	if events := q.r.PostForm["event"]; len(events) > 0 {
		body.Events = &events
	}
	answer, err := q.d.api.AddWebhook(q.ctx, api.AddWebhookRequestObject{Body: &body})
	if err != nil {
		return err
	}
	return q.showWebhooks(answer.(api.AddWebhook200JSONResponse).Secret, body.URL)
}

type webhookData struct {
	api.Webhook
	Deliveries []api.Delivery
	Next       int64
}

func (q *request) webhookPage() error {
	id, err := q.id("the webhook")
	if err != nil {
		return err
	}
	before, err := number("the delivery to go on at", orZero(q.r.FormValue("before")))
	if err != nil {
		return err
	}
	hooks, err := q.d.api.ListWebhooks(q.ctx, api.ListWebhooksRequestObject{})
	if err != nil {
		return err
	}
	var data webhookData
	for _, w := range hooks.(api.ListWebhooks200JSONResponse) {
		if w.ID == id {
			data.Webhook = w
		}
	}
	if data.ID == 0 {
		return fmt.Errorf("%w: the webhook %d", fleet.ErrNotFound, id)
	}
	limit := listPage + 1
	answer, err := q.d.api.ListDeliveries(q.ctx, api.ListDeliveriesRequestObject{ID: id, Params: api.ListDeliveriesParams{Before: &before, Limit: &limit}})
	if err != nil {
		return err
	}
	data.Deliveries = answer.(api.ListDeliveries200JSONResponse)
	if len(data.Deliveries) > listPage {
		data.Deliveries = data.Deliveries[:listPage]
		data.Next = data.Deliveries[listPage-1].ID
	}
	q.render(http.StatusOK, view{Template: "webhook", Title: fmt.Sprintf("Webhook %d", id), Section: "webhooks", Data: data})
	return nil
}

func (q *request) enableWebhook() error {
	return q.steerWebhook("enabled", true, func(id int64) error {
		_, err := q.d.api.EnableWebhook(q.ctx, api.EnableWebhookRequestObject{ID: id})
		return err
	})
}

func (q *request) testWebhook() error {
	return q.steerWebhook("tested", true, func(id int64) error {
		_, err := q.d.api.TestWebhook(q.ctx, api.TestWebhookRequestObject{ID: id})
		return err
	})
}

func (q *request) removeWebhook() error {
	return q.steerWebhook("removed", false, func(id int64) error {
		_, err := q.d.api.RemoveWebhook(q.ctx, api.RemoveWebhookRequestObject{ID: id})
		return err
	})
}

func (q *request) steerWebhook(notice string, stays bool, do func(id int64) error) error {
	id, err := q.id("the webhook")
	if err != nil {
		return err
	}
	if err := do(id); err != nil {
		return err
	}
	to := httpapi.PagesPath + "webhooks"
	if stays {
		to += "/" + strconv.FormatInt(id, 10)
	}
	return q.redirect(to, notice)
}
