package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

func fleetDeviceCountCommand() *cobra.Command {
	var s serverFlags
	var by string
	cmd := &cobra.Command{
		Use:     "count APP --by ATTRIBUTE",
		Short:   "Count the boards by an attribute",
		Long:    "Count the boards of an application by what they report, or by what was set for them:\nchannel, version, state, error, board, micropython, lib or tag. Hidden boards do not\ncount. The counts are kept up to date, so this costs the server next to nothing.",
		Example: "  saguarota fleet device count badge --by version",
		Args:    oneArgument("application", "saguarota fleet device count APP --by version"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, c *cobra.Command, args []string) error {
			if !slices.Contains(fleet.Attributes, fleet.Attribute(by)) {
				return withHint(fmt.Errorf("boards have no attribute %q", by), "give one of these with --by: channel, version, state, error, board, micropython, lib, tag")
			}
			counts, err := client.CountBoardsWithResponse(ctx, args[0], api.CountBoardsParamsAttribute(by))
			if err := done(counts, err); err != nil {
				return err
			}
			values := slices.SortedFunc(maps.Keys(*counts.JSON200), func(a, b string) int {
				return cmp.Or(cmp.Compare((*counts.JSON200)[b], (*counts.JSON200)[a]), cmp.Compare(a, b))
			})
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "VALUE\tBOARDS")
			for _, v := range values {
				fmt.Fprintf(w, "%s\t%d\n", orDash(v), (*counts.JSON200)[v])
			}
			return w.Flush()
		}),
	}
	s.add(cmd.Flags())
	cmd.Flags().StringVar(&by, "by", "version", "attribute to count by")
	return cmd
}
