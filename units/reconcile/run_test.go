package reconcile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/reconcile/reconciletest"
)

// TestInstallThenNothing: the first pass installs in the order of needs, the second does nothing.
func TestInstallThenNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		lnd, knots := app("lnd", "1", "knots"), app("knots", "1")
		equal(t, "results", []string{"knots done", "lnd done"}, results(m.run(t, lnd, knots)))
		equal(t, "log", []string{
			"write app@knots.container 1", "write app@lnd.container 1", "reload",
			"start app@knots.service 1", "start app@lnd.service 1",
		}, m.Did())
		if len(m.Generations) != 1 || len(m.Generations[0]) != 2 {
			t.Errorf("commits: %v", m.Generations)
		}
		m.Effects = nil
		r := m.run(t, lnd, knots)
		equal(t, "second results", []string{"knots unchanged", "lnd unchanged"}, results(r))
		equal(t, "second log", nil, m.Did())
		if r.Changed() || len(m.Generations) != 1 {
			t.Errorf("the second pass changed something: %v", r.Actions)
		}
	})
}

// TestUnrecorded: grants without a file are written before the units. If that fails, the app stays
// as it is, and others are not affected.
func TestUnrecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("knots", "1"), app("lnd", "1"))
		m.Effects, m.Before = nil, failing("record", errors.New("no space left on device"))
		knots := app("knots", "2")
		knots.Unrecorded = &units.Unrecorded{Dir: "knots.d", Name: "grants.toml", Content: []byte("allow")}
		equal(t, "results", []string{"knots failed: no space left on device", "lnd done"}, results(m.run(t, knots, app("lnd", "2"))))
		equal(t, "log", []string{"write app@lnd.container 2", "reload", "restart app@lnd.service 2"}, m.Did())
		m.Effects, m.Before = nil, nil
		r := m.run(t, knots, app("lnd", "2"))
		equal(t, "later", []string{"record knots.d/grants.toml allow", "write app@knots.container 2", "reload", "restart app@knots.service 2"}, m.Did())
		if a := r.Actions[0]; a.Reason != units.ReasonGrantsUnrecorded || a.Target != "knots.d/grants.toml" {
			t.Errorf("%+v", a)
		}
	})
}

// TestRollBack: a change that breaks an app is rolled back and not tried again until the manifest
// changes or an operator requests it. Its dependents start while it serves, and stay up.
func TestRollBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("knots", "1"), app("lnd", "1", "knots"))
		m.Effects = nil
		equal(t, "results", []string{
			"knots rolled-back: app@knots.service was started, exited, and was restarted within 5s; it runs with its previous files again",
			"lnd done",
		}, results(m.run(t, app("knots", "2-crashes"), app("lnd", "2", "knots"))))
		equal(t, "log", []string{
			"write app@knots.container 2-crashes", "write app@lnd.container 2", "reload", "restart app@knots.service 2-crashes",
			"restart app@lnd.service 2",
			"write app@knots.container 1", "reload", "reset-failed app@knots.service", "restart app@knots.service 1",
		}, m.Did())
		if got := m.Generations[len(m.Generations)-1]; got[0].Digest != "1" || got[1].Digest != "2" {
			t.Errorf("the generation holds %v", got)
		}
		time.Sleep(24 * time.Hour)
		m.Effects = nil
		r := m.run(t, app("knots", "2-crashes"), app("lnd", "2", "knots"))
		equal(t, "next pass", nil, m.Did())
		equal(t, "reason", []string{"rolled-back"}, reasons(r))
		m.run(t, app("knots", "3"), app("lnd", "2", "knots"))
		equal(t, "a new manifest", []string{"write app@knots.container 3", "reload", "restart app@knots.service 3"}, m.Did())
		m.Effects = nil
		m.run(t, app("knots", "4-silent"), app("lnd", "2", "knots"))
		m.Effects = nil
		asked := app("knots", "4-silent")
		asked.Request = units.Restart
		equal(t, "asked", []string{
			"knots rolled-back: app@knots.service runs and does not serve: connection refused; it runs with its previous files again", "lnd unchanged",
		}, results(m.run(t, asked, app("lnd", "2", "knots"))))
	})
}

