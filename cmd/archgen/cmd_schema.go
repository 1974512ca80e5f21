package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/manifests"
)

func (c *cli) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of manifests, for editors",
		Example: `  archgen schema > ~/.config/archipelago/manifest.schema.json
  # then, as the first line of a manifest:
  # yaml-language-server: $schema=manifest.schema.json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := c.stdout.Write(manifests.JSONSchema)
			return err
		},
	}
}
