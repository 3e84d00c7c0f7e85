package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
	"github.com/cactuscon/saguarota/fleet/sqlstore"
)

func fleetTokenCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Tokens of people and programs"}
	cmd.AddCommand(fleetTokenAddCommand(), fleetTokenListCommand(), fleetTokenRevokeCommand())
	return cmd
}

const fleetTokenAddLong = `Make a token and print it. It is not shown again: the server keeps its hash only.

Scopes are read, publish, manage and admin; each includes those before it.

Where the only token with the scope admin was lost, whoever may write to the database
makes another one with --data or --db, which go straight there, past the server. That
may run meanwhile, and takes the token at once. It is in the audit log, too. Then
revoke the lost one.`

const fleetTokenAddExample = `  saguarota fleet token add ci --scope publish --days 365
  saguarota fleet token add ada --scope admin --data /var/lib/saguarota`

func fleetTokenAddCommand() *cobra.Command {
	var s serverFlags
	var o fleetOptions // of which only where the database is
	var scope string
	var days int64
	cmd := &cobra.Command{
		Use:     "add NAME --scope SCOPE",
		Short:   "Make a token and print it",
		Long:    fleetTokenAddLong,
		Example: fleetTokenAddExample,
		Args:    oneArgument("name", "saguarota fleet token add NAME --scope SCOPE"),
	}
	byServer := s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
		made, err := client.AddTokenWithResponse(ctx, api.NewToken{Name: args[0], Scope: scope, Days: &days})
		if err := done(made, err); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), made.JSON200.Secret)
		return nil
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.data == "" && o.db == "" {
			return byServer(cmd, args)
		}
		if s.server != "" || s.token != "" {
			return withHint(errors.New("a token is made by a server, or in its database, not both"), "leave out --server and --token-file, or --data and --db")
		}
		ctx, stop := interruptible(cmd)
		defer stop()
		secret, err := addToken(ctx, &o, args[0], scope, days)
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), secret)
		return nil
	}
	s.add(cmd.Flags())
	cmd.Flags().StringVar(&scope, "scope", "read", "what it allows: read, publish, manage or admin")
	cmd.Flags().Int64Var(&days, "days", 0, "after how many days it expires; 0: never")
	cmd.Flags().StringVar(&o.data, "data", "", "make it in the database in this folder of a server, without asking that")
	cmd.Flags().StringVar(&o.db, "db", "", "make it in this database, without asking a server: a file of SQLite, or postgres://USER@HOST/NAME")
	return cmd
}

// addToken makes a token in a database that is there, and returns its secret.
func addToken(ctx context.Context, o *fleetOptions, name, scope string, days int64) (secret string, err error) {
	if err := o.completeDB(); err != nil {
		return "", err
	}
	if !sqlstore.IsPostgres(o.db) {
		if _, err := os.Stat(o.db); err != nil {
			return "", withHint(err, "give the folder of a server that was started before with --data, or its database with --db")
		}
	}
	store, err := sqlstore.Open(ctx, o.db)
	if err != nil {
		return "", withHint(err, "check --data or --db, and that this user may write there")
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return httpapi.NewToken(ctx, store, fleet.Actor{Name: "command line", At: time.Now()}, name, fleet.Scope(scope), days)
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
