package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/devserver"
	"github.com/cactuscon/saguarota/fleet/simulate"
)

const fleetSimulateLong = `Play boards against a fleet server, as many and as fast as it answers.

Every board polls as often as --rounds says, takes the releases that it is offered,
puts them on trial, confirms them, or fails at the rates given. The server sees boards
called sim-00000000 and on: use an application that is there for this, on a server of
your own.

What is printed is the rate, how long polls took, and what became of the boards. The
exit status is 1 if a poll was refused or an answer was wrong.`

const fleetSimulateExample = `  saguarota fleet simulate test --boards 1000 --rounds 10
  saguarota fleet simulate test --boards 100 --undo 5 --files`

func fleetSimulateCommand() *cobra.Command {
	c := simulate.Config{Now: time.Now}
	var server string
	var fail, undo, reboot float64
	cmd := &cobra.Command{
		Use:     "simulate APP --boards N",
		Short:   "Play boards against a fleet server",
		Long:    fleetSimulateLong,
		Example: fleetSimulateExample,
		Args:    oneArgument("application", "saguarota fleet simulate APP --boards N"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if server == "" {
				server = os.Getenv("SAGUAROTA_SERVER")
			}
			u, err := url.Parse(server)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				return withHint(fmt.Errorf("the server %q is no http or https URL", server), "give its URL with --server, or in SAGUAROTA_SERVER")
			}
			c.URL = strings.TrimRight(server, "/") + "/ota/" + url.PathEscape(args[0]) + "/"
			c.Fail, c.Undo, c.Reboot = fail/100, undo/100, reboot/100
			if err := c.Check(); err != nil {
				return withHint(err, "--fail, --undo and --reboot are percentages; the rest at least 1")
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			r, err := simulate.Run(ctx, c)
			if err != nil {
				return err
			}
			writeSimulation(cmd.OutOrStdout(), r)
			switch {
			case r.Problem != nil:
				return fmt.Errorf("not all went well; the first problem: %w", r.Problem)
			case r.Polls == 0:
				return errors.New("no board has polled")
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&server, "server", "", "URL of the fleet server; the variable SAGUAROTA_SERVER if it is not given")
	flags.IntVar(&c.Boards, "boards", 100, "how many boards")
	flags.IntVar(&c.Rounds, "rounds", 5, "how often each board polls")
	flags.IntVar(&c.Connections, "connections", 64, "how many boards poll at a time")
	flags.Float64Var(&fail, "fail", 0, "percentage of the attempts to install a release that fail")
	flags.Float64Var(&undo, "undo", 0, "percentage of the trials that are undone")
	flags.Float64Var(&reboot, "reboot", 0, "percentage of the polls before which the board has forgotten its last error")
	flags.BoolVar(&c.Files, "files", false, "also get the files of what is offered, and check them")
	flags.Uint64Var(&c.Seed, "seed", 1, "the same boards with the same seed do the same")
	return cmd
}

func writeSimulation(w io.Writer, r *simulate.Result) {
	fmt.Fprintf(w, "%s in %s: %.0f a second; half of them within %v, 99 %% within %v\n", plural(r.Polls, "poll"), devserver.FormatDuration(r.Elapsed),
		r.Rate(), r.Percentile(0.5).Round(10*time.Microsecond), r.Percentile(0.99).Round(10*time.Microsecond))
	fmt.Fprintf(w, "offered %d, nothing to install %d, refused %d\n", r.Offers, r.Nothing, r.Refused)
	fmt.Fprintf(w, "confirmed %d, undone %d, failed %d, files %d; %s of reports and content\n", r.Confirmed, r.Undone, r.Failed, r.Files, devserver.FormatBytes(r.Bytes))
	for _, v := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(w, "version %d: %s\n", v, plural(r.Versions[v], "board"))
	}
}
