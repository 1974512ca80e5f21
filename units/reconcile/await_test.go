package reconcile_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// TestAwait: Await reports the outcome of slow apps, and delays no other pass meanwhile.
func TestAwait(t *testing.T) {
	for name, tt := range map[string]struct {
		from, to string
		timeout  time.Duration
		want     []string
		took     time.Duration
	}{
		"it comes up":                             {"", "2-late", time.Hour, []string{"x done", "y done"}, 5 * time.Minute},
		"it comes up, changed":                    {"1", "2-late", time.Hour, []string{"x done", "y done"}, 5 * time.Minute},
		"it goes down":                            {"", "2-late-lost", time.Hour, []string{"x not-serving: it was started and is not up: failed", "y done"}, 5 * time.Minute},
		"systemd restarts it repeatedly":          {"", "2-late-loops", time.Hour, []string{"x not-serving: it was started and is not up: restarted-by-systemd", "y done"}, 5 * time.Minute},
		"it takes longer still":                   {"", "2-late", 2 * time.Minute, []string{"x starting: it is not up after 2m0s; it continues to start", "y done"}, 2 * time.Minute},
		"systemd restarts it repeatedly, changed": {"1", "2-late-loops", time.Hour, []string{"x rolled-back: app@x.service was started and has failed; it runs with its previous files again", "y done"}, 5 * time.Minute},
		"it goes down, changed":                   {"1", "2-late-lost", time.Hour, []string{"x rolled-back: app@x.service was started and has failed; it runs with its previous files again", "y done"}, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				if tt.from != "" {
					m.run(t, app("x", tt.from))
				}
				host := m.Host()
				host.WaitTimeout = 20 * time.Second
				began := time.Now()
				isFree := time.AfterFunc(time.Minute, func() {
					m.Change(func() {
						if m.Locked {
							t.Error("the lock is held while an app starts")
						}
					})
				})
				defer isFree.Stop()
				r, err := reconcile.Await(t.Context(), all(app("x", tt.to), app("y", "1")), host, tt.timeout)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "results", tt.want, results(r))
				if took := time.Since(began); took < tt.took || took > tt.took+time.Minute {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
				time.Sleep(10 * time.Minute) // what starts late continues although the wait ended
				want := tt.to
				if strings.HasPrefix(tt.want[0], "x rolled-back") {
					want = tt.from
				}
				if got := m.digestOf("app@x.container"); got != want {
					t.Errorf("x has the file of %s, want %s", got, want)
				}
			})
		})
	}
}

// TestAwaitAfterAnotherPass: another pass, such as one of healthd, was first. For an app that the
// operator named, Await still reports the outcome; otherwise only what this pass did.
func TestAwaitAfterAnotherPass(t *testing.T) {
	for name, tt := range map[string]struct {
		content        string
		whole, awaited bool
		want           []string
	}{
		"it is starting":                      {"2-late", false, true, []string{"x done"}},
		"it is starting, and not named":       {"2-late", true, false, []string{"x unchanged"}},
		"it is starting, named among all":     {"2-late", true, true, []string{"x done"}},
		"it was rolled back":                  {"2-fails", false, true, []string{"x rolled-back: it did not serve after its last change and has its last good files"}},
		"it was rolled back, named among all": {"2-fails", true, true, []string{"x rolled-back: it did not serve after its last change and has its last good files"}},
		"it runs":                             {"2", false, true, []string{"x unchanged"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("x", "1"))
				host := m.Host()
				host.WaitTimeout = 15 * time.Second
				desired := func() (units.Desired, error) {
					x := app("x", tt.content)
					x.IsAwaited = tt.awaited
					return units.Desired{Apps: []units.App{x}, Complete: tt.whole}, nil
				}
				if _, err := reconcile.Run(t.Context(), desired, host); err != nil {
					t.Fatal(err)
				}
				r, err := reconcile.Await(t.Context(), desired, host, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "results", tt.want, results(r))
				time.Sleep(10 * time.Minute)
			})
		})
	}
}

// TestAwaitOfAnAppThatJustStarted: another pass was first, and the app runs when Await begins. That is
// no proof yet that it serves.
func TestAwaitOfAnAppThatJustStarted(t *testing.T) {
	for name, tt := range map[string]struct {
		whole, awaited bool
		want           string
	}{
		"named":           {false, true, "x not-serving: app@x.service was started, exited, and was restarted within 5s"},
		"named among all": {true, true, "x not-serving: app@x.service was started, exited, and was restarted within 5s"},
		"not meant":       {true, false, "x unchanged"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, app("x", "1"))
				m.Restarted("app@x.service")
				time.AfterFunc(3*time.Second, func() { m.Restarted("app@x.service") })
				r, err := reconcile.Await(t.Context(), func() (units.Desired, error) {
					x := app("x", "1")
					x.IsAwaited = tt.awaited
					return units.Desired{Apps: []units.App{x}, Complete: tt.whole}, nil
				}, m.Host(), time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "results", []string{tt.want}, results(r))
				time.Sleep(time.Minute)
			})
		})
	}
}
