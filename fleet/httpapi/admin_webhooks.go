package httpapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

func (a admin) ListWebhooks(ctx context.Context, _ api.ListWebhooksRequestObject) (api.ListWebhooksResponseObject, error) {
	hooks, err := a.store.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	list := api.ListWebhooks200JSONResponse{}
	for _, w := range hooks {
		out := api.Webhook{ID: w.ID, URL: w.URL, App: w.App, Events: []string{}, Created: w.Created, Failures: w.Failures, Reason: w.Reason}
		for _, e := range w.Events {
			out.Events = append(out.Events, string(e))
		}
		if !w.Disabled.IsZero() {
			out.Disabled = &w.Disabled
		}
		list = append(list, out)
	}
	return list, nil
}

func (a admin) AddWebhook(ctx context.Context, r api.AddWebhookRequestObject) (api.AddWebhookResponseObject, error) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // it never fails
	var events []fleet.Event
	for _, name := range or(r.Body.Events) {
		events = append(events, fleet.Event(name))
	}
	w, err := fleet.NewWebhook(random, r.Body.URL, or(r.Body.App), events, a.now())
	if err != nil {
		return nil, err
	}
	if err := a.checkWebhookHost(w.URL); err != nil {
		return nil, err
	}
	if w, err = a.store.AddWebhook(ctx, a.actor(ctx), w); err != nil {
		return nil, err
	}
	return api.AddWebhook200JSONResponse{ID: w.ID, Secret: w.Secret}, nil
}

// checkWebhookHost refuses what can be seen to lead to this machine; names are looked up
// when they are connected to.
func (s *Server) checkWebhookHost(address string) error {
	u, err := url.Parse(address)
	if err != nil || s.webhooksLocal {
		return err
	}
	host := u.Hostname()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if net.ParseIP(host) == nil {
		return nil
	}
	own, err := s.ownAddresses()
	if err != nil {
		return err
	}
	if err := checkWebhookAddress(net.JoinHostPort(host, "80"), own); err != nil {
		return fmt.Errorf("%w: %w", fleet.ErrInvalid, err)
	}
	return nil
}

func (a admin) RemoveWebhook(ctx context.Context, r api.RemoveWebhookRequestObject) (api.RemoveWebhookResponseObject, error) {
	return api.RemoveWebhook204Response{}, a.store.RemoveWebhook(ctx, a.actor(ctx), r.ID)
}

func (a admin) EnableWebhook(ctx context.Context, r api.EnableWebhookRequestObject) (api.EnableWebhookResponseObject, error) {
	return api.EnableWebhook204Response{}, a.store.EnableWebhook(ctx, a.actor(ctx), r.ID)
}

func (a admin) TestWebhook(ctx context.Context, r api.TestWebhookRequestObject) (api.TestWebhookResponseObject, error) {
	by := a.actor(ctx)
	id, err := a.store.TestWebhook(ctx, by, r.ID)
	if err != nil {
		return nil, err
	}
	return api.TestWebhook200JSONResponse(deliveryOut(&fleet.Delivery{ID: id, Event: fleet.EventTest, Created: by.At, Due: by.At})), nil
}

func (a admin) ListDeliveries(ctx context.Context, r api.ListDeliveriesRequestObject) (api.ListDeliveriesResponseObject, error) {
	deliveries, err := a.store.Deliveries(ctx, r.ID, or(r.Params.Before), page(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	list := api.ListDeliveries200JSONResponse{}
	for _, d := range deliveries {
		list = append(list, deliveryOut(&d))
	}
	return list, nil
}

func deliveryOut(d *fleet.Delivery) api.Delivery {
	out := api.Delivery{ID: d.ID, Event: string(d.Event), Created: d.Created, Attempts: d.Attempts, Status: d.Status, Problem: d.Problem}
	if d.Done.IsZero() {
		out.Due = &d.Due
	} else {
		out.Done = &d.Done
	}
	return out
}
