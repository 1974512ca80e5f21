package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// polling is a loop as users write it without healthd: once per period it queries Podman
// for all containers, checks each unit file and each port, and repairs each problem, one
// after another.
type polling struct {
	*fleet
	period time.Duration
	copies [][]byte // of the unit files
	ids    map[string]string

	mu      sync.Mutex
	pending map[fault]time.Time
	found   [faultKinds][]time.Duration
}

// fault is a fault that was caused and not yet noticed or repaired.
type fault struct{ kind, app int }

// The kinds of faults.
const (
	fileDeleted = iota
	appKilled
	portDead
	faultKinds
)

// polled causes each fault once for every app while the loop runs, at all moments between
// two iterations. Each app has one fault per period.
func (f *fleet) polled(ctx context.Context, period time.Duration) ([]latency, error) {
	p := &polling{fleet: f, period: period, pending: map[fault]time.Time{}}
	for i := range f.apps {
		text, err := os.ReadFile(f.unit(i))
		if err != nil {
			return nil, err
		}
		p.copies = append(p.copies, text)
	}
	if err := p.look(ctx); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	looping := make(chan struct{})
	go func() {
		defer close(looping)
		for tick := time.NewTicker(period); ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if err := p.look(ctx); err != nil {
				end(err)
				return
			}
		}
	}()
	err := p.provoke(ctx)
	if err == nil {
		err = until(ctx, period/20, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.pending) == 0
		})
	}
	end(nil)
	<-looping
	return []latency{
		{"unit file deleted → there again", p.found[fileDeleted]},
		{"app killed → the loop knows", p.found[appKilled]},
		{"port dead, container runs → answers again", p.found[portDead]},
	}, err
}

func (p *polling) provoke(ctx context.Context) error {
	for round := range faultKinds {
		for i := range p.apps {
			f := fault{(i + round) % faultKinds, i}
			p.mu.Lock()
			p.pending[f] = time.Now()
			p.mu.Unlock()
			if err := p.do(ctx, f); err != nil {
				return err
			}
			if err := pause(ctx, p.period/time.Duration(p.apps)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *polling) do(ctx context.Context, f fault) error {
	program := "rootlessport"
	switch f.kind {
	case fileDeleted:
		return os.Remove(p.unit(f.app))
	case appKilled:
		program = "app"
	}
	_, err := p.kill(ctx, f.app, program)
	return err
}

// noticed records how long a fault lasted, if there was one.
func (p *polling) noticed(kind, app int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := fault{kind, app}
	if since, is := p.pending[f]; is {
		p.found[kind] = append(p.found[kind], time.Since(since))
		delete(p.pending, f)
	}
}

// look is one iteration of the loop.
func (p *polling) look(ctx context.Context) error {
	if err := p.containers(ctx); err != nil {
		return err
	}
	if err := p.files(ctx); err != nil {
		return err
	}
	for i := range p.apps {
		if p.answers(ctx, i) {
			continue
		}
		if _, err := output(ctx, "systemctl", "--user", "restart", service(i)); err != nil {
			return err
		}
		if _, err := p.served(ctx, i); err != nil {
			return err
		}
		p.noticed(portDead, i)
		p.noticed(appKilled, i)
	}
	return nil
}

// containers detects that an app was killed when its container is gone or another one.
func (p *polling) containers(ctx context.Context) error {
	text, err := output(ctx, "podman", "ps", "--format", "{{.Names}} {{.ID}}")
	if err != nil {
		return err
	}
	ids, running := map[string]string{}, []string{"inspect", "--format", "{{.State.Status}}"}
	for line := range strings.Lines(text) {
		name, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		ids[name] = id
		running = append(running, id)
	}
	// A container that ends meanwhile makes the command fail: the next iteration detects
	// that.
	_, _ = output(ctx, "podman", running...)
	for i := range p.apps {
		if p.ids != nil && ids[name(i)] != p.ids[name(i)] {
			p.noticed(appKilled, i)
		}
	}
	p.ids = ids
	return nil
}

// files restores unit files. It does not know that restored bytes need no reload.
func (p *polling) files(ctx context.Context) error {
	reload := false
	for i, text := range p.copies {
		if _, err := os.Stat(p.unit(i)); err == nil {
			continue
		}
		if err := os.WriteFile(p.unit(i), text, 0o644); err != nil {
			return err
		}
		p.noticed(fileDeleted, i)
		reload = true
	}
	if !reload {
		return nil
	}
	if err := p.manager.Reload(ctx); err != nil {
		return fmt.Errorf("after restoring unit files: %w", err)
	}
	return nil
}
