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
		if manifests.AppOf(first.File) == "" { // of no manifest
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
		return warn("", "they can't be judged: %v", err)
	}
	store := statedir.Store{State: a.Paths.State}
	history, err := store.History()
	if err != nil {
		return problem("archgen apply", "%v", err)
	}
	return judgeUnitFiles(a, history)
}

// judgeUnitFiles looks for what archgen did not write or can't read.
func judgeUnitFiles(a Apps, history units.History) Result {
	dir := a.Paths.Units
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fine("%s is not there yet", dir)
	case err != nil:
		return problem("", "%v", err)
	case !info.IsDir():
		return problem("mv "+dir+" "+dir+".old && archgen apply", "%s is no directory", dir)
	case unix.Access(dir, unix.W_OK) != nil:
		return problem("sudo chown -R \"$(id -u):$(id -g)\" "+dir, "%s can't be written to", dir)
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

// keeps reports whether an app keeps the files that it has: its manifest has an
// error or is out of reach, or it did not serve with it.
func (a Apps) keeps(id string, history units.History) bool {
	app, isWanted := a.Want.Find(id)
	return slices.Contains(a.Want.Invalid, id) || !a.Want.Complete && !isWanted || isWanted && history.RolledBack(app)
}

func judgeFound(dir string, found map[string]units.FoundFile, ours units.Set) Result {
	for name, f := range found {
		switch f.State {
		case units.FileForeign:
			return problem("mv "+filepath.Join(dir, name)+" ~/ && archgen apply", "%s was not written by archgen, and has the place of a file of %s", name, f.App)
		case units.FileOdd:
			return problem("archgen apply", "%s is no file that can be a unit", name)
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
			return warn("mv "+filepath.Join(dir, e.Name())+" "+filepath.Dir(dir)+"/", "%s was not written by archgen; Podman reads it all the same", e.Name())
		}
	}
	if len(found) > 0 {
		return warn("archgen apply   # archgen diff shows what that does", "%s not as the manifests say", ui.Count(len(found), "file")+map[bool]string{true: " is", false: " are"}[len(found) == 1])
	}
	return fine("%s in %s", ui.Count(len(ours), "file"), dir)
}

func checkNetworks(_ context.Context, e *Env) Result {
	a, err := e.Apps()
	if err != nil {
		return warn("", "they can't be judged: %v", err)
	}
	files, err := machine.Files(a.Paths.Units).Read()
	if err != nil {
		return warn("", "they can't be judged: %v", err)
	}
	return judgeNetworks(files)
}

// judgeNetworks looks for networks of an older version, which did not isolate apps. An app
// leaves them when its unit files are written, which needs a manifest without errors.
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
		return fine("%s, each kept from the others", ui.Count(n, "network"))
	}
	slices.Sort(apps)
	return problem("archgen check && archgen apply", "other apps reach every port of %s: its network is that of an older version, which did not isolate apps; its manifest has an error, or its unit files were not written since the update",
		strings.Join(slices.Compact(apps), ", "))
}

func checkSecrets(ctx context.Context, e *Env) Result {
	store, err := e.Secrets()
	if err != nil {
		return warn("", "nobody can tell where they are: %v", err)
	}
	r, err := store.Rotation()
	if err != nil {
		return problem("", "%v", err)
	}
	if r != nil {
		return problem("archgen apply", "the rotation of %s that began on %s has not come to its end", r.Name, r.Began.Local().Format(time.DateTime))
	}
	if err := store.Sealing(ctx); err != nil {
		return warn("", "they are files that nobody else can read, and not encrypted: %v (for a user, systemd 256 and newer can)", err)
	}
	switch open, err := store.Plain(); {
	case err != nil:
		return problem("", "%v", err)
	case len(open) > 0:
		return warn("archgen secret rotate "+open[0], "they are encrypted by systemd-creds, but for those from when that could not be done: %s", strings.Join(open, ", "))
	}
	return fine("they are encrypted by systemd-creds")
}
