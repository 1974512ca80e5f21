package install

import (
	"context"
	"fmt"
	"slices"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
)

// ProvideSecrets gives apps their secrets before the pass that replaces others by them: only
// so can it tell which apps have another configuration because of them.
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
			return fmt.Errorf("the secrets of %s can't be had: %w", app.ID, err)
		}
	}
	return nil
}
