package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// askTime is the timeout for asking Podman where it keeps its objects.
const askTime = 10 * time.Second

// PodmanPlaces finds where Podman keeps networks and volumes. Podman says it, and is asked once:
// its answer is kept with its version, until that or a configuration file of Podman changes. A
// program that does not run Podman uses the answer until a configuration file changes. Without
// an answer, it is the default unless a configuration file says otherwise.
type PodmanPlaces struct {
	Base
	// Getenv reads the environment of the user who runs the apps.
	Getenv func(string) string
	// Version returns Podman's version.
	Version func() string

	// usual is the default places with the configuration of that stamp. Reading it takes longer than
	// all else that healthd does in a pass with nothing to do.
	usual units.Places
	stamp string
}

// Find returns the places. It is for one goroutine.
func (p *PodmanPlaces) Find() units.Places {
	env := paths.Env{Scope: p.Scope, Getenv: p.Getenv}
	config := stampOf(env.PodmanConfig())
	kept, ok := p.Store.Podman()
	ok = ok && kept.Config == config
	if !p.mayAsk() {
		if ok {
			return kept.Places
		}
		return p.defaults(env, config)
	}
	now := p.Version()
	if ok && kept.Version == now {
		return kept.Places
	}
	places, err := p.ask()
	if err != nil {
		return p.defaults(env, config)
	}
	_ = p.Store.SavePodman(statedir.Podman{Version: now, Config: config, Places: places}) // else it is asked again
	return places
}

// defaults is the default places with the configuration of a stamp.
func (p *PodmanPlaces) defaults(env paths.Env, config string) units.Places {
	if p.stamp != config {
		p.usual, p.stamp = env.Default(), config
	}
	return p.usual
}

// mayAsk reports whether this program runs Podman, as the user who runs the apps.
func (p *PodmanPlaces) mayAsk() bool {
	return p.Podman != nil && (p.Scope == units.User || os.Getuid() == 0)
}

// ask asks Podman.
func (p *PodmanPlaces) ask() (units.Places, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	var store struct{ GraphRoot, VolumePath string }
	if err := p.Podman.JSON(ctx, &store, "info", "--format={{json .Store}}"); err != nil {
		return units.Places{}, err
	}
	if !filepath.IsAbs(store.GraphRoot) || !filepath.IsAbs(store.VolumePath) {
		return units.Places{}, fmt.Errorf("podman info names no directories: %q, %q", store.GraphRoot, store.VolumePath)
	}
	usual := units.DefaultPlaces(p.Scope)
	return units.Places{
		Networks: abbreviated(paths.Networks(p.Scope, p.Getenv, store.GraphRoot), usual.Networks, p.Getenv("HOME")),
		Volumes:  abbreviated(store.VolumePath, usual.Volumes, p.Getenv("HOME")),
	}, nil
}

// abbreviated is a directory, in the words of the default if it is the default one: the unit files
// are then the same as in an image.
func abbreviated(dir, usual, home string) string {
	at := usual
	if below, isHome := strings.CutPrefix(usual, "~/"); isHome {
		at = filepath.Join(home, below)
	}
	a, errA := os.Stat(dir)
	b, errB := os.Stat(at)
	if dir == at || errA == nil && errB == nil && os.SameFile(a, b) {
		return usual
	}
	return dir
}

// PodmanPause is the file with the ID of the process that keeps Podman's user namespace open, empty if
// Podman uses none.
func PodmanPause(scope units.Scope, getenv func(string) string) string {
	if scope == units.System {
		return ""
	}
	return filepath.Join(getenv("XDG_RUNTIME_DIR"), "libpod/tmp/pause.pid")
}

// PodmanIDs returns what reads the user namespace in which Podman runs containers, or will when it starts
// the first one after a boot. There are no ranges if it uses none.
func PodmanIDs(scope units.Scope, getenv func(string) string) func() (uids, gids []podman.IDRange, err error) {
	return func() (uids, gids []podman.IDRange, err error) {
		if scope == units.System {
			return nil, nil, nil
		}
		uids, gids, err = podman.RootlessIDs(PodmanPause(scope, getenv))
		if !errors.Is(err, fs.ErrNotExist) {
			return uids, gids, err
		}
		who, err := user.Current()
		if err != nil {
			return nil, nil, err
		}
		return podman.NextIDs("/", cmp.Or(getenv("USER"), who.Username), os.Getuid(), os.Getgid()) // as Podman finds its user
	}
}

// stampOf is the stamp of files, and of what is in directories.
func stampOf(files []string) string {
	var stamp durable.Stamp
	for _, file := range files {
		if strings.HasSuffix(file, ".d") {
			stamp.AddDir(file, func(string) bool { return false })
		} else {
			stamp.Add(file)
		}
	}
	return stamp.String()
}
