package imports

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/casaos"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/importer/runtipi"
	"github.com/archipelago-os/archipelago/manifests/importer/umbrel"
)

// Format is a description of apps that can be imported.
type Format struct {
	// Name is the verb.
	Name string
	read func(fs.FS, compose.Options) *importer.Result
	// is reports whether a directory has an app.
	is func(fs.FS) bool
}

// The formats.
var (
	Compose = Format{"compose", compose.Import, func(fsys fs.FS) bool { return hasAny(fsys, compose.FileNames...) }}
	CasaOS  = Format{"casaos", casaos.Import, func(fsys fs.FS) bool { return casaos.Find(fsys) != "" }}
	Umbrel  = Format{"umbrel", umbrel.Import, func(fsys fs.FS) bool { return hasAny(fsys, umbrel.FileName) }}
	Runtipi = Format{"runtipi", runtipi.Import, runtipi.IsApp}
)

func hasAny(fsys fs.FS, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		info, err := fs.Stat(fsys, name)
		return err == nil && info.Mode().IsRegular()
	})
}

// stores is where the directories of apps are in a directory that holds several: in it, or in the
// one that the stores of the platforms have for them.
var stores = []string{".", "apps", "Apps"}

// Apps is the directories of apps in a directory that holds several, in order. It is empty for a
// file, for a directory that has an app itself, and for one without any.
func Apps(f Format, path string) (dirs []string, err error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() || f.is(os.DirFS(path)) {
		return nil, err
	}
	for _, below := range stores {
		entries, err := os.ReadDir(filepath.Join(path, below))
		if err != nil {
			continue // the store has no such directory
		}
		for _, e := range entries {
			if dir := filepath.Join(path, below, e.Name()); e.IsDir() && f.is(os.DirFS(dir)) {
				dirs = append(dirs, dir)
			}
		}
		if len(dirs) > 0 {
			return dirs, nil
		}
	}
	return nil, nil
}
