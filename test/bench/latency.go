package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/archipelago-os/archipelago/units/systemd"
)

// latency is the time from each fault to its consequence.
type latency struct {
	name  string
	times []time.Duration
}

// lookouts is the sources that show the consequences of faults.
type lookouts struct {
	*fleet
	// files is new files in the unit directory. passes is each opening of the lock, with
	// which a pass begins. services is systemd's events.
	files, passes <-chan happening
	services      <-chan timed[systemd.Event]
}

func newLookouts(ctx context.Context, f *fleet) (l lookouts, err error) {
	l.fleet = f
	if l.files, err = happenings(ctx, f.places.Units, syscall.IN_MOVED_TO|syscall.IN_CREATE); err != nil {
		return l, err
	}
	if l.passes, err = happenings(ctx, f.places.Runtime, syscall.IN_OPEN); err != nil {
		return l, err
	}
	l.services = stamped(f.manager.Events(ctx))
	return l, nil
}

// calm waits until nothing is in progress, and discards the events so far.
func (l lookouts) calm(ctx context.Context) error {
	if err := l.fleet.calm(ctx); err != nil {
		return err
	}
	forget(l.files)
	forget(l.passes)
	forget(l.services)
	return nil
}

// faults causes each fault once for every app while healthd watches, one at a time.
func (l lookouts) faults(ctx context.Context) ([]latency, error) {
	restored := latency{name: "unit file deleted → there again"}
	loaded := latency{name: "unit file deleted, unit gone and app stopped → systemd has the unit"}
	asked := latency{name: "the same → its start is under way"}
	started := latency{name: "the same → the app serves"}
	told := latency{name: "app killed → systemd tells"}
	known := latency{name: "app killed → healthd looks at it"}
	again := latency{name: "app killed → serves again (systemd restarts it)"}
	repaired := latency{name: "port dead, container runs → answers again"}
	for _, fault := range []struct {
		calm    func(ctx context.Context) error
		provoke func(ctx context.Context, i int) ([]time.Duration, error)
		took    []*latency
	}{
		{l.calm, l.delete, []*latency{&restored}},
		{l.calm, l.crash, []*latency{&told, &known, &again}},
		{l.calm, l.remove, []*latency{&loaded, &asked, &started}},
		// This app does not answer and is not yet unhealthy for most of the time in which
		// the last app settles, so there is nothing to wait for.
		{func(context.Context) error { return nil }, l.cut, []*latency{&repaired}},
	} {
		for i := range l.apps {
			if err := fault.calm(ctx); err != nil {
				return nil, fmt.Errorf("waiting for %s to have nothing to do: %w", healthdUnit, err)
			}
			times, err := fault.provoke(ctx, i)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", fault.took[0].name, name(i), err)
			}
			for k, t := range times {
				fault.took[k].times = append(fault.took[k].times, t)
			}
		}
	}
	return []latency{restored, loaded, asked, started, told, known, again, repaired}, nil
}

// delete deletes a unit file.
func (l lookouts) delete(ctx context.Context, i int) ([]time.Duration, error) {
	start := time.Now()
	if err := os.Remove(l.unit(i)); err != nil {
		return nil, err
	}
	h, err := next(ctx, l.files, func(h happening) bool { return h.name == unitName(i) })
	return []time.Duration{h.at.Sub(start)}, err
}

// crash kills an app's process.
func (l lookouts) crash(ctx context.Context, i int) ([]time.Duration, error) {
	start, err := l.kill(ctx, i, "app")
	if err != nil {
		return nil, err
	}
	told, err := next(ctx, l.services, func(t timed[systemd.Event]) bool { return t.event.Unit == service(i) })
	if err != nil {
		return nil, err
	}
	looks, err := next(ctx, l.passes, func(h happening) bool { return h.name == "lock" })
	if err != nil {
		return nil, err
	}
	served, err := l.served(ctx, i)
	return []time.Duration{told.at.Sub(start), looks.at.Sub(start), served.Sub(start)}, err
}

// remove deletes a unit file, makes systemd unload the unit, and stops the app, all while
// healthd is stopped with SIGSTOP. The time begins when healthd continues.
func (l lookouts) remove(ctx context.Context, i int) ([]time.Duration, error) {
	healthd, err := l.pid(ctx)
	if err != nil {
		return nil, err
	}
	if err := syscall.Kill(healthd, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	letGo := func() error { return syscall.Kill(healthd, syscall.SIGCONT) }
	if err := l.takeAway(ctx, i); err != nil {
		_ = letGo() // the first error is more informative
		return nil, err
	}
	forget(l.services)
	start := time.Now()
	if err := letGo(); err != nil {
		return nil, err
	}
	// The state of a unit is queried after systemd's event, so these times are a little
	// late.
	var times []time.Duration
	for _, reached := range []func(systemd.Listed) bool{
		func(u systemd.Listed) bool { return u.LoadState == "loaded" },
		func(u systemd.Listed) bool { return u.ActiveState == "activating" || u.ActiveState == "active" },
		func(u systemd.Listed) bool { return u.ActiveState == "active" },
	} {
		at, err := l.reaches(ctx, i, reached)
		if err != nil {
			return nil, err
		}
		times = append(times, at.Sub(start))
	}
	return times, nil
}

func (l lookouts) takeAway(ctx context.Context, i int) error {
	if err := os.Remove(l.unit(i)); err != nil {
		return err
	}
	if err := l.manager.Reload(ctx); err != nil {
		return err
	}
	_, err := l.manager.Stop(ctx, service(i), systemd.Replace)
	return err
}

// reaches waits until a service is in a state.
func (l lookouts) reaches(ctx context.Context, i int, state func(systemd.Listed) bool) (time.Time, error) {
	for {
		list, err := l.manager.List(ctx, service(i))
		at := time.Now()
		if err != nil || len(list) == 1 && state(list[0]) {
			return at, err
		}
		_, err = next(ctx, l.services, func(t timed[systemd.Event]) bool {
			return t.event.Unit == service(i) || t.event.Kind == systemd.Reloaded
		})
		if err != nil {
			return at, err
		}
	}
}

// cut kills the process that forwards an app's port. The container keeps running.
func (l lookouts) cut(ctx context.Context, i int) ([]time.Duration, error) {
	start, err := l.kill(ctx, i, "rootlessport")
	if err != nil {
		return nil, err
	}
	served, err := l.served(ctx, i)
	return []time.Duration{served.Sub(start)}, err
}

// pid returns healthd's process ID.
func (f *fleet) pid(ctx context.Context) (int, error) {
	text, err := output(ctx, "systemctl", "--user", "show", "-P", "MainPID", healthdUnit)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(text)
	if err == nil && pid == 0 {
		err = fmt.Errorf("%s does not run: see systemctl --user status %s", healthdUnit, healthdUnit)
	}
	return pid, err
}

// shown returns a path in a process's directory in /proc.
func shown(pid int, file string) string { return filepath.Join("/proc", strconv.Itoa(pid), file) }
