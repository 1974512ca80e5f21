package busclient

import (
	"maps"
	"slices"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/archipelago-os/archipelago/healthd/busclient/bustest"
)

// manager is a healthd that knows some apps.
type manager struct{}

type listed struct{ ID, State, Reason, Level string }

func (manager) ListApps() ([]listed, *dbus.Error) {
	return []listed{
		{"lnd", "running", "", "serving"},
		{"bitcoin", "running", "", "synced"},
		{"electrs", "running", "not-ready-yet", "loading"},
		{"silent", "running", "not-serving", "silent"},
		{"tor", "running", "", ""}, // it has no probe
		{"pages", "starting", "", "serving"},
	}, nil
}

// TestServing: only an app that runs and has answered that it serves counts. Without a bus or healthd there is none.
func TestServing(t *testing.T) {
	t.Parallel()
	daemon := bustest.New(t)
	bus := Bus{Address: daemon.Address}
	if found := bus.Serving(t.Context()); len(found) != 0 {
		t.Errorf("without healthd: %v", found)
	}
	healthd, err := bus.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer Close(healthd)
	if err := healthd.Export(manager{}, Path, Name); err != nil {
		t.Fatal(err)
	}
	if _, err := healthd.RequestName(Name, 0); err != nil {
		t.Fatal(err)
	}
	found := bus.Serving(t.Context())
	maps.DeleteFunc(found, func(_ string, serves bool) bool { return !serves })
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, []string{"bitcoin", "lnd"}) {
		t.Errorf("%v", got)
	}
	daemon.Stop()
	if found := bus.Serving(t.Context()); len(found) != 0 {
		t.Errorf("without a bus: %v", found)
	}
}
