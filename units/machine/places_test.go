package machine_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/podman/podmantest"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// TestPlaces: Podman is asked once for each version and each change of its configuration, and a
// program that does not run it uses the answer.
func TestPlaces(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	getenv := func(name string) string { return map[string]string{"HOME": home}[name] }
	fake := &podmantest.Podman{Answers: map[string]string{"info": `{"graphRoot": "/data", "volumePath": "/volumes"}`}}
	store := statedir.Store{State: filepath.Join(home, "state"), Now: time.Now}
	version := "5.4.2"
	of := func(b machine.Base) *machine.PodmanPlaces {
		return &machine.PodmanPlaces{Base: b, Getenv: getenv, Version: func() string { return version }}
	}
	daemon := of(machine.Base{Store: store}) // it runs on, while each command is a new one
	write := func(file, text string) {
		t.Helper()
		file = filepath.Join(home, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	usual := units.DefaultPlaces(units.User)
	said := units.Places{Networks: "/data/networks", Volumes: "/volumes"}
	config := ".config/containers/containers.conf"
	for _, step := range []struct {
		name   string
		change func()
		want   units.Places
		// daemon is what a program that does not run Podman uses before Podman is asked.
		daemon units.Places
		asked  int
	}{
		{"no state directory", func() {}, said, usual, 1},
		{"nothing changed", func() {}, said, said, 0},
		{"another version", func() { version = "5.8.0" }, said, said, 1},
		{"a setting", func() { write(config, "[network]\nnetwork_config_dir = \"/nets\"\n") }, units.Places{Networks: "/nets", Volumes: "/volumes"}, units.Places{Volumes: usual.Volumes}, 1},
		{"nothing changed", func() {}, units.Places{Networks: "/nets", Volumes: "/volumes"}, units.Places{Networks: "/nets", Volumes: "/volumes"}, 0},
		{"one more file", func() { write(config+".d/x.conf", "") }, units.Places{Networks: "/nets", Volumes: "/volumes"}, units.Places{Volumes: usual.Volumes}, 1},
		{"the default", func() {
			write(config, "")
			fake.Answers["info"] = `{"graphRoot": "` + home + `/.local/share/containers/storage", "volumePath": "` + home + `/link"}`
			write(".local/share/containers/storage/volumes/x", "")
			if err := os.Symlink(home+"/.local/share/containers/storage/volumes", home+"/link"); err != nil {
				t.Fatal(err)
			}
		}, usual, usual, 1},
		{"a damaged answer", func() { write("state/podman.json", "{"); fake.Answers["info"] = "{}" }, usual, usual, 1},
		{"no answer", func() { delete(fake.Answers, "info"); write(config, "[engine]\nvolume_path = \"/v\"\n") }, units.Places{Networks: usual.Networks}, units.Places{Networks: usual.Networks}, 1},
	} {
		step.change()
		if got := daemon.Find(); got != step.daemon {
			t.Errorf("%s: without Podman %+v, want %+v", step.name, got, step.daemon)
		}
		fake.Asked = nil
		if got := of(machine.Base{Store: store, Podman: fake.Run}).Find(); got != step.want || len(fake.Asked) != step.asked {
			t.Errorf("%s: %+v, want %+v; Podman was asked %q", step.name, got, step.want, fake.Asked)
		}
	}
}
