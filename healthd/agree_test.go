package healthd_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/status"
)

// read is what archgen status says of the same machine.
func (w *world) read() []status.App {
	w.t.Helper()
	m := w.machine()
	want, err := m.Desired()
	if err != nil {
		w.t.Fatal(err)
	}
	reader := machine.StatusReader{Host: m.Host, Files: w.Machine, Probe: m.Probe, LastLines: m.LastLines, Trials: func() (map[string]time.Time, error) { return w.ends, nil }}
	apps, problems, err := reader.Read(w.t.Context(), want, nil, w.diagnostics)
	if err != nil || len(problems) > 0 {
		w.t.Error(err, problems)
	}
	return apps
}

// is has the service of the app web be in a state.
func (w *world) is(u units.Unit) {
	w.Set("app@web.service", func(now *units.Unit) {
		u.Digest, u.Invocation, u.Run.Since, u.Restarts = now.Digest, now.Invocation, w.began, 2
		*now = u
	})
}

// gaveUp has no repair be made soon.
func (w *world) gaveUp() {
	w.Records["web"] = units.Record{ManifestDigest: "m", Tries: 9, Last: w.began, Why: units.ReasonFailed}
}

// says is what the app web answers.
func says(o probe.Outcome) func(context.Context) probe.Outcome {
	return func(context.Context) probe.Outcome { return o }
}

