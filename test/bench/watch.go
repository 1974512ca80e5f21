package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// watched is the figures for the part of the page about healthd.
type watched struct {
	pass            *nullPass
	latency, polled []latency
	costs           []cost
}

// watch measures passes and healthd over running apps.
func (b *bench) watch(ctx context.Context) ([]byte, error) {
	f, err := newFleet(ctx, b.apps, b.archgen)
	if err != nil {
		return nil, err
	}
	defer f.manager.Close()
	var w watched
	short := min(b.soak, 30*time.Second)
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"healthd with apps without a probe", func() error {
			return w.soak(ctx, f, unchecked, "healthd, apps without a probe", 2*b.soak, true) // Go collects garbage every two minutes
		}},
		{"Podman asking", func() error { return w.soak(ctx, f, byPodman, "Podman's health check every 5 s", short, false) }},
		{"healthd asking", func() error { return w.soak(ctx, f, byHealthd, "healthd, HTTP every 5 s", b.soak, true) }},
		{"faults under healthd", func() error { return w.faults(ctx, f) }},
		{"no health checks", func() error { return w.soak(ctx, f, byHealthd, "nothing", short, false) }},
		{"null pass", func() (err error) { w.pass, err = b.measurePass(ctx, f); return err }},
		{"faults under a loop that polls", func() (err error) { w.polled, err = f.polled(ctx, b.period); return err }},
	} {
		fmt.Fprintln(os.Stderr, "bench:", step.name)
		if err := step.do(); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return watchPage(b, &w), nil
}

// soak runs apps for a while with health checks of one kind.
func (w *watched) soak(ctx context.Context, f *fleet, health, name string, d time.Duration, withHealthd bool) error {
	if err := f.healthd(ctx, "stop"); err != nil {
		return err
	}
	if err := f.install(ctx, health); err != nil {
		return err
	}
	if withHealthd {
		if err := f.healthd(ctx, "start"); err != nil {
			return err
		}
	}
	c, err := f.watchFor(ctx, name, d, withHealthd)
	w.costs = append(w.costs, c)
	return err
}

func (w *watched) faults(ctx context.Context, f *fleet) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	l, err := newLookouts(ctx, f)
	if err != nil {
		return err
	}
	w.latency, err = l.faults(ctx)
	return err
}
