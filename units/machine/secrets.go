package machine

import (
	"context"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/secret"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// Secrets is the secrets of a scope: their values and Podman's copies of them.
type Secrets struct {
	secret.Store
	Podman podmancli.Secrets
}

// passes hands secrets to containers and locks out passes.
type passes struct {
	podmancli.Secrets
	statedir.Store
}

// SetSecret sets a secret to a value that the operator supplies. app is the app that the
// secret belongs to, or empty if it is not installed.
func (b Base) SetSecret(ctx context.Context, app units.App, name, value string) error {
	return b.Secrets.Supply(ctx, passes{b.Secrets.Podman, b.Store}, app.Secrets, name, value)
}

// ProvideFor sets an app's secrets before the app is changed.
func (s Secrets) ProvideFor(ctx context.Context, app units.App) error {
	return s.Provide(ctx, s.Podman, app.Secrets)
}
