package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
)

func (c *cli) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version and the supported Podman versions",
		Example: `  archgen version --json`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return c.printJSON(struct {
					Version string `json:"version"`
					Schema  int    `json:"schema"`
					Oldest  string `json:"podman_oldest"`
					Newest  string `json:"podman_newest"`
				}{compile.Version(), manifests.SchemaVersion, generator.Oldest.String(), generator.Newest.String()})
			}
			fmt.Fprintf(c.stdout, "archgen %s (manifest schema %d, Podman %v to %v)\n", compile.Version(), manifests.SchemaVersion, generator.Oldest, generator.Newest)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}
