package httpapi

import (
	"context"
	"fmt"
	"slices"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

func boardOut(b *fleet.Board) api.Board {
	r := &b.Report
	return api.Board{
		ID: b.ID, Channel: b.Follows(), Tags: append([]string{}, b.Tags...), Pin: b.Pin, Hidden: b.Hidden, Revoked: b.Revoked,
		FirstSeen: b.FirstSeen, LastSeen: b.LastSeen,
		Version: r.Version, State: r.State, Error: r.Error, Board: r.Board, Micropython: r.MicroPython, Lib: r.Lib, Free: r.Free,
		Rollout: b.Task.Rollout, Stage: b.Task.Stage.String(),
	}
}

func (a admin) ListBoards(ctx context.Context, r api.ListBoardsRequestObject) (api.ListBoardsResponseObject, error) {
	p := &r.Params
	f := fleet.Filter{
		Prefix: or(p.Prefix), By: fleet.Attribute(or(p.By)), Value: or(p.Value),
		Rollout: or(p.Rollout), Hidden: or(p.Hidden),
	}
	if p.Stage != nil {
		stage, err := fleet.ParseStage(*p.Stage)
		if err != nil {
			return nil, err
		}
		f.Stage = stage
	}
	boards, err := a.store.Boards(ctx, r.App, f, or(p.After), page(p.Limit))
	if err != nil {
		return nil, err
	}
	list := api.ListBoards200JSONResponse{}
	for _, b := range boards {
		list = append(list, boardOut(&b))
	}
	return list, nil
}

func (a admin) GetBoard(ctx context.Context, r api.GetBoardRequestObject) (api.GetBoardResponseObject, error) {
	b, err := a.store.Board(ctx, r.App, r.ID)
	if err != nil {
		return nil, err
	}
	return api.GetBoard200JSONResponse(boardOut(b)), nil
}

// maxChanged is how many boards can be changed in one call.
const maxChanged = 1000

func checkIDs(ids []string) error {
	if len(ids) > maxChanged {
		return fmt.Errorf("%w: %d boards in one call, more than %d", fleet.ErrInvalid, len(ids), maxChanged)
	}
	return nil
}

func (a admin) ChangeBoards(ctx context.Context, r api.ChangeBoardsRequestObject) (api.ChangeBoardsResponseObject, error) {
	c := r.Body
	if err := checkIDs(c.Ids); err != nil {
		return nil, err
	}
	n, err := a.store.ChangeBoards(ctx, a.actor(ctx), r.App, c.Ids, func(b *fleet.Board) error {
		set(&b.Channel, c.Channel)
		set(&b.Pin, c.Pin)
		set(&b.Hidden, c.Hidden)
		set(&b.Revoked, c.Revoked)
		set(&b.Tags, c.Tags)
		tags := append(slices.Clone(b.Tags), or(c.AddTags)...)
		tags = slices.DeleteFunc(tags, func(tag string) bool { return slices.Contains(or(c.RemoveTags), tag) })
		b.Tags = fleet.SortTags(tags)
		return nil
	})
	if err := a.refreshed(ctx, err); err != nil {
		return nil, err
	}
	return api.ChangeBoards200JSONResponse{Boards: n}, nil
}

func (a admin) DeleteBoards(ctx context.Context, r api.DeleteBoardsRequestObject) (api.DeleteBoardsResponseObject, error) {
	if err := checkIDs(r.Body.Ids); err != nil {
		return nil, err
	}
	n, err := a.store.DeleteBoards(ctx, a.actor(ctx), r.App, r.Body.Ids)
	if err := a.refreshed(ctx, err); err != nil {
		return nil, err
	}
	return api.DeleteBoards200JSONResponse{Boards: n}, nil
}

func (a admin) AddBoard(ctx context.Context, r api.AddBoardRequestObject) (api.AddBoardResponseObject, error) {
	v, err := a.known(ctx, r.App)
	if err != nil {
		return nil, err
	}
	if err := a.refreshed(ctx, a.store.AddBoard(ctx, a.actor(ctx), r.App, r.ID)); err != nil {
		return nil, err
	}
	return api.AddBoard200JSONResponse{Secret: v.App.Enrolment.BoardToken(r.App, r.ID)}, nil
}

func (a admin) BoardToken(ctx context.Context, r api.BoardTokenRequestObject) (api.BoardTokenResponseObject, error) {
	v, err := a.known(ctx, r.App)
	if err != nil {
		return nil, err
	}
	if err := fleet.CheckBoardID(r.ID); err != nil {
		return nil, err
	}
	return api.BoardToken200JSONResponse{Secret: v.App.Enrolment.BoardToken(r.App, r.ID)}, nil
}

func (a admin) CountBoards(ctx context.Context, r api.CountBoardsRequestObject) (api.CountBoardsResponseObject, error) {
	if _, err := a.known(ctx, r.App); err != nil {
		return nil, err
	}
	counts, err := a.store.Count(ctx, r.App, fleet.Attribute(r.Attribute))
	if err != nil {
		return nil, err
	}
	return api.CountBoards200JSONResponse(counts), nil
}
