// Package busclient owns the client side of org.archipelago.Manager1: its name and object,
// its bus, and how our own programs receive its changes.
//
// It never starts healthd or a bus, and changes nothing.
package busclient

import (
	"context"
	"os"

	"github.com/godbus/dbus/v5"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/systemd"
)

const (
	// Name is the name on the bus and the name of the interface.
	Name = "org.archipelago.Manager1"
	// Path is the one object.
	Path = dbus.ObjectPath("/org/archipelago/Manager1")
	// Properties is the interface whose signals report changes.
	Properties = "org.freedesktop.DBus.Properties"
)

// Bus is the bus of the healthd of a scope.
type Bus struct {
	Scope units.Scope
	// Address is the address of the bus; empty is the bus of the scope.
	Address string
}

// Connect connects to the bus. The connection ends with the context.
func (b Bus) Connect(ctx context.Context) (*dbus.Conn, error) {
	address := b.Address
	if address == "" {
		address = addressOf(b.Scope)
	}
	return systemd.ConnectBus(ctx, address)
}

// Close closes a connection. An error does not matter, because the connection is no longer
// used.
func Close(conn *dbus.Conn) { _ = conn.Close() }

// addressOf is the address of the bus of a scope. It is given explicitly, because godbus
// starts a bus if it finds none.
func addressOf(scope units.Scope) string {
	if address := os.Getenv(paths.BusVariable(scope)); address != "" {
		return address
	}
	_, socket := paths.Sockets(scope, os.Getenv)
	return "unix:path=" + dbus.EscapeBusAddressValue(socket)
}
