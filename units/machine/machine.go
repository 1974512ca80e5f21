// Package machine owns the access to the real machine that a pass needs: it opens the unit
// directory, systemd's bus, the state directory, the secrets and the renderer of
// configuration files, and assembles a reconcile.Host for each mode: ForApply, ForPreview
// and ForDaemon. Both archgen and healthd use it.
//
// It never decides what is done to an app. In the daemon's mode it never runs Podman;
// systemd runs archgen for that.
package machine

import (
	"cmp"
	"context"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/secret"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// Options selects the machine.
type Options struct {
	Scope units.Scope
	// Getenv reads the environment of the user who runs the apps.
	Getenv func(string) string
	// Podman runs Podman. It is nil in a program that never runs it, such as healthd.
	Podman podmancli.Runner
	// Record writes a file of grants, like reconcile.Host.Record. It is nil in a program
	// that makes no passes.
	Record func(dir, name string, content []byte) error
	// StabilizationTime is how long a started app has to stay up. Zero selects the default
	// of a few seconds; tests set a short one.
	StabilizationTime time.Duration
	// Serving returns the apps, by id, that serve by the last answers of a daemon that asks them all
	// the time. It is nil in a program that is no client of the daemon.
	Serving func(context.Context) map[string]bool
	// Reuse is how long probes reuse a connection. Zero disables reuse.
	Reuse time.Duration
}

// Base is the part of the machine that needs no connection to systemd.
type Base struct {
	Scope units.Scope
	Paths paths.Paths
	// Storage is the directory where Podman keeps images and secrets, Volumes and Networks those
	// of its volumes and of the files of its networks.
	Storage, Volumes, Networks string
	// Config is the user's configuration directory, empty for the system.
	Config  string
	Store   statedir.Store
	Secrets Secrets
	Podman  podmancli.Runner
}

// Find returns the machine without a connection to systemd.
func Find(o Options) (Base, error) {
	places, err := paths.Of(o.Scope, o.Getenv)
	if err != nil {
		return Base{}, err
	}
	storage, config := paths.Storage(o.Scope, o.Getenv), ""
	if o.Scope == units.User {
		if config, err = (paths.Env{Scope: o.Scope, Getenv: o.Getenv}).ConfigHome(); err != nil {
			return Base{}, err
		}
	}
	return Base{
		Scope: o.Scope, Paths: places, Config: config, Podman: o.Podman,
		Storage: storage, Volumes: paths.Volumes(o.Scope, o.Getenv), Networks: paths.Networks(o.Scope, o.Getenv, storage),
		Store: statedir.Store{State: places.State, Runtime: places.Runtime, Now: time.Now},
		Secrets: Secrets{
			Store:  secret.Store{Dir: places.Secrets(), Runtime: places.SecretsLock(), Scope: o.Scope},
			Podman: podmancli.Secrets{Storage: storage, Podman: o.Podman},
		},
	}, nil
}

// Files returns the directory of unit files.
func (b Base) Files() Files { return Files(b.Paths.Units) }

// Renderer returns the renderer of configuration files. It connects to systemd only for a
// part that tracks the address of another one.
func (b Base) Renderer() prestart.Renderer {
	return prestart.Renderer{
		State: b.Paths.State, Runtime: b.Paths.Runtime, Storage: b.Storage, Volumes: b.Volumes, Started: b.started, Machine: prestart.ThisMachine,
		Subnet: func(network string) string { return podman.Subnet(b.Networks, network) },
		Secret: b.keptSecret, SetSecret: b.Secrets.Podman.SetSecret,
	}
}

// keptSecret reads a secret from Podman's files.
func (b Base) keptSecret(name string) (string, error) { return podman.Secret(b.Storage, name) }

// started is Services.Started over a connection of its own.
func (b Base) started(container string) (invocation string, err error) {
	manager, err := systemd.Connect(context.Background(), systemd.Options{Scope: b.Scope})
	if err != nil {
		return "", err
	}
	defer manager.Close()
	return Services{Manager: manager, Scope: b.Scope}.Started(container)
}

// Machine is the machine with a connection to its systemd.
type Machine struct {
	Base
	Services Services
	Health   Health
	Config   prestart.Renderer
	// Serving is copied from Options.
	Serving func(context.Context) map[string]bool
	// Record and StabilizationTime are copied to reconcile.Host.
	Record            func(dir, name string, content []byte) error
	StabilizationTime time.Duration
	// learns: the starts that are read are kept for later commands.
	learns bool
}

// Open finds the machine and connects to its systemd.
func Open(ctx context.Context, o Options) (*Machine, error) {
	base, err := Find(o)
	if err != nil {
		return nil, err
	}
	manager, err := systemd.Connect(ctx, systemd.Options{Scope: o.Scope})
	if err != nil {
		return nil, err
	}
	m := &Machine{
		Base:     base,
		Services: Services{Manager: manager, Scope: o.Scope, Sources: paths.Env{Scope: o.Scope, Getenv: o.Getenv}.Rendered()},
		Health:   Health{Prober: &probe.Prober{Reuse: o.Reuse}, Credentials: base.keptSecret},
		Config:   base.Renderer(),
		Serving:  o.Serving,
		Record:   o.Record, StabilizationTime: cmp.Or(o.StabilizationTime, stabilizationTime),
	}
	m.Config.Started = m.Services.Started
	m.recallStarts()
	if o.Podman != nil {
		m.Health.Credentials = base.Secrets.Podman.Secret
	}
	return m, nil
}

// Close closes the connection to systemd.
func (m *Machine) Close() {
	if m.learns {
		m.keepStarts()
	}
	m.Services.Manager.Close()
}
