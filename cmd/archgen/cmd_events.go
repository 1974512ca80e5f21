package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/healthd/journal"
)

func (c *cli) eventsCommand() *cobra.Command {
	var from source
	var asJSON bool
	q := journal.Query{}
	cmd := &cobra.Command{
		Use:   "events [ID]",
		Short: "Show changes and repairs of apps, and why",
		Long: `events shows what healthd and archgen did for the apps, or for one app: files
written, services restarted, repairs and rollbacks, each with its reason, the
oldest first. It reads the journal, and shows as much as the journal holds.

With --json it prints one object per line: time, event, by, app, action, target,
reason, message, log.`,
		Example: `  archgen events
  archgen events lnd --since yesterday
  archgen events --follow --json`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if n, err := strconv.Atoi(q.Lines); q.Lines != "all" && (err != nil || n < 0) {
				return usageError{fmt.Errorf("%q is not a number of events: give a number, or all", q.Lines)}
			}
			if len(args) == 1 {
				q.App = args[0]
			}
			q.Scope = from.scope()
			return c.events(q, asJSON)
		},
	}
	scopeFlags(cmd, &from)
	f := cmd.Flags()
	f.BoolVarP(&q.Follow, "follow", "f", false, "keep printing new events")
	f.StringVarP(&q.Lines, "lines", "n", "100", "the last `NUMBER` of events, or all")
	f.StringVar(&q.Since, "since", "", "events since `TIME`, in the format of journalctl")
	f.BoolVar(&asJSON, "json", false, "print as JSON, one object per line")
	return cmd
}

func (c *cli) events(q journal.Query, asJSON bool) error {
	ctx, stop := interruptible()
	defer stop()
	return journal.Read(ctx, q, func(r journal.Record) error {
		if asJSON {
			return ui.JSONLine(c.stdout, r)
		}
		_, err := fmt.Fprintf(c.stdout, "%s  %s\n", r.Time.Local().Format(time.RFC3339), ui.OneLine(r.Message))
		return err
	})
}
