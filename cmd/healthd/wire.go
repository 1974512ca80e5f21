package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/watch"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/rotation"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/trial"
)

const (
	// resync finds changes without an event.
	resync = 5 * time.Minute
	// reuse is how long a probe reuses its connection. A connection to a published port ends
	// when its forwarder dies; only a reload of the firewall keeps old connections. It is longer than
	// the default interval of a probe with its jitter, so that each connection serves twice.
	reuse = 40 * time.Second
)

// bootTime is how long healthd waits for a boot at most: an app that does not come up must not keep it
// from the others.
const bootTime = 15 * time.Second

// awaitBoot leaves the processors to the apps during a boot. A check of all apps, and the signals about
// each of their steps, use processor time when it is scarcest, and systemd is about to start what healthd
// could repair. systemd is told that healthd has started: otherwise the boot would not end.
func awaitBoot(ctx context.Context, scope units.Scope) {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	systemd.AwaitBoot(ctx, systemd.Options{Scope: scope}, func() { notify(daemon.SdNotifyReady) })
}

// watchApps watches the apps of a scope until the context ends.
func watchApps(ctx context.Context, scope units.Scope) error {
	awaitBoot(ctx, scope)
	here, err := machine.Open(ctx, machine.Options{Scope: scope, Getenv: os.Getenv, Record: installed.Record, Reuse: reuse})
	if err != nil {
		return err
	}
	defer here.Close()
	debug.SetGCPercent(healthd.GCPercent)
	runtime.GOMAXPROCS(1) // healthd nearly always waits, and each further thread uses memory and wakes others
	source := compile.Source{Scope: scope, Generator: compile.Version(), Getenv: os.Getenv, Rendered: here.Files().Read}
	source.Ask = here.PodmanVersion
	source.Places = (&machine.PodmanPlaces{Base: here.Base, Getenv: os.Getenv, Version: source.Ask}).Find
	source.Format, source.FormatsDir = here.Store.DataFormat, here.Store.DataFormats()
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
	ctx, end := context.WithCancel(ctx)
	defer end()
	publish, asked := startPublishers(ctx, scope, here.Paths.Runtime, log)
	groups, table := watch.NewGroups(ctx, "/sys/fs/cgroup"), &machine.Table{}
	files, unwatched := watchFiles(ctx, watched(source, dirs, here.Paths.Units))
	trials := &trial.Watch{Store: here.Store, Start: here.Services.Start, Boot: machine.Boot(), Now: time.Now}
	m := healthd.Machine{
		Trials:  trials.After,
		Desired: rotation.Resuming(ctx, here.Secrets.Store, here.Services.Complete, compiler.Desired), Diagnostics: compiler.Diagnostics, LastLines: here.Services.LastLines,
		Host:      here.ForDaemon(table),
		Hints:     mergeHints(ctx, here.Services.Manager.Events(ctx), files, touching(ctx, table, groups.Events()), asked, here.Paths.Units),
		FileWatch: unwatched, Follow: following(groups, table),
		Probe:  here.Health.Probe,
		Resync: resync, Log: log.event, Publish: publish,
		ReleaseMemory: releaseMemory, Watchdog: beats, Alive: func() { alive(end) },
	}
	notify(daemon.SdNotifyReady)
	defer notify(daemon.SdNotifyStopping)
	return healthd.Run(ctx, m)
}

// following watches the control groups of containers, and lets the table know.
func following(groups *watch.Groups, table *machine.Table) func(map[string]string) error {
	return func(list map[string]string) error {
		err := groups.Follow(list)
		if err != nil {
			list = nil
		}
		table.Watch(list)
		return err
	}
}

// touching passes the apps on whose control groups changed, once the table knows.
func touching(ctx context.Context, table *machine.Table, groups <-chan string) <-chan string {
	out := make(chan string)
	go func() {
		for {
			select {
			case app := <-groups:
				table.Touch(app)
				select {
				case out <- app:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
