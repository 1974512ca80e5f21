package compile

import (
	"fmt"
	"time"

	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units/durable"
)

// Inputs identifies everything that the result of Installed depends on, except unit files of the
// machine.
type Inputs struct {
	files *durable.Stamp
	// machine is what archgen and Podman contribute.
	machine string
}

// Inputs identifies what Installed reads now: the settings and all files of the installed apps, the
// recorded formats of their data, archgen, and Podman with its settings. It checks each file, and does
// not rely on events.
func (s Source) Inputs() (Inputs, error) {
	dirs, err := s.Paths().Apps()
	if err != nil {
		return Inputs{}, err
	}
	files := installed.Stamp(dirs, s.Paths().Settings())
	if s.FormatsDir != "" {
		files.AddDir(s.FormatsDir, func(string) bool { return false })
	}
	podman := s.Podman
	if podman == "" && s.Ask != nil {
		podman = s.Ask()
	}
	return Inputs{files, fmt.Sprintf("%v %q %q %+v", s.Scope, s.Generator, podman, s.Objects())}, nil
}

// String is different for other inputs.
func (i Inputs) String() string { return i.machine + "\n" + i.files.String() }

// IsSettled reports whether a change of a file from now on changes the text.
func (i Inputs) IsSettled(now time.Time) bool { return i.files.IsSettled(now) }
