package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

func fleetDeviceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "device", Short: "Boards: register, list, count, pin, tag, revoke, hide, delete"}
	cmd.AddCommand(fleetDeviceAddCommand(), fleetDeviceTokenCommand(), fleetDeviceListCommand(), fleetDeviceCountCommand(), fleetDevicePinCommand(), fleetDeviceTagCommand(),
		fleetDeviceSwitchCommand("revoke", "Refuse boards, also with their token", "refused", func(c *api.BoardChange, on *bool) { c.Revoked = on }),
		fleetDeviceSwitchCommand("hide", "Neither list nor count boards until they poll again", "hidden", func(c *api.BoardChange, on *bool) { c.Hidden = on }),
		fleetDeviceDeleteCommand())
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
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			secret, err := client.BoardTokenWithResponse(ctx, args[0], args[1])
			if err := done(secret, err); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), secret.JSON200.Secret)
			return nil
		}),
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

func fleetDeviceAddCommand() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:     "add APP BOARD",
		Short:   "Register a board and print its token",
		Long:    "Register a board before it polls, and print its token: the option \"device_token\" of\nthe board, whose \"device_id\" is BOARD. An application that takes in any board needs\nno token, but a board that is registered can be tagged and pinned before it polls.",
		Example: "  saguarota fleet device add badge e66058388358952c",
		Args:    twoArguments("saguarota fleet device add APP BOARD"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			secret, err := client.AddBoardWithResponse(ctx, args[0], args[1])
			if err := done(secret, err); err != nil {
				if secret != nil && secret.JSONDefault != nil && secret.JSONDefault.Error == "exists" {
					err = withHint(err, "its token: saguarota fleet device token %s %s", args[0], args[1])
				}
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), secret.JSON200.Secret)
			return nil
		}),
	}
	s.add(cmd.Flags())
	return cmd
}

const fleetDeviceListLong = `List the boards of an application, in the order of their ids.

--by and --value choose those with one value of an attribute: channel, version, state,
error, board, micropython, lib or tag. --rollout and --stage choose by what has become
of a board in a rollout.`

func fleetDeviceListCommand() *cobra.Command {
	var s serverFlags
	var prefix, by, value, stage string
	var rollout int64
	var hidden bool
	var limit int
	cmd := &cobra.Command{
		Use:     "list APP",
		Short:   "List boards",
		Long:    fleetDeviceListLong,
		Example: "  saguarota fleet device list badge --by tag --value lab\n  saguarota fleet device list badge --rollout 3 --stage undone",
		Args:    oneArgument("application", "saguarota fleet device list APP"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return withHint(fmt.Errorf("--limit is %d", limit), "give at least 1")
			}
			p := api.ListBoardsParams{Prefix: &prefix, Hidden: &hidden, Rollout: &rollout, By: &by, Value: &value}
			if stage != "" {
				p.Stage = &stage
			}
			return listDevices(ctx, cmd.OutOrStdout(), client, args[0], p, limit)
		}),
	}
	flags := cmd.Flags()
	s.add(flags)
	flags.StringVar(&prefix, "prefix", "", "only boards whose id begins so")
	flags.StringVar(&by, "by", "", "attribute to choose by")
	flags.StringVar(&value, "value", "", "value of --by")
	flags.Int64Var(&rollout, "rollout", 0, "only boards whose last rollout is this")
	flags.StringVar(&stage, "stage", "", "only boards in this stage of --rollout")
	flags.BoolVar(&hidden, "hidden", false, "hidden boards, and no others")
	flags.IntVar(&limit, "limit", 1000, "how many at most")
	return cmd
}

