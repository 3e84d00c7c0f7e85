package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
	"github.com/cactuscon/saguarota/release"
)

const rolloutLong = `Bring a release to the boards of a channel, step by step.

A rollout begins with a small share of the boards and grows; if too many of them
come back from the release, it halts by itself, and no other board is offered it.
After its last step the release is the channel's. A channel has one rollout at a
time.`

func rolloutCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "rollout", Short: "Bring a release to boards step by step", Long: rolloutLong}
	cmd.AddCommand(rolloutStartCommand(), rolloutStatusCommand())
	for _, c := range []struct{ action, short string }{
		{"pause", "Let no further board begin"},
		{"resume", "Let a paused or halted rollout go on"},
		{"forward", "Take the next step now"},
		{"abort", "End a rollout; boards that run the release keep it"},
		{"promote", "Give the release to all boards of the channel now"},
	} {
		cmd.AddCommand(rolloutSteerCommand(c.action, c.short))
	}
	return cmd
}

const rolloutStartLong = `Start a rollout of a published release.

--steps are percentages of the boards that follow the channel, --every is how long
each step lasts; with --every 0 somebody takes them with "saguarota rollout
forward". --halt 5%/20 halts the rollout when of at least 20 boards that have
finished, 5 % or more were undone, failed or timed out; --halt-kind makes it one of
these. --halt never turns that off.`

const rolloutStartExample = `  saguarota rollout start badge --version 1700000000 --steps 1,10,50,100 --every 1h
  saguarota rollout start badge --version 1700000000 --tag lab --steps 100
  saguarota rollout start badge --version 1700000000 --window 22:30-04:00 --zone Europe/Berlin --max 50`

// rolloutOptions are the options of "rollout start".
type rolloutOptions struct {
	channel     string
	version     int64
	steps       string
	every       time.Duration
	start       string
	tags        []string
	not         []string
	cohort      []string
	board       string
	micropython string
	lib         string
	from        int64
	minFree     int64
	window      string
	days        []string
	zone        string
	max         int64
	timeout     time.Duration
	halt        string
	haltKind    string
}

func rolloutStartCommand() *cobra.Command {
	var s serverFlags
	var o rolloutOptions
	cmd := &cobra.Command{
		Use:     "start APP --version VERSION",
		Short:   "Start a rollout of a published release",
		Long:    rolloutStartLong,
		Example: rolloutStartExample,
		Args:    oneArgument("application", "saguarota rollout start APP --version VERSION"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			plan, err := o.plan()
			if err != nil {
				return err
			}
			started, err := client.StartRolloutWithResponse(ctx, args[0], api.NewRollout{Channel: o.channel, Version: o.version, Plan: plan})
			if err := done(started, err); err != nil {
				if started != nil && started.JSONDefault != nil && started.JSONDefault.Error == "older" {
					err = withHint(err, "boards never go back; to give them what is in it: saguarota rollback %s --to %d --key KEY", args[0], o.version)
				}
				return err
			}
			writeRollout(cmd.OutOrStdout(), started.JSON200)
			return nil
		}),
	}
	flags := cmd.Flags()
	s.add(flags)
	flags.StringVar(&o.channel, "channel", release.DefaultChannel, "channel whose boards are to get it")
	flags.Int64Var(&o.version, "version", 0, "version of the release")
	flags.StringVar(&o.steps, "steps", "1,10,50,100", "percentages of the boards, one after the other")
	flags.DurationVar(&o.every, "every", time.Hour, "how long each step lasts; 0: until somebody takes the next one")
	flags.StringVar(&o.start, "start", "", "when to begin, such as 2026-03-02T22:00:00+01:00; now if it is not given")
	flags.StringSliceVar(&o.tags, "tag", nil, "only boards with this tag; of several, with all of them")
	flags.StringSliceVar(&o.not, "not-tag", nil, "only boards without this tag")
	flags.StringSliceVar(&o.cohort, "cohort", nil, "only boards with one of these tags")
	flags.StringVar(&o.board, "board", "", "only boards of this kind")
	flags.StringVar(&o.micropython, "micropython", "", "only boards that report this version of MicroPython")
	flags.StringVar(&o.lib, "lib", "", "only boards that report this version of the library")
	flags.Int64Var(&o.from, "from-version", 0, "only boards that run this version")
	flags.Int64Var(&o.minFree, "min-free", 0, "only boards that report at least so many bytes free")
	flags.StringVar(&o.window, "window", "", "times of day at which boards may begin, such as 22:30-04:00")
	flags.StringSliceVar(&o.days, "days", nil, "days on which --window opens, such as sat,sun; every day if it is not given")
	flags.StringVar(&o.zone, "zone", "", "time zone of --window, such as Europe/Berlin; UTC if it is not given")
	flags.Int64Var(&o.max, "max", 0, "how many boards may be updating at once; 0: as many as like")
	flags.DurationVar(&o.timeout, "timeout", 24*time.Hour, "after which time without news a board has timed out; 0: never")
	flags.StringVar(&o.halt, "halt", "5%/20", "when to halt: PERCENT%/FINISHED, or never")
	flags.StringVar(&o.haltKind, "halt-kind", string(fleet.KindAll), "which boards --halt counts: undone, failed, \"timed out\" or all")
	return cmd
}

