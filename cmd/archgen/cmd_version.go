package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/manifests"
)

// release is set by the Makefile and by packages (-X main.release=…).
var release string

// version is the release, or the module's version where it was built by
// `go install`, or "devel".
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func (c *cli) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, and what it can render for",
		Example: `  archgen version --json`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return c.printJSON(struct {
					Version string `json:"version"`
					Schema  int    `json:"schema"`
					Oldest  string `json:"podman_oldest"`
					Newest  string `json:"podman_newest"`
				}{version(), manifests.SchemaVersion, generator.Oldest.String(), generator.Newest.String()})
			}
			fmt.Fprintf(c.stdout, "archgen %s (manifest schema %d, Podman %v to %v)\n", version(), manifests.SchemaVersion, generator.Oldest, generator.Newest)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}
