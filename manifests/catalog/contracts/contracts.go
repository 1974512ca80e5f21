// Package contracts owns the facts about the images of the catalog: one file per image, with
// the upstream source of each fact. It holds data and never evaluates it.
package contracts

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml
var files embed.FS

// Files is the contracts by file name.
func Files() (map[string][]byte, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for _, e := range entries {
		if all[e.Name()], err = files.ReadFile(e.Name()); err != nil {
			return nil, err
		}
	}
	return all, nil
}
