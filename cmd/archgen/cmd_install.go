package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/doctor"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
)

func (c *cli) installCommand() *cobra.Command {
	var o applyOptions
	var replaced, allow []string
	cmd := &cobra.Command{
		Use:   "install ID|FILE…",
		Short: "Install apps of the catalog, or of manifests of your own",
		Long: `install puts manifests where the installed apps are, with their companions and
with what they require as far as the catalog leaves no choice, starts the apps,
and waits until they serve. Installing again changes nothing, unless the
manifest is another one.

Before that it gets the images and compares the apps with them, as
check --images does. An app that can't run in its image is not installed.

Before anything is written, it lists the rights of new apps that go beyond the
safe set, and those that a new manifest adds (archgen help rights). At a
terminal it asks whether to grant them; elsewhere each has to be given with
--allow, as KIND:SUBJECT or, for all that the apps ask for of a kind, as KIND.
The apps of archgen's own catalog have what they ask for. archgen grant and
archgen revoke change it later.

The manifest is yours from then on: change it, or lay files over it in ID.d/. An
app that can't be started stays installed; remove takes it away.

Before it starts a new app, install prints its notices: what a person has to
know, such as that it has no login.

With --replace an installed app goes in the same pass, with those of its
companions that the new ones do not have. Apps that require what both provide
stay, and are restarted where it has other values. The volumes, secrets and
overlays of what goes stay, too. install waits for the new apps as without
--replace.

Exit status: as of apply; 6 where an app does not serve, with its last words.`,
		Example: `  archgen install bitcoin-knots
  archgen install ./my-app.yaml
  archgen install --replace electrs fulcrum`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name an app of the catalog (archgen catalog) or the file of a manifest")}
			}
			return c.install(&o, args, replaced, allow)
		},
	}
	o.flags(cmd)
	cmd.Flags().StringArrayVar(&allow, "allow", nil, "grant the app `RIGHT`, or all rights of a kind")
	cmd.Flags().StringSliceVar(&replaced, "replace", nil, "remove the app `ID` in the same pass; its data stays")
	return cmd
}

// chosenApp is an app that is about to be installed. One that is installed already, and is
// only to be started, has no manifest.
type chosenApp struct {
	catalog.Entry
	// grants is the rights that its file of grants lists then, nil where that stays.
	grants []string
}

// installation is manifests that are about to be installed.
type installation struct {
	c       *cli
	dir     installed.Directory
	catalog []catalog.Entry
	// here is the capabilities that installed and chosen apps provide.
	here map[string]bool
	// chosen is in the order in which the apps were chosen.
	chosen []chosenApp
	// installed is the apps that are installed already, less those that go.
	installed map[string]*manifests.Manifest
	// replaced is the apps that go.
	replaced []*manifests.Manifest
}

func (c *cli) install(o *applyOptions, args, replaced, allow []string) error {
	dir, err := c.directory(&o.source)
	if err != nil {
		return err
	}
	if o.system {
		if err := doctor.SystemConflict("/"); err != nil {
			return err
		}
	}
	in, err := c.newInstallation(dir, replaced)
	if err != nil {
		return err
	}
	for _, arg := range args {
		if err := in.choose(arg); err != nil {
			return err
		}
	}
	if err := in.requirements(); err != nil {
		return err
	}
	in.replaced = append(in.replaced, in.left()...)
	staged, unstage, err := in.staged(&o.source)
	if err != nil {
		return err
	}
	defer unstage()
	if err := in.grant(staged, allow); err != nil {
		return err
	}
	ids := make([]string, 0, len(in.chosen))
	for _, e := range in.chosen {
		ids = append(ids, e.ID)
	}
	_, before, err := c.installed(&o.source)
	if err != nil {
		return err
	}
	if err := in.compareImages(o, staged); err != nil {
		return err
	}
	gone := idsOf(in.replaced)
	undo, err := dir.Replace(gone, in.apps()...)
	if err != nil {
		return err
	}
	after, err := c.compiles(&o.source, slices.Concat(ids, in.dependable(before)))
	if err != nil {
		return errors.Join(err, undo())
	}
	isNew := func(e chosenApp) bool { return in.installed[e.ID] == nil }
	if !o.asJSON {
		c.printNotices(in.chosen, isNew)
	}
	if slices.ContainsFunc(in.chosen, isNew) {
		o.idle = strings.Join(ids, ", ") + ": installed; healthd or the path unit was first"
	}
	// healthd starts apps as soon as their manifests are there, and what goes may take
	// minutes to end.
	o.patience = o.timeout
	if len(in.replaced) > 0 {
		err = c.replace(o, gone, ids)
	} else {
		o.awaited = ids
		err = c.apply(o, slices.Concat(ids, rerendered(before, after, ids)), "")
	}
	if err == nil && !o.asJSON {
		c.printSecretHints(in.chosen)
	}
	return err
}

