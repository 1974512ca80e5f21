package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// TestNotReportedAsStarted: an app that exits after its start, or never answers.
func TestNotReportedAsStarted(t *testing.T) {
	for version, want := range map[string]string{
		"1-crashes": "x not-serving: app@x.service was started, exited, and was restarted within 5s",
		"1-silent":  "x not-serving: app@x.service runs and does not serve: connection refused",
		"1-fails":   "x not-serving: starting app@x.service: the job ended with \"failed\"",
	} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				r := m.run(t, app("x", version), app("y", "1"))
				equal(t, "results", []string{want, "y done"}, results(r))
				equal(t, "last log lines", []string{"last words of app@x.service"}, r.Results[0].Log)
			})
		})
	}
}

// TestPartsThatArriveLater: the job of the main service does not wait for parts that it only
// wants; the pass does.
func TestPartsThatArriveLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		x := app("x", "1")
		x.Files = append(x.Files, units.File{Name: "app@x.db.container", App: "x", Digest: "1", Content: []byte("db")})
		x.Parts = append(x.Parts, units.Part{Service: "app@x.db.service", File: "app@x.db.container", Digest: "1"})
		m.Put("app@x.db.service", units.Unit{Active: units.Activating, Digest: "1", Invocation: "1"})
		time.AfterFunc(time.Minute, func() {
			m.Put("app@x.db.service", units.Unit{Active: units.Active, Digest: "1", Invocation: "1"})
		})
		equal(t, "results", []string{"x done"}, results(m.run(t, x)))
	})
}

// TestMasked: a masked unit is left alone, and a request for it is refused with the command that
// unmasks it. Its files are still repaired.
func TestMasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1-ok"))
		m.Put("app@x.service", units.Unit{Loaded: true, Masked: true, Active: units.Inactive, Stopped: true})
		m.Effects = nil
		if r := m.run(t, app("x", "2-ok")); !slices.Contains(reasons(r), "masked") {
			t.Errorf("%q", reasons(r))
		}
		equal(t, "what was done", []string{"write app@x.container 2-ok", "reload"}, m.Did())
		asked := app("x", "2-ok")
		asked.Request = units.Start
		if r := m.run(t, asked); r.Results[0].Outcome != reconcile.Failed || !strings.HasSuffix(r.Results[0].Error, "unmask it with systemctl --user unmask app@x.service") {
			t.Errorf("%+v", r.Results)
		}
	})
}

// TestUnreadable: a pass leaves an app alone while the state of its container can't be read, and
// brings the others to their new files.
func TestUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1-ok"), app("y", "1-ok"))
		m.Set("app@x.service", func(u *units.Unit) { u.Unreadable = "input/output error" })
		equal(t, "results", []string{
			"x failed: the state of the container of app@x.service can't be read: input/output error; run archgen restart x", "y done",
		}, results(m.run(t, app("x", "2-ok"), app("y", "2-ok"))))
		if got := m.digestOf("app@x.container"); got != "1-ok" {
			t.Errorf("x has the file of %s", got)
		}
		for _, request := range []units.Kind{units.Stop, units.Restart} {
			asked := app("x", "2-ok")
			asked.Request = request
			equal(t, string(request), []string{"x done", "y unchanged"}, results(m.run(t, asked, app("y", "2-ok"))))
			m.Set("app@x.service", func(u *units.Unit) { u.Unreadable = "input/output error" })
		}
	})
}

// TestSlowStart: a pass does not wait forever, and rolls nothing back.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"), app("y", "1"))
		began := time.Now()
		equal(t, "results", []string{
			"x starting: it is not up after 10m0s; it continues to start", "y done",
		}, results(m.run(t, app("x", "2-slow"), app("y", "2"))))
		if took := time.Since(began); took != 10*time.Minute {
			t.Errorf("the pass took %v", took)
		}
		if got := m.digestOf("app@x.container"); got != "2-slow" {
			t.Errorf("x has the file of %s", got)
		}
	})
}

// TestStartedWithEarlierFile: a stopped app that another unit has systemd start just before systemd reads its
// new unit file is restarted in the same pass.
func TestStartedWithEarlierFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"))
		x := app("x", "1")
		x.Request = units.Stop
		m.run(t, x)
		m.Before = func(verb, _ string) error {
			if verb == "reload" {
				m.Set("app@x.service", func(u *units.Unit) {
					u.Active, u.Stopped, u.Digest, u.Invocation = units.Active, false, "1", "pulled"
				})
			}
			return nil
		}
		x = app("x", "2")
		x.Request = units.Start
		r, err := reconcile.Run(t.Context(), all(x), m.Host())
		equal(t, "results", []string{"x done"}, results(r))
		if got := m.mainOf("x").Digest; got != "2" || err != nil {
			t.Errorf("it runs with the file of %q", got)
		}
	})
}

