package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

func fleetAppCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "app", Short: "Applications: register, list, change"}
	cmd.AddCommand(fleetAppAddCommand(), fleetAppListCommand(), fleetAppChangeCommand())
	return cmd
}

const fleetAppAddLong = `Register an application with a fleet server.

--pub, --threshold and --keyset are what its boards have built in. The server checks
releases against them, and holds no key that could sign one.`

func fleetAppAddCommand() *cobra.Command {
	var s serverFlags
	var pubs []string
	var every time.Duration
	app := api.App{}
	cmd := &cobra.Command{
		Use:     "add NAME --pub KEY",
		Short:   "Register an application",
		Long:    fleetAppAddLong,
		Example: "  saguarota fleet app add badge --pub release.key.pub --server https://updates.example.com",
		Args:    oneArgument("application", "saguarota fleet app add NAME --pub KEY"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			if len(pubs) == 0 {
				return withHint(fmt.Errorf("the application %q has no public key", args[0]), "give the key that boards have with --pub KEY.pub")
			}
			keys, err := readPublicKeys(pubs)
			if err != nil {
				return err
			}
			for _, key := range keys {
				app.PublicKeys = append(app.PublicKeys, key.String())
			}
			app.Name, app.PollSeconds = args[0], int64(every/time.Second)
			if err := done(client.AddAppWithResponse(ctx, app)); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: registered\n", app.Name)
			return nil
		}),
	}
	flags := cmd.Flags()
	s.add(flags)
	flags.StringArrayVar(&pubs, "pub", nil, "public key that boards have; may be given several times")
	flags.IntVar(&app.Threshold, "threshold", 1, "how many of the keys must have signed")
	flags.Int64Var(&app.Keyset, "keyset", 1, "which keyset these keys are")
	flags.DurationVar(&every, "poll-every", fleet.DefaultPollPeriod, "how long a board waits between two polls, on average")
	flags.BoolVar(&app.Tokens, "board-tokens", false, "take in only boards that show their own token: saguarota fleet device add")
	flags.Int64Var(&app.MaxBoards, "max-boards", 100_000, "how many boards are taken in; 0: as many as come")
	flags.Int64Var(&app.MaxPerMinute, "max-boards-per-minute", 1000, "how many new boards are taken in within a minute; 0: as many as come")
	return cmd
}

func fleetAppListCommand() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the applications",
		Args:  cobra.NoArgs,
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, _ []string) error {
			list, err := client.ListAppsWithResponse(ctx)
			if err := done(list, err); err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tKEYS\tPOLL EVERY\tTOKENS\tBOARDS AT MOST\tNEW A MINUTE")
			for _, a := range *list.JSON200 {
				fmt.Fprintf(w, "%s\t%d of %d\t%v\t%v\t%d\t%d\n", a.Name, a.Threshold, len(a.PublicKeys), time.Duration(a.PollSeconds)*time.Second, a.Tokens, a.MaxBoards, a.MaxPerMinute)
			}
			return w.Flush()
		}),
	}
	s.add(cmd.Flags())
	return cmd
}

func fleetAppChangeCommand() *cobra.Command {
	var s serverFlags
	var every time.Duration
	var tokens bool
	var boards, perMinute int64
	cmd := &cobra.Command{
		Use:     "change NAME",
		Short:   "Change how an application takes in boards, and how often they poll",
		Long:    "Change how an application takes in boards, and how often they poll. What is not given\nstays. Its name and its public keys are what boards have built in, and cannot change.",
		Example: "  saguarota fleet app change badge --poll-every 1h\n  saguarota fleet app change badge --board-tokens=false --max-boards 500000",
		Args:    oneArgument("application", "saguarota fleet app change NAME --poll-every 1h"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			var change api.AppChange
			given := cmd.Flags().Changed
			if seconds := int64(every / time.Second); given("poll-every") {
				change.PollSeconds = &seconds
			}
			if given("board-tokens") {
				change.Tokens = &tokens
			}
			if given("max-boards") {
				change.MaxBoards = &boards
			}
			if given("max-boards-per-minute") {
				change.MaxPerMinute = &perMinute
			}
			if change == (api.AppChange{}) {
				return withHint(fmt.Errorf("it is not said what is to change of %q", args[0]), "give --poll-every, --board-tokens, --max-boards or --max-boards-per-minute")
			}
			if err := done(client.ChangeAppWithResponse(ctx, args[0], change)); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: changed\n", args[0])
			return nil
		}),
	}
	flags := cmd.Flags()
	s.add(flags)
	flags.DurationVar(&every, "poll-every", 0, "how long a board waits between two polls, on average")
	flags.BoolVar(&tokens, "board-tokens", false, "take in only boards that show their own token")
	flags.Int64Var(&boards, "max-boards", 0, "how many boards are taken in; 0: as many as come")
	flags.Int64Var(&perMinute, "max-boards-per-minute", 0, "how many new boards are taken in within a minute; 0: as many as come")
	return cmd
}
