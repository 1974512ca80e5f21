package doctor

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/update"
)

// volume is a volume as Podman lists it.
type volume struct {
	Name            string
	Options, Labels map[string]string
}

// checkObjects compares Podman's networks and volumes with their unit files. The unit of an object
// that exists does nothing, and Podman can't change an object.
func checkObjects(ctx context.Context, e *Env) Result {
	files, err := e.rendered()
	if err != nil {
		return warn("", "can't be checked: %v", err)
	}
	var volumes []volume
	if err := e.Podman.JSON(ctx, &volumes, "volume", "ls", "--format=json"); err != nil {
		return warn("", "can't be checked: %v", err)
	}
	if a, err := e.Apps(); err == nil {
		j, err := statedir.Store{State: a.Paths.State}.UpdateJournal()
		if r := e.judgeBlocks(files, volumes, j, err); r.Severity != OK {
			return r
		}
	}
	return e.judgeObjects(files, podman.NetworksIn(e.Networks), volumes)
}

// judgeBlocks reports the first volume that keeps what mounts it from starting, although no update is at work on
// it. The journal is that of the update that has begun, with the error of reading it.
func (e *Env) judgeBlocks(files units.Set, volumes []volume, j *update.Journal, unread error) Result {
	for _, has := range volumes {
		app, name, _ := strings.Cut(has.Name, ".")
		block := filepath.Join(e.Volumes, has.Name, units.VolumeBlock)
		_, isOurs := files.Find(units.VolumeUnitFile(app, name))
		if _, err := os.Stat(block); err != nil || !isOurs {
			continue
		}
		switch {
		case unread != nil:
			return problem("", "%s keeps what mounts the volume from starting, and whether an update is under way is unknown: %v", block, unread)
		case j == nil || !slices.Contains(j.Volumes, has.Name):
			return problem("rm "+block+" && "+e.archgen("start", app), "%s keeps what mounts the volume from starting, and no update of %s is under way", block, app)
		}
		return warn(strings.TrimSpace(e.archgen("apply", "")), "an update of %s is under way or was interrupted, and what mounts its data can't start", app)
	}
	return Result{Severity: OK}
}

// judgeObjects reports the first object that is not as its unit would create it.
func (e *Env) judgeObjects(files units.Set, networks []podman.Network, volumes []volume) Result {
	var found []Result
	for _, has := range networks {
		if f, isOurs := files.Find(units.NetworkFile(has.Name)); isOurs {
			found = append(found, e.judgeNetwork(files, f, has))
		}
	}
	for _, has := range volumes {
		app, name, _ := strings.Cut(has.Name, ".")
		if f, isOurs := files.Find(units.VolumeUnitFile(app, name)); isOurs {
			found = append(found, e.judgeVolume(files, f, has))
		}
	}
	n := len(found)
	found = slices.DeleteFunc(found, func(r Result) bool { return r.Severity == OK })
	if len(found) == 0 {
		return fine("%s, as in the unit files", ui.Count(n, "object"))
	}
	first := found[0]
	if len(found) > 1 {
		first.Detail += fmt.Sprintf("; %d more differ", len(found)-1)
	}
	return first
}

// judgeNetwork compares a network with its file.
func (e *Env) judgeNetwork(files units.Set, f units.File, has podman.Network) Result {
	differs := cmp.Or(lacking("option", f.Values("Options"), has.Options), lacking("label", f.Values("Label"), has.Labels))
	if differs == "" {
		return Result{Severity: OK}
	}
	apps := strings.Join(usersOf(files, f), " ")
	return warn(e.archgen("stop", apps)+" && podman network rm "+has.Name+" && "+e.archgen("start", apps),
		"the network %s %s, which its unit file sets: Podman created it with other settings and can't change them", has.Name, differs)
}

// judgeVolume compares a volume with its file. The fixes never delete what the volume holds.
func (e *Env) judgeVolume(files units.Set, f units.File, has volume) Result {
	dir := filepath.Join(e.Volumes, has.Name)
	stop, start := e.archgen("stop", f.App), e.archgen("start", f.App)
	for _, key := range []string{"Device", "Type"} {
		name, want := strings.ToLower(key), f.Value(key)
		if want == has.Options[name] {
			continue
		}
		fix, keeps := "", ""
		if has.Options["device"] == "" && has.Options["type"] == "" {
			fix, keeps = " && mv "+dir+" "+dir+".old", "   # its content so far stays in "+dir+".old"
		}
		return warn(stop+fix+" && podman volume rm "+has.Name+" && "+start+keeps,
			"the volume %s has the %s %q, and its unit file sets %q: Podman can't change a volume", has.Name, name, has.Options[name], want)
	}
	if want := f.Value("Options"); want != "" && want != has.Options["o"] {
		return warn(stop+" && podman volume rm "+has.Name+" && "+start,
			"the volume %s has the options %q, and its unit file sets %q: Podman can't change a volume", has.Name, has.Options["o"], want)
	}
	differs := lacking("label", f.Values("Label"), has.Labels)
	if differs == "" {
		return Result{Severity: OK}
	}
	create := ""
	if !registers(files, has.Name) {
		create = " && podman volume create"
		for _, label := range f.Values("Label") {
			create += " --label=" + label
		}
		create += " " + has.Name
	}
	return warn(stop+" && mv "+dir+" "+dir+".kept && podman volume rm "+has.Name+" && mv "+dir+".kept "+dir+create+" && "+start,
		"the volume %s %s, which its unit file sets: Podman may have lost the volume and created it again", has.Name, differs)
}

// registers reports whether archgen gives a volume that Podman does not know its labels before
// the start of the app.
func registers(files units.Set, volume string) bool {
	return slices.ContainsFunc(files, func(f units.File) bool {
		return units.IsPrestart(f.Name) && bytes.Contains(f.Content, []byte(`"name":"`+volume+`"`))
	})
}

// lacking names the first NAME=VALUE of a unit file that an object does not have.
func lacking(what string, want []string, has map[string]string) string {
	for _, text := range want {
		if strings.HasPrefix(text, `"`) { // see appendWord in generator/escape.go
			if plain, err := strconv.Unquote(text); err == nil {
				text = strings.ReplaceAll(plain, "$$", "$")
			}
		}
		name, value, _ := strings.Cut(text, "=")
		if got, there := has[name]; !there || got != value {
			return fmt.Sprintf("lacks the %s %s=%s", what, name, value)
		}
	}
	return ""
}

// usersOf is the apps whose containers are on a network, sorted.
func usersOf(files units.Set, network units.File) (apps []string) {
	for _, f := range files {
		isOn := func(value string) bool { name, _, _ := strings.Cut(value, ":"); return name == network.Name }
		if slices.ContainsFunc(f.Values("Network"), isOn) {
			apps = append(apps, f.App)
		}
	}
	slices.Sort(apps)
	return slices.Compact(apps)
}

// archgen is a command line of archgen in the scope.
func (e *Env) archgen(verb, apps string) string {
	if e.Scope == units.System {
		verb += " --system"
	}
	return "archgen " + verb + " " + apps
}
