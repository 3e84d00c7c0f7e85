package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// unseenFlag chooses boards that have not polled for long, in place of naming them.
type unseenFlag struct {
	age     string
	revoked int // of those, how many are left out
}

func (u *unseenFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&u.age, "unseen", "", "boards that have not polled for so long, such as 90d, in place of naming them")
}

// args is for commands that take an application, and boards or --unseen.
func (u *unseenFlag) args(usage string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if u.age == "" {
			return someBoards(usage)(cmd, args)
		}
		if len(args) != 1 {
			return withHint(errors.New("--unseen says which boards, and others are named, too"), "give an application, and either --unseen or boards")
		}
		return nil
	}
}

// boards returns the boards that are meant: those that are named, or all of the
// application that have not polled for so long. A board that was registered and has not
// polled yet is still awaited, and one that is revoked stays so.
func (u *unseenFlag) boards(ctx context.Context, client *api.ClientWithResponses, args []string, hidden ...bool) ([]string, error) {
	if u.age == "" {
		return args[1:], nil
	}
	age, err := parseSpan("--unseen", u.age)
	if err != nil {
		return nil, err
	}
	before := time.Now().Add(-age)
	var ids []string
	for _, h := range hidden {
		p := api.ListBoardsParams{Hidden: &h}
		for {
			list, err := client.ListBoardsWithResponse(ctx, args[0], &p)
			if err := done(list, err); err != nil {
				return nil, err
			}
			boards := *list.JSON200
			if len(boards) == 0 {
				break
			}
			for _, b := range boards {
				switch {
				case b.LastSeen.IsZero() || !b.LastSeen.Before(before):
				case b.Revoked:
					u.revoked++
				default:
					ids = append(ids, b.ID)
				}
			}
			p.After = &boards[len(boards)-1].ID
		}
	}
	return ids, nil
}

// tell says which boards were left out.
func (u *unseenFlag) tell(w io.Writer) {
	if u.revoked > 0 {
		fmt.Fprintf(w, "%s of --unseen: revoked, so not touched\n", plural(u.revoked, "board"))
	}
}

// fleetDeviceSwitchCommand is a command that turns something on for boards, or off.
func fleetDeviceSwitchCommand(name, short, what string, set func(c *api.BoardChange, on *bool)) *cobra.Command {
	var s serverFlags
	var unseen unseenFlag
	var undo bool
	usage := name + " APP BOARD..."
	cmd := &cobra.Command{
		Use:     usage,
		Short:   short,
		Example: "  saguarota fleet device " + name + " badge e66058388358952c\n  saguarota fleet device " + name + " badge e66058388358952c --undo",
		Args:    someBoards("saguarota fleet device " + usage),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			boards, err := unseen.boards(ctx, client, args, undo)
			if err != nil {
				return err
			}
			on := !undo
			var change api.BoardChange
			set(&change, &on)
			said := what
			if undo {
				said = "not " + what + " any more"
			}
			unseen.tell(cmd.OutOrStdout())
			return changeDevices(ctx, client, cmd, args[0], boards, change, said)
		}),
	}
	s.add(cmd.Flags())
	cmd.Flags().BoolVar(&undo, "undo", false, "take it back")
	if name == "hide" {
		unseen.add(cmd)
		cmd.Args = unseen.args("saguarota fleet device " + usage)
		cmd.Example += "\n  saguarota fleet device hide badge --unseen 90d"
	}
	return cmd
}

func fleetDeviceDeleteCommand() *cobra.Command {
	var s serverFlags
	var unseen unseenFlag
	var yes bool
	cmd := &cobra.Command{
		Use:     "delete APP BOARD...",
		Short:   "Forget boards; one that polls again is new",
		Long:    "Forget boards, with their tags and pins. One that polls again is new, and is taken in\nlike any other. So one that is revoked stays, until that is taken back:\n\"saguarota fleet device revoke APP BOARD --undo\".",
		Example: "  saguarota fleet device delete badge e66058388358952c\n  saguarota fleet device delete badge --unseen 365d",
		Args:    unseen.args("saguarota fleet device delete APP BOARD..."),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			boards, err := unseen.boards(ctx, client, args, false, true)
			if err != nil {
				return err
			}
			if unseen.age != "" && len(boards) > 0 && !yes && !confirm(ctx, cmd, fmt.Sprintf("Forget %s of %s?", plural(len(boards), "board"), args[0])) {
				return withHint(errors.New("nothing was deleted"), "answer y, or give --yes where nobody can answer")
			}
			n := 0
			for part := range slices.Chunk(boards, maxDevices) {
				deleted, err := client.DeleteBoardsWithResponse(ctx, args[0], api.BoardIds{Ids: part})
				if err := done(deleted, err); err != nil {
					return err
				}
				n += deleted.JSON200.Boards
			}
			out := cmd.OutOrStdout()
			writeChanged(out, n, len(boards), "deleted")
			if n < len(boards) {
				fmt.Fprintf(out, "One that is revoked stays, since it would be taken in again; to delete it all the same, first: saguarota fleet device revoke %s BOARD --undo\n", args[0])
			}
			unseen.tell(out)
			return nil
		}),
	}
	s.add(cmd.Flags())
	unseen.add(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask before boards of --unseen are forgotten")
	return cmd
}
