package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

const fleetAuditLong = `Show what was changed, by whom and when, the newest first.

APP, or --app APP, leaves out other applications. --actor is the name of a token, or
"rule" for what rollouts did by themselves. --action is such as rollout.start; what ends
in a dot, such as "rollout.", is all that begin so. --object is a channel, a version, a
rollout's number or a board. With --json there is one JSON object in a line, with what it
was before and after.`

const fleetAuditExample = `  saguarota fleet audit badge --since 24h
  saguarota fleet audit --app badge --object 3
  saguarota fleet audit --actor rule --action rollout. --json`

// auditFilter says which entries are wanted.
type auditFilter struct {
	actor  string
	action string
	object string
	since  time.Time
}

func (f *auditFilter) matches(e *api.AuditEntry) bool {
	prefix := strings.HasSuffix(f.action, ".") && strings.HasPrefix(e.Action, f.action)
	return (f.actor == "" || f.actor == e.Actor) && (f.action == "" || f.action == e.Action || prefix) && (f.object == "" || f.object == e.Object)
}

func fleetAuditCommand() *cobra.Command {
	var s serverFlags
	var f auditFilter
	var since, app string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "audit [APP]",
		Short:   "Show what was changed, by whom and when",
		Long:    fleetAuditLong,
		Example: fleetAuditExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return withHint(fmt.Errorf("audit takes one application at most, not %d", len(args)), "type \"saguarota fleet audit APP\"")
			}
			return nil
		},
		RunE: s.run(func(ctx context.Context, client *api.ClientWithResponses, cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return withHint(fmt.Errorf("--limit is %d", limit), "give at least 1")
			}
			if since != "" {
				age, err := parseSpan("--since", since)
				if err != nil {
					return err
				}
				f.since = time.Now().Add(-age)
			}
			if len(args) > 0 {
				if app != "" && app != args[0] {
					return withHint(fmt.Errorf("--app is %s, and %s is named, too", app, args[0]), "give one of them")
				}
				app = args[0]
			}
			entries, err := auditEntries(ctx, client, app, &f, limit)
			if err != nil {
				return err
			}
			if asJSON {
				return writeAuditJSON(cmd.OutOrStdout(), entries)
			}
			return writeAudit(cmd.OutOrStdout(), entries)
		}),
	}
	flags := cmd.Flags()
	s.add(flags)
	flags.StringVar(&app, "app", "", "only this application")
	flags.StringVar(&f.actor, "actor", "", "only what this one did")
	flags.StringVar(&f.action, "action", "", "only this action, or those that begin with what ends in a dot")
	flags.StringVar(&f.object, "object", "", "only what was done to this: a channel, a version, a rollout's number, a board …")
	flags.StringVar(&since, "since", "", "only the last hours or days, such as 36h or 30d")
	flags.IntVar(&limit, "limit", 100, "how many at most")
	flags.BoolVar(&asJSON, "json", false, "as JSON, one entry in a line")
	return cmd
}

// auditEntries returns the newest entries that match, page by page.
func auditEntries(ctx context.Context, client *api.ClientWithResponses, app string, f *auditFilter, limit int) ([]api.AuditEntry, error) {
	p := api.ListAuditParams{}
	if app != "" {
		p.App = &app
	}
	var found []api.AuditEntry
	for {
		list, err := client.ListAuditWithResponse(ctx, &p)
		if err := done(list, err); err != nil {
			return nil, err
		}
		for _, e := range *list.JSON200 {
			if e.At.Before(f.since) {
				return found, nil
			}
			if !f.matches(&e) {
				continue
			}
			if found = append(found, e); len(found) == limit {
				return found, nil
			}
		}
		if len(*list.JSON200) == 0 {
			return found, nil
		}
		p.Before = &(*list.JSON200)[len(*list.JSON200)-1].ID
	}
}

func writeAuditJSON(w io.Writer, entries []api.AuditEntry) error {
	encoder := json.NewEncoder(w)
	for _, e := range entries {
		if err := encoder.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

// writeAudit prints entries for people: of what was before and after, as much as fits.
func writeAudit(to io.Writer, entries []api.AuditEntry) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENTRY\tAT\tACTOR\tACTION\tAPP\tOBJECT\tAFTER")
	for _, e := range entries {
		after := string(e.After)
		const most = 80
		if runes := []rune(after); len(runes) > most {
			after = string(runes[:most]) + "…"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.At.Format(time.RFC3339), e.Actor, e.Action, orDash(e.App), orDash(e.Object), orDash(after))
	}
	return w.Flush()
}
