package main

import (
	"context"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/bus"
	"github.com/archipelago-os/archipelago/healthd/metrics"
	"github.com/archipelago-os/archipelago/units"
)

// startPublishers publishes the status of the apps on the bus and for Prometheus until the
// context ends. It returns the function that takes each new status, and the requests of
// clients.
func startPublishers(ctx context.Context, scope units.Scope, runtime string, log log) (publish func(healthd.Status), asked <-chan healthd.Hint) {
	asks := make(chan healthd.Hint)
	onBus, inFile := healthd.NewStatusFeed(), healthd.NewStatusFeed()
	go bus.Server{Scope: scope, Version: compile.Version(), StatusFeed: onBus, Ask: asks, Complain: log.publishFailed}.Run(ctx)
	go metrics.Writer{Dir: runtime, Version: compile.Version(), StatusFeed: inFile, Complain: log.publishFailed}.Run(ctx)
	return func(s healthd.Status) { onBus.Set(s); inFile.Set(s) }, asks
}
