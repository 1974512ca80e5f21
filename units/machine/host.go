package machine

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

// stabilizationTime is how long a started app has to stay up: many programs detect only
// seconds after their start that they can't continue.
const stabilizationTime = 5 * time.Second

// WaitTimeout is how long a command waits for an app by default: longer than the start
// timeout of all but the slowest apps.
const WaitTimeout = 10 * time.Minute

// turn is the longest time for which a pass of a command makes other passes wait.
const turn = 20 * time.Second

// daemonWait is how long a pass of a daemon waits for an app. If the app serves later, an
// event reports it and the next pass verifies it.
const daemonWait = 15 * time.Second

// Apply holds the options of a pass that a user or a unit starts, and that may run Podman.
type Apply struct {
	// Timeout is how long to wait for an app, in one pass or several.
	Timeout time.Duration
	// Fetched is the apps whose images are not pulled again.
	Fetched Fetched
	// Detach is copied to reconcile.Host.
	Detach bool
	// Progress is called for every action. It may be nil.
	Progress func(reconcile.Event)
	// Warn is called for each limit of the machine that is too low for the apps that a pass
	// starts, before it starts them.
	Warn func(limits.Finding)
	// Foreign adopts containers. If it is nil, foreign containers are left alone.
	Foreign reconcile.ForeignContainers
}

// ForApply returns the host for a pass that changes the machine. The pass runs Podman to
// pull images and to store the secrets of the apps.
func (m *Machine) ForApply(a Apply) reconcile.Host {
	m.learns = true
	host := m.ForPreview()
	host.WaitTimeout = min(turn, a.Timeout)
	host.Record, host.Progress, host.Foreign, host.Detach = m.Record, a.Progress, a.Foreign, a.Detach
	host.Supply = func(ctx context.Context, app units.App, lack units.Prerequisites) error {
		return m.supply(ctx, app, lack, a.Fetched)
	}
	if m.Podman != nil {
		host.Create = m.create
	}
	if a.Warn != nil {
		host.Starts = func(apps []units.App, found map[string]units.Unit) {
			for _, f := range m.low(apps, found) {
				a.Warn(f)
			}
		}
	}
	return host
}

// LowLimits returns the limits of the machine that are too low for apps to run.
func (m *Machine) LowLimits(ctx context.Context, apps []units.App) ([]limits.Finding, error) {
	found, err := m.Services.Observe(ctx, units.Desired{Apps: apps}.Services(), false)
	if err != nil {
		return nil, err
	}
	return m.low(apps, found), nil
}

func (m *Machine) low(apps []units.App, found map[string]units.Unit) []limits.Finding {
	l := m.Limits()
	return limits.Short(limits.Compare(l.Read(), limits.Missing(apps, nil, found, l.Exists), m.Scope))
}

// ForPreview returns the host for a preview, which changes nothing: it pulls nothing, waits
// for nothing and records nothing.
func (m *Machine) ForPreview() reconcile.Host {
	return reconcile.Host{
		Files: m.Files(), Services: m.Services, Store: m.Store,
		Health: m.Health.unlessServing(m.Serving), Ask: m.Health.Ask, Config: m.Config.CompareService,
		Now: time.Now, StabilizationTime: m.StabilizationTime,
	}
}

// ForDaemon returns the host for the passes of a daemon that never runs Podman. systemd
// runs archgen to pull what an app is missing, and archgen apply adopts foreign containers.
// The daemon supplies the health of the apps itself. The table keeps the services between passes.
func (m *Machine) ForDaemon(table *Table) reconcile.Host {
	host := m.ForPreview()
	services := m.Services
	services.Known, services.starts = table, nil
	host.Services, host.Files, host.Store = services, SeenFiles{m.Files(), &unitdir.Seen{}}, &statedir.Seen{Store: m.Store}
	host.Health, host.Ask = nil, nil
	host.WaitTimeout = daemonWait
	host.Room = m.Limits().Room
	host.Record = m.Record
	host.Supply = (&daemonSupply{storage: m.Storage, secret: m.keptSecret, get: (&Pulls{Services: m.Services}).Get}).supply
	host.Foreign = reconcile.RefuseForeign(func() ([]string, error) { return podman.ForeignNames(m.Storage) })
	return host
}

// supply pulls the missing images of an app and sets its secrets.
func (m *Machine) supply(ctx context.Context, app units.App, lack units.Prerequisites, fetched Fetched) error {
	if lack.Images {
		err, isTried := fetched[app.ID]
		if !isTried {
			err = m.FetchImages(ctx, app, untold)
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

// untold is the callback for pulls that are not reported.
func untold(_, _ string) {}

// daemonSupply has systemd pull what an app is missing, unless Podman's files show that it
// is available.
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
	return nil // Podman may store them where only Podman can read them
}

// unreadable returns the error of the first secret that can't be read from Podman's files.
func (s *daemonSupply) unreadable(secrets []units.Secret) error {
	for _, d := range secrets {
		if _, err := s.secret(d.Name); err != nil {
			return err
		}
	}
	return nil
}
