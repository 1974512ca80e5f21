package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/install"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

type renderOptions struct {
	source
	out            string
	stdout, asJSON bool
	checkImages    bool
}

func (c *cli) renderCommand() *cobra.Command {
	var o renderOptions
	cmd := &cobra.Command{
		Use:   "render [PATH…|ID…]",
		Short: "Write the Quadlet files of apps",
		Long: `render compiles manifests into Quadlet files and writes them where Podman looks
for them. Without arguments it renders the installed apps. A directory, like no
argument, names a whole set: files of apps that are no longer in it are removed.
Files and ids name single apps: nothing of other apps is touched.

If anything is wrong, every problem is printed and nothing is written. Files
that archgen did not write are never changed. Where nothing changed, nothing is
written.

Neither Podman nor systemd nor a home directory is needed: with --root the
manifests of an image that is being built are read, and the files are written
into it.

Every right that an app asks for has to be granted, in ID.d/grants.toml or in
archipelago.toml, but for those that come with archgen's own catalog; with
--stdout the manifests of files need none. See archgen rights.

With --check-images the images that the apps need are printed instead, one a
line, for an image build to pull them ahead. It fails where one is not named by
its digest: what such a name stands for changes, and so would the build.

The files suit the Podman that --podman names, else archipelago.toml, else
(without --root) the one that is installed here, else Podman ` + generator.Default.String() + `.`,
		Example: `  archgen render
  archgen render bitcoin-knots
  archgen render --out ./units ./apps
  archgen render --root "$BUILDROOT" --podman 5.4
  archgen render --root "$BUILDROOT" --check-images
  archgen render --stdout bitcoin-knots.yaml`,
		RunE: func(_ *cobra.Command, args []string) error { return c.render(&o, args) },
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.out, "out", "", "write to `DIR`")
	cmd.Flags().BoolVar(&o.stdout, "stdout", false, "print the files instead of writing them")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print what was done and the diagnostics as JSON")
	cmd.Flags().BoolVar(&o.checkImages, "check-images", false, "print the images instead; one without a digest fails")
	cmd.MarkFlagsMutuallyExclusive("out", "root", "stdout")
	for _, other := range []string{"out", "stdout", "json"} {
		cmd.MarkFlagsMutuallyExclusive("check-images", other)
	}
	return cmd
}

func (c *cli) render(o *renderOptions, args []string) error {
	dir, err := c.unitDir(o)
	if err != nil {
		return err
	}
	switch {
	case o.checkImages:
		o.grants = nowhere
	case !o.stdout:
		o.grants = whereverTheyLie
	}
	k, err := c.load(&o.source, args)
	if err != nil {
		return err
	}
	if k.Diags.HasErrors() || !o.asJSON {
		if err := c.report(k, o.asJSON); err != nil {
			return err
		}
	}
	files := k.Files()
	if o.checkImages {
		return c.printImages(files)
	}
	if o.stdout {
		return c.printFiles(k, files, o.asJSON)
	}
	if !k.Whole && len(files) == 0 {
		return errors.New("there is nothing to render")
	}
	if err := o.staysInside(dir); err != nil {
		return err
	}
	if err := c.record(k, o, args); err != nil {
		return err
	}
	changes, err := unitdir.Sync(dir, files, k.OwnsFile)
	if o.asJSON {
		return errors.Join(err, c.printRendered(k, dir, changes))
	}
	c.summarize(dir, changes, err)
	if o.live() && len(changes.Written)+len(changes.Removed) > 0 {
		fmt.Fprintf(c.stdout, "tell systemd: systemctl --%v daemon-reload\n", o.scope())
	}
	return err
}

// record writes down what installed apps were granted so far without a file that says so.
func (c *cli) record(k *compile.Compiled, o *renderOptions, args []string) error {
	if slices.ContainsFunc(args, isPath) {
		return nil
	}
	dir, err := c.directory(&o.source)
	if err != nil {
		return err
	}
	return install.RecordGrants(dir, k)
}

// live reports whether the files go where this machine's systemd finds them.
func (o *renderOptions) live() bool { return o.out == "" && o.root == "" }

// unitDir is the directory that the files go to.
func (c *cli) unitDir(o *renderOptions) (string, error) {
	switch {
	case o.stdout:
		return "", nil
	case o.out != "":
		return o.out, nil
	}
	return c.from(&o.source).Paths().Units()
}

func (c *cli) printFiles(k *compile.Compiled, files units.Set, asJSON bool) error {
	if asJSON {
		type file struct {
			Name    string `json:"name"`
			App     string `json:"app,omitempty"`
			Content string `json:"content"`
		}
		list := make([]file, 0, len(files))
		for _, f := range files {
			list = append(list, file{f.Name, f.App, string(f.Content)})
		}
		return c.printJSON(struct {
			Files       []file    `json:"files"`
			Diagnostics diag.List `json:"diagnostics"`
		}{list, append(diag.List{}, k.Diags...)})
	}
	var b bytes.Buffer
	for i, f := range files {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "# --- %s ---\n%s", f.Name, f.Content)
	}
	_, err := c.stdout.Write(b.Bytes())
	return err
}

// printImages lists what has to be pulled, for a build that wants the same each time.
func (c *cli) printImages(files units.Set) error {
	var images, floating []string
	for _, f := range files {
		if image := f.Image(); image != "" {
			images = append(images, image)
		}
	}
	slices.Sort(images)
	for _, image := range slices.Compact(images) {
		fmt.Fprintln(c.stdout, image)
		if !strings.Contains(image, "@sha256:") {
			floating = append(floating, image)
		}
	}
	if len(floating) == 0 {
		return nil
	}
	return fmt.Errorf("%s: not named by digest, so another build may get something else; write NAME@sha256:…, as `skopeo inspect --format '{{.Digest}}' docker://NAME` prints it",
		strings.Join(floating, ", "))
}

func (c *cli) printRendered(k *compile.Compiled, dir string, ch unitdir.Changes) error {
	return c.printJSON(struct {
		Directory   string    `json:"directory"`
		Written     []string  `json:"written"`
		Removed     []string  `json:"removed"`
		MovedAside  []string  `json:"moved_aside"`
		Foreign     []string  `json:"foreign"`
		Unreadable  []string  `json:"unreadable"`
		Unchanged   int       `json:"unchanged"`
		Diagnostics diag.List `json:"diagnostics"`
	}{dir, list(ch.Written), list(ch.Removed), list(ch.MovedAside), list(ch.Foreign), list(ch.Unreadable), ch.Unchanged, append(diag.List{}, k.Diags...)})
}

// list keeps an empty list from being null in JSON.
func list(names []string) []string { return append([]string{}, names...) }

// summarize says what was done, a line each for what a person should notice. A
// run that failed may have done a part.
func (c *cli) summarize(dir string, ch unitdir.Changes, failure error) {
	for _, name := range ch.MovedAside {
		fmt.Fprintf(c.stderr, "archgen: what was in the way of a file is now %s\n", filepath.Join(dir, name))
	}
	switch {
	case len(ch.Written)+len(ch.Removed) > 0:
		fmt.Fprintf(c.stdout, "%s: %d written, %d removed, %d unchanged\n", dir, len(ch.Written), len(ch.Removed), ch.Unchanged)
	case failure == nil:
		fmt.Fprintf(c.stdout, "%s: %s, nothing changed\n", dir, ui.Count(ch.Unchanged, "file"))
	}
}
