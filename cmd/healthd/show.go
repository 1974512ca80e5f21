package main

import (
	"context"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/bus"
	"github.com/archipelago-os/archipelago/healthd/metrics"
	"github.com/archipelago-os/archipelago/units"
)

// show lets others see the apps, until the context ends. It returns what is to be
// told of each change, and what others ask for.
func show(ctx context.Context, scope units.Scope, runtime string, log log) (publish func(healthd.Status), asked <-chan healthd.Hint) {
	asks := make(chan healthd.Hint)
	onBus, inFile := healthd.NewBoard(), healthd.NewBoard()
	go bus.Server{Scope: scope, Version: compile.Version(), Board: onBus, Ask: asks, Complain: log.mute}.Run(ctx)
	go metrics.Writer{Dir: runtime, Version: compile.Version(), Board: inFile, Complain: log.mute}.Run(ctx)
	return func(s healthd.Status) { onBus.Post(s); inFile.Post(s) }, asks
}