// TestPreempted: a preempted pass does not verify an app. The next one does, at once if the app has
// been up for long enough, and rolls back what does not serve.
func TestPreempted(t *testing.T) {
	for _, c := range []struct {
		version string
		up      time.Duration
		want    string
		took    time.Duration
	}{
		{"2", 0, "x unchanged", 5 * time.Second},
		{"2", 3 * time.Second, "x unchanged", 2 * time.Second},
		{"2", time.Minute, "x unchanged", 0},
		{"2-silent", time.Minute, "x rolled-back: app@x.service runs and does not serve: connection refused; it runs with its previous files again", 7 * time.Second},
	} {
		t.Run(fmt.Sprint(c.version, " up for ", c.up), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("x", "1"))
				called := make(chan struct{})
				time.AfterFunc(time.Second, func() { close(called) })
				host := m.Host()
				host.Preempt = func(string) <-chan struct{} { return called }
				want := all(app("x", c.version))
				began := time.Now()
				r, err := reconcile.Run(t.Context(), want, host)
				if err != nil || time.Since(began) != time.Second {
					t.Errorf("the preempted pass took %v: %v", time.Since(began), err)
				}
				equal(t, "called", []string{"x starting: not verified yet: interrupted by a change to another app"}, results(r))
				m.Set("app@x.service", func(u *units.Unit) { u.Up = c.up })
				began = time.Now()
				equal(t, "next pass", []string{c.want}, results(m.run(t, app("x", c.version))))
				if took := time.Since(began); took != c.took {
					t.Errorf("the next pass took %v, want %v", took, c.took)
				}
				if good := m.Generations[len(m.Generations)-1]; string(good[0].Content) != m.digestOf("app@x.container") {
					t.Errorf("the last-good file is %s", good[0].Content)
				}
			})
		})
	}
}

// TestPreemptedDuringAProbe: an app whose last probe was interrupted is not verified, however often it
// was probed before.
func TestPreemptedDuringAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"))
		host := m.Host()
		called, asked := make(chan struct{}), 0
		host.Preempt = func(string) <-chan struct{} { return called }
		host.Ask = func(ctx context.Context, _ units.File, _ units.Part, _ units.Unit) (units.Health, string) {
			if asked++; asked == 5 {
				close(called)
				<-ctx.Done()
			}
			return units.Failing, "no answer"
		}
		r, err := reconcile.Run(t.Context(), all(app("x", "2")), host)
		equal(t, "results", []string{"x starting: not verified yet: interrupted by a change to another app"}, results(r))
		if err != nil {
			t.Error(err)
		}
	})
}

// TestPreemptedDuringAStart: a preempted pass does not wait for a slow start either, but still
// requests it, even if it was preempted before.
func TestPreemptedDuringAStart(t *testing.T) {
	for name, after := range map[string]time.Duration{"before": 0, "meanwhile": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("x", "1"))
				host := m.Host()
				called := make(chan struct{})
				time.AfterFunc(after, func() { close(called) })
				synctest.Wait()
				host.Preempt = func(string) <-chan struct{} { return called }
				began := time.Now()
				r, err := reconcile.Run(t.Context(), all(app("x", "2-late")), host)
				if took := time.Since(began); err != nil || took != after {
					t.Errorf("the preempted pass took %v, want %v: %v", took, after, err)
				}
				equal(t, "called", []string{"x starting: not verified yet: interrupted by a change to another app"}, results(r))
				if n := m.Starts("app@x.service"); n != 2 {
					t.Errorf("it was started %d times, want 2", n)
				}
				time.Sleep(10 * time.Minute)
				equal(t, "next pass", []string{"x unchanged"}, results(m.run(t, app("x", "2-late"))))
				if good := m.Generations[len(m.Generations)-1]; string(good[0].Content) != m.digestOf("app@x.container") {
					t.Errorf("the last-good file is %s", good[0].Content)
				}
			})
		})
	}
}

