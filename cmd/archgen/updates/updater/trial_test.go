package updater

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/update"
)

// named is an update of apps that an operator names.
var named = Options{Ask: update.Ask{Named: true}}

const (
	provides = "container: {image: 'localhost/x:1', ports: [{name: web, container: 80}]}, provides: [{capability: page, port: web}]"
	requires = "container: {image: 'localhost/x:1'}, requires: [{capability: page}]"
)

// begun is a world in which a release of web is on trial, and shelf needs it.
func begun(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.install("web", provides)
	w.install("shelf", requires)
	if err := os.MkdirAll(filepath.Join(w.apps, "shelf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.apps, "shelf.d/grants.toml"), []byte("allow = [\"use\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.offer("web", "2", 2, provides)
	if sum, err := w.Update(t.Context(), named, []string{"web"}, nil); err != nil || sum.Updated != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	w.told, w.passes = nil, nil
	return w
}

// anything is the request of an apply.
func anything(string) units.Kind { return "" }

// TestTrial: what ends a trial, and what the machine has afterwards.
func TestTrial(t *testing.T) {
	t.Parallel()
	const back = "web: 2 (revision 2) was rolled back, and 1 (revision 1) serves: "
	for what, c := range map[string]struct {
		change func(*world)
		// told is the end of the trial, empty if it continues.
		told, version string
	}{
		"it serves":        {func(*world) {}, "", "2"},
		"the time is over": {func(w *world) { w.clock = w.clock.Add(10 * time.Minute) }, "web: 2 (revision 2) has passed its trial", "2"},
		"it ends": {
			func(w *world) { w.clock = w.clock.Add(20 * time.Second); w.run("web", systemd.Unit{NRestarts: 1}) },
			back + "app@web.service ended by itself 20s after it served", "1",
		},
		"what needs it breaks": {
			func(w *world) { w.run("shelf", systemd.Unit{NRestarts: 3}) },
			back + "app@shelf.service ended by itself 0s after it served", "1",
		},
		"it has converted the data": {
			func(w *world) {
				w.run("web", systemd.Unit{NRestarts: 1})
				if err := w.Machine.Store.SaveDataFormat("web", 2); err != nil {
					w.t.Fatal(err)
				}
			},
			"web: 2 (revision 2) does not serve, and stays: it has converted the data, and 1 (revision 1) can't read it: " +
				"app@web.service ended by itself 0s after it served; see archgen logs web", "2",
		},
		"it is stopped": {
			func(w *world) {
				w.systemd.Set(systemd.Unit{Name: "app@web.service", LoadState: "loaded", ActiveState: "inactive"})
			},
			"web: the update to 2 (revision 2) ended: it was stopped in its trial", "2",
		},
		"an overlay is added": {
			func(w *world) {
				w.run("web", systemd.Unit{NRestarts: 1})
				if err := os.MkdirAll(filepath.Join(w.apps, "web.d"), 0o755); err != nil {
					w.t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(w.apps, "web.d/mine.yaml"), []byte("app: {container: {env: {A: b}}}\n"), 0o600); err != nil {
					w.t.Fatal(err)
				}
			},
			"web: the update to 2 (revision 2) ended: it was changed or removed in its trial", "2",
		},
		"it is removed": {
			func(w *world) {
				if err := os.Remove(filepath.Join(w.apps, "web.yaml")); err != nil {
					w.t.Fatal(err)
				}
			},
			"web: the update to 2 (revision 2) ended: it was changed or removed in its trial", "",
		},
	} {
		w := begun(t)
		c.change(w)
		if err := w.Resume(t.Context(), anything); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		isTold := slices.Contains(w.told, c.told)
		on, err := w.Machine.Store.Trial("web")
		if err != nil || c.told == "" && (len(w.told) > 0 || on == nil) || c.told != "" && (!isTold || on != nil) || w.version("web") != c.version {
			t.Errorf("%s: told %q, version %q, on trial %v, %v", what, w.told, w.version("web"), on != nil, err)
		}
		w.told = nil
		if err := w.Resume(t.Context(), anything); err != nil || len(w.told) > 0 {
			t.Errorf("%s, once more: told %q, %v", what, w.told, err)
		}
	}
}

// TestRolledBack: the release that was rolled back in its trial is refused, and there is no update to undo.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	w := begun(t)
	w.run("web", systemd.Unit{NRestarts: 1})
	if err := w.ResumeApp(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"restart web 1"}, w.passes); d != "" {
		t.Errorf("passes: -want +got:\n%s", d)
	}
	w.told = nil
	if _, err := w.Update(t.Context(), named, []string{"web"}, nil); err != nil {
		t.Fatal(err)
	}
	want := []string{"failed web: not updated: refused on 2026-12-01: app@web.service ended by itself 0s after it served (archgen update --retry web)"}
	if d := cmp.Diff(want, w.told); d != "" {
		t.Errorf("told: -want +got:\n%s", d)
	}
	w.told = nil
	undo := named
	undo.Undo = true
	if _, err := w.Update(t.Context(), undo, []string{"web"}, nil); err != nil || !slices.Equal(w.told, []string{"failed web: there is no update to undo"}) {
		t.Errorf("told %q, %v", w.told, err)
	}
}

// TestNextUpdate: another update of an app ends its trial, and what it undoes has none.
func TestNextUpdate(t *testing.T) {
	t.Parallel()
	w := begun(t)
	undo := named
	undo.Undo = true
	if sum, err := w.Update(t.Context(), undo, []string{"web"}, nil); err != nil || sum.Updated != 1 || w.version("web") != "1" {
		t.Fatalf("%+v, %v", sum, err)
	}
	if on, err := w.Machine.Store.Trial("web"); on != nil || err != nil {
		t.Errorf("on trial: %v, %v", on, err)
	}
	w.offer("web", "3", 3, provides)
	w.offer("shelf", "3", 3, requires+", update: {trial: 1h}")
	if sum, err := w.Update(t.Context(), Options{Ask: update.Ask{All: true}}, nil, nil); err != nil || sum.Updated != 2 {
		t.Fatalf("%+v, %v", sum, err)
	}
	list, err := w.Machine.Store.Trials()
	if err != nil || len(list) != 2 || list[0].Trial.Until.Sub(list[0].Trial.Since) != time.Hour {
		t.Errorf("%+v, %v", list, err)
	}
	// shelf has its own release now, which is to blame.
	w.run("shelf", systemd.Unit{NRestarts: 1})
	w.told = nil
	if err := w.Resume(t.Context(), anything); err != nil {
		t.Fatal(err)
	}
	if w.version("shelf") != "1" || w.version("web") != "3" {
		t.Errorf("shelf %s, web %s; told %q", w.version("shelf"), w.version("web"), w.told)
	}
}

// TestAsked: the trial of an app that an operator asks something of is left.
func TestAsked(t *testing.T) {
	t.Parallel()
	w := begun(t)
	w.run("web", systemd.Unit{NRestarts: 1})
	if err := w.Resume(t.Context(), func(string) units.Kind { return units.Restart }); err != nil || len(w.told) > 0 {
		t.Errorf("told %q, %v", w.told, err)
	}
}

// TestWithData: an operator returns to the release before with its data, while that is kept.
func TestWithData(t *testing.T) {
	t.Parallel()
	back := named
	back.Undo, back.WithData = true, true
	w := begun(t)
	store := w.Machine.Store
	if _, err := w.Update(t.Context(), back, []string{"web"}, nil); err != nil || !slices.Equal(w.told, []string{"failed web: there is no snapshot of its data from before the last update"}) {
		t.Fatalf("told %q, %v", w.told, err)
	}
	on, err := store.Trial("web")
	if err != nil || on == nil {
		t.Fatal(on, err)
	}
	kept := update.Kept{
		App: "web", From: on.From.Origin, Format: 1, Volumes: []string{"web.data"}, Saved: map[string]json.RawMessage{"web.data": json.RawMessage("{}")},
		At: w.clock, Until: w.clock.Add(time.Hour),
	}
	volume := filepath.Join(w.Machine.Volumes, "web.data")
	if err := errors.Join(store.SaveKeptSnapshot(kept), store.SaveDataFormat("web", 2), os.MkdirAll(volume, 0o700)); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(w.apps, "web.d/mine.yaml")
	if err := errors.Join(os.MkdirAll(filepath.Dir(overlay), 0o755), os.WriteFile(overlay, []byte("app: {update: {restore: never}}\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	w.told = nil
	if _, err := w.Update(t.Context(), back, []string{"web"}, nil); err != nil || !slices.Contains(w.told, "failed web: its data is not restored: older data would do harm (update.restore: never)") {
		t.Fatalf("told %q, %v", w.told, err)
	}
	if err := errors.Join(os.RemoveAll(filepath.Dir(overlay)), store.SaveTrial(on)); err != nil {
		t.Fatal(err)
	}
	w.told = nil
	sum, err := w.Update(t.Context(), back, []string{"web"}, nil)
	want := []string{
		"warned web: what it has written since 2026-12-01 12:00:00 is lost", "event web: rolling back 2 (revision 2): undone, with its data",
		"event web: 2 (revision 2) was rolled back, and 1 (revision 1) serves: undone, with its data",
		"web: 2 (revision 2) was rolled back, and 1 (revision 1) serves: undone, with its data",
	}
	if d := cmp.Diff(want, w.told); d != "" || err != nil || sum.Updated != 1 || w.version("web") != "1" {
		t.Errorf("%+v, %v, version %s; told -want +got:\n%s", sum, err, w.version("web"), d)
	}
	if d := cmp.Diff([]string{"stop web 2 blocked", "web 1 blocked", "start web 1"}, w.passes); d != "" {
		t.Errorf("passes: -want +got:\n%s", d)
	}
	format, err1 := store.DataFormat("web")
	left, err2 := store.KeptSnapshot("web")
	on, err3 := store.Trial("web")
	if err := errors.Join(err1, err2, err3); err != nil || format != 1 || left != nil || on != nil {
		t.Errorf("format %d, snapshot %v, on trial %v, %v", format, left, on, err)
	}
}

// TestSnapshotsExpire: snapshots that were kept for long enough are removed, and those of an update before
// the last one.
func TestSnapshotsExpire(t *testing.T) {
	t.Parallel()
	w := begun(t)
	store := w.Machine.Store
	isKept := func() bool {
		k, err := store.KeptSnapshot("web")
		if err != nil {
			t.Fatal(err)
		}
		return k != nil
	}
	j := &update.Journal{App: "web", Volumes: []string{"web.data"}, Saved: map[string]json.RawMessage{"web.data": json.RawMessage("{}")}, Began: w.clock}
	if err := (&host{w.Runner}).Shelve(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	w.clock = w.clock.Add(keepTime - time.Second)
	if err := w.Resume(t.Context(), anything); err != nil || !isKept() {
		t.Errorf("it is gone too soon: %v", err)
	}
	w.clock = w.clock.Add(time.Second)
	if err := w.Resume(t.Context(), anything); err != nil || isKept() {
		t.Errorf("it is left: %v", err)
	}
	if err := (&host{w.Runner}).Shelve(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	of := func(digest string) update.Release { return update.Release{Origin: update.Origin{Digest: digest}} }
	if err := (&host{w.Runner}).Shelve(t.Context(), &update.Journal{App: "web", From: of("2"), To: of("")}); err != nil || !isKept() {
		t.Errorf("that of the release which it has again is gone: %v", err)
	}
	if err := (&host{w.Runner}).Shelve(t.Context(), &update.Journal{App: "web", From: of("2"), To: of("3")}); err != nil || isKept() {
		t.Errorf("that of an earlier update is left: %v", err)
	}
}

// TestTryUnreadable: no trial begins that would end because a manifest could not be read.
func TestTryUnreadable(t *testing.T) {
	t.Parallel()
	w := begun(t)
	if err := errors.Join(w.Machine.Store.EndTrial("web"), os.Rename(w.apps, w.apps+".away"), os.WriteFile(w.apps, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if until, err := (&host{w.Runner}).Try(t.Context(), &update.Journal{App: "web", TrialTime: time.Minute}); err == nil {
		t.Errorf("until %v", until)
	}
	if on, err := w.Machine.Store.Trial("web"); on != nil || err != nil {
		t.Errorf("on trial: %v, %v", on, err)
	}
}

// TestSnapshotsAreReplaced: what is kept of an earlier update is forgotten before its snapshots are replaced,
// so that there is never a record of others.
func TestSnapshotsAreReplaced(t *testing.T) {
	t.Parallel()
	w := begun(t)
	store := w.Machine.Store
	volume := filepath.Join(w.Machine.Volumes, "web.data")
	if err := errors.Join(store.SaveKeptSnapshot(update.Kept{App: "web", Volumes: []string{"web.data"}}), os.MkdirAll(volume, 0o700)); err != nil {
		t.Fatal(err)
	}
	w.podman["volume inspect"] = fmt.Sprintf(`[{"Driver": "local", "Mountpoint": %q}]`, filepath.Join(volume, "_data"))
	j := &update.Journal{App: "web", Volumes: []string{"web.data"}}
	w.volumes["save"] = "" // no snapshot is taken
	err := (&host{w.Runner}).Save(t.Context(), j)
	if kept, errKept := store.KeptSnapshot("web"); err == nil || kept != nil || errKept != nil {
		t.Errorf("%v; kept %v, %v", err, kept, errKept)
	}
	if _, left := os.Stat(filepath.Join(volume, units.VolumeBlock)); !errors.Is(left, fs.ErrNotExist) || !slices.Contains(w.passes, "stop web 2 blocked") {
		t.Errorf("passes %q, and then the block: %v", w.passes, left)
	}
}

// TestTrialOfEdited: a template that an operator has edited stays in an update, and does not end the
// trial. Another edit does.
func TestTrialOfEdited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const app = "container: {image: 'localhost/x:1', files: [{template: a.conf, target: /etc/a.conf}]}"
	beside := func(text string) {
		t.Helper()
		path := filepath.Join(w.apps, "web.files/a.conf")
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	offer := func(version string, revision int) catalog.Entry {
		e := w.offer("web", version, revision, app)
		e.Templates = map[string][]byte{"a.conf": []byte("a")}
		w.entries["web"] = e
		return e
	}
	w.install("web", app)
	beside("mine")
	if err := w.Machine.Store.SaveOrigin("web", updates.ReleaseOf(offer("1", 1))); err != nil {
		t.Fatal(err)
	}
	offer("2", 2)
	if sum, err := w.Update(t.Context(), named, []string{"web"}, nil); err != nil || sum.Updated != 1 {
		t.Fatalf("%+v, %v, %q", sum, err, w.told)
	}
	w.told = nil
	resume := func() {
		t.Helper()
		if err := w.Resume(t.Context(), anything); err != nil {
			t.Error(err)
		}
	}
	resume()
	if on, err := w.Machine.Store.Trial("web"); err != nil || on == nil || len(w.told) > 0 {
		t.Errorf("on trial %v, %v, %q", on != nil, err, w.told)
	}
	beside("another")
	resume()
	if want := "web: the update to 2 (revision 2) ended: it was changed or removed in its trial"; !slices.Contains(w.told, want) {
		t.Errorf("%q", w.told)
	}
}