// plan returns the plan that the options describe.
func (o *rolloutOptions) plan() (api.Plan, error) {
	timeout := int64(o.timeout / time.Second)
	p := api.Plan{MaxUpdating: &o.max, TimeoutSeconds: &timeout}
	if o.version <= 0 {
		return p, withHint(errors.New("it is not said which release"), "give --version VERSION, as \"saguarota publish\" printed it")
	}
	if err := errors.Join(wholeSeconds("--every", o.every), wholeSeconds("--timeout", o.timeout)); err != nil {
		return p, withHint(err, "give whole seconds, minutes or hours, such as 90s, 15m or 1h; or 0")
	}
	for text := range strings.SplitSeq(o.steps, ",") {
		share, err := fleet.ParseShare(text)
		if err != nil {
			return p, withHint(err, "--steps takes percentages, such as 1,10,50,100")
		}
		p.Steps = append(p.Steps, api.Step{Percent: float64(share) / 100, Seconds: int64(o.every / time.Second)})
	}
	if o.start != "" {
		start, err := time.Parse(time.RFC3339, o.start)
		if err != nil {
			return p, withHint(fmt.Errorf("--start %q is no time", o.start), "write it as 2026-03-02T22:00:00+01:00")
		}
		p.Start = &start
	}
	p.For = &api.Selector{Tags: &o.tags, Not: &o.not, Cohort: &o.cohort, Board: &o.board, Micropython: &o.micropython, Lib: &o.lib, Version: &o.from, MinFree: &o.minFree}
	if o.window != "" {
		from, to, ok := strings.Cut(o.window, "-")
		if !ok {
			return p, withHint(fmt.Errorf("--window %q are no times of day", o.window), "write them as 22:30-04:00")
		}
		days, err := weekdays(o.days)
		if err != nil {
			return p, err
		}
		p.Window = &api.Window{From: from, To: to, Days: &days, Zone: &o.zone}
	} else if o.zone != "" || len(o.days) > 0 {
		return p, withHint(errors.New("--zone and --days are for --window, which is not given"), "give --window FROM-TO, or leave them out")
	}
	if o.halt != "never" {
		percent, finished, ok := strings.Cut(o.halt, "/")
		share, err := strconv.ParseFloat(strings.TrimSuffix(percent, "%"), 64)
		n, err2 := strconv.ParseInt(finished, 10, 64)
		if !ok || err != nil || err2 != nil || !(share > 0 && share <= 100) || n < 1 {
			return p, withHint(fmt.Errorf("--halt %q is no rule", o.halt), "write it as 5%%/20: 5 %% of at least 20 finished boards; or never")
		}
		p.Halt = &api.HaltRule{Percent: share, AtLeast: n, Kind: o.haltKind}
	}
	return p, nil
}

// wholeSeconds reports whether the value of an option is what a plan can have: 0 or more,
// in seconds.
func wholeSeconds(option string, d time.Duration) error {
	if d < 0 || d%time.Second != 0 {
		return fmt.Errorf("%s %v is no number of seconds", option, d)
	}
	return nil
}

