package prestart

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
)

// Rendered is the directories with the unit files of this machine, the user's before those
// of the OS image: paths.Env.Rendered.
type Rendered []string

// Recipe reads the recipe of a part.
func (r Rendered) Recipe(id string) (units.Prestart, error) {
	name := units.PrestartName(units.ServiceName(id))
	content, err := r.read(id, name)
	if err != nil {
		return units.Prestart{}, err
	}
	if _, ours := units.ReadOwnership(content); !ours {
		return units.Prestart{}, fmt.Errorf("%s is foreign or damaged; run archgen apply", name)
	}
	return units.ReadPrestart(content)
}

// Target reads the probe of a part for a level. It returns nil if there is none for that
// level.
func (r Rendered) Target(id, level string) (*probe.Target, error) {
	name := units.ContainerFile(id)
	content, err := r.read(id, name)
	if err != nil {
		return nil, err
	}
	mark, ours := units.ReadOwnership(content)
	if !ours {
		return nil, fmt.Errorf("%s is foreign or damaged; run archgen apply", name)
	}
	text := mark.Probe(level)
	if text == "" {
		return nil, nil
	}
	target, err := probe.Parse([]byte(text))
	return &target, err
}

// read reads a file of a part.
func (r Rendered) read(id, name string) ([]byte, error) {
	if filepath.Base(name) != name {
		return nil, fmt.Errorf("%q is not an app: give its id, such as lnd, or a part's, such as ledger.db", id)
	}
	for _, dir := range r {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular() || info.Size() > units.MaxFile: // opening a pipe could block forever
			return nil, fmt.Errorf("%s is not a regular file, or it is too large", path)
		}
		return os.ReadFile(path)
	}
	return nil, fmt.Errorf("there is no %s in %s: install the app, then run archgen apply", name, strings.Join(r, " or "))
}
