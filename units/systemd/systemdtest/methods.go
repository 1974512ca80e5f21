package systemdtest

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/archipelago-os/archipelago/units/systemd"
)

// jobMethods is the methods that queue jobs.
var jobMethods = map[string]string{
	"StartUnit": "start", "StopUnit": "stop", "RestartUnit": "restart",
	"ReloadUnit": "reload",
}

// perform carries out a method.
func (m *Manager) perform(p *peer, method string, message *dbus.Message) ([]any, error) {
	arguments := message.Body
	switch method {
	case "Ping":
		return nil, nil
	case "Hello":
		return []any{":1.1"}, m.busOnly(p)
	case "AddMatch":
		p.mutex.Lock()
		p.rules = append(p.rules, text(arguments, 0))
		p.mutex.Unlock()
		return nil, m.busOnly(p)
	case "Subscribe":
		p.mutex.Lock()
		p.subscribed = true
		p.mutex.Unlock()
		return nil, nil
	case "Reload":
		m.reload()
		return nil, nil
	case "ResetFailedUnit":
		return nil, m.resetFailed(text(arguments, 0))
	case "ListUnitsByNames":
		return []any{m.list(words(arguments, 0))}, nil
	case "ListUnitsByPatterns":
		m.mutex.Lock()
		found := m.matching(words(arguments, 1))
		m.mutex.Unlock()
		return []any{m.listing(found)}, nil
	case "GetAll":
		return []any{m.properties(message)}, nil
	case "Get":
		if object, _ := message.Headers[dbus.FieldPath].Value().(dbus.ObjectPath); object == managerPath {
			return m.managerProperty(text(arguments, 1))
		}
		return []any{m.properties(message)[text(arguments, 1)]}, nil
	}
	kind, ok := jobMethods[method]
	if !ok {
		return nil, dbus.Error{Name: "org.freedesktop.DBus.Error.UnknownMethod", Body: []any{"Unknown method " + method}}
	}
	id, err := m.queue(Job{kind, text(arguments, 0), text(arguments, 1)})
	if err == nil {
		m.signal(managerPath, managerInterface, "JobNew", id, jobPath(id), text(arguments, 0))
	}
	return []any{jobPath(id)}, err
}

// busOnly fails if the client is not connected over a bus.
func (m *Manager) busOnly(p *peer) error {
	if p.bus {
		return nil
	}
	return dbus.Error{Name: "org.freedesktop.DBus.Error.UnknownObject", Body: []any{"Unknown object '/org/freedesktop/DBus'."}}
}

func (m *Manager) resetFailed(name string) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	u, ok := m.units[name]
	if !ok {
		return dbus.Error{Name: "org.freedesktop.systemd1.NoSuchUnit", Body: []any{fmt.Sprintf("Unit %s not loaded.", name)}}
	}
	if u.ActiveState == "failed" {
		u.ActiveState, u.SubState, u.Result = "inactive", "dead", "success"
	}
	u.NRestarts = 0
	return nil
}

// row is a unit in a list of systemd.
type row struct {
	Name, Description, LoadState, ActiveState, SubState, Followed string
	Path                                                          dbus.ObjectPath
	JobID                                                         uint32
	JobType                                                       string
	JobPath                                                       dbus.ObjectPath
}

func (m *Manager) list(names []string) []row {
	m.mutex.Lock()
	found := make([]systemd.Unit, 0, len(names))
	for _, name := range names {
		found = append(found, m.unit(name))
	}
	m.mutex.Unlock()
	return m.listing(found)
}

func (m *Manager) listing(found []systemd.Unit) []row {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	rows := make([]row, 0, len(found))
	for _, u := range found {
		kind := ""
		if j := m.jobs[u.JobID]; j != nil {
			kind = j.Kind
		}
		rows = append(rows, row{
			Name: u.Name, LoadState: u.LoadState, ActiveState: u.ActiveState, SubState: u.SubState,
			Path: objectPath(u.Name), JobID: u.JobID, JobType: kind, JobPath: jobPath(u.JobID),
		})
	}
	return rows
}

