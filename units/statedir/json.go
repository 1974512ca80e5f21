package statedir

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/archipelago-os/archipelago/units/durable"
)

// stored reads a value that save has written, nil if there is none.
func stored[T any](dir, name, mend string) (*T, error) {
	text, err := durable.ReadFile(dir, name)
	if err != nil || text == nil {
		return nil, err
	}
	var v T
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; %s", filepath.Join(dir, name), err, mend)
	}
	return &v, nil
}

// allStored reads the values that save has written into a directory, in the order of their names. With an
// error it returns those before.
func allStored[T any](dir, mend string) ([]*T, error) {
	names, err := durable.Names(dir)
	if err != nil {
		return nil, err
	}
	list := make([]*T, 0, len(names))
	for _, name := range names {
		v, err := stored[T](dir, name, mend)
		if err != nil {
			return list, err
		}
		if v != nil { // it was removed meanwhile
			list = append(list, v)
		}
	}
	return list, nil
}

// save stores a value as JSON durably.
func save(dir, name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Join(dir, name), err)
	}
	return durable.Replace(dir, name, append(text, '\n'))
}
