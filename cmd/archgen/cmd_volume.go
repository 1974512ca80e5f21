package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/snapshot"
)

// volumeCommand is for prepare, files and update, which run it in Podman's user namespace.
func (c *cli) volumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "volume VERB DIR [ARGUMENT…]",
		Hidden:  true,
		Short:   "Work on the files of a volume",
		Example: `  podman unshare archgen volume ensure DIR wallets 1000 1000 700`,
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, stop := interruptible()
			defer stop()
			return c.volume(ctx, args)
		},
	}
}

func (c *cli) volume(ctx context.Context, args []string) error {
	if len(args) > 0 && slices.Contains(snapshot.Verbs, args[0]) {
		err := snapshot.Command(ctx, args, c.stdout)
		if errors.Is(err, snapshot.ErrUsage) {
			return usageError{err}
		}
		return err
	}
	err := prestart.Volume(ctx, args, c.stdin, c.stdout)
	switch {
	case errors.Is(err, prestart.ErrNotNew):
		return errReported
	case is[*prestart.UsageError](err):
		return usageError{err}
	}
	return err
}
