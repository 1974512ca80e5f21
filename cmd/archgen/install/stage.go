package install

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/install/images"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units/machine"
)

// Staged is the apps as they will be installed; the chosen ones are in a temporary directory.
type Staged struct {
	*compile.Compiled
	in  *Installation
	dir string
}

// Stage compiles the apps as they will be installed: the installed ones, the chosen ones, and
// their overlays. It does not check grants. The caller must call Remove.
func (in *Installation) Stage(from compile.Source) (*Staged, error) {
	dir, err := os.MkdirTemp("", "archgen-install-")
	if err != nil {
		return nil, err
	}
	s := &Staged{&compile.Compiled{}, in, dir}
	if err := s.compile(from); err != nil {
		s.Remove()
		return nil, err
	}
	return s, nil
}

// Remove removes the directory.
func (s *Staged) Remove() { _ = os.RemoveAll(s.dir) }

func (s *Staged) compile(from compile.Source) error {
	if _, err := installed.At(s.dir).Install(s.in.files()...); err != nil {
		return err
	}
	found := s.Loaded.LoadDirs(append([]string{s.dir}, s.in.dir.Paths()...))
	replaced := s.in.Replaced()
	s.Loaded.Manifests = slices.DeleteFunc(s.Loaded.Manifests, func(m *manifests.Manifest) bool {
		return filepath.Dir(m.File) != s.dir && slices.Contains(replaced, m.Document.App.ID)
	})
	err := from.Compile(s.Compiled)
	s.Diags = append(s.Diags, found...)
	return err
}

// CompareImages pulls the images of the apps, and compares the apps with them before a
// manifest is installed, because healthd would start the app then. The findings become the
// diagnostics. If an image can't be pulled, the next pass reports that. Errors of manifests
// are reported when they are installed.
func (s *Staged) CompareImages(ctx context.Context, r *images.Reader, pulling func(app, image string)) (machine.Fetched, error) {
	isWrong := slices.ContainsFunc(s.Diags, s.isAboutChosen)
	s.Diags = nil
	if isWrong {
		return nil, nil
	}
	fetched := machine.Fetched{}
	for _, app := range s.Set.Apps {
		if !s.isChanged(app) {
			continue
		}
		if fetched[app.ID()] = fetch(ctx, r, app, pulling); fetched[app.ID()] != nil {
			continue
		}
		diags, _, err := r.Check(ctx, app)
		if err != nil {
			return fetched, err
		}
		s.Diags = append(s.Diags, diags...)
	}
	s.nameFiles()
	return fetched, nil
}

// isAboutChosen reports whether a finding is an error of a chosen app. The rights that it
// lacked are granted by now.
func (s *Staged) isAboutChosen(d diag.Diagnostic) bool {
	return d.Severity == diag.Error && d.Code != diag.NotGranted && slices.ContainsFunc(s.in.Apps, func(a *App) bool {
		return d.File == filepath.Join(s.dir, a.File) || filepath.Base(filepath.Dir(d.File)) == manifests.OverlaysDir(a.ID)
	})
}

// isChanged reports whether an app is new or has a new manifest.
func (s *Staged) isChanged(app *manifests.Resolved) bool {
	return slices.ContainsFunc(s.in.Apps, func(a *App) bool {
		return a.ID == app.ID() && a.Text != nil && (a.before == nil || a.before.Digest != app.Digest)
	})
}

// fetch pulls the images of an app.
func fetch(ctx context.Context, r *images.Reader, app *manifests.Resolved, pulling func(app, image string)) error {
	for _, p := range app.Parts {
		if p.Build != nil || p.Pull == "never" {
			continue
		}
		if err := r.Podman.PullMissing(ctx, p.Image, func() { pulling(app.ID(), p.Image) }); err != nil {
			return err
		}
	}
	return nil
}

// nameFiles replaces the temporary file names in findings by those that the user gave.
func (s *Staged) nameFiles() {
	place := func(file string) string {
		name, isStaged := strings.CutPrefix(file, s.dir+"/")
		if !isStaged {
			return file
		}
		for _, a := range s.in.Apps {
			if a.File == name && a.Manifest != nil {
				return cmp.Or(a.Manifest.File, name)
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
