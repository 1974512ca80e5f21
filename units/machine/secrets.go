package machine

import (
	"context"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/secret"
)

// Secrets is the secrets of a scope: their values, and what Podman has of them.
type Secrets struct {
	secret.Store
	Podman podmancli.Secrets
}

// ProvideFor gives an app's secrets their values before the app is changed.
func (s Secrets) ProvideFor(ctx context.Context, app units.App) error {
	return s.Provide(ctx, s.Podman, app.Secrets)
}
