package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// boots is the file with one line of figures per boot.
const boots = "boots"

// booted records the last boot: the time from the machine's start to that of the user's
// manager, and from there until all apps served.
func (b *bench) booted(ctx context.Context) ([]byte, error) {
	f, err := newFleet(ctx, b.apps, b.archgen)
	if err != nil {
		return nil, err
	}
	defer f.manager.Close()
	if err := f.allServe(ctx); err != nil {
		return nil, err
	}
	machine, err := moments(ctx, "show", "-P", "UserspaceTimestampMonotonic")
	if err != nil {
		return nil, err
	}
	manager, err := moments(ctx, "--user", "show", "-P", "UserspaceTimestampMonotonic")
	if err != nil {
		return nil, err
	}
	apps, err := moments(ctx, append([]string{"--user", "show", "-P", "ActiveEnterTimestampMonotonic"}, f.names(service)...)...)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%v %v\n", manager-machine, apps-manager), nil
}

// moments returns the latest of the timestamps that systemctl prints, since the kernel's
// start.
func moments(ctx context.Context, args ...string) (time.Duration, error) {
	text, err := output(ctx, "systemctl", args...)
	if err != nil {
		return 0, err
	}
	var last time.Duration
	for field := range strings.FieldsSeq(text) {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil || n == 0 {
			return 0, fmt.Errorf("systemctl %s: %q is no moment", strings.Join(args, " "), field)
		}
		last = max(last, time.Duration(n)*time.Microsecond)
	}
	return last, nil
}

// boot returns the part of the page about the recorded boots. It also has the same apps
// started by systemd at once, and by hand.
func (b *bench) boot(ctx context.Context) ([]byte, error) {
	f, err := newFleet(ctx, b.apps, b.archgen)
	if err != nil {
		return nil, err
	}
	defer f.manager.Close()
	manager, served, err := notedBoots()
	if err != nil {
		return nil, err
	}
	if _, err := output(ctx, "systemctl", "--user", "stop", "archipelago-reconcile.path", "archipelago-reconcile.timer", healthdUnit); err != nil {
		return nil, err
	}
	if err := f.makeByHand(ctx); err != nil {
		return nil, err
	}
	const rounds = 3
	var bySystemd, byHand []time.Duration
	for range rounds {
		for _, way := range []struct {
			start, stop []string // of each app, one after another; of all
			took        *[]time.Duration
			name        func(int) string
		}{
			{[]string{"systemctl", "--user", "start"}, []string{"systemctl", "--user", "stop"}, &bySystemd, service},
			{[]string{"podman", "start"}, []string{"podman", "stop", "--time=5"}, &byHand, handName},
		} {
			if _, err := output(ctx, "systemctl", append([]string{"--user", "stop"}, f.names(service)...)...); err != nil {
				return nil, err
			}
			start := time.Now()
			if err := f.each(func(i int) error {
				_, err := output(ctx, way.start[0], append(way.start[1:len(way.start):len(way.start)], way.name(i))...)
				return err
			}); err != nil {
				return nil, err
			}
			if err := f.allServe(ctx); err != nil {
				return nil, err
			}
			*way.took = append(*way.took, time.Since(start))
			if _, err := output(ctx, way.stop[0], append(way.stop[1:len(way.stop):len(way.stop)], f.names(way.name)...)...); err != nil {
				return nil, err
			}
		}
	}
	return bootPage(b.apps, manager, served, bySystemd, byHand), nil
}

func notedBoots() (manager, served []time.Duration, err error) {
	text, err := os.ReadFile(boots)
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(string(text)) {
		before, after, _ := strings.Cut(strings.TrimSpace(line), " ")
		m, err := time.ParseDuration(before)
		if err != nil {
			return nil, nil, err
		}
		s, err := time.ParseDuration(after)
		if err != nil {
			return nil, nil, err
		}
		manager, served = append(manager, m), append(served, s)
	}
	if len(manager) == 0 {
		return nil, nil, errors.New("no boot was noted in " + boots)
	}
	return manager, served, nil
}

func handName(i int) string { return fmt.Sprintf("hand-%d", i) }

// makeByHand creates the containers of all apps again, as a user without Archipelago would.
func (f *fleet) makeByHand(ctx context.Context) error {
	for i := range f.apps {
		if _, err := output(ctx, "podman", "network", "create", handName(i)); err != nil {
			return err
		}
		if _, err := output(ctx, "podman", "create", "--name", handName(i), "--network", handName(i),
			"--publish", fmt.Sprintf("127.0.0.1:%d:8080", firstPort+i), "--volume", handName(i)+":/data",
			"--cap-drop=all", "--security-opt=no-new-privileges", "--log-driver=journald", "localhost/noshell:1"); err != nil {
			return err
		}
	}
	return nil
}

// each calls do for each app in turn.
func (f *fleet) each(do func(i int) error) error {
	failures := make([]error, f.apps)
	var all sync.WaitGroup
	for i := range f.apps {
		all.Go(func() { failures[i] = do(i) })
	}
	all.Wait()
	return errors.Join(failures...)
}
