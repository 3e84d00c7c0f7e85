package httpapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
	"github.com/cactuscon/saguarota/release"
)

// maxPage is how many entries a list has at most, and how many it has if nobody says.
const maxPage = 1000

// page returns the limit of a list.
func page(limit *int) int {
	if limit == nil || *limit < 1 || *limit > maxPage {
		return maxPage
	}
	return *limit
}

// or returns what p points to, or the zero value.
func or[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

// set changes a value where there is a new one.
func set[T any](value *T, to *T) {
	if to != nil {
		*value = *to
	}
}

func (a admin) ListApps(ctx context.Context, _ api.ListAppsRequestObject) (api.ListAppsResponseObject, error) {
	apps, err := a.store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	list := api.ListApps200JSONResponse{}
	for _, app := range apps {
		out := api.App{
			Name: app.Name, Threshold: app.Root.Threshold, Keyset: app.Root.Version, PollSeconds: int64(app.PollPeriod / time.Second),
			Tokens: app.Enrolment.Tokens, MaxBoards: app.Enrolment.MaxBoards, MaxPerMinute: app.Enrolment.MaxPerMinute,
		}
		for _, key := range app.Root.Keys {
			out.PublicKeys = append(out.PublicKeys, key.String())
		}
		list = append(list, out)
	}
	return list, nil
}

func (a admin) AddApp(ctx context.Context, r api.AddAppRequestObject) (api.AddAppResponseObject, error) {
	b := r.Body
	app := fleet.App{
		Name:       b.Name,
		Root:       &release.Keyset{App: b.Name, Version: b.Keyset, Threshold: b.Threshold},
		PollPeriod: time.Duration(min(b.PollSeconds, int64(fleet.MaxPollPeriod/time.Second)+1)) * time.Second,
		Enrolment:  fleet.Enrolment{Tokens: b.Tokens, MaxBoards: b.MaxBoards, MaxPerMinute: b.MaxPerMinute, Secret: make([]byte, 32)},
	}
	_, _ = rand.Read(app.Enrolment.Secret) // it never fails
	for _, text := range b.PublicKeys {
		key, err := release.ParsePublicKey(text)
		if err != nil {
			return nil, err
		}
		app.Root.Keys = append(app.Root.Keys, key)
	}
	return api.AddApp204Response{}, a.refreshed(ctx, a.store.AddApp(ctx, a.actor(ctx), app))
}

func (a admin) ChangeApp(ctx context.Context, r api.ChangeAppRequestObject) (api.ChangeAppResponseObject, error) {
	err := a.store.ChangeApp(ctx, a.actor(ctx), r.App, func(app *fleet.App) error {
		if s := r.Body.PollSeconds; s != nil {
			app.PollPeriod = time.Duration(min(*s, int64(fleet.MaxPollPeriod/time.Second)+1)) * time.Second
		}
		set(&app.Enrolment.Tokens, r.Body.Tokens)
		set(&app.Enrolment.MaxBoards, r.Body.MaxBoards)
		set(&app.Enrolment.MaxPerMinute, r.Body.MaxPerMinute)
		return nil
	})
	return api.ChangeApp204Response{}, a.refreshed(ctx, err)
}

// known returns the view of an application: ErrNotFound.
func (a admin) known(ctx context.Context, app string) (*fleet.View, error) {
	if err := a.Refresh(ctx); err != nil {
		return nil, err
	}
	if v := a.view(app); v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("%w: the application %q", fleet.ErrNotFound, app)
}

func (a admin) MissingBlobs(ctx context.Context, r api.MissingBlobsRequestObject) (api.MissingBlobsResponseObject, error) {
	if _, err := a.known(ctx, r.App); err != nil {
		return nil, err
	}
	missing := api.MissingBlobs200JSONResponse{Sums: []string{}}
	asked := map[blob.Sum]bool{} // each file is read once, however often it is asked for
	for _, text := range r.Body.Sums {
		sum, err := blob.ParseSum(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", fleet.ErrInvalid, err)
		}
		if asked[sum] {
			continue
		}
		asked[sum] = true
		err = blob.Verify(ctx, a.blobs, sum)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, blob.ErrContent):
			missing.Sums = append(missing.Sums, text)
		case err != nil:
			return nil, err
		}
	}
	return missing, nil
}

func (a admin) PutBlob(ctx context.Context, r api.PutBlobRequestObject) (api.PutBlobResponseObject, error) {
	if _, err := a.known(ctx, r.App); err != nil {
		return nil, err
	}
	sum, err := blob.ParseSum(r.Sum)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", fleet.ErrInvalid, err)
	}
	size, _ := ctx.Value(lengthKey{}).(int64)
	if size < 0 {
		return nil, fmt.Errorf("%w: the request does not say how long the file is", fleet.ErrInvalid)
	}
	return api.PutBlob204Response{}, a.blobs.Put(ctx, sum, size, r.Body)
}

func releaseOut(r *fleet.Release) api.Release {
	return api.Release{
		Version: r.Version(), Name: r.Statement.Name, ID: releaseID(r), Keyset: r.Statement.Keyset,
		Published: r.Published, StepThrough: r.StepThrough, Withdrawn: r.Withdrawn,
	}
}

