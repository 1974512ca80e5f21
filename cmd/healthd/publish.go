package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/bus"
	"github.com/archipelago-os/archipelago/healthd/metrics"
	"github.com/archipelago-os/archipelago/units"
)

// startPublishers publishes the status of the apps on the bus and for Prometheus, and that of
// the watch to systemd, until the context ends. It returns the function that takes each new
// status, and the requests of clients.
func startPublishers(ctx context.Context, scope units.Scope, runtime string, log log) (publish func(healthd.Status), asked <-chan healthd.Hint) {
	asks := make(chan healthd.Hint)
	onBus, inFile := healthd.NewStatusFeed(), healthd.NewStatusFeed()
	go bus.Server{Scope: scope, Version: compile.Version(), StatusFeed: onBus, Ask: asks, Complain: log.publishFailed}.Run(ctx)
	go metrics.Writer{Dir: runtime, Version: compile.Version(), StatusFeed: inFile, Complain: log.publishFailed}.Run(ctx)
	toSystemd := watchPublisher(notify)
	return func(s healthd.Status) { onBus.Set(s); inFile.Set(s); toSystemd(s.Watch) }, asks
}

// watchPublisher publishes each change of the watch as the status of healthd's service, where
// archgen and systemctl status find it.
func watchPublisher(notify func(state string)) func(healthd.Watch) {
	var published healthd.Watch
	return func(w healthd.Watch) {
		if w != published {
			published = w
			notify(fmt.Sprintf("STATUS=%s\nERRNO=%d", strings.Join(strings.Fields(w.Error), " "), w.Errno))
		}
	}
}
