// Package catalog owns the apps that can be installed: those that are embedded into the
// program, one YAML manifest each with its templates in ID.files/, and those of directories.
// Of apps with one id the last directory wins.
//
// It never installs an app, writes a file or judges what a manifest asks for.
package catalog

import (
	"embed"
	"io/fs"
	"path"
)

// files is the manifests and their templates. The contracts of their images are not
// part of the program.
//
//go:embed *.yaml *.files
var files embed.FS

// File is one manifest of the catalog.
type File struct {
	// Name is ID.yaml.
	Name string
	// Data is the text of the manifest.
	Data []byte
}

// Files lists the manifests by name.
func Files() ([]File, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, err
	}
	list := make([]File, 0, len(entries))
	for _, e := range entries {
		if path.Ext(e.Name()) != ".yaml" {
			continue
		}
		data, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		list = append(list, File{e.Name(), data})
	}
	return list, nil
}

// Manifest is the text of the manifest of an app.
func Manifest(id string) ([]byte, error) { return files.ReadFile(id + ".yaml") }

// Template is the text of a template of an app.
func Template(id, name string) ([]byte, error) { return files.ReadFile(id + ".files/" + name) }
