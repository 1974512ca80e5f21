package updater

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/podman/podmantest"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
	"github.com/archipelago-os/archipelago/units/update"
)

// world is a machine with a catalog. Its passes do nothing, and say what outcomes has.
type world struct {
	*Runner
	t    testing.TB
	apps string
	// entries is the releases of the catalog, by app.
	entries map[string]catalog.Entry
	// outcomes is how an app fares in a pass, by ID and version. The default is Done.
	outcomes map[string]reconcile.Outcome
	systemd  *systemdtest.Manager
	// podman is what Podman answers, and volumes what archgen answers in its user namespace, by verb.
	podman, volumes map[string]string
	clock           time.Time
	// passes is the requests of each pass, and whether the volume ID.data blocks the app, and told what the
	// caller was told.
	passes, told []string
}

// newWorld is a world in which an app web is installed from the catalog, and runs.
func newWorld(tb testing.TB) *world {
	tb.Helper()
	home := tb.TempDir()
	getenv := func(name string) string {
		return map[string]string{"HOME": home, "XDG_RUNTIME_DIR": filepath.Join(home, "run")}[name]
	}
	w := &world{
		t: tb, apps: filepath.Join(home, ".config/archipelago/apps"), entries: map[string]catalog.Entry{}, outcomes: map[string]reconcile.Outcome{},
		systemd: systemdtest.New(tb), clock: time.Date(2026, 12, 1, 12, 0, 0, 0, time.Local),
	}
	source := compile.Source{Scope: units.User, Generator: "test", Getenv: getenv, Ask: func() string { return "5.4.2" }}
	dir, err := installed.Of(source.Paths())
	if err != nil {
		tb.Fatal(err)
	}
	w.podman = map[string]string{"image exists": "", "image inspect": "[{}]", "unshare": ""}
	w.volumes = map[string]string{"size": "0", "save": "{}"}
	base, err := machine.Find(machine.Options{Scope: units.User, Getenv: getenv, Podman: w.runPodman})
	if err != nil {
		tb.Fatal(err)
	}
	base.Store = statedir.Store{State: filepath.Join(home, "state"), Runtime: filepath.Join(home, "run"), Now: func() time.Time { return w.clock }}
	source.Format = base.Store.DataFormat
	w.Runner = &Runner{
		Machine: &machine.Machine{Base: base, Services: machine.Services{Manager: w.systemd.Connect(), Scope: units.User}},
		Dir:     dir, Source: source, Kept: func() (units.Desired, bool) { return units.Desired{}, false },
		Entries:   func() ([]catalog.Entry, error) { return slices.Collect(maps.Values(w.entries)), nil },
		Diagnose:  func(k *compile.Compiled) error { tb.Error(k.Diags); return nil },
		Pass:      w.pass,
		Record:    func(e journal.Event) { w.told = append(w.told, "event "+e.Message) },
		Pulling:   func(string, string) {},
		Failed:    func(err error) { w.told = append(w.told, "failed "+err.Error()) },
		Warn:      func(app, text string) { w.told = append(w.told, "warned "+app+": "+text) },
		Left:      func(app, why string) { w.told = append(w.told, "left "+app+": "+why) },
		Continued: func(j *update.Journal) { w.told = append(w.told, "continued "+j.App) },
		Ended:     func(r update.Result) { w.told = append(w.told, r.App+": "+r.Text()) },
	}
	return w
}

// runPodman is Podman.
func (w *world) runPodman(ctx context.Context, call podmancli.Call) error {
	answers := maps.Clone(w.podman)
	if i := slices.Index(call.Args, "volume"); i > 0 && i+1 < len(call.Args) {
		if answer, isSet := w.volumes[call.Args[i+1]]; isSet {
			answers[call.Args[0]] = answer
		}
	}
	return (&podmantest.Podman{Answers: answers}).Run(ctx, call)
}

