package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/watch"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// nullPass is the cost of a pass that finds nothing to do.
type nullPass struct {
	lines []*line
	// passes is the number of passes in this process, made as healthd makes them. wall and
	// cpu are the times of one pass, manager is the CPU time of systemd for one.
	passes           int
	wall             []time.Duration
	cpu, manager     time.Duration
	written, reloads int
	children         int64
	programs         map[string]int
}

// measurePass measures passes over apps that need no change.
func (b *bench) measurePass(ctx context.Context, f *fleet) (*nullPass, error) {
	p := &nullPass{passes: 200, programs: map[string]int{}, lines: []*line{
		{name: "archgen apply", command: []string{f.archgen, "apply"}},
		{name: "archgen status", command: []string{f.archgen, "status"}},
		{name: "archgen updates", command: []string{f.archgen, "updates"}},
		{name: "archgen version", command: []string{f.archgen, "version"}},
		{name: podmanPS, command: []string{"podman", "ps"}},
		{name: "podman inspect of all", command: append([]string{"podman", "inspect"}, f.names(name)...)},
		{name: "systemctl --user show of all", command: append([]string{"systemctl", "--user", "show"}, f.names(service)...)},
	}}
	ctx, end := context.WithCancel(ctx)
	defer end()
	var told []<-chan happening
	watch := func(dirs ...string) error {
		for _, dir := range dirs {
			h, err := happenings(ctx, dir, syscall.IN_CREATE|syscall.IN_DELETE|syscall.IN_MODIFY|syscall.IN_MOVED_TO|syscall.IN_ATTRIB)
			if err != nil {
				return err
			}
			told = append(told, h)
		}
		return nil
	}
	// The commands run beside healthd, as on any machine. Passes in this process are instead of its.
	if err := f.settle(ctx); err != nil {
		return nil, err
	}
	services := stamped(f.manager.Events(ctx))
	if err := cmp.Or(watch(f.places.Units, f.places.State), b.roundsOf(ctx, p), f.healthd(ctx, "stop")); err != nil {
		return nil, err
	}
	if err := cmp.Or(watch(f.places.Runtime), p.inProcess(ctx, f)); err != nil {
		return nil, err
	}
	for _, h := range told {
		p.written += forget(h)
	}
	for len(services) > 0 {
		if t := <-services; t.event.Kind == systemd.Reloading {
			p.reloads++
		}
	}
	return p, nil
}

const podmanPS = "podman ps"

// roundsOf runs the commands. It counts the programs that archgen runs by their opening.
func (b *bench) roundsOf(ctx context.Context, p *nullPass) error {
	var opened []<-chan happening
	for _, dir := range []string{"/usr/bin", "/usr/libexec/podman"} {
		h, err := happenings(ctx, dir, syscall.IN_OPEN)
		if err != nil {
			return err
		}
		opened = append(opened, h)
	}
	for range b.rounds {
		for i, l := range p.lines {
			for _, h := range opened {
				forget(h)
			}
			if err := l.once(ctx); err != nil {
				return err
			}
			for _, h := range opened {
				for i == 0 && len(h) > 0 {
					p.programs[(<-h).name]++
				}
			}
		}
	}
	delete(p.programs, "") // the directory itself
	delete(p.programs, "archgen")
	return nil
}

// inProcess makes passes as healthd makes them.
func (p *nullPass) inProcess(ctx context.Context, f *fleet) error {
	here, err := machine.Open(ctx, machine.Options{Scope: units.User, Getenv: os.Getenv})
	if err != nil {
		return err
	}
	defer here.Close()
	source := compile.Source{Scope: units.User, Generator: compile.Version(), Getenv: os.Getenv}
	source.Ask = here.PodmanVersion
	source.Places = (&machine.PodmanPlaces{Base: here.Base, Getenv: os.Getenv, Version: source.Ask}).Find
	compiler := healthd.Compiler{Source: source, Diagnose: func(diag.List) {}}
	table := &machine.Table{}
	host := here.ForDaemon(table)
	host.Health = func(context.Context, units.File, units.Part, units.Unit) (units.Health, string) {
		return units.Serving, ""
	}
	host.Ran = func(units.App) bool { return true }
	defer debug.SetGCPercent(debug.SetGCPercent(healthd.GCPercent))
	ctx, end := context.WithCancel(ctx)
	defer end()
	events := here.Services.Manager.Events(ctx)
	if _, ok := <-events; !ok { // the first one: it hears of all changes from now on
		return ctx.Err()
	}
	go func() {
		for range events { // healthd makes hints of them
		}
	}()
	groups := watch.NewGroups(ctx, "/sys/fs/cgroup")
	payloads := map[string]string{}
	once := func() error {
		report, err := reconcile.Run(ctx, compiler.Desired, host)
		for service, u := range report.Units {
			payloads[u.Payload] = units.AppOf(service)
		}
		if err == nil && report.Changed() {
			err = fmt.Errorf("a pass over apps that are as they should be has done something: %v", report.Actions)
		}
		return err
	}
	for range 2 { // the first pass compiles the manifests, and reads everything
		if err := once(); err != nil {
			return err
		}
		delete(payloads, "")
		if err := groups.Follow(payloads); err != nil {
			return err
		}
		table.Watch(payloads)
	}
	manager, err := f.group(ctx, "init.scope")
	if err != nil {
		return err
	}
	before, children, managerBefore := used(syscall.RUSAGE_SELF), faultsOf(syscall.RUSAGE_CHILDREN), manager.cpu()
	for range p.passes {
		start := time.Now()
		if err := once(); err != nil {
			return err
		}
		p.wall = append(p.wall, time.Since(start))
	}
	n := time.Duration(p.passes)
	p.cpu = (used(syscall.RUSAGE_SELF) - before) / n
	p.manager = (manager.cpu() - managerBefore) / n
	if p.children = faultsOf(syscall.RUSAGE_CHILDREN) - children; p.children != 0 {
		return errors.New("a pass over apps that are as they should be has run a program")
	}
	return nil
}

func usage(who int) syscall.Rusage {
	var u syscall.Rusage
	_ = syscall.Getrusage(who, &u) // fails only for an invalid argument
	return u
}

// used returns the CPU time of this process or of its ended children.
func used(who int) time.Duration {
	u := usage(who)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// faultsOf returns the number of page faults: every child has some.
func faultsOf(who int) int64 { return usage(who).Minflt }

// ran lists the programs that archgen ran.
func (p *nullPass) ran() string {
	list := make([]string, 0, len(p.programs))
	for _, name := range slices.Sorted(maps.Keys(p.programs)) {
		list = append(list, fmt.Sprintf("%s %d times", name, p.programs[name]))
	}
	if len(list) == 0 {
		return "no program"
	}
	return strings.Join(list, ", ")
}
