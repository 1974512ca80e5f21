package reconciletest

import (
	"errors"
	"maps"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// file is a file in the directory of unit files.
type file struct {
	units.File
	// stamp identifies the write: systemd compares the time of a file, not its content.
	stamp     int
	isForeign bool
	// isDamaged: nothing in it tells that it is ours, except a record of the last write.
	isDamaged bool
}

// Install writes the files of an app, has systemd read them, and has every service of the app run
// since an hour. That is no effect of a pass.
func (m *Machine) Install(app units.App) {
	m.Write(app.Files...)
	m.Load()
	for _, p := range app.Parts {
		m.Change(func() { m.starts[p.Service]++ })
		m.Put(p.Service, units.Unit{Active: units.Active, Digest: p.Digest, Invocation: "1", Up: longUp})
	}
}

// Write is a write by another program. That is no effect of a pass.
func (m *Machine) Write(files ...units.File) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range files {
		m.write(f)
	}
}

// WriteForeign makes a file that is not ours.
func (m *Machine) WriteForeign(name string) {
	m.Write(units.File{Name: name, Content: []byte("foreign")})
	m.Change(func() {
		f := m.files[name]
		f.isForeign = true
		m.files[name] = f
	})
}

// Truncate empties a file.
func (m *Machine) Truncate(name string) {
	m.Change(func() {
		if f, exists := m.files[name]; exists {
			f.Content, f.Digest, f.isDamaged = nil, "", true
			m.write(f.File)
			m.files[name] = file{File: f.File, stamp: m.stamp, isDamaged: true}
		}
	})
}

func (m *Machine) write(f units.File) {
	m.stamp++
	m.files[f.Name] = file{File: f, stamp: m.stamp}
}

// Delete deletes files. That is no effect of a pass.
func (m *Machine) Delete(names ...string) {
	m.Change(func() {
		for _, name := range names {
			delete(m.files, name)
		}
	})
}

// File returns the file with a name, and whether there is one.
func (m *Machine) File(name string) (units.File, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, exists := m.files[name]
	return f.File, exists
}

// Read returns the files of ours.
func (m *Machine) Read() (units.Set, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ours(), nil
}

func (m *Machine) ours() units.Set {
	var set units.Set
	for _, f := range m.files {
		if !f.isForeign && !f.isDamaged {
			set = append(set, f.File)
		}
	}
	set.Sort()
	return set
}

// Look returns the files that are not as they should be, and the files of ours.
func (m *Machine) Look(want units.Set) (map[string]units.FoundFile, units.Set, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]units.FoundFile{}
	for _, f := range want {
		switch have, exists := m.files[f.Name]; {
		case !exists:
			found[f.Name] = units.FoundFile{State: units.FileMissing, App: f.App}
		case have.isForeign:
			found[f.Name] = units.FoundFile{State: units.FileForeign, App: f.App}
		case string(have.Content) != string(f.Content):
			found[f.Name] = units.FoundFile{State: units.FileDiffers, App: f.App}
		}
	}
	for name, f := range m.files {
		if _, isWanted := want.Find(name); !isWanted && !f.isForeign {
			found[name] = units.FoundFile{State: units.FileStale, App: f.App, Service: units.ServiceOf(name)}
		}
	}
	return found, m.ours(), nil
}

// Lost returns the wanted files that are missing.
func (m *Machine) Lost(want units.Set) (lost units.Set) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range want {
		if _, exists := m.files[f.Name]; !exists {
			lost = append(lost, f)
		}
	}
	return lost
}

// Restore writes the wanted files that differ.
func (m *Machine) Restore(want units.Set) error { return m.Sync(want, nil) }

// Sync writes the wanted files that differ, and removes those of ours that owns selects.
func (m *Machine) Sync(want units.Set, owns func(units.Ownership) bool) error {
	if err := m.call("sync", ""); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range want {
		have, exists := m.files[f.Name]
		if exists && string(have.Content) == string(f.Content) {
			continue
		}
		if err := m.change("write", f.Name, f.Digest); err != nil {
			return err
		}
		m.write(f)
	}
	for _, name := range slices.Sorted(maps.Keys(m.files)) {
		f := m.files[name]
		if _, isWanted := want.Find(name); isWanted || f.isForeign || owns == nil || !owns(units.Ownership{App: f.App}) {
			continue
		}
		if err := m.change("remove", name, ""); err != nil {
			return err
		}
		delete(m.files, name)
	}
	return nil
}

// change is the begin of a change of a file. The caller holds mu.
func (m *Machine) change(verb, name, digest string) error {
	if name == m.Immutable {
		return &units.ImmutableFileError{File: name, Err: errors.New(name + " is immutable")}
	}
	return m.effect(verb, name, digest)
}