// TestFailedAfterAnEarlierPass: an app that an earlier pass started with changed files, without waiting, has failed
// if any part failed, even if systemd restarts it repeatedly. It is rolled back, unless it only
// waits, or an app that it needs is down.
func TestFailedAfterAnEarlierPass(t *testing.T) {
	const back = "; it runs with its previous files again"
	up := func(invocation string) units.Unit { return units.Unit{Active: units.Active, Invocation: invocation} }
	looping := units.Unit{Active: units.Activating, Restarting: true, Invocation: "12"}
	for name, tt := range map[string]struct {
		main, db, need units.Unit
		want           string
	}{
		"main restarts repeatedly":      {looping, up("12"), up("1"), "rolled-back: app@x.service was started and has failed" + back},
		"systemd starts it once more":   {units.Unit{Active: units.Activating, Restarts: 1, Invocation: "13"}, up("12"), up("1"), "rolled-back: app@x.service was started and has failed" + back},
		"a part does":                   {up("12"), looping, up("1"), "rolled-back: app@x.db.service was started and has failed" + back},
		"main can't start for a part":   {units.Unit{Active: units.Activating, Invocation: "11"}, looping, up("1"), "rolled-back: app@x.db.service was started and has failed" + back},
		"main has to stop before":       {units.Unit{Active: units.Deactivating, Invocation: "11"}, looping, up("1"), "unchanged"},
		"main was not even stopped":     {up("11"), looping, up("1"), "unchanged"},
		"it starts":                     {units.Unit{Active: units.Activating, Invocation: "12"}, up("12"), up("1"), "unchanged"},
		"it was started before":         {units.Unit{Active: units.Activating, Restarting: true, Invocation: "11"}, up("12"), up("1"), "unchanged"},
		"what it needs is down as well": {looping, up("12"), units.Unit{Active: units.Failed}, "not-serving: app@x.service was started and has failed, and need, which it needs, is not up"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				parts := func(version string) units.App {
					x := app("x", version, "need")
					return x.With(append(x.Files, units.File{Name: "app@x.db.container", App: "x", Digest: version, Content: []byte(version)}))
				}
				m := newMachine()
				m.Put("app@x.db.service", up("1")) // which the start of main leads to
				m.run(t, app("need", "1"), parts("1"))
				m.Write(parts("2").Files...)
				m.Load()
				m.Records["x"] = units.Record{ManifestDigest: "2", Changed: true, Pending: map[string]string{"app@x.service": "11"}}
				m.Put("app@x.service", tt.main)
				m.Put("app@x.db.service", tt.db)
				m.Put("app@need.service", tt.need)
				r, err := reconcile.Run(t.Context(), some(parts("2")), m.Host())
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "results", []string{"x " + tt.want}, results(r))
				isBack := m.digestOf("app@x.db.container") == "1"
				if isBack != strings.HasPrefix(tt.want, "rolled-back") {
					t.Errorf("the earlier files are back: %v", isBack)
				}
			})
		})
	}
}

// TestRetriedPart: a pass does not wait for a part whose start has failed, also while systemd starts
// it once more. The first wait before that is too short to be observed.
func TestRetriedPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parts := func(version string) units.App {
			x := app("x", version)
			return x.With(append(x.Files, units.File{Name: "app@x.db.container", App: "x", Digest: version, Content: []byte(version)}))
		}
		m := newMachine()
		m.run(t, parts("1"))
		m.Set("app@x.db.service", func(u *units.Unit) {
			*u = units.Unit{Loaded: true, Active: units.Activating, Invocation: "2", Restarts: 1}
		})
		began := time.Now()
		r, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return units.Desired{Apps: []units.App{parts("2")}}, nil }, m.Host())
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "results", []string{
			"x rolled-back: app@x.db.service was started and is restarting: it exited right after its start; " +
				"its previous files are restored, and it does not serve with them either: app@x.db.service was started and is restarting: it exited right after its start",
		}, results(r))
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it waited %v", took)
		}
	})
}

// TestSlowRollback: the previous files start as slowly, and delay no other app.
func TestSlowRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1-late"))
		host := m.Host()
		host.WaitTimeout = 15 * time.Second
		began := time.Now()
		r, err := reconcile.Run(t.Context(), all(app("x", "2-fails")), host)
		if took := time.Since(began); err != nil || took != host.WaitTimeout {
			t.Errorf("it took %v, %v", took, err)
		}
		equal(t, "results", []string{
			"x rolled-back: restarting app@x.service: the job ended with \"failed\"; its previous files are restored, and it is starting with them",
		}, results(r))
		time.Sleep(10 * time.Minute)
		m.Effects = nil
		equal(t, "when it is up", []string{"x unchanged"}, results(m.run(t, app("x", "2-fails"))))
		equal(t, "log", nil, m.Did())
		if m.Records["x"].Changed || !m.Records["x"].RolledBack {
			t.Errorf("the record is %+v", m.Records["x"])
		}
	})
}

// TestRemoveStopsFirst: the service stops while systemd has its unit.
func TestRemoveStopsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"), app("y", "1"))
		m.Effects = nil
		m.run(t, app("y", "1"))
		equal(t, "log", []string{"stop app@x.service", "remove app@x.container", "reload"}, m.Did())
		m.run(t, app("y", "1"))
		if r, kept := m.Records["x"]; kept {
			t.Errorf("the record of x is still there: %v", r)
		}
	})
}

