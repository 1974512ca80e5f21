// Package bus owns the name org.archipelago.Manager1 on the session bus, or on
// the system bus: it shows what healthd knows of the apps to whoever asks, tells
// of changes, and passes on what the owner of the apps asks for. busclient is the
// way in which programs of ours hear of changes.
//
// It decides nothing and changes nothing itself. healthd never waits for a bus:
// without one, or while one is away, it does all that it does otherwise.
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
	// Name is both that on the bus and that of the interface.
	Name = busclient.Name
	// Path is the one object.
	Path = busclient.Path

	properties     = busclient.Properties
	introspectable = "org.freedesktop.DBus.Introspectable"
)

const (
	// spacing is the least time between two signals.
	spacing = 250 * time.Millisecond
	// A bus that is away is tried again after firstPause, doubled each time.
	firstPause, lastPause = 100 * time.Millisecond, 30 * time.Second
	// missed is the pause from which on a bus is missed: one that is only
	// restarted is back before.
	missed = 3 * time.Second
)

// Server is what stands on the bus.
type Server struct {
	Scope units.Scope
	// Address is that of the bus, empty for that of the scope.
	Address string
	Version string
	// StatusFeed is where the apps are shown.
	StatusFeed *healthd.StatusFeed
	// Ask is where the hints of callers go.
	Ask chan<- healthd.Hint
	// Complain is told of a bus that is away for longer than a moment, once until
	// it is back.
	Complain func(error)
}

// Run stands on the bus until the context ends, through all comings and goings
// of the bus.
func (s Server) Run(ctx context.Context) {
	pause, complained := firstPause, false
	for ctx.Err() == nil {
		err := s.stand(ctx, func() { pause, complained = firstPause, false })
		if pause >= missed && !complained && ctx.Err() == nil {
			complained = true
			s.Complain(fmt.Errorf("standing on the %s bus as %s: %w", s.Scope, Name, err))
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

// stand stands on the bus until it goes away. It calls stood once it does.
func (s Server) stand(ctx context.Context, stood func()) error {
	conn, err := busclient.Bus{Scope: s.Scope, Address: s.Address}.Connect(ctx)
	if err != nil {
		return err
	}
	defer busclient.Close(conn)
	o := &object{Server: s, conn: conn, ctx: ctx}
	err = errors.Join(
		conn.Export(o, Path, Name),
		conn.Export((*propertiesOf)(o), Path, properties),
		conn.Export(introspect.Introspectable(XML), Path, introspectable),
	)
	if err != nil {
		return err
	}
	// What is on the board now is told by the properties themselves.
	told := o.properties()
	// One that has the name keeps it; then ours comes when that one goes.
	if _, err := conn.RequestName(Name, 0); err != nil {
		return fmt.Errorf("%w%s", err, s.hint(err))
	}
	stood()
	return o.tell(ctx, told)
}

// hint is how to mend what keeps healthd from the bus.
func (s Server) hint(err error) string {
	reply, _ := errors.AsType[dbus.Error](err)
	if reply.Name == accessDenied && s.Scope == units.System {
		return ": /usr/share/dbus-1/system.d/" + Name + ".conf allows it, and comes with the package"
	}
	return ""
}

// tell signals changes until the bus goes away.
func (o *object) tell(ctx context.Context, told map[string]any) error {
	for {
		select {
		case <-o.StatusFeed.Changed():
		case <-o.conn.Context().Done():
			return errors.New("the bus went away")
		}
		now, changed := o.properties(), map[string]any{}
		for name, value := range now {
			if !reflect.DeepEqual(value, told[name]) {
				changed[name] = value
			}
		}
		if len(changed) == 0 {
			continue
		}
		told = now
		if err := o.conn.Emit(Path, properties+".PropertiesChanged", Name, variants(changed), []string{}); err != nil {
			return err
		}
		rest(ctx, spacing)
	}
}
