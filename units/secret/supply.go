package secret

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// Passes passes values to containers, and locks out passes.
type Passes interface {
	Containers
	// Lock locks out passes until unlock is called.
	Lock(ctx context.Context) (unlock func(), err error)
}

// Supply sets a secret to a value from the operator, while no pass is running. list is the
// secrets of the app that it belongs to, or empty if none is installed. With them,
// containers get the value at their next start.
func (s Store) Supply(ctx context.Context, p Passes, list []units.Secret, name, value string) error {
	release, err := s.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	r, err := s.Rotation()
	switch {
	case err != nil:
		return err
	case r != nil && slices.Contains(r.Names(), name):
		return fmt.Errorf("a rotation of %s is not finished: archgen apply continues it", name)
	}
	unlock, err := p.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.Set(ctx, name, value); err != nil {
		return err
	}
	err = s.Provide(ctx, p, list)
	if _, isMissing := errors.AsType[*MissingError](err); isMissing {
		return nil // reported when the app is about to start
	}
	return err
}
