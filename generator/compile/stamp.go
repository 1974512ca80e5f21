package compile

import (
	"fmt"
	"time"

	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units/durable"
)

// Inputs identifies everything that a compilation depends on, except unit files of the machine.
type Inputs struct {
	files *durable.Stamp
	// machine is what archgen and Podman contribute.
	machine string
}

// Inputs identifies what a compilation of the manifests in directories reads now, or Installed without
// directories: the settings and all files of the apps, the recorded formats of their data, archgen,
// and Podman with its settings. It checks each file, and does not rely on events.
func (s Source) Inputs(dirs ...string) (Inputs, error) {
	if len(dirs) == 0 {
		var err error
		if dirs, err = s.Paths().Apps(); err != nil {
			return Inputs{}, err
		}
	}
	files := installed.Stamp(dirs, s.Paths().Settings())
	if s.FormatsDir != "" {
		files.AddDir(s.FormatsDir, func(string) bool { return false })
	}
	podman := s.Podman
	if podman == "" && s.Root == "" && s.Ask != nil {
		podman = s.Ask()
	}
	return Inputs{files, fmt.Sprintf("%v %q %q %+v", s.Scope, s.Generator, podman, s.Objects())}, nil
}

// String is different for other inputs.
func (i Inputs) String() string { return i.machine + "\n" + i.files.String() }

// IsSettled reports whether a change of a file from now on changes the text.
func (i Inputs) IsSettled(now time.Time) bool { return i.files.IsSettled(now) }
