package updater

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/snapshot"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/update"
)

const container = "container: {image: 'localhost/x:1', volumes: [{name: data, target: /data}]}"

// TestUpdate: a release that serves stays, one that does not is rolled back and refused.
func TestUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("web", container)
	for _, c := range []struct {
		what    string
		before  func()
		told    []string
		version string
		sum     Summary
	}{
		{"nothing", func() {}, []string{"left web: up to date"}, "1", Summary{}},
		{
			"good", func() { w.offer("web", "2", 2, container) },
			[]string{"event web: update from 1 (revision 1) to 2 (revision 2)", "event web: 2 (revision 2) serves; on trial until 2026-12-01 12:10:00", "web: 2 (revision 2) serves; on trial until 2026-12-01 12:10:00"},
			"2",
			Summary{Updated: 1},
		},
		{
			"bad", func() { w.offer("web", "3", 3, container); w.outcomes["web 3"] = reconcile.RolledBack },
			[]string{
				"event web: update from 2 (revision 2) to 3 (revision 3)", "event web: rolling back 3 (revision 3): it ended",
				"event web: 3 (revision 3) was rolled back, and 2 (revision 2) serves: it ended", "web: 3 (revision 3) was rolled back, and 2 (revision 2) serves: it ended",
			},
			"2",
			Summary{NotUpdated: 1},
		},
		{"refused", func() {}, []string{"failed web: not updated: refused on 2026-12-01: it ended (archgen update --retry web)"}, "2", Summary{NotUpdated: 1}},
	} {
		c.before()
		w.told = nil
		sum, err := w.Update(t.Context(), named, []string{"web"}, nil)
		sum.Results = nil
		if d := cmp.Diff(c.told, w.told); err != nil || d != "" || w.version("web") != c.version || !cmp.Equal(sum, c.sum) {
			t.Errorf("%s: %+v, %v, version %s; told -want +got:\n%s", c.what, sum, err, w.version("web"), d)
		}
	}
}

// TestOneWay: a release whose data can't be restored is installed for one who names the app, and stays.
func TestOneWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("web", container)
	w.offer("web", "2", 2, container+", data: {format: 2, reads: 1}, update: {restore: never}")
	w.outcomes["web 2"] = reconcile.NotServing
	if sum, err := w.Update(t.Context(), Options{Ask: update.Ask{All: true}}, nil, nil); err != nil || sum.Updated+sum.NotUpdated > 0 || w.version("web") != "1" {
		t.Fatalf("%+v, %v: it is installed unasked", sum, err)
	}
	if err := w.Machine.Store.SaveDataFormat("web", 2); err != nil { // the start of the release records it
		t.Fatal(err)
	}
	j := &update.Journal{App: "web", Reads: 1}
	if converted, err := (&host{w.Runner}).HasConverted(j); err != nil || !converted {
		t.Errorf("the data is not converted: %v", err)
	}
	if err := w.Machine.Store.SaveDataFormat("web", 0); err != nil {
		t.Fatal(err)
	}
	if converted, err := (&host{w.Runner}).HasConverted(j); err != nil || converted {
		t.Errorf("the data is converted: %v", err)
	}
	w.told = nil
	sum, err := w.Update(t.Context(), Options{Ask: update.Ask{Named: true}}, []string{"web"}, nil)
	if err != nil || sum.NotUpdated != 1 || w.version("web") != "1" {
		t.Errorf("%+v, %v: it did not start, so its data is as it was; version %s", sum, err, w.version("web"))
	}
	const warning = "warned web: 2 (revision 2) converts the data, and 1 (revision 1) can't read it then. It stays also if it does not serve: older data would do harm (update.restore: never)"
	if !slices.Contains(w.told, warning) || slices.Contains(w.passes, "stop web 1") {
		t.Errorf("told %q, passes %q", w.told, w.passes)
	}
}