// TestOneBadAppAffectsNoOther: each failure affects only its app.
func TestOneBadAppAffectsNoOther(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(*reconciletest.Machine)
		bad     units.App
		want    string
		version string // of the bad app afterwards
	}{
		"Podman's generator refuses it": {
			bad:     app("bad", "2-refused"),
			want:    "bad failed: systemd has no unit app@bad.service after the reload: Podman's generator did not make it from app@bad.container; its previous files are restored",
			version: "1",
		},
		"its image is unavailable": {
			prepare: func(m *reconciletest.Machine) { m.Lacks["bad"] = errNoRoute },
			bad:     app("bad", "2"),
			want:    "bad failed: left unchanged: an image or a secret is unavailable: no route to registry",
			version: "1",
		},
		"a foreign file has its name": {
			prepare: func(m *reconciletest.Machine) {
				m.WriteForeign("app@bad.container")
			},
			bad:     app("bad", "2"),
			want:    "bad failed: archgen did not write a file that has the name of one of its units: app@bad.container; move the file away",
			version: "foreign",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("bad", "1"), app("good", "1"))
				if tt.prepare != nil {
					tt.prepare(m.Machine)
				}
				equal(t, "results", []string{tt.want, "good done"}, results(m.run(t, tt.bad, app("good", "2"))))
				if f, _ := m.File("app@bad.container"); string(f.Content) != tt.version {
					got := string(f.Content)
					t.Errorf("the bad app's file is %s, want %s", got, tt.version)
				}
				if u := m.Unit("app@bad.service"); u.Active != units.Active || u.Digest != "1" || u.Invocation != "1" {
					t.Errorf("the bad app is %+v, want untouched", u)
				}
			})
		})
	}
}

// TestPassOverSomeApps leaves other apps alone, and keeps them in the generation.
func TestPassOverSomeApps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"), app("y", "1"))
		m.Effects = nil
		r, err := reconcile.Run(t.Context(), some(app("x", "2")), m.Host())
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "results", []string{"x done"}, results(r))
		equal(t, "log", []string{"write app@x.container 2", "reload", "restart app@x.service 2"}, m.Did())
		if got := m.Generations[1]; len(got) != 2 || got[0].Digest != "2" || got[1].App != "y" {
			t.Errorf("the generation holds %v", got)
		}
	})
}

// TestLastGoodFilesStayInTheGeneration: for an app that is not part of the pass, the generation keeps its last-good
// files, not those on disk, which may be lost, edited or new.
func TestLastGoodFilesStayInTheGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("edited", "1"), app("lost", "1"), app("x", "1"))
		m.Delete("app@lost.container")
		m.Write(units.File{Name: "app@edited.container", App: "edited", Content: []byte("junk")})
		m.Write(units.File{Name: "app@new.container", App: "new", Content: []byte("1")})
		m.Records["new"] = units.Record{Changed: true}
		if _, err := reconcile.Run(t.Context(), some(app("x", "2")), m.Host()); err != nil {
			t.Fatal(err)
		}
		got := make([]string, 0, 3)
		for _, f := range m.Generations[1] {
			got = append(got, f.App+" "+string(f.Content))
		}
		equal(t, "generation", []string{"edited 1", "lost 1", "x 2"}, got)
	})
}

// TestInvalidManifest: an installed app with an invalid manifest keeps its last-good files. Files
// that were changed and never verified stay as they are.
func TestInvalidManifest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		bad := app("bad", "1")
		bad.Files[0].Content = []byte("[Install]\nWantedBy=default.target\n")
		m.run(t, bad, app("x", "1"), app("removed", "1"), app("changed", "1"))
		m.run(t, bad, app("x", "1"), app("changed", "1"))
		m.Delete("app@bad.container")
		m.Load()
		m.Put("app@bad.service", units.Unit{Active: units.Failed, Digest: "1"})
		m.Write(units.File{Name: "app@changed.container", App: "changed", Content: []byte("2")})
		m.Records["changed"] = units.Record{Changed: true}
		m.Effects = nil
		r, err := reconcile.Run(t.Context(), func() (units.Desired, error) {
			return units.Desired{Apps: []units.App{app("x", "1")}, Invalid: []string{"bad", "changed", "removed"}, Complete: true}, nil
		}, m.Host())
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "log", []string{"write app@bad.container 1", "reload", "reset-failed app@bad.service", "start app@bad.service 1"}, m.Did())
		equal(t, "results", []string{"bad done", "x unchanged"}, results(r))
		equal(t, "reasons", []string{"invalid-manifest", "invalid-manifest", "invalid-manifest", "file-missing", "file-missing", "failed", "failed"}, reasons(r))
	})
}

// TestFilesThatDidNotServe are never the last-good ones, and no pass returns to them. Passes would otherwise
// exchange the files of an app that does not serve with any forever.
func TestFilesThatDidNotServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, isBroken := newMachine(), false
		m.Behavior = func(string, string) string {
			if isBroken {
				return "exits"
			}
			return ""
		}
		m.run(t, app("a", "1"))
		isBroken = true
		m.Crash("app@a.service")
		disabled := app("a", "1") // the container is the same
		disabled.Enabled, disabled.Files[0].Content = false, []byte("disabled")
		m.run(t, disabled)
		equal(t, "disabled", []string{"write app@a.container 1", "reload", "reset-failed app@a.service", "restart app@a.service 1"}, m.Did()[3:])
		for _, want := range [][]string{{"write app@a.container 1", "reload", "reset-failed app@a.service", "restart app@a.service 1"}, nil} {
			m.Effects = nil
			_, err := reconcile.Run(t.Context(), func() (units.Desired, error) {
				return units.Desired{Invalid: []string{"a"}, Complete: true}, nil
			}, m.Host())
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "with an invalid manifest", want, m.Did())
		}
		if good, err := m.Good(); err != nil || len(good) != 1 || string(good[0].Content) != "1" {
			t.Errorf("last good: %+v, %v", good, err)
		}
	})
}

