package prestart

import (
	"cmp"
	"fmt"
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
	case "subnet":
		if subnet := cmp.Or(r.Subnet(f.Network), f.Default); subnet != "" {
			return subnet, nil
		}
		return "", fmt.Errorf("Podman has no network %s with a subnet; archgen apply makes it", f.Network)
	}
	return "", fmt.Errorf("this version of archgen does not support the value %s; update it", f.Name)
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

// writeFacts writes the environment of the unit. No value has a character that systemd would read
// as another one (systemd.exec(5), EnvironmentFile=).
func (r Renderer) writeFacts(container string, recipe units.Prestart) error {
	if len(recipe.Facts) == 0 {
		return nil
	}
	var text strings.Builder
	for _, f := range recipe.Facts {
		value, err := r.fact(f)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s=%s\n", f.Variable, value)
	}
	return durable.ReplacePrivate(r.Dir(container), units.FactsFile, []byte(text.String()), 0o600)
}

// since is the renderer for a container that was started with a configuration. A machine that has
// lost its network counts as unchanged: no app is restarted for an unplugged cable.
func (r Renderer) since(before record) Renderer {
	now := r.Machine
	r.Machine = func() configfile.Machine {
		m := now()
		m.Address = cmp.Or(m.Address, before.Address)
		return m
	}
	return r
}
