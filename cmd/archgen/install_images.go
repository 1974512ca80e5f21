package main

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/install/images"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units/machine"
)

// compareImages gets the images of the apps that are about to be installed, and
// compares the apps with them before a manifest is in place, where healthd would start
// it. What can't be got is left to the pass, which tells of it as always.
func (in *installation) compareImages(o *applyOptions, staged *staged) error {
	if in.isWrong(staged) { // what is wrong is said once it is in place
		return nil
	}
	ctx, stop := interruptible()
	defer stop()
	r := &images.Reader{Scope: o.scope(), Podman: in.c.podman}
	k := staged.Compiled
	k.Diags = nil
	for _, app := range k.Set.Apps {
		if !in.isNewOrOther(app) || !in.fetch(ctx, o, app) {
			continue
		}
		diags, _, err := r.Check(ctx, app)
		if err != nil {
			return err
		}
		k.Diags = append(k.Diags, diags...)
	}
	in.unstage(staged)
	return in.c.report(k, false)
}

// isNewOrOther reports whether an app is installed now, or gets another manifest.
func (in *installation) isNewOrOther(app *manifests.Resolved) bool {
	before := in.installed[app.ID()]
	isChosen := slices.ContainsFunc(in.chosen, func(e chosenApp) bool { return e.ID == app.ID() && e.Text != nil })
	return isChosen && (before == nil || before.Digest != app.Digest)
}

// isWrong reports whether an app that was chosen has errors.
func (in *installation) isWrong(staged *staged) bool {
	return slices.ContainsFunc(staged.Diags, func(d diag.Diagnostic) bool {
		isChosen := slices.ContainsFunc(in.chosen, func(e chosenApp) bool {
			return d.File == filepath.Join(staged.dir, e.File) || filepath.Base(filepath.Dir(d.File)) == manifests.OverlaysDir(e.ID)
		})
		return d.Severity == diag.Error && d.Code != diag.NotGranted && isChosen // which is granted by now
	})
}

// staged is the apps as they will be, the chosen ones from a directory of their own.
type staged struct {
	*compile.Compiled
	dir string
}

// staged compiles the apps as they will be: the installed ones, the chosen ones, and the
// overlays that are there for them. Whether they have their rights is another question.
func (in *installation) staged(from *source) (s *staged, remove func(), err error) {
	dir, err := os.MkdirTemp("", "archgen-install-")
	if err != nil {
		return nil, nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	s = &staged{&compile.Compiled{}, dir}
	if err := in.stage(from, s); err != nil {
		remove()
		return nil, nil, err
	}
	return s, remove, nil
}

func (in *installation) stage(from *source, s *staged) error {
	if _, err := installed.At(s.dir).Install(in.apps()...); err != nil {
		return err
	}
	found := s.Loaded.LoadDirs(append([]string{s.dir}, in.dir.Paths()...))
	isReplaced := func(m *manifests.Manifest) bool {
		return slices.ContainsFunc(in.replaced, func(r *manifests.Manifest) bool { return r.Document.App.ID == m.Document.App.ID }) &&
			filepath.Dir(m.File) != s.dir
	}
	s.Loaded.Manifests = slices.DeleteFunc(s.Loaded.Manifests, isReplaced)
	err := in.c.from(from).Compile(s.Compiled)
	s.Diags = append(s.Diags, found...)
	return err
}

// fetch gets the images of an app, and reports whether it has them all.
func (in *installation) fetch(ctx context.Context, o *applyOptions, app *manifests.Resolved) bool {
	if o.fetched == nil {
		o.fetched = machine.Fetched{}
	}
	for _, p := range app.Parts {
		if p.Build != nil || p.Pull == "never" {
			continue
		}
		if err := in.c.podman.PullMissing(ctx, p.Image, func() { in.c.sayPulling(app.ID(), p.Image) }); err != nil {
			o.fetched[app.ID()] = err
			return false
		}
	}
	o.fetched[app.ID()] = nil
	return true
}

// unstage names the files of findings as the person who installs knows them.
func (in *installation) unstage(s *staged) {
	place := func(file string) string {
		name, isStaged := strings.CutPrefix(file, s.dir+"/")
		if !isStaged {
			return file
		}
		for _, e := range in.chosen {
			if e.File == name && e.Manifest != nil {
				return cmp.Or(e.Manifest.File, name)
			}
		}
		return name
	}
	for i := range s.Diags {
		s.Diags[i].File = place(s.Diags[i].File)
	}
	for file, text := range s.Loaded.Sources {
		s.Loaded.Sources[place(file)] = text
	}
}
