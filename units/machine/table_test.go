package machine

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// withTable returns services that keep a table, and those that don't.
func withTable(t *testing.T, fake *systemdtest.Manager) (kept, read Services) {
	t.Helper()
	kept = Services{Manager: fake.Connect(), Scope: units.User, Known: &Table{}}
	<-kept.Manager.Events(t.Context())
	return kept, Services{Manager: fake.Connect(), Scope: units.User}
}

// all observes the services of three apps.
func all(ctx context.Context, t rapid.TB, s Services) map[string]units.Unit {
	t.Helper()
	found, err := s.Observe(ctx, []string{"app@0.service", "app@1.service", "app@2.service", units.PullOf("0")}, true)
	if err != nil {
		t.Fatal(err)
	}
	for name, u := range found {
		u.Up = 0 // it grows
		found[name] = u
	}
	return found
}

// TestTableReadsWhatChanged: services are read again only if something happened to them.
func TestTableReadsWhatChanged(t *testing.T) {
	fake := systemdtest.New(t)
	kept, _ := withTable(t, fake)
	started := systemd.Unit{Name: "app@0.service", ActiveState: "active", SubState: "exited", InvocationID: "01", InactiveExitTimestamp: 1}
	fake.Set(started, systemd.Unit{Name: "app@1.service", ActiveState: "failed", Result: "exit-code", InvocationID: "02"})
	restarted := started
	restarted.InvocationID = "03"
	other := systemd.Unit{Name: "app@new.service", ActiveState: "failed", InvocationID: "04"}
	// The third service is not loaded, and is listed by name. Of each loaded one, one property tells
	// whether its files changed.
	lists, start, reads := 2, 7, 1
	for _, c := range []struct {
		name               string
		happens            func()
		lists, gets, reads int
		invocation         string
	}{
		{"first", func() {}, lists, start + 2, reads, "01"},
		{"nothing", func() {}, 0, 2, 0, "01"},
		{"restart", func() { fake.Set(restarted) }, lists, start + 2, 0, "03"},
		{"new service", func() { fake.Set(other) }, lists, 3, reads, "03"},
		{"nothing again", func() {}, 0, 3, 0, "03"},
		{"unit of another program", func() { fake.Set(systemd.Unit{Name: "podman.service"}) }, 0, 3, 0, "03"},
		{"forgotten unit that was checked", func() { fake.Remove("app@2.service") }, 0, 3, 0, "03"},
		{"reload", func() { _ = kept.Manager.Reload(t.Context()) }, lists, start + 3, 2 * reads, "03"},
	} {
		c.happens()
		before := [3]int{len(fake.Calls("ListUnitsByNames", "ListUnitsByPatterns")), len(fake.Calls("Get")), len(fake.Calls("GetAll"))}
		found := all(t.Context(), t, kept)
		if got := found["app@0.service"].Invocation; got != c.invocation {
			t.Errorf("%s: the start is %q, want %q", c.name, got, c.invocation)
		}
		after := [3]int{len(fake.Calls("ListUnitsByNames", "ListUnitsByPatterns")), len(fake.Calls("Get")), len(fake.Calls("GetAll"))}
		for i, want := range []int{c.lists, c.gets, c.reads} {
			if got := after[i] - before[i]; got != want {
				t.Errorf("%s: %d calls of kind %d, want %d", c.name, got, i, want)
			}
		}
	}
}

// TestTableReadsRestarted: a service that systemd has restarted is read each time, and the others are not
// listed for it.
func TestTableReadsRestarted(t *testing.T) {
	fake := systemdtest.New(t)
	kept, _ := withTable(t, fake)
	for i := range 3 {
		fake.Set(systemd.Unit{Name: fmt.Sprintf("app@%d.service", i), ActiveState: "active", SubState: "exited", InvocationID: "01", NRestarts: uint32(i / 2), InactiveExitTimestamp: 1})
	}
	all(t.Context(), t, kept)
	before := [2]int{len(fake.Calls("ListUnitsByPatterns")), len(fake.Calls("ListUnitsByNames"))}
	if found := all(t.Context(), t, kept); found["app@2.service"].Restarts != 1 || len(found) != 3 {
		t.Errorf("%+v", found)
	}
	if d := cmp.Diff([2]int{before[0], before[1] + 1}, [2]int{len(fake.Calls("ListUnitsByPatterns")), len(fake.Calls("ListUnitsByNames"))}); d != "" {
		t.Errorf("calls by pattern and by name (-want +have):\n%s", d)
	}
}

// TestTableIsExact: whatever happens, the table has what is read without it.
func TestTableIsExact(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		fake := systemdtest.New(t)
		kept, read := withTable(t, fake)
		starts := 0
		name := func() string {
			return rapid.SampledFrom([]string{"app@0.service", "app@1.service", "app@2.service", "app@new.service", units.PullOf("0")}).Draw(r, "unit")
		}
		actions := map[string]func(){
			"state": func() {
				starts++
				state := rapid.SampledFrom([][2]string{
					{"active", "running"}, {"active", "exited"}, {"inactive", "dead"}, {"failed", "failed"}, {"activating", "auto-restart"}, {"deactivating", "stop"},
				}).Draw(r, "state")
				fake.Set(systemd.Unit{
					Name: name(), ActiveState: state[0], SubState: state[1], InvocationID: fmt.Sprintf("%032x", starts), NRestarts: uint32(starts),
					NeedDaemonReload: rapid.Bool().Draw(r, "need"), InactiveExitTimestamp: 1,
				})
			},
			"remove": func() { fake.Remove(name()) },
			"start":  func() { _ = kept.Start(t.Context(), name()) }, // fails for a unit that does not exist
			"reload": func() {
				if err := read.Reload(t.Context()); err != nil {
					r.Fatal(err)
				}
			},
			"file": func() { fake.Touch(name()) },
		}
		for range 15 {
			actions[rapid.SampledFrom(slices.Sorted(maps.Keys(actions))).Draw(r, "action")]()
			if d := cmp.Diff(all(t.Context(), r, read), all(t.Context(), r, kept)); d != "" {
				r.Fatalf("read and kept differ (-read +kept):\n%s", d)
			}
		}
	})
}

// TestTableFollows: the control group of a container is read each time until it is watched, and then
// only after a change was reported.
func TestTableFollows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	state := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "cgroup.events"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const service = "app@web.service"
	payload := "../../.." + dir // below /sys/fs/cgroup
	table := &Table{}
	again := func() {
		table.rows = map[string]*row{service: {state: units.Unit{Active: units.Active}, container: podman.Running{ID: "1", Payload: payload}}}
	}
	isEnded := func() bool {
		t.Helper()
		return table.now(table.rows[service]).Active == units.Deactivating
	}
	again()
	for _, c := range []struct {
		name    string
		happens func()
		ended   bool
	}{
		{"live", func() { state("populated 1\nfrozen 0\n") }, false},
		{"ended", func() { state("populated 0\nfrozen 0\n") }, true},
		{"ended and watched", func() { table.Watch(map[string]string{payload: "web"}) }, true},
		{"live again", func() { state("populated 1\nfrozen 0\n") }, false},
		{"ended without a report", func() { state("populated 0\nfrozen 0\n") }, false},
		{"reported", func() { table.Touch("web"); again() }, true},
		{"live once more", func() { state("populated 1\nfrozen 0\n") }, false},
		{"not watched any more", func() { table.Watch(nil); state("populated 0\nfrozen 0\n") }, true},
	} {
		c.happens()
		if got := isEnded(); got != c.ended {
			t.Errorf("%s: ended %v, want %v", c.name, got, c.ended)
		}
	}
}
