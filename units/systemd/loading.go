package systemd

import (
	"context"
	"errors"
	"time"

	"github.com/godbus/dbus/v5"
)

// Loading is when and from where a manager has loaded its units.
type Loading struct {
	// At is when the last reload began, or the manager if there was none. It is zero if the manager
	// does not tell. Monotonic is the same moment since boot.
	At        time.Time
	Monotonic time.Duration
	// Path is the directories of unit files.
	Path []string
}

// Loading returns when and from where the manager has loaded its units.
func (m *Manager) Loading(ctx context.Context) (Loading, error) {
	return call(ctx, m, "reading the load time of units", callTimeout, func(ctx context.Context, l *conn) (Loading, error) {
		manager := l.Object(service, managerPath)
		get := func(key string, into any) error {
			return manager.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, service+".Manager", key).Store(into)
		}
		var at, monotonic uint64
		var found Loading
		if err := get("UnitPath", &found.Path); err != nil {
			return found, err
		}
		for key, into := range map[string]*uint64{"UnitsLoadTimestamp": &at, "UnitsLoadTimestampMonotonic": &monotonic} {
			if err := get(key, into); err != nil && !isUnknown(err) {
				return found, err
			}
		}
		if at != 0 && monotonic != 0 {
			found.At, found.Monotonic = time.UnixMicro(int64(at)), time.Duration(monotonic)*time.Microsecond
		}
		return found, nil
	})
}

// isUnknown reports whether an error says that this version of systemd has no such property.
func isUnknown(err error) bool {
	reply, ok := errors.AsType[dbus.Error](err)
	return ok && reply.Name == "org.freedesktop.DBus.Error.UnknownProperty"
}

// NeedReload returns the units of which a file changed since the manager read it. It costs systemd
// twenty times as much as any other property: systemd searches all directories for drop-ins.
func (m *Manager) NeedReload(ctx context.Context, names ...string) (map[string]bool, error) {
	found, err := each(ctx, m, "reading ", names, func(ctx context.Context, l *conn, name string) (bool, error) {
		p, err := together(ctx, name, []string{"NeedDaemonReload"}, l.calls.GetUnitPropertyContext)
		return value[bool](p, "NeedDaemonReload"), err
	})
	need := map[string]bool{}
	for i, isNeeded := range found {
		if isNeeded {
			need[names[i]] = true
		}
	}
	return need, err
}

// DropIns returns the drop-ins that the manager has read for units, in the order of the names.
func (m *Manager) DropIns(ctx context.Context, names ...string) ([][]string, error) {
	return each(ctx, m, "reading ", names, func(ctx context.Context, l *conn, name string) ([]string, error) {
		p, err := together(ctx, name, []string{"DropInPaths"}, l.calls.GetUnitPropertyContext)
		return dropIns(p), err
	})
}
