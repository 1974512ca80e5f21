package install

import (
	"context"
	"fmt"
	"slices"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
)

// ProvideSecrets creates the secrets of apps before the pass in which they replace others.
// Only then can the pass see which apps have another configuration because of them.
func ProvideSecrets(ctx context.Context, m machine.Base, want units.Desired, ids []string) error {
	unlock, err := m.Store.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, app := range want.Apps {
		if !slices.Contains(ids, app.ID) {
			continue
		}
		if err := m.Secrets.ProvideFor(ctx, app); err != nil {
			return fmt.Errorf("creating the secrets of %s: %w", app.ID, err)
		}
	}
	return nil
}
