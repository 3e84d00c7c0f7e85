package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

func fleetWebhookCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "webhook", Short: "Addresses that are told of what happens"}
	cmd.AddCommand(fleetWebhookAddCommand(), fleetWebhookListCommand(), fleetWebhookTestCommand(), fleetWebhookLogCommand(),
		fleetWebhookSimpleCommand("enable", "Let a webhook be told again, also of what it has missed", "enabled",
			func(ctx context.Context, c *api.ClientWithResponses, id int64) error {
				return done(c.EnableWebhookWithResponse(ctx, id))
			}),
		fleetWebhookSimpleCommand("remove", "Forget a webhook, and what it was to be told", "removed",
			func(ctx context.Context, c *api.ClientWithResponses, id int64) error {
				return done(c.RemoveWebhookWithResponse(ctx, id))
			}))
	return cmd
}

const fleetWebhookAddLong = `Have an address be told of what happens, and print the secret that signs it.

The secret is not shown again. Each message is a POST of JSON with the header
Saguarota-Signature: t=SECONDS,v1=HEX, where HEX is the HMAC-SHA256 of SECONDS, a dot
and the body, under the secret. What is not answered with 2xx is tried again for some
twelve hours, so a message can come twice: its "id" says so.

Without --event the webhook is told all but what befalls single boards. Events are
release.published, release.withdrawn, channel.set, rollout.started, rollout.step,
rollout.paused, rollout.resumed, rollout.halted, rollout.aborted, rollout.finished,
board.undone, board.failed and board.timed_out.`

func fleetWebhookAddCommand() *cobra.Command {
	var s serverFlags
	var app string
	var events []string
	cmd := &cobra.Command{
		Use:     "add URL",
		Short:   "Have an address be told of what happens",
		Long:    fleetWebhookAddLong,
		Example: "  saguarota fleet webhook add https://example.com/hook --event rollout.halted,board.undone",
		Args:    oneArgument("address", "saguarota fleet webhook add URL"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			made, err := client.AddWebhookWithResponse(ctx, api.NewWebhook{URL: args[0], App: &app, Events: &events})
			if err := done(made, err); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "webhook %d; its secret, which is not shown again:\n", made.JSON200.ID)
			fmt.Fprintln(cmd.OutOrStdout(), made.JSON200.Secret)
			return nil
		}),
	}
	flags := cmd.Flags()
	s.add(flags)
	flags.StringVar(&app, "app", "", "only of this application")
	flags.StringSliceVar(&events, "event", nil, "only these events")
	return cmd
}

func fleetWebhookListCommand() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the webhooks, without their secrets",
		Args:  cobra.NoArgs,
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, _ []string) error {
			list, err := client.ListWebhooksWithResponse(ctx)
			if err := done(list, err); err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "WEBHOOK\tURL\tAPP\tEVENTS\tFAILURES\tSTATE")
			for _, h := range *list.JSON200 {
				state := "told"
				if h.Disabled != nil {
					state = "disabled: " + h.Reason
				}
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\n", h.ID, h.URL, orDash(h.App), orDash(strings.Join(h.Events, ",")), h.Failures, state)
			}
			return w.Flush()
		}),
	}
	s.add(cmd.Flags())
	return cmd
}

// webhookArgument reads a webhook's number.
func webhookArgument(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, withHint(fmt.Errorf("%q is no webhook's number", text), "\"saguarota fleet webhook list\" lists them")
	}
	return id, nil
}

func fleetWebhookSimpleCommand(name, short, what string, call func(ctx context.Context, c *api.ClientWithResponses, id int64) error) *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:     name + " WEBHOOK",
		Short:   short,
		Example: "  saguarota fleet webhook " + name + " 3",
		Args:    oneArgument("webhook's number", "saguarota fleet webhook "+name+" WEBHOOK"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			id, err := webhookArgument(args[0])
			if err != nil {
				return err
			}
			if err := call(ctx, client, id); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "webhook %d: %s\n", id, what)
			return nil
		}),
	}
	s.add(cmd.Flags())
	return cmd
}

func fleetWebhookTestCommand() *cobra.Command {
	var s serverFlags
	var wait time.Duration
	cmd := &cobra.Command{
		Use:     "test WEBHOOK",
		Short:   "Have a webhook be told the event \"test\", and see what it answers",
		Example: "  saguarota fleet webhook test 3",
		Args:    oneArgument("webhook's number", "saguarota fleet webhook test WEBHOOK"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			id, err := webhookArgument(args[0])
			if err != nil {
				return err
			}
			sent, err := client.TestWebhookWithResponse(ctx, id)
			if err := done(sent, err); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			d, err := awaitDelivery(ctx, client, id, sent.JSON200.ID)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "webhook %d: it was told, and answered %d\n", id, d.Status)
			return nil
		}),
	}
	s.add(cmd.Flags())
	cmd.Flags().DurationVar(&wait, "wait", 20*time.Second, "how long to wait for the answer")
	return cmd
}

// awaitDelivery waits for the first attempt of a delivery, which is an error if it failed.
func awaitDelivery(ctx context.Context, client *api.ClientWithResponses, webhook, id int64) (*api.Delivery, error) {
	const often = 200 * time.Millisecond
	before, limit := id+1, 1
	again := time.NewTicker(often)
	defer again.Stop()
	for {
		list, err := client.ListDeliveriesWithResponse(ctx, webhook, &api.ListDeliveriesParams{Before: &before, Limit: &limit})
		if err := done(list, err); err != nil {
			return nil, err
		}
		for _, d := range *list.JSON200 {
			switch {
			case d.ID != id:
			case d.Problem != "":
				return nil, withHint(fmt.Errorf("webhook %d was not told: %s", webhook, d.Problem), "it is tried again; \"saguarota fleet webhook log %d\" shows how that goes", webhook)
			case d.Done != nil:
				return &d, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, withHint(fmt.Errorf("webhook %d was not told yet", webhook), "\"saguarota fleet webhook log %d\" shows when it was", webhook)
		case <-again.C:
		}
	}
}

func fleetWebhookLogCommand() *cobra.Command {
	var s serverFlags
	var limit int
	cmd := &cobra.Command{
		Use:     "log WEBHOOK",
		Short:   "Show what a webhook was told, the newest first, and what it answered",
		Example: "  saguarota fleet webhook log 3",
		Args:    oneArgument("webhook's number", "saguarota fleet webhook log WEBHOOK"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			id, err := webhookArgument(args[0])
			if err != nil {
				return err
			}
			list, err := client.ListDeliveriesWithResponse(ctx, id, &api.ListDeliveriesParams{Limit: &limit})
			if err := done(list, err); err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "DELIVERY\tEVENT\tSINCE\tATTEMPTS\tANSWER\tSTATE")
			for _, d := range *list.JSON200 {
				state := "told"
				switch {
				case d.Done == nil && d.Problem == "":
					state = "waits"
				case d.Done == nil:
					state = "again at " + timeOrDash(d.Due) + ": " + d.Problem
				case d.Problem != "":
					state = "given up: " + d.Problem
				}
				answer := "-"
				if d.Status != 0 {
					answer = fmt.Sprint(d.Status)
				}
				fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\n", d.ID, d.Event, d.Created.Format(time.RFC3339), d.Attempts, answer, state)
			}
			return w.Flush()
		}),
	}
	s.add(cmd.Flags())
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most")
	return cmd
}
