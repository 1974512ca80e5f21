package healthd_test

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/units"
)

// A pass that waits to see whether an app serves which it restarted leaves that to the
// next one where another app lost its file. What it restarted is verified all the same.
func TestOthersDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "slow", "web")
		w.run(10*time.Minute, func() {
			time.Sleep(time.Minute)
			w.Set("app@slow.service", func(u *units.Unit) { u.Digest = "old" })
			w.Change(func() { w.Busy = 20 * time.Millisecond })
			w.hints <- healthd.Hint{App: "slow", Urgent: true}
			time.Sleep(10 * time.Millisecond)
			w.hints <- healthd.Hint{App: "slow", Urgent: true} // a change by the pass itself preempts nothing, even if its hint is early
			time.Sleep(time.Second)
			w.hints <- healthd.Hint{App: "slow", Urgent: true} // or after it
			w.Delete("app@web.container")
			w.hints <- healthd.Hint{App: "web"} // as of a unit that the pass may have written
			time.Sleep(time.Second)
			if w.has("app@web.container") {
				t.Error("the pass over the other app did not wait")
			}
			w.hints <- healthd.Hint{App: "web", Urgent: true}
			time.Sleep(100 * time.Millisecond)
			if !w.has("app@web.container") {
				t.Error("a lost file waited for another app")
			}
		})
		if d := cmp.Diff([]string{"1m0s restart app@slow.service", "1m2s write app@web.container", "1m2s reload"}, w.did()); d != "" {
			t.Errorf("what was done (-want +got):\n%s", d)
		}
		for _, a := range w.status.Apps {
			if a.Error != "" || a.State != units.PhaseRunning {
				t.Errorf("%s ends %s: %s", a.ID, a.State, a.Error)
			}
		}
	})
}

// A lost file is restored although a reload runs, and although a pass has just begun. Other hints
// wait for the next pass.
func TestLostFilesDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web", "lnd", "tor")
		w.After = func(verb, _ string) {
			if verb == "reload" {
				time.Sleep(time.Second)
			}
		}
		lose := func(app string) {
			t.Helper()
			file := "app@" + app + ".container"
			w.Delete(file)
			w.hints <- healthd.Hint{App: app, File: file, Urgent: true}
			time.Sleep(time.Millisecond)
			if !w.has(file) {
				t.Errorf("the file of %s is not restored", app)
			}
		}
		count := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.passes
		}
		w.run(5*time.Minute, func() {
			time.Sleep(time.Minute)
			lose("web")
			time.Sleep(500 * time.Millisecond) // of the reload
			lose("lnd")
			time.Sleep(time.Minute)
			w.hints <- healthd.Hint{App: "web", Urgent: true}
			time.Sleep(5 * time.Millisecond)
			passes := count()
			w.hints <- healthd.Hint{App: "web", File: "app@web.container", Urgent: true}
			time.Sleep(5 * time.Millisecond)
			if count() > passes {
				t.Error("a file that exists has not waited")
			}
			lose("tor")
		})
	})
}

// upgraded is an app of which the manifest names another image.
func upgraded(app units.App) units.App {
	file := app.Files[0]
	file.Digest, file.Content = "d2", append(bytes.Clone(file.Content), "# another image\n"...)
	app.ManifestDigest, app.Files = "m2", units.Set{file}
	app.Parts = []units.Part{{Service: app.Parts[0].Service, File: file.Name, Digest: file.Digest}}
	return app
}

// A preempted pass does not continue with an app whose images are being pulled: the unit of
// the pull reports its end.
func TestCalledPassLeavesPullsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "pull", "slow", "web")
		w.run(4*time.Minute, func() {
			time.Sleep(time.Minute)
			w.mu.Lock()
			w.apps = slices.Clone(w.apps)
			w.apps[0] = upgraded(w.apps[0])
			w.mu.Unlock()
			w.Change(func() { w.Lacks["pull"] = units.ErrPending })
			w.Delete("app@pull.container")
			w.Set("app@slow.service", func(u *units.Unit) { u.Digest = "old" })
			w.hints <- healthd.Hint{Urgent: true}
			time.Sleep(time.Second)
			w.hints <- healthd.Hint{App: "web", Urgent: true}
			time.Sleep(time.Minute)
			w.Change(func() {
				if w.Supplies != 1 {
					t.Errorf("it was tried %d times to get the image of pull", w.Supplies)
				}
			})
		})
	})
}