// TestNoReloadWithoutAChange: the only change failed.
func TestNoReloadWithoutAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.Lacks["x"] = errNoRoute
		m.run(t, app("x", "1"))
		equal(t, "log", nil, m.Did())
	})
}

// TestEditDuringTheObservation: a file that changed after systemd was observed is not reloaded before the
// next observation.
func TestEditDuringTheObservation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, web := newMachine(), app("web", "1")
		m.run(t, web)
		m.Before = func(string, string) error { // of the observation
			m.Write(units.File{Name: "app@web.container", App: "web", Content: []byte("junk")})
			return nil
		}
		plan, err := reconcile.Preview(t.Context(), units.Desired{Apps: []units.App{web}, Complete: true}, m.Host())
		if err != nil {
			t.Fatal(err)
		}
		want := []units.Action{{App: "web", Kind: units.Write, Target: "app@web.container", Reason: units.ReasonFileDiffers}}
		if diff := cmp.Diff(want, plan.Files); diff != "" {
			t.Error(diff)
		}
	})
}

// TestErrorsOfTheWholePass change nothing, or leave the rest to the next pass.
func TestErrorsOfTheWholePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.Locked = true
		want := all(app("x", "1"))
		if _, err := reconcile.Run(t.Context(), want, m.Host()); err == nil || err.Error() != "held by process 7" {
			t.Errorf("error %v", err)
		}
		m.Locked, m.Before = false, failing("sync", errors.New("no space left on device"))
		r, err := reconcile.Run(t.Context(), want, m.Host())
		if err == nil || r.Changed() {
			t.Errorf("error %v, report %v", err, r)
		}
		m.Before = nil
		equal(t, "next pass", []string{"x done"}, results(m.run(t, app("x", "1"))))
		if m.Locked {
			t.Error("the lock is still held")
		}
	})
}

// TestOneImmutableFile: an immutable file that a pass can't replace or remove affects no other app.
// Its own app stays as it is.
func TestOneImmutableFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"), app("y", "1"), app("z", "1"))
		m.Effects, m.Immutable = nil, "app@y.container"
		equal(t, "results", []string{"x done", "y failed: app@y.container is immutable", "z done"},
			results(m.run(t, app("x", "2"), app("y", "2"), app("z", "2"))))
		if slices.ContainsFunc(m.Did(), func(line string) bool { return strings.Contains(line, "app@y.") }) {
			t.Errorf("y did not stay as it is: %v", m.Did())
		}
		equal(t, "results of removing", []string{"x done", "y failed: app@y.container is immutable", "z unchanged"},
			results(m.run(t, app("x", "3"), app("z", "2"))))
		m.Immutable = ""
		equal(t, "next results", []string{"x unchanged", "z unchanged"}, results(m.run(t, app("x", "3"), app("z", "2"))))
		if _, ok := m.File("app@y.container"); ok {
			t.Error("the file of y is still there")
		}
	})
}

// TestGeneratorThatReadsNothing: apps whose files did not change keep them, and their error does
// not mention previous files.
func TestGeneratorThatReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"), app("y", "1"))
		m.Effects, m.Unreadable = nil, true
		equal(t, "results", []string{
			"x failed: systemd has no unit app@x.service after the reload: Podman's generator did not make it from app@x.container; its previous files are restored",
			"y failed: systemd has no unit app@y.service after the reload: Podman's generator did not make it from app@y.container; run archgen doctor to find the cause",
		}, results(m.run(t, app("x", "2"), app("y", "1"))))
		equal(t, "log", []string{"write app@x.container 2", "reload", "write app@x.container 1", "reload"}, m.Did())
		m.Unreadable = false
		equal(t, "next results", []string{"x done", "y unchanged"}, results(m.run(t, app("x", "2"), app("y", "1"))))
	})
}

// TestPreviewDoesNothing but return the plan.
func TestPreviewDoesNothing(t *testing.T) {
	m := newMachine()
	plan, err := reconcile.Preview(t.Context(), units.Desired{Apps: []units.App{app("x", "1")}, Complete: true}, m.Host())
	if err != nil || len(plan.Files) != 1 || len(plan.Steps) != 1 {
		t.Errorf("plan %v, %v", plan, err)
	}
	if files, _ := m.Read(); len(files)+len(m.Did()) != 0 {
		t.Errorf("something was done: %v", m.Did())
	}
}
