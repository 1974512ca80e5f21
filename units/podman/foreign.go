package podman

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// ForeignNames returns the names of all containers, running or not, that were not created from a
// rendering of ours.
//
// Ours are created with --rm, and Podman lists those in another file. One in that file that has
// not started yet counts as ours.
func ForeignNames(storage string) ([]string, error) {
	var names []string
	for file, isOurs := range map[string]bool{"containers.json": false, "volatile-containers.json": true} {
		found, err := filepath.Glob(filepath.Join(storage, "*-containers", file))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			list, err := foreignIn(path, isOurs)
			if err != nil {
				return nil, fmt.Errorf("reading Podman's list of containers: %w", err)
			}
			names = append(names, list...)
		}
	}
	return names, nil
}

// foreignIn reads one list. unstarted says whether a container that never started is ours.
func foreignIn(path string, unstarted bool) ([]string, error) {
	data, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var containers []struct {
		ID    string   `json:"id"`
		Names []string `json:"names"`
	}
	if err := json.Unmarshal(data, &containers); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var names []string
	for _, c := range containers {
		rendering, err := digest(filepath.Join(filepath.Dir(path), c.ID, "userdata/config.json"))
		isOurs := rendering != "" || errors.Is(err, ErrNone) && unstarted
		if err != nil && !errors.Is(err, ErrNone) {
			return nil, err
		}
		if !isOurs {
			names = append(names, c.Names...)
		}
	}
	return names, nil
}
