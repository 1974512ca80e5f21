package machine

import (
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// program identifies a program file. An upgrade replaces it.
type program struct {
	Path         string
	Inode        uint64
	Size         int64
	Mtime, Ctime unix.Timespec
}

func programOf(path string) (program, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return program{path, st.Ino, st.Size, st.Mtim, st.Ctim}, err
}

// podmanVersion is what Podman says about itself.
type podmanVersion struct {
	Program program
	Version string
}

// PodmanVersion returns the version of the podman in PATH, empty if there is none. It runs a program
// once for each Podman.
func (b Base) PodmanVersion() string {
	path, err := exec.LookPath("podman")
	if err != nil {
		return ""
	}
	now, err := programOf(path)
	if err != nil {
		return podmancli.InstalledVersion()
	}
	var known podmanVersion
	b.Store.Recall(statedir.LearnedPodman, &known)
	if known.Program == now && known.Version != "" {
		return known.Version
	}
	known = podmanVersion{now, podmancli.InstalledVersion()}
	_ = b.Store.Learn(statedir.LearnedPodman, known) // else it is asked again
	return known.Version
}

// recallStarts tells the manager the starts that earlier commands have read.
func (m *Machine) recallStarts() {
	var list []systemd.Current
	m.Store.Recall(statedir.LearnedStarts, &list)
	m.Services.Manager.Remember(list)
}

// keepStarts keeps the starts that were read, unless there are no new ones.
func (m *Machine) keepStarts() {
	if list, isNew := m.Services.Manager.Starts(); isNew {
		_ = m.Store.Learn(statedir.LearnedStarts, list) // else they are read again
	}
}
