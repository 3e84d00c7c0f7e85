package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

func fleetAppCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "app", Short: "Register applications"}
	cmd.AddCommand(fleetAppAddCommand(), fleetAppListCommand())
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
		RunE: func(cmd *cobra.Command, args []string) error {
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
			client, err := s.client()
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			if err := done(client.AddAppWithResponse(ctx, app)); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: registered\n", app.Name)
			return nil
		},
	}
	flags := cmd.Flags()
	s.add(flags)
	flags.StringArrayVar(&pubs, "pub", nil, "public key that boards have; may be given several times")
	flags.IntVar(&app.Threshold, "threshold", 1, "how many of the keys must have signed")
	flags.Int64Var(&app.Keyset, "keyset", 1, "which keyset these keys are")
	flags.DurationVar(&every, "poll-every", fleet.DefaultPollPeriod, "how long a board waits between two polls, on average")
	flags.BoolVar(&app.Tokens, "board-tokens", false, "take in only boards that show their own token: saguarota fleet device token")
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			list, err := client.ListAppsWithResponse(ctx)
			if err := done(list, err); err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tKEYS\tPOLL EVERY\tTOKENS\tBOARDS AT MOST")
			for _, a := range *list.JSON200 {
				fmt.Fprintf(w, "%s\t%d of %d\t%v\t%v\t%d\n", a.Name, a.Threshold, len(a.PublicKeys), time.Duration(a.PollSeconds)*time.Second, a.Tokens, a.MaxBoards)
			}
			return w.Flush()
		},
	}
	s.add(cmd.Flags())
	return cmd
}

func fleetDeviceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "device", Short: "Tokens of single boards"}
	cmd.AddCommand(fleetDeviceTokenCommand())
	return cmd
}

func fleetDeviceTokenCommand() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:     "token APP BOARD",
		Short:   "Print the token of a board",
		Long:    "Print the token that the board of an application with --board-tokens has to show.\nIt is derived from the board's id: it is the same every time, and the server keeps\nno list of them.",
		Example: "  saguarota fleet device token badge e66058388358952c",
		Args:    twoArguments("saguarota fleet device token APP BOARD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			secret, err := client.BoardTokenWithResponse(ctx, args[0], args[1])
			if err := done(secret, err); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), secret.JSON200.Secret)
			return nil
		},
	}
	s.add(cmd.Flags())
	return cmd
}

// twoArguments is for commands that take two.
func twoArguments(usage string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 2 {
			return withHint(fmt.Errorf("%s takes two arguments, not %d", cmd.Name(), len(args)), "type %q", usage)
		}
		return nil
	}
}

func fleetTokenCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Tokens of people and programs"}
	cmd.AddCommand(fleetTokenAddCommand())
	return cmd
}

func fleetTokenAddCommand() *cobra.Command {
	var s serverFlags
	var scope string
	var days int64
	cmd := &cobra.Command{
		Use:     "add NAME --scope SCOPE",
		Short:   "Make a token and print it",
		Long:    "Make a token and print it. It is not shown again: the server keeps its hash only.\n\nScopes are read, publish, manage and admin; each includes those before it.",
		Example: "  saguarota fleet token add ci --scope publish --days 365",
		Args:    oneArgument("name", "saguarota fleet token add NAME --scope SCOPE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			made, err := client.AddTokenWithResponse(ctx, api.NewToken{Name: args[0], Scope: scope, Days: &days})
			if err := done(made, err); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), made.JSON200.Secret)
			return nil
		},
	}
	s.add(cmd.Flags())
	cmd.Flags().StringVar(&scope, "scope", "read", "what it allows: read, publish, manage or admin")
	cmd.Flags().Int64Var(&days, "days", 0, "after how many days it expires; 0: never")
	return cmd
}