// printNotices prints the notices of the apps that are new.
func (c *cli) printNotices(apps []chosenApp, isNew func(chosenApp) bool) {
	for _, e := range apps {
		if !isNew(e) {
			continue
		}
		for _, text := range e.Notices {
			fmt.Fprintf(c.stdout, "%s: %s\n", e.ID, text)
		}
	}
}

// printSecretHints says where the secrets are found that a person needs, such as a first
// password.
func (c *cli) printSecretHints(apps []chosenApp) {
	for _, e := range apps {
		if e.Manifest == nil { // it was installed before
			continue
		}
		for _, s := range e.Manifest.Document.App.Secrets {
			if s.Show {
				fmt.Fprintf(c.stdout, "%s: archgen secret show %s\n", cmp.Or(s.Description, s.Name), units.SecretName(e.ID, s.Name))
			}
		}
	}
}

// replace brings the machine to apps that take the place of others.
func (c *cli) replace(o *applyOptions, gone, ids []string) error {
	if err := c.provideAhead(&o.source, ids); err != nil {
		return err
	}
	o.awaited = ids
	applied := c.apply(o, nil, "")
	if applied != nil && !isVerdict(applied) {
		return applied
	}
	return errors.Join(applied, c.forget(o.scope(), gone, nil))
}

// isVerdict reports whether a pass did its work, and an app does not serve.
func isVerdict(err error) bool {
	_, isPart := errors.AsType[partError](err)
	_, isNotServing := errors.AsType[notServingError](err)
	return isPart || isNotServing
}

// provideAhead gives apps their secrets before the pass: only so can it tell who has
// another configuration because of them.
func (c *cli) provideAhead(from *source, ids []string) error {
	_, want, err := c.installed(from)
	if err != nil {
		return err
	}
	l, err := c.local(from.scope())
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	unlock, err := l.Store.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, app := range want.Apps {
		if !slices.Contains(ids, app.ID) {
			continue
		}
		if err := l.Secrets.ProvideFor(ctx, app); err != nil {
			return fmt.Errorf("the secrets of %s can't be had: %w", app.ID, err)
		}
	}
	return nil
}

func idsOf(list []*manifests.Manifest) []string {
	ids := make([]string, 0, len(list))
	for _, m := range list {
		ids = append(ids, m.Document.App.ID)
	}
	return ids
}

func (c *cli) newInstallation(dir installed.Directory, replaced []string) (*installation, error) {
	entries, _, err := c.catalogEntries()
	if err != nil {
		return nil, err
	}
	in := &installation{c: c, dir: dir, catalog: entries, here: map[string]bool{}, installed: map[string]*manifests.Manifest{}}
	var loaded manifests.Loaded
	_ = loaded.LoadDirs(dir.Paths()) // what is wrong with installed apps is said when they are compiled
	for _, m := range loaded.Manifests {
		in.installed[m.Document.App.ID] = m
	}
	for _, id := range replaced {
		m := in.installed[id]
		if m == nil {
			return nil, fmt.Errorf("no app %q is installed that could be replaced; see archgen status", id)
		}
		delete(in.installed, id)
		in.replaced = append(in.replaced, m)
	}
	for _, m := range in.installed {
		for _, p := range m.Document.App.Provides {
			in.here[p.Capability] = true
		}
	}
	return in, nil
}

// choose takes what an argument names, and its companions.
func (in *installation) choose(arg string) error {
	if isPath(arg) {
		return in.chooseFile(arg)
	}
	i := slices.IndexFunc(in.catalog, func(e catalog.Entry) bool { return e.ID == arg })
	switch {
	case i >= 0:
		in.add(in.catalog[i])
	case in.installed[arg] != nil:
		in.chosen = append(in.chosen, chosenApp{Entry: catalog.Entry{ID: arg}})
	default:
		return fmt.Errorf("the catalog has no app %q; see archgen catalog, or give the file of a manifest", arg)
	}
	return nil
}

