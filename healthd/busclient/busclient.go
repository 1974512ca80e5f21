// Package busclient owns the client side of org.archipelago.Manager1: its name and object,
// the bus that it is on, and how programs of ours hear of its changes.
//
// It never starts healthd or a bus, and changes nothing.
package busclient

import (
	"context"
	"os"

	"github.com/godbus/dbus/v5"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/paths"
)

const (
	// Name is both that on the bus and that of the interface.
	Name = "org.archipelago.Manager1"
	// Path is the one object.
	Path = dbus.ObjectPath("/org/archipelago/Manager1")
	// Properties is the interface whose signals tell of changes.
	Properties = "org.freedesktop.DBus.Properties"
)

// Bus is the bus that healthd of a scope is on.
type Bus struct {
	Scope units.Scope
	// Address is that of the bus, empty for that of the scope.
	Address string
}

// Connect connects to the bus. The connection ends with the context.
func (b Bus) Connect(ctx context.Context) (*dbus.Conn, error) {
	address := b.Address
	if address == "" {
		address = addressOf(b.Scope)
	}
	return dbus.Connect(address, dbus.WithContext(ctx), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
}

// Close closes a connection. There is nothing to say about an error of one
// that is of no use any more.
func Close(conn *dbus.Conn) { _ = conn.Close() }

// addressOf is where the bus of a scope listens. godbus would start a bus where
// it finds none.
func addressOf(scope units.Scope) string {
	if address := os.Getenv(paths.BusVariable(scope)); address != "" {
		return address
	}
	_, socket := paths.Sockets(scope, os.Getenv)
	return "unix:path=" + dbus.EscapeBusAddressValue(socket)
}
