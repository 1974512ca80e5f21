package adopt

import (
	"cmp"
	"context"
	"fmt"
	"regexp"

	"github.com/archipelago-os/archipelago/units"
)

// Park stops a container within the stop timeout of the app, and renames it. It does nothing for a
// container that no longer exists.
func (a Adopter) Park(ctx context.Context, app units.App, c units.ForeignContainer) error {
	now, err := a.inspect(ctx, c.ID)
	if err != nil || now.ID == "" {
		return err
	}
	if now.State.Status == "paused" { // Podman stops only running containers
		if err := a.Podman.Run(ctx, "unpause", c.ID); err != nil {
			return err
		}
	}
	if err := a.Podman.Run(ctx, "stop", "--time="+stopTime(app, c.Name), c.ID); err != nil {
		return err
	}
	if c.Restart != "" {
		// podman-restart.service would start it at the next boot. Podman before 5.1 can't change
		// the policy; there the adoption has to finish before the next boot.
		_ = a.Podman.Run(ctx, "update", "--restart=no", c.ID)
	}
	if now.Name == c.ParkedName() {
		return nil
	}
	return a.Podman.Run(ctx, "rename", c.ID, c.ParkedName())
}

// Unpark restores the name and restart policy of a container, and starts it if it ran.
func (a Adopter) Unpark(ctx context.Context, c units.ForeignContainer) error {
	now, err := a.inspect(ctx, c.ID)
	if err != nil {
		return err
	}
	if now.ID == "" {
		return fmt.Errorf("the container %s does not exist any more: another program removed it", c.Name)
	}
	if now.Name != c.Name {
		if err := a.removeOurs(ctx, c.Name); err != nil {
			return err
		}
		if err := a.Podman.Run(ctx, "rename", c.ID, c.Name); err != nil {
			return err
		}
	}
	if c.Restart != "" {
		_ = a.Podman.Run(ctx, "update", "--restart="+c.Restart, c.ID) // as in Park
	}
	if !c.Ran || now.State.Status == "running" {
		return nil
	}
	return a.Podman.Run(ctx, "start", c.ID)
}

// removeOurs removes a leftover container of one of our units.
func (a Adopter) removeOurs(ctx context.Context, name string) error {
	found, err := a.Podman.Lines(ctx, "ps", "--all", "--quiet", "--no-trunc", "--filter=name=^"+regexp.QuoteMeta(name)+"$", "--filter=label="+AppLabel)
	if err != nil || len(found) == 0 {
		return err
	}
	return a.Podman.Run(ctx, append([]string{"rm", "--force", "--ignore"}, found...)...)
}

// Remove removes a container, but none of its volumes, named or not.
func (a Adopter) Remove(ctx context.Context, c units.ForeignContainer) error {
	return a.Podman.Run(ctx, "rm", "--ignore", c.ID)
}

// inspect inspects one container. It returns the zero value if there is none.
func (a Adopter) inspect(ctx context.Context, id string) (inspected, error) {
	if isThere, err := a.Podman.Exists(ctx, "container", id); err != nil || !isThere {
		return inspected{}, err
	}
	var list []inspected
	if err := a.Podman.JSON(ctx, &list, "inspect", "--type=container", id); err != nil {
		return inspected{}, err
	}
	if len(list) != 1 {
		return inspected{}, fmt.Errorf("podman inspect %s printed %d containers", id, len(list))
	}
	return list[0], nil
}

// stopTime is the stop timeout of the unit that replaces a container, in seconds.
func stopTime(app units.App, container string) string {
	f, _ := app.Files.Find(units.ContainerFile(container))
	return cmp.Or(f.Value("StopTimeout"), "30")
}
