package machine

import (
	"context"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/secret"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// Secrets is the secrets of a scope: their values, and what Podman has of them.
type Secrets struct {
	secret.Store
	Podman podmancli.Secrets
}

// passes is what hands secrets to containers, and keeps others from doing so.
type passes struct {
	podmancli.Secrets
	statedir.Store
}

// SetSecret gives a secret a value that a person has. app is the one that it belongs to,
// empty if none is installed.
func (b Base) SetSecret(ctx context.Context, app units.App, name, value string) error {
	return b.Secrets.Supply(ctx, passes{b.Secrets.Podman, b.Store}, app.Secrets, name, value)
}

// ProvideFor gives an app's secrets their values before the app is changed.
func (s Secrets) ProvideFor(ctx context.Context, app units.App) error {
	return s.Provide(ctx, s.Podman, app.Secrets)
}
