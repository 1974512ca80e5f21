package main

import (
	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/rights"
)

func (c *cli) rightsCommand() *cobra.Command {
	var from source
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rights [PATH…|ID…]",
		Short: "List what apps can do beyond their own containers",
		Long: `rights lists what the manifests of apps ask for beyond the apps' own containers,
such as host paths, devices, ports that other machines can reach, and data of
other apps. Each right has an ID, a severity, and the position in the manifest
or overlay that asks for it. Without arguments it lists the rights of the
installed apps.

GRANTED is why the app has the right: safe-set (every app has it), overlay (an
overlay asks for it, and only the operator writes overlays), grant (grants.toml
of the app lists it), settings (archipelago.toml allows it to all apps), or
` + string(rights.Nobody) + ` (it is not granted, so archgen refuses the app; see archgen grant).

Severities: low (other apps notice it), medium (it reaches the network or an app
that provides a capability), high (it reads or changes what belongs to the host
or to another app, or weakens the confinement of the app), critical (it can take
over the account that runs the apps, or another app).

docs/rights.md explains each of them.

Exit status: 0 done; 1 a manifest has errors; rights prints them as check does.`,
		Example: `  archgen rights
  archgen rights ./my-app.yaml
  archgen rights --json lnd`,
		RunE: func(_ *cobra.Command, args []string) error {
			from.grants = session.Nowhere // the list shows which rights are not granted
			s := c.session(&from)
			k, err := s.Load(args)
			if err != nil {
				return err
			}
			return listRights(s, k, asJSON)
		},
	}
	from.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func listRights(s *session.Session, k *compile.Compiled, asJSON bool) error {
	asked := k.Asked()
	apps := make([]view.AppRights, 0, len(asked))
	for _, app := range asked {
		apps = append(apps, view.AppRights{ID: app.ID(), Rights: k.RightsOf(app.ID())})
	}
	if asJSON {
		k.Diags.Sort()
		err := s.PrintJSON(document{"apps": apps, "diagnostics": list(k.Diags)})
		if err == nil && k.Diags.HasErrors() {
			return errReported
		}
		return err
	}
	if err := view.Rights(s.Stdout, apps); err != nil {
		return err
	}
	return s.Report(k, false)
}
