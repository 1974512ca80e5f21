package generator

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/units"
)

// Version is a Podman version, down to the minor: patch releases add no keys.
type Version struct{ Major, Minor int }

// The range of Podman versions that can be rendered for. 4.7 brought networks that do not
// route to each other; the key table was read from the sources up to 6.0.
var (
	Oldest  = Version{4, 7}
	Default = Version{5, 4}
	Newest  = Version{6, 0}
)

// ParseVersion reads "5.4" or "5.4.2". Versions before 4.7 can't isolate networks and are
// refused; later ones than 6.0 are taken as 6.0.
func ParseVersion(s string) (Version, error) {
	major, rest, ok := strings.Cut(s, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errA := strconv.ParseUint(major, 10, 16)
	b, errB := strconv.ParseUint(minor, 10, 16)
	if !ok || errA != nil || errB != nil {
		return Version{}, fmt.Errorf("%q is not a Podman version: write MAJOR.MINOR, such as %v", s, Default)
	}
	v := Version{int(a), int(b)}
	switch {
	case v.before(Oldest):
		return Version{}, fmt.Errorf("Podman %v does not isolate networks from each other: the oldest that can be rendered for is %v", v, Oldest)
	case Newest.before(v):
		return Newest, nil
	}
	return v, nil
}

// String returns "major.minor".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

func (v Version) before(o Version) bool {
	return v.Major < o.Major || v.Major == o.Major && v.Minor < o.Minor
}

// Target is the machine that units are rendered for.
type Target struct {
	// Podman is the version whose Quadlet reads the files.
	Podman Version
	// Scope is the manager that runs the units.
	Scope units.Scope
	// Places is where the machine's Podman keeps networks and volumes.
	Places units.Places
	// Generator is the version of archgen, written into the ownership mark.
	Generator string
}