// TestUnsaved: an app whose data can't be saved is not stopped for it, however often an update is asked for.
func TestUnsaved(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ driver, size, want string }{
		"too large":   {"local", "3221225472", "web.data: a copy takes 3 GiB that the file system can't share (reflink), and the limit is 2 GiB"},
		"of a plugin": {"other", "0", "the volume web.data is on a device or of a volume plugin, so archgen can take no snapshot of it"},
	} {
		w := newWorld(t)
		w.install("web", container)
		w.offer("web", "2", 2, container+", data: {format: 2, reads: 1}")
		volume := filepath.Join(w.Machine.Volumes, "web.data")
		if err := os.MkdirAll(volume, 0o700); err != nil {
			t.Fatal(err)
		}
		w.podman["volume inspect"] = fmt.Sprintf(`[{"Driver": %q, "Mountpoint": %q}]`, c.driver, filepath.Join(volume, "_data"))
		w.podman["unshare"] = c.size
		for _, ask := range []update.Ask{{All: true}, {Named: true}} {
			w.told = nil
			sum, err := w.Update(t.Context(), Options{Ask: ask}, []string{"web"}, nil)
			want := []string{"failed web: not updated: its data can't be saved: " + c.want + " (archgen update --without-snapshot web)"}
			if d := cmp.Diff(want, w.told); err != nil || sum.NotUpdated != 1 || len(w.passes) > 0 || d != "" {
				t.Errorf("%s: %+v, %v, passes %q; told -want +got:\n%s", what, sum, err, w.passes, d)
			}
		}
		sum, err := w.Update(t.Context(), Options{Ask: update.Ask{Named: true}, WithoutSnapshot: true}, []string{"web"}, nil)
		if err != nil || sum.Updated != 1 || w.version("web") != "2" {
			t.Errorf("%s: without a snapshot: %+v, %v, version %s", what, sum, err, w.version("web"))
		}
	}
}

// TestUndoneDataFormat: an earlier release that can't read the data is not returned to, and the error says so.
func TestUndoneDataFormat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("web", container+", data: {format: 1}")
	w.offer("web", "2", 2, container+", data: {format: 2, reads: 1}, update: {restore: never}")
	if sum, err := w.Update(t.Context(), Options{Ask: update.Ask{Named: true}}, []string{"web"}, nil); err != nil || sum.Updated != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if err := w.Machine.Store.SaveDataFormat("web", 2); err != nil { // the start of the release records it
		t.Fatal(err)
	}
	w.told = nil
	sum, err := w.Update(t.Context(), Options{Ask: update.Ask{Named: true}, Undo: true}, []string{"web"}, nil)
	want := []string{"failed web: not updated: does not fit: web.yaml:1:144: error: the data of web has format 2, and this version reads at most 1: install a version that reads it"}
	if d := cmp.Diff(want, w.told); err != nil || sum.NotUpdated != 1 || w.version("web") != "2" || d != "" {
		t.Errorf("%+v, %v, version %s; told -want +got:\n%s", sum, err, w.version("web"), d)
	}
}

// TestStopIsRepeated: a start that another unit asks for cancels the job of a stop, so that a pass ends while
// the app still runs. Its data is not touched before it has ended.
func TestStopIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("web", container)
	_, want, err := w.Source.Installed()
	if err != nil {
		t.Fatal(err)
	}
	app, _ := want.Find("web")
	if err := w.Machine.Files().Restore(app.Files); err != nil {
		t.Fatal(err)
	}
	w.run("web", systemd.Unit{})
	pass := w.Pass
	w.Pass = func(ctx context.Context, ids []string, asked func(string) units.Kind) (reconcile.Report, error) {
		if len(w.passes) == 1 {
			w.systemd.Set(systemd.Unit{Name: units.ServiceName("web"), LoadState: "loaded", ActiveState: "inactive"})
		}
		return pass(ctx, ids, asked)
	}
	if err := (&host{w.Runner}).stop(t.Context(), &update.Journal{App: "web"}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"stop web 1", "stop web 1"}, w.passes); d != "" {
		t.Errorf("passes: -want +got:\n%s", d)
	}
}

// TestSaveChecksFirst: an app is up while Podman is asked whether its volumes can be saved.
func TestSaveChecksFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("web", container)
	w.podman["volume inspect"] = `[{"Driver": "other"}]`
	err := (&host{w.Runner}).Save(t.Context(), &update.Journal{App: "web", Volumes: []string{"web.data"}})
	if reason, ok := errors.AsType[*snapshot.Error](err); !ok || reason.Reason != snapshot.Unsupported || len(w.passes) > 0 {
		t.Errorf("%v, passes %q", err, w.passes)
	}
}