// managerProperty returns a property of the manager.
func (m *Manager) managerProperty(key string) ([]any, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	all := map[string]any{"UnitPath": slices.Clone(m.loading.Path)}
	if !m.loading.At.IsZero() {
		all["UnitsLoadTimestamp"], all["UnitsLoadTimestampMonotonic"] = uint64(m.loading.At.UnixMicro()), uint64(m.loading.Monotonic.Microseconds())
	}
	if key == "SystemState" {
		all[key] = m.state()
	}
	found, ok := all[key]
	if !ok {
		return nil, dbus.Error{Name: "org.freedesktop.DBus.Error.UnknownProperty", Body: []any{"Unknown property " + key}}
	}
	return []any{dbus.MakeVariant(found)}, nil
}

// properties returns all properties of the unit of a call.
func (m *Manager) properties(message *dbus.Message) map[string]dbus.Variant {
	object, _ := message.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	u := m.Unit(m.nameOf(object))
	invocation, err := hex.DecodeString(u.InvocationID)
	if err != nil {
		m.tb.Errorf("invocation id of %s: %v", u.Name, err)
	}
	all := map[string]any{
		"Id": u.Name, "LoadState": u.LoadState, "ActiveState": u.ActiveState, "SubState": u.SubState,
		"Job": struct {
			ID   uint32
			Path dbus.ObjectPath
		}{u.JobID, jobPath(u.JobID)},
		"NeedDaemonReload": u.NeedDaemonReload, "FragmentPath": u.FragmentPath, "SourcePath": u.SourcePath, "DropInPaths": slices.Clone(u.DropInPaths),
		"UnitFileState": u.UnitFileState, "InvocationID": invocation, "ActiveEnterTimestampMonotonic": cmp.Or(u.ActiveEnterMonotonic, u.ActiveEnterTimestamp),
		"InactiveExitTimestampMonotonic": u.InactiveExitMonotonic, "ActiveExitTimestampMonotonic": u.ActiveExitMonotonic,
		"InactiveEnterTimestampMonotonic": u.InactiveEnterMonotonic,
		"InactiveExitTimestamp":           u.InactiveExitTimestamp,
		"ActiveEnterTimestamp":            u.ActiveEnterTimestamp, "ActiveExitTimestamp": u.ActiveExitTimestamp, "InactiveEnterTimestamp": u.InactiveEnterTimestamp,
		"StateChangeTimestamp": u.StateChangeTimestamp,
	}
	if !strings.HasSuffix(u.Name, ".slice") {
		all["Result"] = u.Result
	}
	if strings.HasSuffix(u.Name, ".service") {
		all["ControlGroup"], all["StatusText"], all["StatusErrno"] = u.ControlGroup, u.StatusText, u.StatusErrno
		all["Restart"], all["StartLimitIntervalUSec"], all["RestartUSec"] = u.Restart, u.StartLimitIntervalUSec, u.RestartUSec
		all["ExecMainStartTimestampMonotonic"], all["ExecMainExitTimestampMonotonic"] = u.ExecMainStartMonotonic, u.ExecMainExitMonotonic
		for _, setting := range []string{"ExecStartPre", "ExecStartPost", "ExecStopPost"} {
			all[setting] = commands(u, setting)
		}
		all["NRestarts"], all["MainPID"] = u.NRestarts, u.MainPID
		all["ExecMainCode"], all["ExecMainStatus"] = u.ExecMainCode, u.ExecMainStatus
	}
	variants := make(map[string]dbus.Variant, len(all))
	for key, value := range all {
		variants[key] = dbus.MakeVariant(value)
	}
	return variants
}

// command is a command of a service as a D-Bus property.
type command struct {
	Path                                       string
	Arguments                                  []string
	Ignored                                    bool
	Start, StartMonotonic, Exit, ExitMonotonic uint64
	PID                                        uint32
	Code, Status                               int32
}

func commands(u systemd.Unit, setting string) []command {
	list := []command{{Path: "/bin/true"}} // which has not run yet
	for _, c := range u.Commands {
		if c.Setting == setting {
			list = append(list, command{Path: "/bin/true", ExitMonotonic: c.ExitMonotonic, Code: c.Code, Status: c.Status})
		}
	}
	return list
}

// nameOf returns the unit of an object path. A unit that does not exist has one, too.
func (m *Manager) nameOf(object dbus.ObjectPath) string {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for name := range m.units {
		if objectPath(name) == object {
			return name
		}
	}
	return "unknown.service"
}

func text(arguments []any, n int) string {
	if n >= len(arguments) {
		return ""
	}
	s, _ := arguments[n].(string)
	return s
}

func words(arguments []any, n int) []string {
	if n >= len(arguments) {
		return nil
	}
	s, _ := arguments[n].([]string)
	return s
}