// TestAnAppThatIsInstalledAgainIsStarted: no operator stopped it, although it looks so if another unit's
// mention kept it in systemd.
func TestAnAppThatIsInstalledAgainIsStarted(t *testing.T) {
	for name, version := range map[string]string{"as it was": "1", "another": "2"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.Mentioned["app@x.service"] = true
				m.run(t, app("x", "1"), app("y", "1"))
				m.run(t, app("y", "1"))
				m.run(t, app("y", "1"))
				equal(t, "installed again", []string{"x done", "y unchanged"}, results(m.run(t, app("x", version), app("y", "1"))))
				if u := m.Unit("app@x.service"); u.Active != units.Active {
					t.Errorf("it is %s", u.Active)
				}
			})
		})
	}
}

// TestRemoveOfWhatMustBeKilled leaves nothing for the next pass to do.
func TestRemoveOfWhatMustBeKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1-stubborn"), app("y", "1"))
		m.Effects = nil
		m.run(t, app("y", "1"))
		equal(t, "log", []string{"stop app@x.service", "reset-failed app@x.service", "remove app@x.container", "reload"}, m.Did())
		m.Effects = nil
		m.run(t, app("y", "1"))
		equal(t, "next pass", nil, m.Did())
	})
}

// TestRemoveOfACrashLoop: an app that is stopped last, and that systemd restarts until then, starts
// what it wants again. Nothing of them runs in the end.
func TestRemoveOfACrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("db", "1"), app("shop", "1"), app("y", "1"))
		m.After = func(verb, target string) {
			if verb == "stop" && target == "app@db.service" && m.Unit("app@shop.service").Active == units.Active {
				m.StartByHand(target)
			}
		}
		m.Effects = nil
		m.run(t, app("y", "1"))
		equal(t, "log", []string{
			"stop app@db.service", "stop app@shop.service", "stop app@db.service", "remove app@db.container", "remove app@shop.container", "reload",
		}, m.Did())
		m.Effects = nil
		m.run(t, app("y", "1"))
		equal(t, "next pass", nil, m.Did())
	})
}

// TestRemoveOfWhatLostItsUnit: its unit is restored until it has stopped.
func TestRemoveOfWhatLostItsUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"), app("y", "1"))
		m.Delete("app@x.container")
		_ = m.Reload(t.Context())
		m.Effects = nil
		m.run(t, app("y", "1"))
		equal(t, "log", []string{"write app@x.container 1", "reload", "stop app@x.service", "remove app@x.container", "reload"}, m.Did())
		m.Effects = nil
		m.run(t, app("y", "1"))
		equal(t, "next pass", nil, m.Did())
	})
}

// failForADay runs a pass every minute over a service that fails at each start.
func (m *machine) failForADay(t *testing.T) {
	t.Helper()
	for range 24 * 60 {
		m.run(t, app("x", "1-fails"))
		time.Sleep(time.Minute)
	}
}

// TestBudgetLastsOverPasses: a service that keeps failing restarts at growing intervals, each of
// which is announced.
func TestBudgetLastsOverPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.failForADay(t)
		if got := m.Starts("app@x.service"); got < 24 || got > 34 {
			t.Errorf("%d starts in a day, want about one an hour", got)
		}
		r := m.run(t, app("x", "1-fails"))
		equal(t, "reason", []string{"gave-up"}, reasons(r))
	})
}

// TestInstalledAgain: an app that was removed has its full budget again, even with the same
// manifest.
func TestInstalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.failForADay(t)
		m.run(t)
		m.Effects = nil
		m.run(t, app("x", "1-fails"))
		equal(t, "log", []string{"write app@x.container 1-fails", "reload", "start app@x.service 1-fails"}, m.Did())
	})
}

// TestForgetRestarts: a pass makes systemd forget the restarts of a healthy service, once. It is no
// repair, and leaves no pending work: a service that is stopped next was stopped by an operator.
func TestForgetRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("web", "1"), app("other", "1"))
		time.Sleep(11 * time.Minute)
		m.Set("app@web.service", func(u *units.Unit) { u.Restarts = 3 })
		m.Effects = nil
		r := m.run(t, app("web", "1"), app("other", "1"))
		equal(t, "log", []string{"reset-failed app@web.service"}, m.Did())
		equal(t, "reasons", []string{"healthy-since-restart"}, reasons(r))
		equal(t, "results", []string{"other unchanged", "web unchanged"}, results(r))
		if len(m.Records) > 0 {
			t.Errorf("history: %v", m.Records)
		}
		m.Effects = nil
		if r := m.run(t, app("web", "1"), app("other", "1")); r.Changed() || len(m.Effects) > 0 {
			t.Errorf("the next pass: %v, %q", r.Actions, m.Did())
		}
	})
}