// weekdays returns the numbers of days of the week, of which Sunday is 0.
func weekdays(names []string) ([]int, error) {
	var days []int
	for _, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		day := slices.IndexFunc([]time.Weekday{0, 1, 2, 3, 4, 5, 6}, func(d time.Weekday) bool {
			return len(name) >= 3 && strings.HasPrefix(strings.ToLower(d.String()), name)
		})
		if day < 0 {
			return nil, withHint(fmt.Errorf("--days: %q is no day of the week", name), "write them as mon,tue,wed")
		}
		days = append(days, day)
	}
	return days, nil
}

func rolloutStatusCommand() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:     "status APP|ROLLOUT",
		Short:   "Show the rollouts of an application, or one by its number",
		Example: "  saguarota rollout status badge\n  saguarota rollout status 3",
		Args:    oneArgument("application or rollout", "saguarota rollout status APP"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			return rolloutStatus(ctx, cmd.OutOrStdout(), client, args[0])
		}),
	}
	s.add(cmd.Flags())
	return cmd
}

func rolloutStatus(ctx context.Context, w io.Writer, client *api.ClientWithResponses, what string) error {
	if id, err := strconv.ParseInt(what, 10, 64); err == nil {
		one, err := client.GetRolloutWithResponse(ctx, id)
		if err := done(one, err); err != nil {
			return err
		}
		writeRollout(w, one.JSON200)
		return nil
	}
	const newest = 20
	limit := newest
	list, err := client.ListRolloutsWithResponse(ctx, what, &api.ListRolloutsParams{Limit: &limit})
	if err := done(list, err); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ROLLOUT\tCHANNEL\tVERSION\tSTATE\tSHARE\tUPDATING\tCONFIRMED\tUNDONE\tFAILED\tTIMED OUT")
	for _, r := range *list.JSON200 {
		c := r.Counts
		fmt.Fprintf(table, "%d\t%s\t%d\t%s\t%g%%\t%d\t%d\t%d\t%d\t%d\n", r.ID, r.Channel, r.Version, r.State, r.Percent,
			c.Offered+c.Downloading+c.Trial+c.Again, c.Confirmed, c.Undone, c.Failed, c.TimedOut)
	}
	return table.Flush()
}

// writeRollout prints all that there is to say about a rollout.
func writeRollout(w io.Writer, r *api.Rollout) {
	fmt.Fprintf(w, "rollout %d: %s version %d to %s: %s", r.ID, r.App, r.Version, r.Channel, r.State)
	if r.Reason != "" {
		fmt.Fprintf(w, " (%s)", r.Reason)
	}
	fmt.Fprintf(w, "\nstep %d of %d: %g%% of the boards, since %s\n", r.Step+1, len(r.Plan.Steps), r.Percent, r.StepSince.Format(time.RFC3339))
	c := r.Counts
	fmt.Fprintf(w, "offered %d, downloading %d, trial %d, confirmed %d, undone %d, failed %d, timed out %d\n",
		c.Offered, c.Downloading, c.Trial, c.Confirmed, c.Undone, c.Failed, c.TimedOut)
	if c.Again > 0 {
		fmt.Fprintf(w, "of those that failed or timed out, %d are offered it again\n", c.Again)
	}
}

func rolloutSteerCommand(action, short string) *cobra.Command {
	var s serverFlags
	var reason string
	cmd := &cobra.Command{
		Use:     action + " ROLLOUT",
		Short:   short,
		Example: "  saguarota rollout " + action + " 3",
		Args:    oneArgument("rollout", "saguarota rollout "+action+" ROLLOUT"),
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return withHint(fmt.Errorf("%q is no rollout's number", args[0]), "\"saguarota rollout status APP\" lists them")
			}
			steered, err := client.SteerRolloutWithResponse(ctx, id, api.SteerRolloutParamsAction(action), api.Reason{Reason: &reason})
			if err := done(steered, err); err != nil {
				return err
			}
			writeRollout(cmd.OutOrStdout(), steered.JSON200)
			return nil
		}),
	}
	s.add(cmd.Flags())
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the log")
	return cmd
}
