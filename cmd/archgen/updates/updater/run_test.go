package updater

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
		w.haveVolume("web")
		w.podman["volume inspect"] = strings.Replace(w.podman["volume inspect"], "local", c.driver, 1)
		w.volumes["size"] = c.size
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

// TestUnclear: a release that declares no format may convert the data, so that is saved before it starts with
// another image, and restored if the release does not serve.
func TestUnclear(t *testing.T) {
	t.Parallel()
	const (
		next = "container: {image: 'localhost/x:2', volumes: [{name: data, target: /data}]}"
		warn = "warned web: its data is not saved before, which 2 (revision 2) may convert: "
	)
	named := Options{Ask: update.Ask{Named: true}}
	for what, c := range map[string]struct {
		was, is string
		options Options
		size    string
		outcome reconcile.Outcome
		passes  []string
		told    string
		version string
		isKept  bool
	}{
		"it serves": {
			was: container, is: next, passes: []string{"stop web 1 blocked", "start web 2"}, version: "2", isKept: true,
		},
		"it does not serve": {
			was: container, is: next, outcome: reconcile.NotServing, version: "1",
			passes: []string{"stop web 1 blocked", "start web 2", "stop web 2 blocked", "web 1 blocked", "start web 1"},
		},
		"the image is the same":      {was: container, is: container + ", description: X", passes: []string{"web 2"}, version: "2"},
		"the format is the same":     {was: container, is: next + ", data: {format: 1}", passes: []string{"web 2"}, version: "2"},
		"without a snapshot":         {was: container, is: next, options: Options{WithoutSnapshot: true}, passes: []string{"web 2"}, version: "2"},
		"the data is only read":      {was: container, is: strings.Replace(next, "/data}", "/data, read_only: true}", 1), passes: []string{"web 2"}, version: "2"},
		"the data can't be copied":   {was: container, is: next, size: "3221225472", passes: []string{"web 2"}, told: warn + "web.data: a copy takes 3 GiB that the file system can't share (reflink), and the limit is 2 GiB", version: "2"},
		"older data would do harm":   {was: container, is: next + ", update: {restore: never}", passes: []string{"web 2"}, version: "2"},
		"the volume is another's":    {was: container + ", volumes: {data: {existing: other}}", is: next + ", volumes: {data: {existing: other}}", passes: []string{"web 2"}, told: warn + "the volume data is not archgen's, so it takes no snapshot", version: "2"},
		"it had no volume until now": {was: "container: {image: 'localhost/x:1'}", is: next, passes: []string{"web 2"}, version: "2"},
	} {
		w := newWorld(t)
		w.install("web", c.was)
		w.grant("web", "volume-write:other")
		w.offer("web", "2", 2, c.is)
		w.haveVolume("web")
		w.volumes["size"] = "0"
		if c.size != "" {
			w.volumes["size"] = c.size
		}
		if c.outcome != "" {
			w.outcomes["web 2"] = c.outcome
		}
		c.options.Ask = named.Ask
		c.options.Allow = []string{update.AllowPublisher}
		if _, err := w.Update(t.Context(), c.options, []string{"web"}, nil); err != nil {
			t.Fatal(err)
		}
		kept, err := w.Machine.Store.KeptSnapshot("web")
		if d := cmp.Diff(c.passes, w.passes); d != "" || err != nil || w.version("web") != c.version || (kept != nil) != c.isKept {
			t.Errorf("%s: version %s, kept %v, %v; told %q; passes: -want +got:\n%s", what, w.version("web"), kept, err, w.told, d)
		}
		if i := slices.IndexFunc(w.told, func(text string) bool { return strings.HasPrefix(text, warn) }); (i >= 0) != (c.told != "") || i >= 0 && w.told[i] != c.told {
			t.Errorf("%s: told %q", what, w.told)
		}
	}
}

// TestUnclearContinued: the data may have been converted once the unit files have the image of the release.
func TestUnclearContinued(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("web", container)
	j := &update.Journal{App: "web", Writers: []string{"localhost/x:2"}, Saved: map[string]json.RawMessage{"web.data": nil}}
	for _, c := range []struct {
		image string
		want  bool
	}{{"x:1", false}, {"x:2", true}} {
		w.offer("web", "1", 1, strings.Replace(container, "x:1", c.image, 1))
		if err := os.WriteFile(filepath.Join(w.apps, "web.yaml"), w.entries["web"].Text, 0o600); err != nil {
			t.Fatal(err)
		}
		w.write("web")
		if got, err := (&host{w.Runner}).HasConverted(j); got != c.want || err != nil {
			t.Errorf("with %s: %v, %v", c.image, got, err)
		}
	}
}

// TestOwnData: an app that was rolled back, and does not serve with the data of the later release, keeps the
// snapshot in further updates. An operator returns to it.
func TestOwnData(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.Machine.Store
	w.install("web", container)
	w.haveVolume("web")
	origin, err := store.Origin("web")
	if err != nil || origin == nil {
		t.Fatal(origin, err)
	}
	kept := update.Kept{App: "web", From: origin.Origin, Volumes: []string{"web.data"}, Saved: map[string]json.RawMessage{"web.data": json.RawMessage("{}")}, At: w.clock, Until: w.clock.Add(time.Hour)}
	if err := store.SaveKeptSnapshot(kept); err != nil {
		t.Fatal(err)
	}
	w.systemd.Set(systemd.Unit{Name: units.ServiceName("web"), LoadState: "loaded", ActiveState: "failed"})
	w.offer("web", "2", 2, strings.Replace(container, "x:1", "x:2", 1))
	w.outcomes["web 2"], w.outcomes["web 1"] = reconcile.NotServing, reconcile.NotServing
	named := Options{Ask: update.Ask{Named: true}}
	if _, err := w.Update(t.Context(), named, []string{"web"}, nil); err != nil {
		t.Fatal(err)
	}
	const hint = "; archgen update --undo --with-data web returns to the data of 2026-12-01 12:00:00"
	if d := cmp.Diff([]string{"web 2", "web 1"}, w.passes); d != "" || !strings.HasSuffix(w.told[len(w.told)-1], hint) {
		t.Errorf("told %q; passes: -want +got:\n%s", w.told, d)
	}
	w.passes, w.told, w.outcomes = nil, nil, map[string]reconcile.Outcome{}
	named.Undo, named.WithData = true, true
	if sum, err := w.Update(t.Context(), named, []string{"web"}, nil); err != nil || sum.Updated != 1 {
		t.Fatalf("%+v, %v; told %q", sum, err, w.told)
	}
	const told = "web: 1 (revision 1) serves: its data is that of 2026-12-01 12:00:00"
	if d := cmp.Diff([]string{"stop web 1 blocked", "web 1 blocked", "start web 1"}, w.passes); d != "" || w.told[len(w.told)-1] != told {
		t.Errorf("told %q; passes: -want +got:\n%s", w.told, d)
	}
	left, err := store.KeptSnapshot("web")
	refused, errRefused := store.Refused()
	if _, isRefused := refused[origin.Digest]; err != nil || errRefused != nil || left != nil || isRefused {
		t.Errorf("kept %v, refused %v, %v, %v", left, isRefused, err, errRefused)
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
	w.write("web")
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
