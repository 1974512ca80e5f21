package compile

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/paths"
)

// Paths is where things lie for what is compiled.
func (s Source) Paths() paths.Env { return paths.Env{Scope: s.Scope, Root: s.Root, Getenv: s.Getenv} }

// settings reads archipelago.toml, the user's before the machine's.
func (s Source) settings(k *Compiled) (diags diag.List, err error) {
	for _, file := range s.Paths().Settings() {
		data, err := manifests.ReadInside(s.Root, file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s can't be read: %w", file, manifests.CauseOf(err))
		}
		if k.Loaded.Sources == nil {
			k.Loaded.Sources = map[string][]byte{}
		}
		k.Loaded.Sources[file] = data
		k.Settings, diags = manifests.ParseSettings(manifests.Source{Name: file, Data: data})
		return diags, nil
	}
	k.Settings = manifests.DefaultSettings()
	return nil, nil
}

// Objects is where the Podman that runs the units keeps networks and volumes.
func (s Source) Objects() units.Places {
	if s.Root == "" && s.Places != nil {
		return s.Places()
	}
	return s.Paths().Default()
}

// target chooses the Podman version to render for.
func (s Source) target(settings manifests.Settings) (generator.Target, error) {
	t := generator.Target{Podman: generator.Default, Scope: s.Scope, Places: s.Objects(), Generator: s.Generator}
	text := s.Podman
	if text == "" {
		text = settings.Podman
	}
	if text == "" && s.Root == "" && s.Ask != nil {
		text = s.Ask()
	}
	if text == "" {
		return t, nil
	}
	v, err := generator.ParseVersion(text)
	if err != nil {
		return t, err
	}
	t.Podman = v
	return t, nil
}