// listDevices prints up to limit boards, page by page.
func listDevices(ctx context.Context, out io.Writer, client *api.ClientWithResponses, app string, p api.ListBoardsParams, limit int) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BOARD\tVERSION\tSTATE\tERROR\tCHANNEL\tTAGS\tPIN\tROLLOUT\tLAST SEEN\t")
	for {
		p.Limit = &limit
		list, err := client.ListBoardsWithResponse(ctx, app, &p)
		if err := done(list, err); err != nil {
			return err
		}
		boards := *list.JSON200
		for _, b := range boards {
			note := ""
			if b.Revoked {
				note = "revoked"
			}
			in, pin := "-", "-"
			if b.Rollout != 0 {
				in = fmt.Sprintf("%d %s", b.Rollout, b.Stage)
			}
			if b.Pin != 0 {
				pin = fmt.Sprint(b.Pin)
			}
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", b.ID, b.Version, orDash(b.State), orDash(b.Error), b.Channel,
				orDash(strings.Join(b.Tags, ",")), pin, in, timeOrDash(&b.LastSeen), note)
		}
		if limit -= len(boards); limit <= 0 || len(boards) == 0 {
			return w.Flush()
		}
		p.After = &boards[len(boards)-1].ID
	}
}

// orDash returns text, or "-" where it is empty.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// someBoards is for commands that take an application and boards of it.
func someBoards(usage string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < 2 {
			return withHint(errors.New("it is not said which boards"), "type %q", usage)
		}
		return nil
	}
}

// maxDevices is how many boards a server changes in one call.
const maxDevices = 1000

// changeDevices changes boards, and says of how many that is true which is said.
func changeDevices(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, app string, boards []string, change api.BoardChange, what string) error {
	n := 0
	for part := range slices.Chunk(boards, maxDevices) {
		change.Ids = part
		changed, err := client.ChangeBoardsWithResponse(ctx, app, change)
		if err := done(changed, err); err != nil {
			return err
		}
		n += changed.JSON200.Boards
	}
	writeChanged(cmd.OutOrStdout(), n, len(boards), what)
	return nil
}

func writeChanged(w io.Writer, n, of int, what string) {
	fmt.Fprintf(w, "%s: %s\n", plural(n, "board"), what)
	if n < of {
		fmt.Fprintf(w, "Of the others nothing was to be changed, or the server does not know them.\n")
	}
}

func fleetDevicePinCommand() *cobra.Command {
	var s serverFlags
	var version int64
	cmd := &cobra.Command{
		Use:     "pin APP BOARD... --version VERSION",
		Short:   "Give boards one version and no other",
		Example: "  saguarota fleet device pin badge e66058388358952c --version 1700000000\n  saguarota fleet device pin badge e66058388358952c --version 0",
		Args:    someBoards("saguarota fleet device pin APP BOARD... --version VERSION"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			what := fmt.Sprintf("pinned to version %d", version)
			switch {
			case !cmd.Flags().Changed("version") || version < 0:
				return withHint(errors.New("it is not said which version"), "give --version VERSION, or --version 0 to let them go on")
			case version == 0:
				what = "not pinned any more"
			}
			return changeDevices(ctx, client, cmd, args[0], args[1:], api.BoardChange{Pin: &version}, what)
		}),
	}
	s.add(cmd.Flags())
	cmd.Flags().Int64Var(&version, "version", 0, "version that they are to have; 0: not pinned")
	return cmd
}

func fleetDeviceTagCommand() *cobra.Command {
	var s serverFlags
	var add, remove []string
	cmd := &cobra.Command{
		Use:     "tag APP BOARD... --add TAG",
		Short:   "Give boards tags, or take them away",
		Example: "  saguarota fleet device tag badge e66058388358952c --add lab --remove hall",
		Args:    someBoards("saguarota fleet device tag APP BOARD... --add TAG"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			if len(add)+len(remove) == 0 {
				return withHint(errors.New("it is not said which tags"), "give --add TAG or --remove TAG")
			}
			return changeDevices(ctx, client, cmd, args[0], args[1:], api.BoardChange{AddTags: &add, RemoveTags: &remove}, "tagged")
		}),
	}
	s.add(cmd.Flags())
	cmd.Flags().StringSliceVar(&add, "add", nil, "tags to give")
	cmd.Flags().StringSliceVar(&remove, "remove", nil, "tags to take away")
	return cmd
}
