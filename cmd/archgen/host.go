package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// host is this machine, as verbs that change or show what runs need it.
type host struct {
	places   paths.Paths
	services machine.Services
	health   machine.Health
	store    statedir.Store
	config   prestart.Renderer
	vault    secretService
	podman   podmancli.Runner
	// fetched is what came of fetching the images of apps ahead of a pass.
	fetched map[string]error
}

// connect finds the machine's places and its systemd.
func (c *cli) connect(ctx context.Context, scope units.Scope) (*host, error) {
	places, err := paths.Of(scope, c.getenv)
	if err != nil {
		return nil, err
	}
	manager, err := systemd.Connect(ctx, systemd.Options{Scope: scope})
	if err != nil {
		return nil, err
	}
	services := machine.Services{Manager: manager, Scope: scope}
	return &host{
		places:   places,
		services: services,
		health:   machine.Health{Prober: &probe.Prober{}, Credentials: c.podmanSecrets(scope).Secret},
		store:    statedir.Store{State: places.State, Runtime: places.Runtime, Now: time.Now},
		config:   machine.Config(places, paths.Storage(scope, c.getenv), services.Started),
		vault:    c.vaultAt(places, scope),
		podman:   c.podman,
	}, nil
}

func (l *host) Close() { l.services.Manager.Close() }

// stabilizationTime is how long a started app has to stay up: programs that find out
// seconds after their start that they can't go on are common. Tests have another one.
var stabilizationTime = 5 * time.Second

// passPatience is how long a verb waits for an app where nothing else is said:
// longer than the start timeout of all but the slowest apps. turn is how long it
// keeps other passes waiting at a time.
const (
	waitTimeout = 10 * time.Minute
	turn        = 20 * time.Second
)

// host is the machine for a pass.
func (l *host) host(wait time.Duration, progress func(reconcile.Event)) reconcile.Host {
	return reconcile.Host{
		Files: machine.Files(l.places.Units), Services: l.services, Store: l.store,
		Health: l.health.Ask, Ask: l.health.Ask, Config: l.config.CompareService, Supply: l.supply, Record: durable.Replace, Now: time.Now, StabilizationTime: stabilizationTime, WaitTimeout: wait, Progress: progress,
	}
}

// renderedApps is apps whose manifests can't be compiled, as they were rendered last: what
// can't be changed can be stopped.
func (l *host) renderedApps(ids []string) []units.App {
	var list []units.App
	files, _ := machine.Files(l.places.Units).Read() // the pass meets an error too, and says so
	for _, id := range ids {
		if app := units.AsRendered(id, files.Of(id)); len(app.Parts) > 0 {
			list = append(list, app)
		}
	}
	return list
}

// supply pulls images that an app lacks, and gives its secrets their values.
func (l *host) supply(ctx context.Context, app units.App, lack units.Prerequisites) error {
	if lack.Images {
		err, tried := l.fetched[app.ID]
		if !tried {
			err = prefetch(ctx, l.podman, app, func(string, string) {})
		}
		if err != nil {
			return err
		}
	}
	if !lack.Secrets {
		return nil
	}
	return l.vault.provide(ctx, app)
}

// fetchAhead pulls the images of apps whose containers are about to be changed, which
// a pass would have all others wait for. Those that were fetched already are not
// tried again.
func (l *host) fetchAhead(ctx context.Context, want units.Desired, fetched map[string]error, pulling func(app, image string)) {
	found, _, err := machine.Files(l.places.Units).Look(want.Files())
	if err != nil {
		return // the pass meets it too, and says so
	}
	l.fetched = map[string]error{}
	maps.Copy(l.fetched, fetched)
	for _, app := range want.Apps {
		if _, isFetched := fetched[app.ID]; isFetched {
			continue
		}
		isChanged := func(f units.File) bool {
			now, differs := found[f.Name]
			return differs && now.State != units.FileForeign && f.Image() != ""
		}
		if app.Request != units.Stop && slices.ContainsFunc(app.Files, isChanged) {
			l.fetched[app.ID] = prefetch(ctx, l.podman, app, pulling)
		}
	}
}

// prefetch pulls the images of an app that are missing, and tells of each before.
func prefetch(ctx context.Context, podman podmancli.Runner, app units.App, pulling func(app, image string)) error {
	for _, f := range app.Files {
		if err := podman.PullMissing(ctx, f.Image(), func() { pulling(app.ID, f.Image()) }); err != nil {
			return err
		}
	}
	return nil
}
