package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// manyApps is the figures of healthd with many apps.
type manyApps struct {
	pass    *nullPass
	latency []latency
	costs   []cost
	events  soaked
}

const (
	crashing   = 5       // apps in a crash loop
	deletions  = 100     // unit files deleted one at a time: a reload takes over a second
	soakEvents = 100_000 // changes of files that change nothing
)

// many measures passes and healthd over many running apps.
func (b *bench) many(ctx context.Context) ([]byte, error) {
	f, err := newFleet(ctx, b.apps, b.archgen)
	if err != nil {
		return nil, err
	}
	defer f.manager.Close()
	var m manyApps
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"install", func() error { return f.install(ctx, byDefault) }},
		{"null pass", func() (err error) { m.pass, err = b.measurePass(ctx, f); return err }},
		{"start of healthd", func() error { return f.healthd(ctx, "start") }},
		{"quiet", func() error { return m.watch(ctx, f, "all serve", b.soak) }},
		{"deleted unit files", func() error { return m.deletions(ctx, f) }},
		{"crash loops", func() error { return m.crashLoops(ctx, f, b.soak) }},
		{"events", func() (err error) { m.events, err = f.soakEvents(ctx, soakEvents); return err }},
	} {
		fmt.Fprintf(os.Stderr, "bench: %d apps: %s\n", b.apps, step.name)
		if err := step.do(); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return manyPage(b, &m), nil
}

func (m *manyApps) watch(ctx context.Context, f *fleet, name string, d time.Duration) error {
	c, err := f.watchFor(ctx, name, d, true)
	m.costs = append(m.costs, c)
	return err
}

// deletions deletes unit files while nothing else happens, and while systemd reloads its units
// all the time.
func (m *manyApps) deletions(ctx context.Context, f *fleet) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	l, err := newLookouts(ctx, f)
	if err != nil {
		return err
	}
	quiet := latency{name: "unit file deleted → there again"}
	for i := range min(f.apps, deletions) {
		if err := l.calm(ctx); err != nil {
			return err
		}
		times, err := l.delete(ctx, i)
		if err != nil {
			return err
		}
		quiet.times = append(quiet.times, times...)
	}
	reloading, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		for reloading.Err() == nil {
			if err := f.manager.Reload(reloading); err != nil && reloading.Err() == nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	busy := latency{name: "the same, while systemd reloads its units without a break"}
	for i := range min(f.apps, deletions) {
		times, err := l.delete(ctx, i)
		if err != nil {
			stop()
			return err
		}
		busy.times = append(busy.times, times...)
	}
	stop()
	m.latency = []latency{quiet, busy}
	return <-ended
}

// crashLoops adds apps whose process ends at once, and measures what their restarts cost.
func (m *manyApps) crashLoops(ctx context.Context, f *fleet, d time.Duration) error {
	for i := range crashing {
		if err := writeFile(appsDir, fmt.Sprintf("crash-%d.yaml", i), fmt.Sprintf(`app:
  id: crash-%[1]d
  name: Crash %[1]d
  version: 1.0.0
  container:
    image: localhost/noshell:1
    command: [crash, 0s]
`, i)); err != nil {
			return err
		}
	}
	if err := m.watch(ctx, f, fmt.Sprintf("%d more apps are in a crash loop", crashing), d); err != nil {
		return err
	}
	var paths []string
	for i := range crashing {
		paths = append(paths, filepath.Join(appsDir, fmt.Sprintf("crash-%d.yaml", i)))
	}
	return removeDirs(paths...)
}

// soaked is what healthd holds before and after many events.
type soaked struct {
	events       int
	over         time.Duration
	rss          [2]int // KiB
	files        [2]int
	threads      [2]int
	cpu          time.Duration
	hasRestarted bool
}

// soakEvents changes files in a way that changes nothing: manifests are written again with the
// same text, and unit files get another time.
func (f *fleet) soakEvents(ctx context.Context, events int) (s soaked, err error) {
	s.events = events
	own, err := f.group(ctx, healthdUnit)
	if err != nil {
		return s, err
	}
	pid, err := f.pid(ctx)
	if err != nil {
		return s, err
	}
	if err := s.look(ctx, 0, pid); err != nil {
		return s, err
	}
	start, before := time.Now(), own.cpu()
	for n := range events {
		if n%2 == 0 {
			err = rewriteManifest(n / 2 % f.apps)
		} else {
			err = os.Chtimes(f.unit(n/2%f.apps), time.Time{}, time.Now())
		}
		if err == nil && n%10 == 0 {
			err = pause(ctx, 10*time.Millisecond)
		}
		if err != nil {
			return s, err
		}
	}
	s.over, s.cpu = time.Since(start), own.cpu()-before
	if err := s.look(ctx, 1, pid); err != nil {
		return s, err
	}
	now, err := f.pid(ctx)
	s.hasRestarted = now != pid
	return s, err
}

// rewriteManifest replaces the manifest of an app by the same text, as an editor does.
func rewriteManifest(i int) error {
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	path := filepath.Join(home, appsDir, name(i)+".yaml")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path+"~", text, 0o644)
	}
	if err != nil {
		return err
	}
	return os.Rename(path+"~", path)
}

// look notes what healthd holds once it has been idle for a while.
func (s *soaked) look(ctx context.Context, at, pid int) error {
	if err := pause(ctx, healthdWarmUp); err != nil {
		return err
	}
	files, err := os.ReadDir(shown(pid, "fd"))
	s.rss[at], s.files[at], s.threads[at] = numberIn(shown(pid, "status"), "VmRSS"), len(files), numberIn(shown(pid, "status"), "Threads")
	return err
}

// manyPage formats the figures about many apps as text.
func manyPage(b *bench, m *manyApps) []byte {
	var p strings.Builder
	fmt.Fprintf(&p, `
### %d apps, each asked by HTTP every 30 s, the default

| command | p50 | p90 | CPU p50 | ÷ podman ps |
| --- | ---: | ---: | ---: | ---: |
`, b.apps)
	passTable(&p, m.pass)
	fmt.Fprintf(&p, `
In healthd's own process a pass takes %s (p90 %s), %s of CPU time, and %s of
systemd's CPU time, over %d passes.

| fault | n | p50 | p99 |
| --- | ---: | ---: | ---: |
`, milliseconds(percentile(m.pass.wall, 50)), milliseconds(percentile(m.pass.wall, 90)), milliseconds(m.pass.cpu), milliseconds(m.pass.manager), m.pass.passes)
	for _, l := range m.latency {
		latencyRow(&p, l.name, l.times)
	}
	costRows(&p, "while", m.costs)
	e := m.events
	fmt.Fprintf(&p, `
%d changes of manifests and unit files that change nothing, over %v: healthd's RSS went
from %.1f to %.1f MB, its open files from %d to %d, its threads from %d to %d, and it used
%v of CPU time.
`, e.events, e.over.Round(time.Second), megabytes(e.rss[0]), megabytes(e.rss[1]), e.files[0], e.files[1], e.threads[0], e.threads[1], e.cpu.Round(time.Second))
	if e.hasRestarted {
		p.WriteString("**healthd was restarted meanwhile.**\n")
	}
	return []byte(p.String())
}
