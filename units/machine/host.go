package machine

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// stabilizationTime is how long a started app has to stay up: programs that find out
// seconds after their start that they can't go on are common.
const stabilizationTime = 5 * time.Second

// WaitTimeout is how long a person waits for an app who says nothing else: longer than the
// start timeout of all but the slowest apps.
const WaitTimeout = 10 * time.Minute

// turn is how long a pass that a person asks for keeps other passes waiting.
const turn = 20 * time.Second

// daemonWait is how long a pass of a daemon waits for an app: events tell of its arrival,
// and the next pass verifies it.
const daemonWait = 15 * time.Second

// Apply is a pass that a person or a unit asks for, which may run Podman.
type Apply struct {
	// Timeout is how long an app is waited for, by one pass or several.
	Timeout time.Duration
	// Fetched is the images that are not tried again.
	Fetched Fetched
	// Progress is told of every action; nil tells nobody.
	Progress func(reconcile.Event)
	// Foreign takes containers over; nil leaves them alone.
	Foreign reconcile.ForeignContainers
}

// ForApply is the machine for a pass that changes it. Podman runs in it: it pulls images,
// and keeps the secrets of the apps.
func (m *Machine) ForApply(a Apply) reconcile.Host {
	host := m.ForPreview()
	host.WaitTimeout = min(turn, a.Timeout)
	host.Record, host.Progress, host.Foreign = m.Record, a.Progress, a.Foreign
	host.Supply = func(ctx context.Context, app units.App, lack units.Prerequisites) error {
		return m.supply(ctx, app, lack, a.Fetched)
	}
	return host
}

// ForPreview is the machine for a look that changes nothing: it gets nothing that an app
// lacks, waits for nothing and records nothing.
func (m *Machine) ForPreview() reconcile.Host {
	return reconcile.Host{
		Files: m.Files(), Services: m.Services, Store: m.Store,
		Health: m.Health.Ask, Ask: m.Health.Ask, Config: m.Config.CompareService,
		Now: time.Now, StabilizationTime: m.StabilizationTime,
	}
}

// ForDaemon is the machine for the passes of a program that watches over the apps and never
// runs Podman. systemd runs archgen to get what an app lacks, and a foreign container is left
// for archgen apply. The daemon says itself how healthy apps are.
func (m *Machine) ForDaemon() reconcile.Host {
	host := m.ForPreview()
	host.Health, host.Ask = nil, nil
	host.WaitTimeout = daemonWait
	host.Record = m.Record
	host.Supply = (&daemonSupply{storage: m.Storage, secret: m.keptSecret, get: (&Pulls{Services: m.Services}).Get}).supply
	host.Foreign = reconcile.RefuseForeign(func() ([]string, error) { return podman.ForeignNames(m.Storage) })
	return host
}

// supply pulls images that an app lacks, and gives its secrets their values.
func (m *Machine) supply(ctx context.Context, app units.App, lack units.Prerequisites, fetched Fetched) error {
	if lack.Images {
		err, isTried := fetched[app.ID]
		if !isTried {
			err = FetchImages(ctx, m.Podman, app, untold)
		}
		if err != nil {
			return err
		}
	}
	if !lack.Secrets {
		return nil
	}
	return m.Secrets.ProvideFor(ctx, app)
}

// untold is for images of which nobody is told that they are pulled.
func untold(_, _ string) {}

// daemonSupply gets what apps lack by way of systemd, unless Podman's files show that it is
// there.
type daemonSupply struct {
	storage string
	secret  func(name string) (string, error)
	get     func(context.Context, units.App) error
}

func (s *daemonSupply) supply(ctx context.Context, app units.App, lack units.Prerequisites) error {
	if (!lack.Images || hasImages(app, s.storage)) && s.unreadable(app.Secrets) == nil {
		return nil
	}
	if err := s.get(ctx, app); err != nil {
		return err
	}
	if err := s.unreadable(app.Secrets); errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil // Podman may keep them where only it can read them
}

// unreadable is why Podman's value of one of the secrets can't be had without running it.
func (s *daemonSupply) unreadable(secrets []units.Secret) error {
	for _, d := range secrets {
		if _, err := s.secret(d.Name); err != nil {
			return err
		}
	}
	return nil
}
