package prestart

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// RunOnce runs the commands of the recipe in the started container, in order, each that has not
// succeeded before. systemd runs it when the part serves.
func (p *Part) RunOnce(ctx context.Context) error {
	store := statedir.Store{State: p.Renderer.State}
	for _, o := range p.Recipe.Once {
		done, err := store.Migrated(p.ID)
		if err == nil && !slices.Contains(done, o.Name) {
			if err = p.execInTime(ctx, o); err == nil {
				err = store.SaveMigrated(p.ID, append(done, o.Name))
			}
		}
		if err != nil {
			return fmt.Errorf("%s, which runs once after the start of app@%s: %w", o.Name, p.ID, err)
		}
	}
	return nil
}

// execInTime runs a command in the container of the part.
func (p *Part) execInTime(ctx context.Context, o units.Once) error {
	limit := time.Duration(o.Seconds) * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %v", limit))
	defer cancel()
	err := p.Podman(ctx, podmancli.Call{Args: append([]string{"exec", "--", p.ID}, o.Run...), Stdout: p.Stderr, Stderr: p.Stderr})
	if failed, ok := errors.AsType[*podmancli.Error](err); ok {
		err = failed.Err // the exit status of the command is enough: the caller names it
	}
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("%w; %w", context.Cause(ctx), err)
	}
	return err
}
