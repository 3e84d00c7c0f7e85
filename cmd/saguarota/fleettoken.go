package main

import (
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

func fleetTokenCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Tokens of people and programs"}
	cmd.AddCommand(fleetTokenAddCommand(), fleetTokenListCommand(), fleetTokenRevokeCommand())
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
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			made, err := client.AddTokenWithResponse(ctx, api.NewToken{Name: args[0], Scope: scope, Days: &days})
			if err := done(made, err); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), made.JSON200.Secret)
			return nil
		}),
	}
	s.add(cmd.Flags())
	cmd.Flags().StringVar(&scope, "scope", "read", "what it allows: read, publish, manage or admin")
	cmd.Flags().Int64Var(&days, "days", 0, "after how many days it expires; 0: never")
	return cmd
}

func fleetTokenListCommand() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens, without their secrets",
		Args:  cobra.NoArgs,
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, _ []string) error {
			list, err := client.ListTokensWithResponse(ctx)
			if err := done(list, err); err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "TOKEN\tNAME\tSCOPE\tMADE\tEXPIRES\tREVOKED")
			for _, t := range *list.JSON200 {
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, t.Scope, t.Created.Format(time.RFC3339), timeOrDash(t.Expires), timeOrDash(t.Revoked))
			}
			return w.Flush()
		}),
	}
	s.add(cmd.Flags())
	return cmd
}

// timeOrDash writes a time, or "-" where there is none.
func timeOrDash(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339)
}

func fleetTokenRevokeCommand() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:     "revoke TOKEN",
		Short:   "Make a token invalid, by its number",
		Example: "  saguarota fleet token revoke 3",
		Args:    oneArgument("token's number", "saguarota fleet token revoke TOKEN"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return withHint(fmt.Errorf("%q is no token's number", args[0]), "\"saguarota fleet token list\" lists them")
			}
			if err := done(client.RevokeTokenWithResponse(ctx, id)); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "token %d: revoked\n", id)
			return nil
		}),
	}
	s.add(cmd.Flags())
	return cmd
}
