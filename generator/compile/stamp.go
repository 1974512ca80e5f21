package compile

import (
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units/durable"
)

// Stamp identifies the settings and all files of the installed apps. It checks each file, and does
// not rely on events.
func (s Source) Stamp() (*durable.Stamp, error) {
	dirs, err := s.Paths().Apps()
	if err != nil {
		return nil, err
	}
	return installed.Stamp(dirs, s.Paths().Settings()), nil
}
