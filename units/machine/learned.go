package machine

import (
	"os/exec"
	"sync"

	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// podmanVersion is what Podman says about itself.
type podmanVersion struct {
	// Stamp is that of the program's file, which an upgrade replaces.
	Stamp, Version string
}

// PodmanVersion returns the version of the podman in PATH, empty if there is none. It runs a program
// once for each Podman.
func (b Base) PodmanVersion() string {
	path, err := exec.LookPath("podman")
	if err != nil {
		return ""
	}
	var now durable.Stamp
	now.Add(path)
	var known podmanVersion
	b.Store.Recall(statedir.LearnedPodman, &known)
	if known.Stamp == now.String() && known.Version != "" {
		return known.Version
	}
	known = podmanVersion{now.String(), podmancli.InstalledVersion()}
	_ = b.Store.Learn(statedir.LearnedPodman, known) // else it is asked again
	return known.Version
}

// start is a start of a service, and the container that it made.
type start struct {
	systemd.Current
	Container podman.Running
}

// starts is the checked containers, by the invocation of their services.
type starts struct {
	mu   sync.Mutex
	list map[string]podman.Running
}

// look returns the container of a start of a service. If it is known, it was checked before, and
// only what changes is read again.
func (k *starts) look(u systemd.Current) (podman.Running, error) {
	if k == nil || u.InvocationID == "" {
		return podman.Look("/", int(u.MainPID), u.ControlGroup)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if known, ok := k.list[u.InvocationID]; ok {
		return known.Again("/")
	}
	found, err := podman.Look("/", int(u.MainPID), u.ControlGroup)
	if err == nil && found.HasLived("/") && !found.Ended {
		k.list[u.InvocationID] = found
	}
	return found, err
}

// recallStarts tells the manager the starts that earlier commands have read.
func (m *Machine) recallStarts() {
	var list []start
	m.Store.Recall(statedir.LearnedStarts, &list)
	known := &starts{list: map[string]podman.Running{}}
	processes := make([]systemd.Current, 0, len(list))
	for _, s := range list {
		processes = append(processes, s.Current)
		if s.Container.ID != "" {
			s.Container.Saw("/")
			known.list[s.InvocationID] = s.Container
		}
	}
	m.Services.Manager.Remember(processes)
	m.Services.starts = known
}

// keepStarts keeps the starts that were read, unless there are no new ones.
func (m *Machine) keepStarts() {
	processes, isNew := m.Services.Manager.Starts()
	if !isNew {
		return
	}
	m.Services.starts.mu.Lock()
	defer m.Services.starts.mu.Unlock()
	list := make([]start, 0, len(processes))
	for _, c := range processes {
		list = append(list, start{c, m.Services.starts.list[c.InvocationID]})
	}
	_ = m.Store.Learn(statedir.LearnedStarts, list) // else they are read again
}
