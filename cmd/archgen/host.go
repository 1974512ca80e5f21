package main

import (
	"context"
	"time"

	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
)

// stabilizationTime is how long a started app has to stay up; zero is the default. Tests
// set a shorter one.
var stabilizationTime time.Duration

// connect opens the machine of a scope and connects to its systemd.
func (c *cli) connect(ctx context.Context, scope units.Scope) (*machine.Machine, error) {
	return machine.Open(ctx, c.machineOf(scope))
}

// local is the machine of a scope without its systemd.
func (c *cli) local(scope units.Scope) (machine.Base, error) { return machine.Find(c.machineOf(scope)) }

func (c *cli) machineOf(scope units.Scope) machine.Options {
	return machine.Options{Scope: scope, Getenv: c.getenv, Podman: c.podman, Record: installed.Record, StabilizationTime: stabilizationTime}
}