// haveVolume gives an app a volume whose data can be saved.
func (w *world) haveVolume(id string) {
	w.t.Helper()
	volume := filepath.Join(w.Machine.Volumes, id+".data")
	if err := os.MkdirAll(volume, 0o700); err != nil {
		w.t.Fatal(err)
	}
	w.podman["volume inspect"] = fmt.Sprintf(`[{"Driver": "local", "Mountpoint": %q}]`, filepath.Join(volume, "_data"))
}

// offer makes a release the newest one in the catalog.
func (w *world) offer(id, version string, revision int, rest string) catalog.Entry {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), id+".yaml")
	text := "app: {id: " + id + ", name: X, version: \"" + version + "\", revision: " + string(rune('0'+revision)) + ", " + rest + "}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	e, data, _, err := catalog.ReadEntry(file)
	if err != nil || e.Manifest == nil {
		w.t.Fatal(err, text)
	}
	e.File, e.Text, e.From, e.Catalog = id+".yaml", data, "archgen", catalog.Own
	w.entries[id] = e
	return e
}

// install installs the newest release of an app, which runs.
func (w *world) install(id, rest string) {
	w.t.Helper()
	e := w.offer(id, "1", 1, rest)
	if err := os.MkdirAll(w.apps, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.apps, id+".yaml"), e.Text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Machine.Store.SaveOrigin(id, updates.ReleaseOf(e)); err != nil {
		w.t.Fatal(err)
	}
	w.run(id, systemd.Unit{})
}

// grant grants a right to an app.
func (w *world) grant(id, right string) {
	w.t.Helper()
	dir := filepath.Join(w.apps, id+".d")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "grants.toml"), []byte("allow = [\""+right+"\"]\n"), 0o600)); err != nil {
		w.t.Fatal(err)
	}
}

// write writes the unit files of an app.
func (w *world) write(id string) {
	w.t.Helper()
	_, want, err := w.Source.Installed()
	if err != nil {
		w.t.Fatal(err)
	}
	app, _ := want.Find(id)
	if err := w.Machine.Files().Restore(app.Files); err != nil {
		w.t.Fatal(err)
	}
}

// run sets the state of an app's service: it is active.
func (w *world) run(id string, u systemd.Unit) {
	u.Name, u.LoadState, u.ActiveState = units.ServiceName(id), "loaded", "active"
	w.systemd.Set(u)
}

// version is the installed one of an app, or that of the images that were taken for it.
func (w *world) version(id string) string {
	w.t.Helper()
	pin, err := w.Dir.Pin(id)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, after, isPinned := strings.Cut(string(pin), `version: "`); isPinned {
		version, _, _ := strings.Cut(after, `"`)
		return version
	}
	text, err := os.ReadFile(filepath.Join(w.apps, id+".yaml"))
	if err != nil {
		return ""
	}
	_, after, _ := strings.Cut(string(text), `version: "`)
	version, _, _ := strings.Cut(after, `"`)
	return version
}

// pass says how the apps fare with what is installed.
func (w *world) pass(_ context.Context, ids []string, asked func(string) units.Kind) (reconcile.Report, error) {
	var report reconcile.Report
	list := make([]string, 0, len(ids))
	for _, id := range ids {
		key := id + " " + w.version(id)
		result := reconcile.Result{App: id, Outcome: reconcile.Done}
		if outcome := w.outcomes[key]; outcome != "" && asked(id) != units.Stop {
			result.Outcome, result.Error, result.Log = outcome, "it ended", []string{"last words"}
		}
		if _, err := os.Stat(filepath.Join(w.Machine.Volumes, id+".data", units.VolumeBlock)); err == nil {
			key += " blocked"
		}
		list = append(list, strings.TrimSpace(string(asked(id))+" "+key))
		report.Results = append(report.Results, result)
	}
	w.passes = append(w.passes, strings.Join(list, ", "))
	return report, nil
}
