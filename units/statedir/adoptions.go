package statedir

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/archipelago-os/archipelago/units"

	"github.com/archipelago-os/archipelago/units/durable"
)

const adoptionsFile = "adoptions.json"

// Adoptions reads which foreign containers are parked or restored. An unreadable file is an
// error, because no other record says so.
func (s Store) Adoptions() (units.Adoptions, error) {
	a := units.Adoptions{}
	data, err := durable.ReadFile(s.State, adoptionsFile)
	if err != nil || data == nil {
		return a, err
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; before you remove it, check podman ps -a for containers named NAME.legacy",
			filepath.Join(s.State, adoptionsFile), err)
	}
	if a == nil { // null
		a = units.Adoptions{}
	}
	return a, nil
}

// SaveAdoptions stores the adoptions durably. If there are none it removes the file.
func (s Store) SaveAdoptions(a units.Adoptions) error {
	if len(a) == 0 {
		return durable.Remove(s.State, adoptionsFile)
	}
	return save(s.State, adoptionsFile, a)
}
