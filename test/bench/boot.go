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

// bootable is the contenders whose apps start at boot.
var bootable = []string{"plain Quadlet files", "archgen"}

// bootsOf is the file with one line of figures for each boot with the apps of a contender.
func bootsOf(name string) string { return "boots-" + strings.Fields(name)[0] }

// chosen is the contender that the flag names by the first word of its name.
func (b *bench) chosen(f *fleet) (contender, error) {
	for _, c := range f.contenders() {
		if strings.Fields(c.name)[0] == b.contender {
			return c, nil
		}
	}
	return contender{}, fmt.Errorf("there is no contender %q", b.contender)
}

// ofChosen calls do with the chosen contender.
func (b *bench) ofChosen(ctx context.Context, do func(*fleet, contender) error) error {
	f, err := newFleet(ctx, b.apps, b.archgen)
	if err != nil {
		return err
	}
	defer f.manager.Close()
	c, err := b.chosen(f)
	if err != nil {
		return err
	}
	return do(f, c)
}

// put installs the apps of a contender, and take removes them.
func (b *bench) put(ctx context.Context) ([]byte, error) {
	return nil, b.ofChosen(ctx, func(f *fleet, c contender) error {
		if err := f.writeAll(c); err != nil {
			return err
		}
		return c.apply(ctx, nil)
	})
}

func (b *bench) take(ctx context.Context) ([]byte, error) {
	return nil, b.ofChosen(ctx, func(_ *fleet, c contender) error { return c.remove(ctx) })
}

// booted records the last boot: the time from the machine's start to that of the user's
// manager, and from there until all apps served.
func (b *bench) booted(ctx context.Context) (line []byte, err error) {
	err = b.ofChosen(ctx, func(f *fleet, c contender) error {
		if err := f.allServe(ctx); err != nil {
			return err
		}
		machine, err := moments(ctx, "show", "-P", "UserspaceTimestampMonotonic")
		if err != nil {
			return err
		}
		manager, err := moments(ctx, "--user", "show", "-P", "UserspaceTimestampMonotonic")
		if err != nil {
			return err
		}
		apps, err := moments(ctx, append([]string{"--user", "show", "-P", "ActiveEnterTimestampMonotonic"}, f.names(c.service)...)...)
		line = fmt.Appendf(nil, "%v %v\n", manager-machine, apps-manager)
		return err
	})
	return line, err
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
	page, err := bootRows(b.apps)
	if err != nil {
		return nil, err
	}
	if _, err := output(ctx, "systemctl", append([]string{"--user", "stop"}, watchers...)...); err != nil {
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
	return append(page, startRows(bySystemd, byHand)...), nil
}

func notedBoots(name string) (manager, served []time.Duration, err error) {
	boots := bootsOf(name)
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