func (in *installation) chooseFile(path string) error {
	e, source, diags, err := catalog.ReadEntry(path)
	if err != nil {
		return err
	}
	if len(diags) > 0 {
		k := &compile.Compiled{Diags: diags, Loaded: manifests.Loaded{Sources: map[string][]byte{path: source}}}
		return cmp.Or(in.c.report(k, false), errReported)
	}
	in.add(e)
	return nil
}

func (in *installation) add(e catalog.Entry) {
	if slices.ContainsFunc(in.chosen, func(o chosenApp) bool { return o.ID == e.ID }) {
		return
	}
	in.chosen = append(in.chosen, chosenApp{Entry: e})
	for _, name := range e.Provides {
		in.here[name] = true
	}
	for _, o := range in.catalog {
		if manifests.AreCompanions(&e.Manifest.Document.App, &o.Manifest.Document.App) {
			in.add(o)
		}
	}
}

// requirements adds what the chosen apps require and nobody provides, where the
// catalog leaves no choice.
func (in *installation) requirements() error {
	for i := 0; i < len(in.chosen); i++ {
		for _, name := range in.chosen[i].Needs {
			if in.here[name] {
				continue
			}
			var offers []catalog.Entry
			for _, e := range in.catalog {
				if slices.Contains(e.Provides, name) {
					offers = append(offers, e)
				}
			}
			if len(offers) != 1 {
				return fmt.Errorf("%s requires %s, %s", in.chosen[i].ID, name, choice(offers))
			}
			fmt.Fprintf(in.c.stderr, "%s requires %s: installing %s as well\n", in.chosen[i].ID, name, offers[0].ID)
			in.add(offers[0])
		}
	}
	return nil
}

func choice(offers []catalog.Entry) string {
	if len(offers) == 0 {
		return "which no installed app provides, and none of the catalog"
	}
	ids := make([]string, 0, len(offers))
	for _, e := range offers {
		ids = append(ids, e.ID)
	}
	return "which several apps of the catalog provide: install one of " + strings.Join(ids, ", ") + " first"
}

// apps is the chosen apps as they are installed.
func (in *installation) apps() []installed.App {
	list := make([]installed.App, 0, len(in.chosen))
	for _, e := range in.chosen {
		list = append(list, installed.App{ID: e.ID, File: e.File, Manifest: e.Text, Templates: e.Templates, Grants: e.grants})
	}
	return list
}

// dependable is the apps beside the chosen ones that have to have no errors
// afterwards: where others go, those that had none before.
func (in *installation) dependable(before units.Desired) []string {
	if len(in.replaced) == 0 {
		return nil
	}
	refused := before.Refused()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(in.installed)), func(id string) bool { return refused[id] != "" })
}

// rerendered is the apps beside the chosen ones that are rendered in another way since those
// have their manifests, such as Tor, which has the onions of others in its configuration.
func rerendered(before, after units.Desired, chosen []string) (ids []string) {
	for _, app := range after.Apps {
		was, isOld := before.Find(app.ID)
		if isOld && !slices.Contains(chosen, app.ID) && !app.Files.Equal(was.Files) {
			ids = append(ids, app.ID)
		}
	}
	return ids
}

// left is the companions of replaced apps that the chosen ones do not have.
func (in *installation) left() (list []*manifests.Manifest) {
	for _, m := range in.replaced {
		for _, id := range slices.Sorted(maps.Keys(in.installed)) {
			companion := in.installed[id]
			isChosen := slices.ContainsFunc(in.chosen, func(e chosenApp) bool { return e.ID == id })
			if manifests.AreCompanions(&m.Document.App, &companion.Document.App) && !isChosen && !slices.Contains(list, companion) {
				fmt.Fprintf(in.c.stderr, "%s goes with %s\n", id, m.Document.App.ID)
				list = append(list, companion)
			}
		}
	}
	return list
}

// compiles demands that the apps have no errors among the others, and is what they
// should be.
func (c *cli) compiles(from *source, ids []string) (units.Desired, error) {
	k, want, err := c.installed(from)
	if err != nil {
		return want, err
	}
	refused := want.Refused()
	if k.Result != nil && !slices.ContainsFunc(ids, func(id string) bool { return refused[id] != "" }) {
		return want, nil
	}
	return want, cmp.Or(c.report(k, false), errReported)
}
