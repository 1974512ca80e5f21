package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/secret"
)

// secretService is the secrets of a scope: their values, and what Podman has of them.
type secretService struct {
	secret.Store
	podman podmancli.Secrets
}

func (c *cli) vaultOf(scope units.Scope) (secretService, error) {
	places, err := paths.Of(scope, c.getenv)
	return c.vaultAt(places, scope), err
}

func (c *cli) vaultAt(places paths.Paths, scope units.Scope) secretService {
	return secretService{
		Store:  machine.Secrets(places, scope),
		podman: c.podmanSecrets(scope),
	}
}

// provide gives an app's secrets their values before it is touched.
func (v secretService) provide(ctx context.Context, app units.App) error {
	return v.Provide(ctx, v.podman, app.Secrets)
}

// podmanSecrets is what Podman keeps of secrets in a scope.
func (c *cli) podmanSecrets(scope units.Scope) podmancli.Secrets {
	return podmancli.Secrets{Storage: paths.Storage(scope, c.getenv), Podman: c.podman}
}

// value reads the value of a secret from a file, or from standard input where that
// is "-". The newline at the end of a single line belongs to no value.
func (c *cli) value(name, file string) (string, error) {
	value, err := c.typed(name, file)
	if err != nil {
		return "", fmt.Errorf("reading the value of %s: %w", name, err)
	}
	if strings.Count(value, "\n") == 1 {
		value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	}
	return value, secret.CheckValue(name, value)
}

// typed is what a file has, or a person types; "-" is standard input.
func (c *cli) typed(name, file string) (string, error) {
	from := c.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		from = f
	} else if terminal, ok := ui.Terminal(c.stdin); ok {
		return ui.Hidden(terminal, c.stderr, "value of "+name+" (it is not shown): ")
	}
	text, err := io.ReadAll(io.LimitReader(from, secret.MaxValue+1))
	return string(text), err
}
