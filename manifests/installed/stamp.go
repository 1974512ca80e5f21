package installed

import (
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units/durable"
)

// Stamp identifies all files in directories of manifests that an app is made of, and files of
// settings. It checks each file, and does not rely on events.
func Stamp(dirs, settings []string) *durable.Stamp {
	var s durable.Stamp
	for _, file := range settings {
		s.Add(file)
	}
	for _, dir := range dirs {
		s.AddDir(dir, manifests.HoldsFiles)
	}
	return &s
}
