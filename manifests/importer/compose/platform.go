package compose

import (
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// Platform is what a platform adds around a Compose file. The methods do nothing for a nil one.
type Platform struct {
	// Draft is the app, which the platform has begun.
	Draft *importer.Draft
	// Variables is those of the platform by name.
	Variables map[string]Variable
	// Volumes is the volumes of other apps by the source by which the tree names them.
	Volumes map[string]manifests.Volume
	// Port is the host port of the user interface; 0 if there is none.
	Port int
	// Scheme is that of the user interface, if the platform says so.
	Scheme string
	// Main is the service that a person means by the app, if the platform says so.
	Main string
	// Directories is the app's volumes by their directories beside the source. Compose fills it.
	Directories map[string]string
	// Complete says the rest of the app, once its parts are known.
	Complete func()
}

// Variable is a variable of a platform.
type Variable struct {
	// Value may hold references of the manifest.
	Value string
	At    syntax.Position
	// IsSecret: the value is a random one, which the app keeps.
	IsSecret bool
	// Loss is why there is no value, if there is none, and What what the value would be.
	Loss importer.Code
	What string
}

func (f *Platform) draft(answers map[string]string) *importer.Draft {
	if f == nil {
		return importer.NewDraft(answers)
	}
	return f.Draft
}

func (f *Platform) lookup(name string) (variable, bool) {
	if f == nil {
		return variable{}, false
	}
	v, ok := f.Variables[name]
	if !ok || v.IsSecret || v.Loss != "" {
		return variable{}, false
	}
	return variable{v.Value, v.At}, true
}

// lost is the variable of a use that has no value for a known reason, or nil.
func (f *Platform) lost(u use) *Variable {
	if f == nil || u.isSet {
		return nil
	}
	if v := f.Variables[u.name]; v.Loss != "" {
		return &v
	}
	return nil
}

func (f *Platform) isSecret(name string) bool { return f != nil && f.Variables[name].IsSecret }

// serves reports whether a host port is that of the user interface.
func (f *Platform) serves(port int) bool { return f != nil && f.Port == port }

// isMain reports whether a service is the one that a person means by the app.
func (f *Platform) isMain(name string) bool { return f != nil && f.Main == name }

func (f *Platform) finish(volumes map[string]string) {
	if f != nil {
		f.Directories = volumes
		f.Complete()
	}
}

// foreignVolume mounts a volume of another app.
func (s *service) foreignVolume(m mount) bool {
	if s.Platform == nil {
		return false
	}
	name, subpath, _ := strings.Cut(m.source, "/")
	v, ok := s.Platform.Volumes[name]
	if !ok {
		return false
	}
	if importer.Sample(subpath) != subpath {
		s.Report(importer.NotRepresentable, m.at, m.key, "the volume %s of %s is left out: its directory has a variable in its name", v.Name, v.App)
		return true
	}
	v.Target, v.ReadOnly, v.Subpath = m.target, true, strings.Trim(subpath, "/")
	s.c.Volumes = append(s.c.Volumes, v)
	s.Report(importer.ForeignVolume, m.at, m.key, "the volume %s of %s is mounted, which has to share it", v.Name, v.App)
	if !m.isReadOnly {
		s.Report(importer.MountOption, m.at, m.key, "the volume %s of %s is mounted read-only", v.Name, v.App)
	}
	return true
}
