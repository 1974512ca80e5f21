package statedir

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/archipelago-os/archipelago/units"

	"github.com/archipelago-os/archipelago/units/durable"
)

const adoptionsFile = "adoptions.json"

// Adoptions reads which containers make way for apps, or have their place back.
// Other than a record of repairs it can't be done without.
func (s Store) Adoptions() (units.Adoptions, error) {
	a := units.Adoptions{}
	data, err := durable.ReadFile(s.State, adoptionsFile)
	if err != nil || data == nil {
		return a, err
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("%s can't be understood: %w; look with podman ps -a for containers called NAME.legacy before you remove it",
			filepath.Join(s.State, adoptionsFile), err)
	}
	if a == nil { // null
		a = units.Adoptions{}
	}
	return a, nil
}

// SaveAdoptions keeps them, durably. Without any there is no file.
func (s Store) SaveAdoptions(a units.Adoptions) error {
	if len(a) == 0 {
		return durable.Remove(s.State, adoptionsFile)
	}
	data, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("writing down which containers make way: %w", err)
	}
	return durable.Replace(s.State, adoptionsFile, append(data, '\n'))
}
