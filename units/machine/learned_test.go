package machine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// TestPodmanVersion: Podman is asked once, and again after an upgrade.
func TestPodmanVersion(t *testing.T) {
	bin, run := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	asked := filepath.Join(bin, "asked")
	install := func(version string) {
		t.Helper()
		script := "#!/bin/sh\necho >>" + asked + "\necho podman version " + version + "\n"
		if err := os.WriteFile(filepath.Join(bin, "new"), []byte(script), 0o755); err != nil { //nolint:gosec // it has to be executable
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(bin, "new"), filepath.Join(bin, "podman")); err != nil {
			t.Fatal(err)
		}
	}
	b := Base{Store: statedir.Store{Runtime: run}}
	for i, version := range []string{"5.4.2", "5.8.0"} {
		install(version)
		for range 2 {
			if got := b.PodmanVersion(); got != version {
				t.Errorf("%q, want %q", got, version)
			}
		}
		if text, err := os.ReadFile(asked); len(text) != i+1 || err != nil {
			t.Errorf("%s: Podman was asked %d times, %v", version, len(text), err)
		}
	}
	if err := os.Remove(filepath.Join(bin, "podman")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	if got := b.PodmanVersion(); got != "" {
		t.Errorf("without Podman: %q", got)
	}
}

// TestStartsAreKept: a command that changes the machine keeps the starts that it has read, and the
// next one reads only whether they are still the last ones.
func TestStartsAreKept(t *testing.T) {
	fake := systemdtest.New(t)
	const name = "app@a.service"
	set := func(invocation string) {
		fake.Set(systemd.Unit{Name: name, ActiveState: "active", InvocationID: invocation, MainPID: 7, ControlGroup: "/a"})
	}
	run := t.TempDir()
	steps := []struct {
		invocation string
		learns     bool
	}{{"01", false}, {"01", true}, {"01", true}, {"02", true}, {"02", false}}
	written, gets := make([]bool, 0, len(steps)), make([]int, 0, len(steps))
	for i, step := range steps {
		set(step.invocation)
		m := &Machine{Base: Base{Store: statedir.Store{Runtime: run}}, Services: Services{Manager: fake.Connect()}, learns: step.learns}
		m.recallStarts()
		before := len(fake.Calls("Get"))
		found, err := m.Services.Manager.Current(t.Context(), name)
		if err != nil || found[0].InvocationID != step.invocation || found[0].MainPID != 7 {
			t.Errorf("step %d: %+v, %v", i, found, err)
		}
		gets = append(gets, len(fake.Calls("Get"))-before)
		file := filepath.Join(run, string(statedir.LearnedStarts))
		was, _ := os.Stat(file)
		m.Close()
		is, err := os.Stat(file)
		written = append(written, err == nil && (was == nil || !os.SameFile(was, is)))
	}
	if d := cmp.Diff([]int{7, 7, 1, 7, 1}, gets); d != "" {
		t.Errorf("properties that were read (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]bool{false, true, false, true, false}, written); d != "" {
		t.Errorf("written (-want +got):\n%s", d)
	}
}

// TestContainersAreKept by the invocation of their services. Another invocation has another
// container.
func TestContainersAreKept(t *testing.T) {
	t.Parallel()
	gone := t.TempDir() // the process remembers which groups it saw
	known := &starts{list: map[string]podman.Running{"01": {ID: "c", Digest: "d", Payload: gone}}}
	u := systemd.Current{InvocationID: "01", MainPID: 1 << 30}
	if r, err := known.look(u); r.Digest != "d" || r.Ended || err != nil {
		t.Errorf("a group that was never seen: %+v, %v", r, err)
	}
	known.list["01"].Saw("/")
	if r, err := known.look(u); r.Digest != "d" || !r.Ended || err != nil {
		t.Errorf("a group that is gone: %+v, %v", r, err)
	}
	u.InvocationID = "02"
	for _, k := range []*starts{known, nil} {
		if r, err := k.look(u); !errors.Is(err, podman.ErrNone) {
			t.Errorf("another invocation: %+v, %v", r, err)
		}
	}
	if len(known.list) != 1 {
		t.Errorf("what does not run is kept: %v", known.list)
	}
}
