package busclient

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/archipelago-os/archipelago/healthd/busclient/bustest"
	"github.com/archipelago-os/archipelago/units"
)

// TestWatch: there is word of each change, whether healthd is on the bus, and no more once
// the bus is gone.
func TestWatch(t *testing.T) {
	t.Parallel()
	daemon := bustest.New(t)
	bus := Bus{Address: daemon.Address}
	healthd, err := bus.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer Close(healthd)
	told := bus.Watch(t.Context())
	if <-told {
		t.Error("healthd is not on the bus, and is seen")
	}
	if _, err := healthd.RequestName(Name, 0); err != nil {
		t.Fatal(err)
	}
	if !<-told {
		t.Error("healthd is on the bus, and is not seen")
	}
	changed := func(member string) {
		t.Helper()
		if err := healthd.Emit(Path, member, Name, map[string]dbus.Variant{}, []string{}); err != nil {
			t.Fatal(err)
		}
	}
	changed(Name + ".Other") // is no change
	changed(Properties + ".PropertiesChanged")
	if !<-told {
		t.Error("after a change healthd is seen no more")
	}
	if _, err := healthd.ReleaseName(Name); err != nil {
		t.Fatal(err)
	}
	if <-told {
		t.Error("healthd is gone, and is seen")
	}
	daemon.Stop()
	if stands, more := <-told; more {
		t.Errorf("without a bus there still is word: %v", stands)
	}
	if _, more := <-bus.Watch(t.Context()); more {
		t.Error("there is word of a bus that is not there")
	}
}

// TestAddress: the environment says where the bus of a scope is, or it is where systemd puts
// it.
func TestAddress(t *testing.T) {
	runtime := t.TempDir()
	for variable, value := range map[string]string{"DBUS_SESSION_BUS_ADDRESS": "", "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/a,b", "XDG_RUNTIME_DIR": runtime} {
		t.Setenv(variable, value)
	}
	for scope, want := range map[units.Scope]string{units.User: "unix:path=" + filepath.Join(runtime, "bus"), units.System: "unix:path=/a,b"} {
		if got := addressOf(scope); got != want {
			t.Errorf("%s: %s, want %s", scope, got, want)
		}
	}
	if _, err := (Bus{Scope: units.User}).Connect(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a bus that is not there: %v", err)
	}
}
