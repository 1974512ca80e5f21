// Package contracts owns what is known of the images of the catalog: one file an
// image, with the place upstream that each fact comes from. It holds data and never
// judges it.
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
