package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/install/images"
)

// imageCommand is for check and install, which run it in Podman's user namespace.
func (c *cli) imageCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "image IMAGE [PATH…]",
		Hidden:  true,
		Short:   "Print what an image has at paths, as JSON",
		Example: `  podman unshare archgen image localhost/app:1 /bin/sh`,
		Args:    some("name an image"),
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, stop := interruptible()
			defer stop()
			found, err := images.Look(ctx, c.podman, args[0], args[1:])
			if err != nil {
				return err
			}
			return json.NewEncoder(c.stdout).Encode(found)
		},
	}
}
