package doctor

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/statedir"
)

func checkManifests(_ context.Context, e *Env) Result {
	a, err := e.Apps()
	if err != nil {
		return problem("", "%v", err)
	}
	errs, warnings := a.Diags.Count()
	n := len(a.Want.Apps) + len(a.Want.Refused())
	switch {
	case errs > 0:
		first := a.Diags[slices.IndexFunc(a.Diags, func(d diag.Diagnostic) bool { return d.Severity == diag.Error })]
		remedy := "archgen check"
		if manifests.AppOf(first.File) == "" { // it is not in a manifest
			remedy = "archgen status"
		}
		return problem(remedy, "%s", ui.Count(errs, "error")+"; the first: "+first.String())
	case warnings > 0:
		return warn("archgen check", "%s, %s", ui.Count(n, "app"), ui.Count(warnings, "warning"))
	}
	return fine("%s", ui.Count(n, "app"))
}

func checkUnitFiles(_ context.Context, e *Env) Result {
	a, err := e.Apps()
	if err != nil {
		return warn("", "can't be checked: %v", err)
	}
	store := statedir.Store{State: a.Paths.State}
	history, err := store.History()
	if err != nil {
		return problem("archgen apply", "%v", err)
	}
	return judgeUnitFiles(a, history)
}

// judgeUnitFiles looks for files that archgen did not write or can't read.
func judgeUnitFiles(a Apps, history units.History) Result {
	dir := a.Paths.Units
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fine("%s does not exist yet", dir)
	case err != nil:
		return problem("", "%v", err)
	case !info.IsDir():
		return problem("mv "+dir+" "+dir+".old && archgen apply", "%s is not a directory", dir)
	case unix.Access(dir, unix.W_OK) != nil:
		return problem("sudo chown -R \"$(id -u):$(id -g)\" "+dir, "%s is not writable", dir)
	}
	found, ours, err := machine.Files(dir).Look(a.Want.Files())
	if err != nil {
		return problem("sudo chown -R \"$(id -u):$(id -g)\" "+dir, "%v", err)
	}
	maps.DeleteFunc(found, func(_ string, f units.FoundFile) bool {
		return f.State != units.FileForeign && f.State != units.FileOdd && a.keeps(f.App, history)
	})
	return judgeFound(dir, found, ours)
}

// keeps reports whether an app keeps its current files: because its manifest has an error
// or is unreadable, or because the app was rolled back.
func (a Apps) keeps(id string, history units.History) bool {
	app, isWanted := a.Want.Find(id)
	return slices.Contains(a.Want.Invalid, id) || !a.Want.Complete && !isWanted || isWanted && history.RolledBack(app)
}

func judgeFound(dir string, found map[string]units.FoundFile, ours units.Set) Result {
	for name, f := range found {
		switch f.State {
		case units.FileForeign:
			return problem("mv "+filepath.Join(dir, name)+" ~/ && archgen apply", "%s was not written by archgen, and has the name of a unit file of %s", name, f.App)
		case units.FileOdd:
			return problem("archgen apply", "%s is not a regular file, so it can't be a unit file", name)
		case units.FileMissing, units.FileDiffers, units.FileStale:
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return problem("", "%v", err)
	}
	for _, e := range entries {
		_, isOurs := ours.Find(e.Name())
		if _, isFound := found[e.Name()]; !isOurs && !isFound && isQuadlet(e.Name()) {
			return warn("mv "+filepath.Join(dir, e.Name())+" "+filepath.Dir(dir)+"/", "%s was not written by archgen, but Podman reads it", e.Name())
		}
	}
	if len(found) > 0 {
		return warn("archgen apply   # archgen diff shows what apply does", "%s from the manifests", ui.Count(len(found), "file")+map[bool]string{true: " differs", false: " differ"}[len(found) == 1])
	}
	return fine("%s in %s", ui.Count(len(ours), "file"), dir)
}

// rendered is the unit files of the machine.
func (e *Env) rendered() (units.Set, error) {
	a, err := e.Apps()
	if err != nil {
		return nil, err
	}
	return machine.Files(a.Paths.Units).Read()
}

func checkNetworks(_ context.Context, e *Env) Result {
	files, err := e.rendered()
	if err != nil {
		return warn("", "can't be checked: %v", err)
	}
	return judgeNetworks(files)
}

// judgeNetworks looks for networks of an older version, which did not isolate apps. An app
// leaves such a network when its unit files are written, and that needs a valid manifest.
func judgeNetworks(files units.Set) Result {
	var apps []string
	n := 0
	for _, f := range files {
		if filepath.Ext(f.Name) != ".network" {
			continue
		}
		n++
		if f.Value("Options") != "isolate=strict" && f.App != "" {
			apps = append(apps, f.App)
		}
	}
	if len(apps) == 0 {
		return fine("%s, isolated from each other", ui.Count(n, "network"))
	}
	slices.Sort(apps)
	return problem("archgen check && archgen apply", "other apps can reach every port of %s: its network is from an older version, which did not isolate apps; its manifest has an error, or its unit files were not written since the update",
		strings.Join(slices.Compact(apps), ", "))
}

func checkSecrets(ctx context.Context, e *Env) Result {
	store, err := e.Secrets()
	if err != nil {
		return warn("", "their directory is unknown: %v", err)
	}
	r, err := store.Rotation()
	if err != nil {
		return problem("", "%v", err)
	}
	if r != nil {
		return problem("archgen apply", "the rotation of %s that began at %s is unfinished", r.Name, r.Began.Local().Format(time.DateTime))
	}
	if err := store.Sealing(ctx); err != nil {
		return warn("", "they are in files that other users can't read, but not encrypted: %v (for a user this needs systemd 256 or newer)", err)
	}
	switch open, err := store.Plain(); {
	case err != nil:
		return problem("", "%v", err)
	case len(open) > 0:
		return warn("archgen secret rotate "+open[0], "they are encrypted by systemd-creds, except those that are older than this encryption: %s", strings.Join(open, ", "))
	}
	return fine("they are encrypted by systemd-creds")
}