func (a admin) ListReleases(ctx context.Context, r api.ListReleasesRequestObject) (api.ListReleasesResponseObject, error) {
	v, err := a.known(ctx, r.App)
	if err != nil {
		return nil, err
	}
	releases := slices.SortedFunc(maps.Values(v.Releases), func(a, b *fleet.Release) int {
		return cmp.Or(cmp.Compare(b.Statement.Keyset, a.Statement.Keyset), cmp.Compare(b.Version(), a.Version()))
	})
	list := api.ListReleases200JSONResponse{}
	for _, rel := range releases {
		list = append(list, releaseOut(rel))
	}
	return list, nil
}

func (a admin) Publish(ctx context.Context, r api.PublishRequestObject) (api.PublishResponseObject, error) {
	p := Publication{Statement: []byte(r.Body.Statement), Manifest: []byte(r.Body.Manifest), StepThrough: or(r.Body.StepThrough)}
	for _, k := range r.Body.Keysets {
		p.Keysets = append(p.Keysets, []byte(k))
	}
	rel, err := a.Server.Publish(ctx, a.actor(ctx), r.App, p)
	if err != nil {
		return nil, err
	}
	return api.Publish200JSONResponse(releaseOut(rel)), nil
}

func (a admin) ChangeRelease(ctx context.Context, r api.ChangeReleaseRequestObject) (api.ChangeReleaseResponseObject, error) {
	err := a.store.ChangeRelease(ctx, a.actor(ctx), r.App, r.Version, func(rel *fleet.Release) error {
		set(&rel.StepThrough, r.Body.StepThrough)
		set(&rel.Withdrawn, r.Body.Withdrawn)
		return nil
	})
	return api.ChangeRelease204Response{}, a.refreshed(ctx, err)
}

func (a admin) ListTokens(ctx context.Context, _ api.ListTokensRequestObject) (api.ListTokensResponseObject, error) {
	tokens, err := a.store.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	list := api.ListTokens200JSONResponse{}
	for _, t := range tokens {
		out := api.Token{ID: t.ID, Name: t.Name, Scope: string(t.Scope), Created: t.Created}
		if !t.Expires.IsZero() {
			out.Expires = &t.Expires
		}
		if !t.Revoked.IsZero() {
			out.Revoked = &t.Revoked
		}
		list = append(list, out)
	}
	return list, nil
}

// maxTokenDays bounds how long a token can be valid, if it is to expire at all.
const maxTokenDays = 36500

func (a admin) AddToken(ctx context.Context, r api.AddTokenRequestObject) (api.AddTokenResponseObject, error) {
	secret, err := NewToken(ctx, a.store, a.actor(ctx), r.Body.Name, fleet.Scope(r.Body.Scope), or(r.Body.Days))
	if err != nil {
		return nil, err
	}
	return api.AddToken200JSONResponse{Secret: secret}, nil
}

// NewToken stores a new token, which expires after so many days, never if it is 0, and
// returns what its owner has to show. Errors are fleet.ErrInvalid, and fleet.ErrExists
// where another one of that name is valid.
func NewToken(ctx context.Context, store fleet.Store, by fleet.Actor, name string, scope fleet.Scope, days int64) (string, error) {
	if days < 0 || days > maxTokenDays {
		return "", fmt.Errorf("%w: a token cannot expire after %d days", fleet.ErrInvalid, days)
	}
	var expires time.Time
	if days > 0 {
		expires = by.At.AddDate(0, 0, int(days))
	}
	return addToken(ctx, store, by, name, scope, expires)
}

// NewToken is the function of that name, for this server's store and a time.
func (s *Server) NewToken(ctx context.Context, by fleet.Actor, name string, scope fleet.Scope, expires time.Time) (string, error) {
	return addToken(ctx, s.store, by, name, scope, expires)
}

func addToken(ctx context.Context, store fleet.Store, by fleet.Actor, name string, scope fleet.Scope, expires time.Time) (string, error) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // it never fails
	token, secret, err := fleet.NewToken(random, name, scope, by.At, expires)
	if err != nil {
		return "", err
	}
	_, err = store.AddToken(ctx, by, token)
	return secret, err
}

func (a admin) RevokeToken(ctx context.Context, r api.RevokeTokenRequestObject) (api.RevokeTokenResponseObject, error) {
	return api.RevokeToken204Response{}, a.store.RevokeToken(ctx, a.actor(ctx), r.ID)
}

func (a admin) ListAudit(ctx context.Context, r api.ListAuditRequestObject) (api.ListAuditResponseObject, error) {
	entries, err := a.store.Audit(ctx, or(r.Params.App), or(r.Params.Before), page(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	list := api.ListAudit200JSONResponse{}
	for _, e := range entries {
		out := api.AuditEntry{ID: e.ID, At: e.At, Actor: e.Actor, Action: e.Action, App: e.App, Object: e.Object}
		if e.Before != nil {
			out.Before = e.Before
		}
		if e.After != nil {
			out.After = e.After
		}
		list = append(list, out)
	}
	return list, nil
}
