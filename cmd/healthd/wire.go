package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/watch"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/systemd"
)

const (
	// resync finds what no event told.
	resync = 5 * time.Minute
	// stabilizationTime is how long a started app has to stay up, patience how long a pass
	// waits for one: events tell of its arrival, and the next pass verifies it.
	stabilizationTime = 5 * time.Second
	waitTimeout       = 15 * time.Second
	// reuse is how long a connection of a probe is used again. Those to a port
	// that a dead forwarder published end with it; only a firewall that was
	// reloaded leaves old ones be.
	reuse = 30 * time.Second
	// gcPercent is GOGC: what probes leave behind is little, and a heap of twice that
	// would be most of the memory that healthd takes.
	gcPercent = 25
)

// watchApps watches over the apps of a scope until the context ends.
func watchApps(ctx context.Context, scope units.Scope) error {
	places, err := paths.Of(scope, os.Getenv)
	if err != nil {
		return err
	}
	manager, err := systemd.Connect(ctx, systemd.Options{Scope: scope})
	if err != nil {
		return err
	}
	defer manager.Close()
	debug.SetGCPercent(gcPercent)
	runtime.GOMAXPROCS(1) // it waits nearly always, and each further thread takes memory and wakes others
	source := compile.Source{Scope: scope, Generator: compile.Version(), Getenv: os.Getenv, Rendered: machine.Files(places.Units).Read}
	source.Ask = healthd.AskOnce(compile.InstalledPodman, func() (string, error) { return exec.LookPath("podman") })
	dirs, err := source.Paths().Apps()
	if err != nil {
		return err
	}
	beats, err := watchdogTicks(ctx, watchdogInterval())
	if err != nil {
		return err
	}
	log := newLog(os.Stderr)
	compiler := healthd.Compiler{Source: source, Diagnose: log.findings}
	prober := &probe.Prober{Reuse: reuse}
	storage := paths.Storage(scope, os.Getenv)
	secret := func(name string) (string, error) { return podman.Secret(storage, name) }
	services := machine.Services{Manager: manager, Scope: scope}
	pulls := &machine.Pulls{Services: services}
	ctx, end := context.WithCancel(ctx)
	defer end()
	publish, asked := startPublishers(ctx, scope, places.Runtime, log)
	groups := watch.NewGroups(ctx, "/sys/fs/cgroup")
	m := healthd.Machine{
		Desired: resuming(ctx, machine.Secrets(places, scope), services.Complete, compiler.Desired), Diagnostics: compiler.Diagnostics, LastLines: services.LastLines,
		Host: reconcile.Host{
			Files: machine.Files(places.Units), Services: services,
			Store:  statedir.Store{State: places.State, Runtime: places.Runtime, Now: time.Now},
			Record: durable.Replace,
			Now:    time.Now, StabilizationTime: stabilizationTime, WaitTimeout: waitTimeout,
			Config: machine.Config(places, storage, services.Started).CompareService,
			Supply: func(ctx context.Context, app units.App, lack units.Prerequisites) error {
				if (!lack.Images || needsNoPull(app, storage)) && unreadable(app.Secrets, secret) == nil {
					return nil
				}
				if err := pulls.Get(ctx, app); err != nil {
					return err
				}
				if err := unreadable(app.Secrets, secret); errors.Is(err, fs.ErrPermission) {
					return err
				}
				return nil // Podman may keep them where only it can read them
			},
			ForeignNames: func() ([]string, error) { return podman.ForeignNames(storage) },
		},
		Hints:  mergeHints(ctx, manager.Events(ctx), watch.Watch(ctx, watched(source, dirs, places.Units), log.watchDegraded), groups.Events(), asked, places.Units),
		Follow: groups.Follow,
		Probe:  func(ctx context.Context, t probe.Target) probe.Outcome { return prober.Probe(ctx, t, secret) },
		Resync: resync, Log: log.event, Publish: publish,
		ReleaseMemory: releaseMemory, Watchdog: beats, Alive: func() { alive(end) },
	}
	notify(daemon.SdNotifyReady)
	defer notify(daemon.SdNotifyStopping)
	return healthd.Run(ctx, m)
}

// unreadable is why Podman's value of one of the secrets can't be had without running it.
func unreadable(secrets []units.Secret, read func(name string) (string, error)) error {
	for _, s := range secrets {
		if _, err := read(s.Name); err != nil {
			return err
		}
	}
	return nil
}

// needsNoPull reports whether Podman has all images of an app, as far as that can be
// seen without running it. One with secrets is for archgen all the same, which keeps
// what they are.
func needsNoPull(app units.App, storage string) bool {
	if len(app.Secrets) > 0 {
		return false
	}
	names := podman.Images(storage)
	return !slices.ContainsFunc(app.Files, func(f units.File) bool { return f.Image() != "" && !names[f.Image()] })
}
