package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/catalogs"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/manifests/catalog/index"
)

func (c *cli) catalogSignCommand() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "sign DIR",
		Short: "Sign a directory of manifests as the next release of a catalog",
		Long: `sign writes the index catalog.toml of a directory, with the checksums of its
manifests and of the files in their ID.files, and the next sequence. ssh-keygen
signs it with an SSH key, which may be in an agent or a hardware token; the
signature is in catalog.toml.sig. The first index gets the name of the
directory, one key, and is good for 180 days. Change its keys, threshold,
expires and [apps] in catalog.toml, and sign again.

If another key has signed the directory as it is, sign adds a signature to the
same release. So each of several authors signs in turn.`,
		Example: `  archgen catalog sign ./nodes
  archgen catalog sign ./nodes --key ~/.ssh/id_ed25519_sk`,
		Args: usageArgs(oneOf("directory")),
		RunE: func(_ *cobra.Command, args []string) error { return c.catalogSign(args[0], key) },
	}
	cmd.Flags().StringVar(&key, "key", "", "sign with the private key in `FILE` (default ~/.ssh/id_ed25519)")
	return cmd
}

func (c *cli) catalogSign(dir, file string) error {
	if file == "" {
		file = filepath.Join(c.getenv("HOME"), ".ssh/id_ed25519")
	}
	key, err := catalogs.PublicKey(file)
	if err != nil {
		return err
	}
	apps, err := c.checkCatalog(dir)
	if err != nil {
		return err
	}
	draft, err := catalogs.Prepare(dir, key, time.Now())
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	signature, err := catalogs.SSHSign(ctx, file, draft.Text, c.stderr)
	if err != nil {
		return err
	}
	if err := draft.Write(key, signature); err != nil {
		return err
	}
	if !slices.Contains(draft.Keys, key) {
		fmt.Fprintf(c.stderr, "archgen: %s does not list the key %s: the signature counts where that key is trusted already, as while keys change\n", index.File, key.Fingerprint())
	}
	view.Index(c.stdout, dir, draft.Index, apps, draft.Signed())
	return nil
}

// checkCatalog prints what is wrong with the manifests of a directory, and counts its apps.
func (c *cli) checkCatalog(dir string) (apps int, err error) {
	apps, diags, err := catalogs.Check(dir)
	if err != nil {
		return 0, err
	}
	if err := c.session(&source{}).PrintPlain(diags); err != nil {
		return 0, err
	}
	if diags.HasErrors() {
		return 0, errReported
	}
	return apps, nil
}

func (c *cli) catalogVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR",
		Short: "Verify a signed directory as a machine would",
		Long: `verify checks the manifests of a directory, its index, the checksums of the
files that it lists, and its signatures by the keys that it lists. It prints the
keys that have signed it: compare them with those of the author.`,
		Example: `  archgen catalog verify ./nodes`,
		Args:    usageArgs(oneOf("directory")),
		RunE: func(_ *cobra.Command, args []string) error {
			x, signed, err := catalogs.Verify(args[0], time.Now())
			if err != nil {
				return err
			}
			apps, err := c.checkCatalog(args[0])
			if err != nil {
				return err
			}
			view.Index(c.stdout, args[0], x, apps, signed)
			for _, k := range signed {
				fmt.Fprintf(c.stdout, "  %s %s\n", k.Fingerprint(), k)
			}
			return nil
		},
	}
}
