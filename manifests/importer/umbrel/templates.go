package umbrel

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/platform"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// templateFiles is the files that Umbrel replaces variables in before each start.
func (a *app) templateFiles() []string {
	names, err := fs.Glob(a.FS, "*.template")
	if err != nil {
		return nil
	}
	return names
}

// isAddress reports whether a value names the address of a hidden service.
func isAddress(value string) bool {
	return slices.ContainsFunc(importer.References(value), func(name string) bool {
		return name == ownAddress || strings.HasPrefix(name, "volume.")
	})
}

// templates adds the files that Umbrel makes of its templates to those of the app.
func (a *app) templates() {
	made := map[string][]byte{}
	for _, name := range a.templateFiles() {
		data, ok := a.ReadText(name)
		if !ok {
			continue
		}
		at := syntax.Position{File: name, Line: 1, Column: 1}
		text := platform.Replace(string(data), func(variable string) (string, bool) {
			v, isKnown := a.Variables[variable]
			value, ok := a.value(variable)
			if ok && isAddress(value) { // which no template can name
				v, ok = onion, false
			}
			if ok {
				return value, true
			}
			switch {
			case v.Loss != "":
				a.Report(v.Loss, at, name, "%s is not in the file: it is %s", variable, v.What)
			case v.IsSecret:
				a.Report(importer.SecretInValue, at, name, "the secret %s is not in the file", variable)
			}
			return "", isKnown
		})
		made[strings.TrimSuffix(name, ".template")] = []byte(text)
	}
	if len(made) > 0 {
		a.FS = platform.WithFiles(a.FS, made)
	}
}
