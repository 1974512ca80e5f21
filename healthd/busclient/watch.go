package busclient

import (
	"context"

	"github.com/godbus/dbus/v5"
)

// Watch sends a value when something may have changed. The value says whether healthd is on
// the bus to report the next change. The channel is closed when the context ends, or when
// there is no bus. Watch does not start healthd.
func (b Bus) Watch(ctx context.Context) <-chan bool {
	out := make(chan bool, 1)
	go func() {
		defer close(out)
		conn, err := b.Connect(ctx)
		if err != nil {
			return
		}
		defer Close(conn)
		signals := make(chan *dbus.Signal, 64)
		conn.Signal(signals)
		stands, err := listen(ctx, conn)
		if err != nil {
			return
		}
		put(out, stands)
		for s := range signals { // the end of the connection closes it
			if stands, isAbout := standsAfter(s); isAbout {
				put(out, stands)
			}
		}
	}()
	return out
}

// listen subscribes to the signals, and asks whether healthd is on the bus.
func listen(ctx context.Context, conn *dbus.Conn) (stands bool, err error) {
	for _, rule := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(Name), dbus.WithMatchObjectPath(Path), dbus.WithMatchInterface(Properties), dbus.WithMatchMember("PropertiesChanged")},
		{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, Name)},
	} {
		if err := conn.AddMatchSignalContext(ctx, rule...); err != nil {
			return false, err
		}
	}
	err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, Name).Store(&stands)
	return stands, err
}

// standsAfter reports whether healthd is on the bus after a signal, and whether the signal
// is about that: the bus sends each new connection a signal of its own.
func standsAfter(s *dbus.Signal) (stands, isAbout bool) {
	switch {
	case s.Name == Properties+".PropertiesChanged":
		return true, true
	case s.Name == "org.freedesktop.DBus.NameOwnerChanged" && len(s.Body) == 3:
		owner, _ := s.Body[2].(string)
		return owner != "", true
	}
	return false, false
}

// put keeps the newest value for a slow reader.
func put(out chan bool, value bool) {
	select {
	case <-out:
	default:
	}
	out <- value
}