// A repair whose job takes long is made once, and counts once, however often other apps
// have passes called meanwhile: here a node that takes 40 s to stop, and is restarted
// since what it follows was.
func TestSlowStopIsOneRepair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "node", "tor", "web")
		const node, tor = "app@node.service", "app@tor.service"
		w.apps[0].RestartAfter = []string{"tor"}
		w.apps[0].Files = append(w.apps[0].Files, units.File{Name: units.PrestartName(node), App: "node", Content: []byte("[Recipe]\nFollow=\"tor\"\n")})
		w.apps[0].Files.Sort()
		w.Write(w.apps[0].Files...)
		w.Load()
		seen := map[string]string{} // the start of tor, by the start of the node
		w.config = func(string, []byte) (want, have units.ConfigDigests, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			start := w.Unit(node).Invocation
			if _, known := seen[start]; !known {
				seen[start] = w.Unit(tor).Invocation
			}
			return units.ConfigDigests{Watched: w.Unit(tor).Invocation}, units.ConfigDigests{Watched: seen[start]}, nil
		}
		w.run(20*time.Minute, func() {
			time.Sleep(time.Minute)
			w.Change(func() { w.StopTakes[node] = 40 * time.Second })
			w.Set(tor, func(u *units.Unit) { u.Invocation = "2" })
			for range 100 {
				w.hints <- healthd.Hint{App: "tor", Urgent: true}
				w.hints <- healthd.Hint{App: "web", Urgent: true}
				time.Sleep(500 * time.Millisecond)
			}
		})
		if d := cmp.Diff([]string{"1m0s restart app@node.service"}, w.did()); d != "" {
			t.Errorf("what was done (-want +got):\n%s", d)
		}
		if kinds := w.kinds(); len(kinds) > 0 {
			t.Errorf("it told of %v", kinds)
		}
		if w.Unit(node).Invocation != "2" || len(w.Records) > 0 {
			t.Errorf("the node's start is %s, the history %v", w.Unit(node).Invocation, w.Records)
		}
	})
}

// The status shows that an app has exited although a pass that restarted it still watches it.
func TestExitOfAWatchedApp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.run(10*time.Minute, func() {
			time.Sleep(time.Minute)
			w.Set("app@web.service", func(u *units.Unit) { u.Digest = "old" })
			w.hints <- healthd.Hint{App: "web", Urgent: true}
			time.Sleep(2 * time.Second)
			w.Set("app@web.service", func(u *units.Unit) { u.Active, u.Restarting = units.Activating, true })
			w.hints <- healthd.Hint{App: "web", Urgent: true}
			time.Sleep(500 * time.Millisecond)
			w.mu.Lock()
			defer w.mu.Unlock()
			if a := w.status.Apps[0]; a.Reason != units.ReasonRestartedBySystemd {
				t.Errorf("the status is %s (%s)", a.State, a.Reason)
			}
		})
	})
}

// An app does not answer while a pass restarts it, which is no trouble of the app's.
func TestSilentDuringARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.run(10*time.Minute, func() {
			time.Sleep(time.Minute)
			w.Change(func() { w.StopTakes["app@web.service"] = 50 * time.Second })
			w.answer(refuses)
			w.Set("app@web.service", func(u *units.Unit) { u.Digest = "old" })
			w.hints <- healthd.Hint{App: "web", Urgent: true}
			time.Sleep(50 * time.Second)
			w.answer(serves)
		})
		if kinds := w.kinds(); len(kinds) > 0 {
			t.Errorf("it told of %v", kinds)
		}
	})
}

// A pass whose own reload did not help is not repeated because of that reload, but after
// growing pauses. An action of an operator is tried immediately.
func TestOwnReloadIsNoNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web")
		w.After = func(verb, _ string) {
			if verb == "reload" {
				w.hints <- healthd.Hint{}
			}
		}
		w.Unreadable = true
		w.Load()
		w.run(time.Minute, func() {
			time.Sleep(40 * time.Second)
			w.hints <- healthd.Hint{Urgent: true}
		})
		want := []string{"0s reload", "1s reload", "3s reload", "7s reload", "15s reload", "31s reload", "40s reload"}
		if d := cmp.Diff(want, w.did()); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}
