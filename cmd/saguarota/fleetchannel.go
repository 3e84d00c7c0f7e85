package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

func fleetChannelCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "channel", Short: "Channels, and which release each holds"}
	cmd.AddCommand(fleetChannelListCommand(), fleetChannelSetCommand())
	return cmd
}

func fleetChannelListCommand() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:     "list APP",
		Short:   "List the channels of an application",
		Example: "  saguarota fleet channel list badge",
		Args:    oneArgument("application", "saguarota fleet channel list APP"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			list, err := client.ListChannelsWithResponse(ctx, args[0])
			if err := done(list, err); err != nil {
				return err
			}
			counts, err := client.CountBoardsWithResponse(ctx, args[0], "channel")
			if err := done(counts, err); err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "CHANNEL\tVERSION\tROLLOUT\tBOARDS")
			for _, c := range *list.JSON200 {
				rollout := "-"
				if c.Rollout != nil {
					rollout = fmt.Sprint(*c.Rollout)
				}
				fmt.Fprintf(w, "%s\t%d\t%s\t%d\n", c.Name, c.Version, rollout, (*counts.JSON200)[c.Name])
			}
			return w.Flush()
		}),
	}
	s.add(cmd.Flags())
	return cmd
}

func fleetChannelSetCommand() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:     "set APP CHANNEL VERSION",
		Short:   "Give a release to all boards of a channel, at once",
		Long:    "Give a release to all boards that follow a channel, at once; one that there is not is\nmade. Boards do not go back: for what is older than what they have, there is\n\"saguarota rollback\".",
		Example: "  saguarota fleet channel set badge beta 1700000000",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 3 {
				return withHint(fmt.Errorf("set takes three arguments, not %d", len(args)), "type \"saguarota fleet channel set APP CHANNEL VERSION\"")
			}
			return nil
		},
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			version, err := versionArgument(args[0], args[2])
			if err != nil {
				return err
			}
			if err := done(client.SetChannelWithResponse(ctx, args[0], args[1], api.ChannelChange{Version: version})); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s version %d: all boards that follow %s are offered it\n", args[0], version, args[1])
			return nil
		}),
	}
	s.add(cmd.Flags())
	return cmd
}
