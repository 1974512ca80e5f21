// Package bus owns the name org.archipelago.Manager1 on the session bus or the system bus:
// it publishes the state of the apps, signals changes, and passes on the requests of the
// apps' owner. Our own programs use package busclient to receive changes.
//
// It decides nothing and changes nothing itself. healthd never waits for a bus: without one
// it does everything else as usual.
package bus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/busclient"
	"github.com/archipelago-os/archipelago/units"
)

const (
	// Name is the name on the bus and the name of the interface.
	Name = busclient.Name
	// Path is the one object.
	Path = busclient.Path

	properties     = busclient.Properties
	introspectable = "org.freedesktop.DBus.Introspectable"
)

const (
	// spacing is the least time between two signals, and busiest the most. A signal has all apps: with
	// three hundred it takes several milliseconds, and apps in a crash loop change all the time. So the
	// next one waits for share times as long as the last one took.
	spacing, busiest = 250 * time.Millisecond, 3 * time.Second
	share            = 200
	// After a lost connection the bus is tried again after firstPause, doubled each time.
	firstPause, lastPause = 100 * time.Millisecond, 30 * time.Second
	// missed is the pause after which a missing bus is reported: a bus that only restarts is
	// available again before.
	missed = 3 * time.Second
)

// Server serves the object on the bus.
type Server struct {
	Scope units.Scope
	// Address is the address of the bus; empty is the bus of the scope.
	Address string
	Version string
	// StatusFeed has the status of the apps.
	StatusFeed *healthd.StatusFeed
	// Ask receives the hints of callers.
	Ask chan<- healthd.Hint
	// Complain is called once if the bus is unavailable for longer than a restart takes.
	Complain func(error)
}

// Run serves on the bus until the context ends, and reconnects when the bus restarts.
func (s Server) Run(ctx context.Context) {
	pause, complained := firstPause, false
	for ctx.Err() == nil {
		err := s.stand(ctx, func() { pause, complained = firstPause, false })
		if pause >= missed && !complained && ctx.Err() == nil {
			complained = true
			s.Complain(fmt.Errorf("connecting to the %s bus as %s: %w", s.Scope, Name, err))
		}
		rest(ctx, pause)
		pause = min(2*pause, lastPause)
	}
}

// rest waits for a time, or until the context ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// stand serves on the bus until the connection ends. It calls stood when it has connected.
func (s Server) stand(ctx context.Context, stood func()) error {
	conn, err := busclient.Bus{Scope: s.Scope, Address: s.Address}.Connect(ctx)
	if err != nil {
		return err
	}
	defer busclient.Close(conn)
	o := &object{Server: s, conn: conn, ctx: ctx}
	for name, methods := range o.interfaces() {
		if err := conn.ExportMethodTable(methods, Path, name); err != nil {
			return err
		}
	}
	// The properties already have the current status.
	status, _ := o.StatusFeed.Status()
	first := told{status.Apps, o.factsOfAll(status.Apps, told{})}
	// Another owner keeps the name; the bus gives it to us when that owner exits.
	if _, err := conn.RequestName(Name, 0); err != nil {
		return fmt.Errorf("%w%s", err, s.hint(err))
	}
	stood()
	return o.tell(ctx, first, o.properties(status, first.facts))
}

// interfaces is the methods of the object, by interface. Conn.Export would find them by name, for which the
// linker keeps every method of every type.
func (o *object) interfaces() map[string]map[string]any {
	p := (*propertiesOf)(o)
	return map[string]map[string]any{
		Name: {
			"ListApps": o.ListApps, "GetApp": o.GetApp, "Reconcile": o.Reconcile, "ReconcileApp": o.ReconcileApp,
			"Start": o.Start, "Stop": o.Stop, "Restart": o.Restart,
		},
		properties:     {"Get": p.Get, "GetAll": p.GetAll, "Set": p.Set},
		introspectable: {"Introspect": introspect.Introspectable(XML).Introspect},
	}
}

// hint is how to fix what keeps healthd from the bus.
func (s Server) hint(err error) string {
	reply, _ := errors.AsType[dbus.Error](err)
	if reply.Name == accessDenied && s.Scope == units.System {
		return ": /usr/share/dbus-1/system.d/" + Name + ".conf allows it, and comes with the package"
	}
	return ""
}

// tell signals changes until the connection ends. of is what was told of the apps, and before what the
// properties said.
func (o *object) tell(ctx context.Context, of told, before map[string]any) error {
	for {
		select {
		case <-o.StatusFeed.Changed():
		case <-o.conn.Context().Done():
			return errors.New("the connection to the bus ended")
		}
		start := time.Now()
		status, _ := o.StatusFeed.Status()
		of = told{status.Apps, o.factsOfAll(status.Apps, of)}
		now, changed := o.properties(status, of.facts), map[string]any{}
		for name, value := range now {
			if !reflect.DeepEqual(value, before[name]) {
				changed[name] = value
			}
		}
		before = now
		if len(changed) == 0 {
			continue
		}
		if err := o.conn.Emit(Path, properties+".PropertiesChanged", Name, variants(changed), []string{}); err != nil {
			return err
		}
		rest(ctx, spacingAfter(time.Since(start)))
	}
}

// spacingAfter is the time until the next signal, after one that took a time.
func spacingAfter(took time.Duration) time.Duration {
	return min(max(spacing, share*took), busiest)
}
