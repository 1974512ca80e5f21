package main

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// compareImages gets the images of the apps that are about to be installed, and
// compares the apps with them before a manifest is in place, where healthd would start
// it. What can't be got is left to the pass, which tells of it as always.
func (in *installation) compareImages(o *applyOptions, dirs []string) error {
	stage, err := os.MkdirTemp("", "archgen-install-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(stage) }()
	k, err := in.staged(&o.source, stage, dirs)
	if err != nil || in.isWrong(k, stage) { // what is wrong is said once it is in place
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	r := &imageReader{scope: o.scope()}
	k.Diags = nil
	for _, app := range k.Set.Apps {
		if !in.isNewOrOther(app) || !in.fetch(ctx, o, app) {
			continue
		}
		diags, _, err := r.check(ctx, app)
		if err != nil {
			return err
		}
		k.Diags = append(k.Diags, diags...)
	}
	in.unstage(k, stage)
	return in.c.report(k, false)
}

// isNewOrOther reports whether an app is installed now, or gets another manifest.
func (in *installation) isNewOrOther(app *manifests.Resolved) bool {
	before := in.installed[app.ID()]
	isChosen := slices.ContainsFunc(in.chosen, func(e catalogEntry) bool { return e.ID == app.ID() && e.data != nil })
	return isChosen && (before == nil || before.Digest != app.Digest)
}

// isWrong reports whether an app that was chosen has errors.
func (in *installation) isWrong(k *compile.Compiled, stage string) bool {
	return slices.ContainsFunc(k.Diags, func(d diag.Diagnostic) bool {
		isChosen := slices.ContainsFunc(in.chosen, func(e catalogEntry) bool {
			return d.File == filepath.Join(stage, e.file) || filepath.Base(filepath.Dir(d.File)) == e.ID+".d"
		})
		return d.Severity == diag.Error && isChosen
	})
}

// staged compiles the apps as they will be: the installed ones, the chosen ones from a
// directory of their own, and the overlays that are there for them.
func (in *installation) staged(from *source, stage string, dirs []string) (*compile.Compiled, error) {
	ahead := &installation{c: in.c, chosen: in.chosen}
	if _, err := ahead.write(stage); err != nil {
		return nil, err
	}
	k := &compile.Compiled{}
	found := k.Loaded.LoadDirs(append([]string{stage}, dirs...))
	isReplaced := func(m *manifests.Manifest) bool {
		return slices.ContainsFunc(in.replaced, func(r *manifests.Manifest) bool { return r.Document.App.ID == m.Document.App.ID }) &&
			filepath.Dir(m.File) != stage
	}
	k.Loaded.Manifests = slices.DeleteFunc(k.Loaded.Manifests, isReplaced)
	err := in.c.from(from).Compile(k)
	k.Diags = append(k.Diags, found...)
	return k, err
}

// fetch gets the images of an app, and reports whether it has them all.
func (in *installation) fetch(ctx context.Context, o *applyOptions, app *manifests.Resolved) bool {
	if o.fetched == nil {
		o.fetched = map[string]error{}
	}
	for _, p := range app.Parts {
		if p.Build != nil || p.Pull == "never" {
			continue
		}
		if err := pullMissing(ctx, app.ID(), p.Image, in.c.sayPulling); err != nil {
			o.fetched[app.ID()] = err
			return false
		}
	}
	o.fetched[app.ID()] = nil
	return true
}

// unstage names the files of findings as the person who installs knows them.
func (in *installation) unstage(k *compile.Compiled, stage string) {
	place := func(file string) string {
		name, isStaged := strings.CutPrefix(file, stage+"/")
		if !isStaged {
			return file
		}
		for _, e := range in.chosen {
			if e.file == name && e.manifest != nil {
				return cmp.Or(e.manifest.File, name)
			}
		}
		return name
	}
	for i := range k.Diags {
		k.Diags[i].File = place(k.Diags[i].File)
	}
	for file, text := range k.Loaded.Sources {
		k.Loaded.Sources[place(file)] = text
	}
}
