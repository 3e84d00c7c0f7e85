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

func fleetReleaseCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "release", Short: "Releases that were published: list, withdraw, step-through"}
	cmd.AddCommand(fleetReleaseListCommand(),
		fleetReleaseChangeCommand("withdraw", "Offer a release to nobody any more", "withdrawn", func(c *api.ReleaseChange, on bool) { c.Withdrawn = &on },
			"Boards that run it keep it; \"saguarota rollback\" brings them to what was before.\nIts rollouts are paused. --undo takes it back; \"saguarota rollout resume\" then lets\nthem go on."),
		fleetReleaseChangeCommand("step-through", "Let no board get past a release without having run it", "a step that no board skips", func(c *api.ReleaseChange, on bool) { c.StepThrough = &on },
			"For a release that converts what the one before has stored: boards that are several\nreleases behind get it first, also if they were off for a year. --undo takes it back."))
	return cmd
}

func fleetReleaseListCommand() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:     "list APP",
		Short:   "List the releases of an application, the newest first",
		Example: "  saguarota fleet release list badge",
		Args:    oneArgument("application", "saguarota fleet release list APP"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			list, err := client.ListReleasesWithResponse(ctx, args[0])
			if err := done(list, err); err != nil {
				return err
			}
			channels, err := client.ListChannelsWithResponse(ctx, args[0])
			if err := done(channels, err); err != nil {
				return err
			}
			holds := map[int64][]string{}
			for _, c := range *channels.JSON200 {
				holds[c.Version] = append(holds[c.Version], c.Name)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "VERSION\tNAME\tID\tKEYSET\tPUBLISHED\tCHANNELS\t")
			for _, r := range *list.JSON200 {
				var notes []string
				if r.StepThrough {
					notes = append(notes, "step-through")
				}
				if r.Withdrawn {
					notes = append(notes, "withdrawn")
				}
				fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\n", r.Version, orDash(r.Name), r.ID, r.Keyset, r.Published.Format(time.RFC3339),
					orDash(strings.Join(holds[r.Version], ",")), strings.Join(notes, ", "))
			}
			return w.Flush()
		}),
	}
	s.add(cmd.Flags())
	return cmd
}

// versionArgument reads the version that a command takes.
func versionArgument(app, text string) (int64, error) {
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil || version < 1 {
		return 0, withHint(fmt.Errorf("%q is no version of a release", text), "\"saguarota fleet release list %s\" lists them", app)
	}
	return version, nil
}

// fleetReleaseChangeCommand is a command that turns something on for a release, or off.
func fleetReleaseChangeCommand(name, short, what string, set func(c *api.ReleaseChange, on bool), long string) *cobra.Command {
	var s serverFlags
	var undo bool
	usage := "saguarota fleet release " + name + " APP VERSION"
	cmd := &cobra.Command{
		Use:     name + " APP VERSION",
		Short:   short,
		Long:    short + ".\n\n" + long,
		Example: "  saguarota fleet release " + name + " badge 1700000000\n  saguarota fleet release " + name + " badge 1700000000 --undo",
		Args:    twoArguments(usage),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			version, err := versionArgument(args[0], args[1])
			if err != nil {
				return err
			}
			var change api.ReleaseChange
			set(&change, !undo)
			if err := done(client.ChangeReleaseWithResponse(ctx, args[0], version, change)); err != nil {
				return err
			}
			said := what
			if undo {
				said = "not " + what + " any more"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s version %d: %s\n", args[0], version, said)
			return nil
		}),
	}
	s.add(cmd.Flags())
	cmd.Flags().BoolVar(&undo, "undo", false, "take it back")
	return cmd
}