// scenes is how the app web may be found, with the state and the level that are told.
var scenes = map[string]struct {
	set         func(*world)
	want, level string
}{
	"serving": {func(*world) {}, "running", "serving"},
	"on trial": {func(w *world) {
		w.ends = map[string]time.Time{"web": w.began.Add(time.Hour)}
	}, "running", "serving"},
	"loading": {func(w *world) {
		w.answer(says(probe.Outcome{State: probe.Loading, Reason: probe.StartingUp, Detail: "verifying blocks", Progress: 0.43}))
	}, "running (loading)", "loading"},
	"needs a person": {func(w *world) {
		w.answer(says(probe.Outcome{State: probe.NeedsUser, Reason: probe.WalletLocked, Detail: "unlock it", Progress: -1}))
	}, "running (needs-user)", "needs-user"},
	"silent for a moment": {func(w *world) { w.answer(refuses) }, "running (not-answering-yet)", "silent"},
	"could not be asked": {func(w *world) {
		w.answer(says(probe.Outcome{State: probe.Wrong, Reason: probe.NoCredentials, Detail: "no secret web.pw", Progress: -1}))
	}, "running", ""},
	"without a probe": {func(w *world) { w.rewrite([]byte("[X-Archipelago]\nApp=web\n")) }, "running", ""},
	"checked by Podman": {func(w *world) {
		w.rewrite([]byte("[X-Archipelago]\nApp=web\n"))
		w.is(units.Unit{Loaded: true, Active: units.Active, Health: units.Loading})
	}, "running (loading)", "loading"},
	"synced": {func(w *world) {
		w.rewrite(fmt.Appendf(w.apps[0].Files[0].Content, "Synced={\"kind\":\"tcp\",\"address\":\"127.0.0.1:2\",\"interval\":\"30s\",\"timeout\":\"5s\",\"retries\":3}\n"))
		w.answers["127.0.0.1:2"] = serves
	}, "running", "synced"},
	"alive": {func(w *world) {
		w.rewrite(fmt.Appendf(w.apps[0].Files[0].Content, "Alive={\"kind\":\"tcp\",\"address\":\"127.0.0.1:2\",\"interval\":\"30s\",\"timeout\":\"5s\",\"retries\":3}\n"))
		w.answers["127.0.0.1:2"] = serves
		w.answer(refuses)
	}, "running (not-answering-yet)", "alive"},
	"done":     {func(w *world) { w.is(units.Unit{Loaded: true, Active: units.Active, Run: units.Run{Exited: true}}) }, "done", ""},
	"starting": {func(w *world) { w.is(units.Unit{Loaded: true, Active: units.Activating}) }, "starting", ""},
	"starting and loading": {func(w *world) {
		w.is(units.Unit{Loaded: true, Active: units.Activating, Run: units.Run{StatusText: "loading: 80 of 100 blocks"}})
	}, "starting", "loading"},
	"stopping": {func(w *world) { w.is(units.Unit{Loaded: true, Active: units.Deactivating}) }, "stopping", ""},
	"stopped":  {func(w *world) { w.is(units.Unit{Loaded: true, Active: units.Inactive, Stopped: true}) }, "stopped-by-operator", ""},
	"disabled": {func(w *world) {
		w.apps[0].Enabled = false
		w.is(units.Unit{Loaded: true, Active: units.Inactive})
	}, "stopped (disabled)", ""},
	"masked": {func(w *world) { w.is(units.Unit{Loaded: true, Masked: true, Active: units.Inactive}) }, "stopped (masked)", ""},
	"crash loop": {func(w *world) {
		w.lines["app@web.service"] = []string{"opening the wallet", "no such wallet"}
		w.is(units.Unit{Loaded: true, Active: units.Activating, Restarting: true, Run: units.Run{Result: "exit-code", HasExitCode: true, ExitCode: 1}})
	}, "restarting", ""},
	"failed": {func(w *world) {
		w.gaveUp()
		w.lines["app@web.service"] = []string{"opening the wallet", "no such wallet"}
		w.is(units.Unit{Loaded: true, Active: units.Failed, Run: units.Run{Result: "oom-kill", HasExitCode: true, ExitCode: 137}})
	}, "failed (gave-up)", ""},
	"paused": {func(w *world) {
		w.gaveUp()
		w.is(units.Unit{Loaded: true, Active: units.Active, Paused: true})
	}, "paused (gave-up)", ""},
	"rolled back": {func(w *world) {
		w.Generations = []units.Set{{rendered("web", "127.0.0.1:18080")}}
		w.Records["web"] = units.Record{ManifestDigest: "m", RolledBack: true}
	}, "running (rolled-back)", "serving"},
	"invalid manifest": {func(w *world) {
		w.Generations, w.kept, w.apps = []units.Set{{rendered("web", "127.0.0.1:18080")}}, []string{"web"}, w.apps[1:]
		w.diagnostics["web"] = "web.yaml:5:15: error: what is that?"
	}, "running (invalid-manifest)", "serving"},
	"manifest that never was valid": {func(w *world) {
		w.kept, w.apps = []string{"web"}, w.apps[1:]
		w.diagnostics["web"] = "web.yaml:5:15: error: what is that?"
		w.StopByHand("app@web.service")
		w.Delete("app@web.container")
		w.Load()
	}, "stopped (invalid-manifest)", ""},
	"manifest that never was valid, of an app that runs": {func(w *world) {
		w.kept, w.apps = []string{"web"}, w.apps[1:]
		w.diagnostics["web"] = "web.yaml:5:15: error: what is that?"
	}, "running (invalid-manifest)", "serving"},
	"file that can't be written": {func(w *world) {
		w.Write(rendered("web", "127.0.0.1:18081"))
		w.Load()
		w.Immutable = "app@web.container"
	}, "running (file-differs)", "serving"},
	"directory that can't be written": {func(w *world) {
		w.Write(rendered("web", "127.0.0.1:18081"))
		w.Load()
		w.Before = func(verb, _ string) error {
			if verb == "sync" {
				return errors.New("read-only file system")
			}
			return nil
		}
	}, "running (file-differs)", "serving"},
	"image that is unavailable": {func(w *world) {
		w.Delete("app@web.container")
		w.Put("app@web.service", units.Unit{Loaded: true, Active: units.Active, Digest: "of another image", Invocation: "1"})
		w.Put(units.PullOf("web"), units.Unit{Loaded: true, Active: units.Failed})
		w.lines[units.PullOf("web")] = []string{"401 Unauthorized"}
		w.Lacks["web"] = fmt.Errorf("archipelago-pull@web.service failed")
	}, "running (pull-failed)", "serving"},
	"a part that failed": {func(w *world) {
		w.gaveUp()
		w.apps[0].Parts = append(w.apps[0].Parts, units.Part{Service: "app@web.db.service", File: "app@web.db.container", Digest: "d"})
		w.apps[0].Files = append(w.apps[0].Files, units.File{Name: "app@web.db.container", App: "web", Digest: "d", Content: []byte("[X-Archipelago]\nApp=web\n")})
		w.apps[0].Files.Sort()
		w.Write(w.apps[0].Files...)
		w.Load()
		w.Put("app@web.db.service", units.Unit{Loaded: true, Active: units.Failed, Digest: "d", Invocation: "1"})
		w.lines["app@web.db.service"] = []string{"no space left on device"}
	}, "failed (gave-up)", ""},
}

// What healthd tells, on D-Bus and to Prometheus, is what archgen status says of the same
// machine.
func TestSameStatus(t *testing.T) {
	t.Parallel()
	for name, tt := range scenes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "web", "lnd")
				w.lines, w.diagnostics, w.apps[1].Needs = map[string][]string{}, map[string]string{}, []string{"web"}
				tt.set(w)
				w.run(2*time.Second, func() {
					time.Sleep(1500 * time.Millisecond)
					synctest.Wait()
					said := w.read()
					w.mu.Lock()
					defer w.mu.Unlock()
					told := make([]status.App, 0, len(w.status.Apps))
					for _, a := range w.status.Apps {
						told = append(told, a.App)
					}
					if d := cmp.Diff(said, told); d != "" {
						t.Errorf("-archgen status +healthd:\n%s", d)
					}
					i := slices.IndexFunc(told, func(a status.App) bool { return a.ID == "web" })
					if i < 0 {
						t.Fatal("healthd does not know the app")
					}
					if a := told[i]; a.StateText() != tt.want || string(a.Level) != tt.level {
						t.Errorf("%s, level %q; want %s, %q", a.StateText(), a.Level, tt.want, tt.level)
					}
				})
			})
		})
	}
}
