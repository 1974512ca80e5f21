// Package secrets owns what archgen secret reads and shows: values from files and terminals, which
// secrets can be set, and the list of all of them.
//
// It stores no value: units/secret does, and units/machine hands them to Podman. It restarts
// nothing.
package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/secret"
)

// Input is where values are read from.
type Input struct {
	Stdin  io.Reader
	Stderr io.Writer
}

// Value reads the value of a secret from a file, or from standard input if the file is
// "-". It removes the newline at the end of a single line.
func (in Input) Value(name, file string) (string, error) {
	value, err := in.typed(name, file)
	if err != nil {
		return "", fmt.Errorf("reading the value of %s: %w", name, err)
	}
	if strings.Count(value, "\n") == 1 {
		value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	}
	return value, secret.CheckValue(name, value)
}

// typed reads a file, or what a person types; "-" is standard input.
func (in Input) typed(name, file string) (string, error) {
	from := in.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		from = f
	} else if terminal, ok := ui.Terminal(in.Stdin); ok {
		return ui.Hidden(terminal, in.Stderr, "value of "+name+" (it is not shown): ")
	}
	text, err := io.ReadAll(io.LimitReader(from, secret.MaxValue+1))
	return string(text), err
}

// Settable is the app that owns a secret, or why the secret can't be set.
func Settable(want units.Desired, name string) (units.App, error) {
	app := want.OwnerOf(name)
	if i := slices.IndexFunc(app.Secrets, func(d units.Secret) bool { return d.Name == name && d.Method != "" }); i >= 0 {
		return app, fmt.Errorf("%s is derived from another secret: set %s instead", name, app.Secrets[i].From)
	}
	return app, nil
}

// Shown is the value of a secret, without a newline at its end.
func Shown(ctx context.Context, of machine.Secrets, name string) (string, error) {
	value, err := of.Get(ctx, name)
	if errors.Is(err, secret.ErrNone) {
		value, err = of.Podman.Secret(name) //nolint:contextcheck // Podman only reads a file
	}
	if errors.Is(err, secret.ErrNone) {
		return "", fmt.Errorf("the secret %s has no value; see archgen secret list", name)
	}
	return strings.TrimSuffix(value, "\n"), err
}

// List is the secrets of the installed apps with their descriptions, and those that no app uses.
func List(of machine.Secrets, k *compile.Compiled, want units.Desired) ([]secret.Entry, error) {
	list, err := of.List(of.Podman, want.Apps)
	if err != nil {
		return nil, err
	}
	descriptions := k.SecretDescriptions()
	for i, e := range list {
		if e.Kind != "" { // it is in use
			list[i].Description = descriptions[e.Name]
		}
	}
	return list, nil
}
