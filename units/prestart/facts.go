package prestart

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/generator/configfile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
)

// fact is the value of a fact, or its default.
func (r Renderer) fact(f units.Fact) (string, error) {
	switch f.Name {
	case "memory":
		return strconv.Itoa(r.Machine().Memory), nil
	case "cores":
		return strconv.Itoa(r.Machine().Cores), nil
	case "address":
		return cmp.Or(r.Machine().Address, f.Default), nil
	case "file":
		return r.firstLine(f)
	case "subnet":
		if subnet := cmp.Or(r.Subnet(f.Network), f.Default); subnet != "" {
			return subnet, nil
		}
		return "", fmt.Errorf("Podman has no network %s with a subnet; archgen apply makes it", f.Network)
	}
	return "", fmt.Errorf("this version of archgen does not support the value %s; update it", f.Name)
}

// longestLine is the most bytes of a value that is read from a file.
const longestLine = 1024

// plain is the characters of a value that is read from a file. Each means itself to systemd and in
// JSON.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+=:,@/"

// firstLine is the first line of a file in a volume. A file that was there and can't be read any
// more counts as unchanged.
func (r Renderer) firstLine(f units.Fact) (string, error) {
	name := f.File.Volume + "/" + f.File.Path
	text, err := r.read(*f.File)
	line, _, _ := strings.Cut(text, "\n")
	line = strings.TrimSpace(line)
	before, isKnown := r.before[f.Variable]
	switch {
	case (err != nil || line == "") && isKnown:
		return before, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("reading %s: %w", name, err)
	case line == "" && f.Default == "":
		return "", fmt.Errorf("the file %s is missing or empty; a default in the manifest would hold meanwhile", name)
	case len(line) > longestLine || strings.Trim(line, plain) != "":
		return "", fmt.Errorf("the first line of %s must have letters, digits and . _ - + = : , @ / only, %d at most", name, longestLine)
	}
	return cmp.Or(line, f.Default), nil
}

// read reads a file in a volume, as root of Podman's user namespace where the caller may not.
func (r Renderer) read(w units.VolumeFile) (string, error) {
	text, err := r.content(w)
	if errors.Is(err, fs.ErrPermission) && r.inNamespace != nil {
		return r.inNamespace(w)
	}
	return text, err
}

// withFacts is a text with the values of the facts of a recipe for their marks.
func (r Renderer) withFacts(text string, recipe units.Prestart) (string, error) {
	for _, f := range recipe.Facts {
		if !strings.Contains(text, f.Mark()) {
			continue
		}
		value, err := r.fact(f)
		if err != nil {
			return "", err
		}
		text = strings.ReplaceAll(text, f.Mark(), value)
	}
	return text, nil
}

// facts is the values of a recipe's facts by their variables.
func (r Renderer) facts(recipe units.Prestart) (map[string]string, error) {
	values := make(map[string]string, len(recipe.Facts))
	for _, f := range recipe.Facts {
		value, err := r.fact(f)
		if err != nil {
			return nil, err
		}
		values[f.Variable] = value
	}
	return values, nil
}

// writeFacts writes the environment of the unit. No value has a character that systemd would read
// as another one (systemd.exec(5), EnvironmentFile=).
func (r Renderer) writeFacts(container string, recipe units.Prestart, values map[string]string) error {
	if len(recipe.Facts) == 0 {
		return nil
	}
	var text strings.Builder
	for _, f := range recipe.Facts {
		fmt.Fprintf(&text, "%s=%s\n", f.Variable, values[f.Variable])
	}
	return durable.ReplacePrivate(r.Dir(container), units.FactsFile, []byte(text.String()), 0o600)
}

// since is the renderer for a container that was started with a configuration. A machine that has
// lost its network counts as unchanged: no app is restarted for an unplugged cable.
func (r Renderer) since(before record) Renderer {
	r.before = before.Facts
	now := r.Machine
	r.Machine = func() configfile.Machine {
		m := now()
		m.Address = cmp.Or(m.Address, before.Address)
		return m
	}
	return r
}
