package secret

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// Passes hands values to containers, and keeps passes from doing so.
type Passes interface {
	Containers
	// Lock keeps passes out until unlock is called.
	Lock(ctx context.Context) (unlock func(), err error)
}

// Supply gives a secret a value that a person has, while no pass is at work. list is the
// secrets of the app that it belongs to, empty if none is installed: with them, containers
// have it at their next start.
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
		return fmt.Errorf("a rotation of %s has not come to its end: archgen apply goes on with it", name)
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
		return nil // which is said when the app is to start
	}
	return err
}
