// Package catalog owns the apps that archgen brings along: one YAML manifest
// each, with its templates in ID.files/, embedded into the program. It holds data and never judges it.
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
