package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/catalogs"
	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
)

func (c *cli) catalogSourcesCommand() *cobra.Command {
	var from source
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sources",
		Short: "List the catalogs from sources",
		Long: `sources prints the catalogs that archgen catalog add has added, and those in
/etc/archipelago/catalogs and /usr/share/archipelago/catalogs: where each is
read from, the sequence of its index, how long ago it was read and signed, when
it expires, and its state:

  good        it is signed and has not expired
  stale       it has expired: its apps are installed only with --stale
  not-signed  it is a directory of your own, without keys
  not-read    no refresh has accepted it yet`,
		Example: `  archgen catalog sources
  archgen catalog sources --json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error { return c.catalogSources(&from, asJSON) },
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (c *cli) catalogSources(from *source, asJSON bool) error {
	found, diags := c.catalogs(from.scope()).List()
	if asJSON {
		return c.printJSON(document{"catalogs": list(found), "diagnostics": list(diags)})
	}
	if err := c.session(from).PrintPlain(diags); err != nil {
		return err
	}
	return view.Catalogs(c.stdout, found, time.Now())
}

func (c *cli) catalogAddCommand() *cobra.Command {
	var from source
	var keys []string
	var threshold int
	cmd := &cobra.Command{
		Use:   "add CATALOG SOURCE",
		Short: "Add a catalog from an image or a directory",
		Long: `add reads a catalog, verifies it, and adds its apps to those that can be
installed. SOURCE is oci:IMAGE, which Podman pulls, or dir:PATH. CATALOG is the
name that the index of the catalog has.

--key is a public key of the author, such as the content of ssh-keygen's .pub
file. The index names the keys of later releases. A directory without keys is
your own: nothing verifies it.

An app of such a catalog needs a grant for each right beyond the safe set, as a
manifest from any other place does. The key allow in the catalog's file in
~/.config/archipelago/catalogs lists rights that its apps have anyway.`,
		Example: `  archgen catalog add nodes oci:ghcr.io/me/nodes:1 --key "$KEY"
  archgen catalog add nodes dir:/mnt/usb/nodes --key "$KEY"
  archgen catalog add mine dir:/home/me/apps`,
		Args: usageArgs(func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("give the name of the catalog and its source")
			}
			return nil
		}),
		RunE: func(_ *cobra.Command, args []string) error {
			return c.catalogAdd(&from, args[0], args[1], keys, threshold)
		},
	}
	scopeFlags(cmd, &from)
	cmd.Flags().StringArrayVar(&keys, "key", nil, "trust the public `KEY`; can be repeated")
	cmd.Flags().IntVar(&threshold, "threshold", 1, "demand signatures by `NUMBER` of the keys")
	return cmd
}

func (c *cli) catalogAdd(from *source, name, place string, keys []string, threshold int) error {
	config, err := catalogs.NewConfig(name, place, keys, threshold)
	if is[*catalogs.KeyError](err) {
		return usageError{fmt.Errorf("--key %w", err)}
	}
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	st, err := c.catalogs(from.scope()).Add(ctx, config)
	if err != nil {
		return err
	}
	view.Accepted(c.stdout, st)
	return nil
}

func (c *cli) catalogRemoveCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:   "remove CATALOG",
		Short: "Remove a catalog from a source",
		Long: `remove removes a catalog and all that is known of it, such as the keys that are
trusted now. Installed apps stay.

If the keys of a catalog have changed while the machine could not read it,
remove it, and add it with its new keys.`,
		Example: `  archgen catalog remove nodes`,
		Args:    usageArgs(oneOf("catalog; see archgen catalog sources")),
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, stop := interruptible()
			defer stop()
			if err := c.catalogs(from.scope()).Remove(ctx, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(c.stdout, "%s: removed; its installed apps stay\n", args[0])
			return nil
		},
	}
	scopeFlags(cmd, &from)
	return cmd
}

func (c *cli) catalogRefreshCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:   "refresh [CATALOG…]",
		Short: "Read catalogs from their sources again",
		Long: `refresh reads catalogs again, or all of them. It accepts a catalog if enough
trusted keys have signed its index, its sequence is not lower than before, it
has not expired, and each file that it lists has its checksum. Otherwise the
content that was accepted before stays. Installed apps do not change.

Exit status: 1 if no catalog was accepted; 3 if some were, and others were not.`,
		Example: `  archgen catalog refresh
  archgen catalog refresh nodes`,
		RunE: func(_ *cobra.Command, args []string) error { return c.catalogRefresh(&from, args) },
	}
	scopeFlags(cmd, &from)
	return cmd
}

func (c *cli) catalogRefresh(from *source, names []string) error {
	ctx, stop := interruptible()
	defer stop()
	accepted, err := c.catalogs(from.scope()).RefreshAll(ctx, names, func(st catalogs.Status) { view.Accepted(c.stdout, st) })
	if err != nil && accepted > 0 {
		return passes.PartError{Err: err}
	}
	return err
}
