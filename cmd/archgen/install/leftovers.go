package install

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// RemoveNetworks removes our networks that have no file: those of removed apps, of
// capabilities that no app uses any longer, and of a version with other names. A network
// holds no data.
func RemoveNetworks(ctx context.Context, m *machine.Machine) error {
	files, err := durable.Names(m.Paths.Units)
	if err != nil {
		return err
	}
	isLeft := func(name string) bool {
		_, isWanted := slices.BinarySearch(files, units.NetworkFile(name))
		return units.IsNetworkName(name) && !isWanted
	}
	if !slices.ContainsFunc(podman.Networks(m.Networks), isLeft) {
		return nil
	}
	// Before Podman 5.3 their units stay active.
	isGone := func(u systemd.Listed) bool { return u.LoadState == "not-found" }
	err = stop(ctx, m.Services, isGone, units.NetworkServices)
	networks, unlisted := m.Podman.Lines(ctx, "network", "ls", "--format={{.Name}}={{.Labels}}")
	for _, n := range networks {
		if name, labels, _ := strings.Cut(n, "="); isLeft(name) && strings.Contains(labels, "io.archipelago.") {
			_ = m.Podman.Run(ctx, "network", "rm", "--", name) // one that a foreign container uses stays
		}
	}
	return errors.Join(err, unlisted)
}

// StopServices stops the services of removed apps that run although a pass has stopped them: systemd
// restarts one as long as another unit that is in a crash loop wants it. It also has systemd forget
// those that failed.
func StopServices(ctx context.Context, services machine.Services, ids []string) error {
	isOf := func(u systemd.Listed) bool { return slices.Contains(ids, units.AppOf(u.Name)) }
	isUp := func(u systemd.Listed) bool { return isOf(u) && u.ActiveState != string(units.Inactive) }
	if err := stop(ctx, services, isUp, units.AppServices); err != nil {
		return err
	}
	left, err := services.Manager.ListByPatterns(ctx, units.AppServices)
	errs := []error{err}
	for _, u := range left {
		if isOf(u) && u.ActiveState == string(units.Failed) {
			errs = append(errs, services.ResetFailed(ctx, u.Name))
		}
	}
	return errors.Join(errs...)
}

// StopVolumes stops the units that create the volumes of apps. A unit that stays active
// would not create its volume when the app is installed again.
func StopVolumes(ctx context.Context, services machine.Services, ids []string) error {
	patterns := make([]string, 0, len(ids))
	for _, id := range ids {
		patterns = append(patterns, units.VolumeServices(id))
	}
	return stop(ctx, services, func(systemd.Listed) bool { return true }, patterns...)
}

// stop stops the units of some patterns for which the filter is true.
func stop(ctx context.Context, services machine.Services, isMeant func(systemd.Listed) bool, patterns ...string) error {
	list, err := services.Manager.ListByPatterns(ctx, patterns...)
	errs := []error{err}
	for _, u := range list {
		if isMeant(u) {
			errs = append(errs, services.Stop(ctx, u.Name))
		}
	}
	return errors.Join(errs...)
}
