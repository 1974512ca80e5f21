package systemd_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// changes is the marks since the last call, nil if anything may have changed.
func changes(t *testing.T, m *systemd.Manager) map[string]systemd.Mark {
	t.Helper()
	list, isKnown, err := m.Changes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !isKnown {
		return nil
	}
	return list
}

func TestChangesAreThoseSinceTheLastCall(t *testing.T) {
	for name, connect := range both {
		t.Run(name, func(t *testing.T) {
			fake := systemdtest.New(t)
			fake.Set(systemd.Unit{Name: app})
			m := connect(fake)
			for range 2 {
				if list := changes(t, m); list != nil {
					t.Errorf("without events: %v", list)
				}
			}
			expect(t, m.Events(t.Context()), resync)
			if list := changes(t, m); list != nil {
				t.Errorf("the first time: %v", list)
			}
			for what, c := range map[string]struct {
				happens func()
				want    map[string]systemd.Mark
			}{
				"nothing": {func() {}, map[string]systemd.Mark{}},
				"a state": {func() { fake.Set(systemd.Unit{Name: app}) }, map[string]systemd.Mark{app: systemd.Changed}},
				"a job": {func() {
					if _, err := m.Start(t.Context(), app, systemd.Replace); err != nil {
						t.Error(err)
					}
				}, map[string]systemd.Mark{app: systemd.Changed}},
				"an unloaded unit": {func() { fake.Remove("b.service") }, map[string]systemd.Mark{"b.service": systemd.Reread}},
				"a reload": {func() {
					if err := m.Reload(t.Context()); err != nil {
						t.Error(err)
					}
				}, nil},
			} {
				c.happens()
				if d := cmp.Diff(c.want, changes(t, m)); d != "" {
					t.Errorf("%s (-want +got):\n%s", what, d)
				}
				if list := changes(t, m); len(list) > 0 || list == nil {
					t.Errorf("%s, once more: %v", what, list)
				}
			}
		})
	}
}

// A change is marked before the answer to a later call.
func TestChangesAreComplete(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	expect(t, m.Events(t.Context()), resync)
	changes(t, m)
	for i := range 2000 {
		name := fmt.Sprintf("app@%d.service", i)
		fake.Set(systemd.Unit{Name: name})
		if d := cmp.Diff(map[string]systemd.Mark{name: systemd.Changed}, changes(t, m)); d != "" {
			t.Fatalf("-want +got:\n%s", d)
		}
	}
	for i := range systemd.MaxQueued + 1 {
		fake.Set(systemd.Unit{Name: fmt.Sprintf("app@%d.service", i)})
	}
	if list := changes(t, m); list != nil {
		t.Errorf("more than are kept: %d", len(list))
	}
}

// After a lost connection anything may have changed, until signals arrive again.
func TestChangesOfALostConnection(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	events := m.Events(t.Context())
	expect(t, events, resync)
	changes(t, m)
	fake.Drop()
	if list := changes(t, m); list != nil {
		t.Errorf("after it: %v", list)
	}
	expect(t, events, resync)
	changes(t, m) // the first time on the new one
	fake.Set(systemd.Unit{Name: app})
	if d := cmp.Diff(map[string]systemd.Mark{app: systemd.Changed}, changes(t, m)); d != "" {
		t.Errorf("afterwards (-want +got):\n%s", d)
	}
}
