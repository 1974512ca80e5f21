//go:build live

package systemd_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
)

func TestLiveEvents(t *testing.T) {
	for name, options := range real {
		t.Run(name, func(t *testing.T) {
			m := connect(t, options)
			install(t, m, map[string]string{"seen.service": "[Service]\nRestart=on-failure\nExecStart=/bin/sh -c 'sleep 0.2; exit 1'\n"})
			events := m.Events(t.Context())
			expect(t, events, resync)
			if _, err := m.Start(within(t, long), "seen.service", systemd.Replace); err != nil {
				t.Fatal(err)
			}
			until(t, events, systemd.Event{Kind: systemd.JobRemoved, Unit: "seen.service"})
			changed := systemd.Event{Kind: systemd.UnitChanged, Unit: "seen.service"}
			for unit(t, m, "seen.service").NRestarts == 0 {
				until(t, events, changed)
			}
			if _, err := m.Stop(within(t, long), "seen.service", systemd.Replace); err != nil {
				t.Fatal(err)
			}
			if err := m.Reload(within(t, long)); err != nil {
				t.Fatal(err)
			}
			until(t, events, systemd.Event{Kind: systemd.Reloading})
			expect(t, events, systemd.Event{Kind: systemd.Reloaded})
		})
	}
}

// A manager that re-executes keeps its jobs; the socket of our connection closes.
func TestLiveReexecution(t *testing.T) {
	for name, options := range real {
		t.Run(name, func(t *testing.T) {
			m := connect(t, options)
			install(t, m, map[string]string{
				"slow.service":  "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 3\n",
				"fails.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'sleep 3; exit 1'\n",
			})
			events := m.Events(t.Context())
			expect(t, events, resync)
			ended := map[string]chan ending{"slow.service": make(chan ending, 1), "fails.service": make(chan ending, 1)}
			for name, end := range ended {
				go func() {
					result, err := m.Start(within(t, long), name, systemd.Replace)
					end <- ending{result, err}
				}()
				eventually(t, name+" is starting", func() bool { return unit(t, m, name).ActiveState == "activating" })
			}
			if out, err := exec.CommandContext(t.Context(), "systemctl", "--user", "daemon-reexec").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			begun := time.Now()
			list, err := m.List(within(t, long), "slow.service")
			t.Logf("first answer %v after the re-execution", time.Since(begun))
			if err != nil || list[0].ActiveState != "activating" {
				t.Errorf("after the re-execution: %v, %v", list, err)
			}
			for name, want := range map[string]systemd.JobResult{"slow.service": systemd.JobDone, "fails.service": systemd.JobFailed} {
				if e := <-ended[name]; e.result != want || e.err != nil {
					t.Errorf("%s: %q, %v, want %q", name, e.result, e.err, want)
				}
			}
			until(t, events, resync)
			if _, err := m.Stop(within(t, long), "slow.service", systemd.Replace); err != nil {
				t.Error(err)
			}
			until(t, events, systemd.Event{Kind: systemd.JobRemoved, Unit: "slow.service"})
		})
	}
}

func TestLiveRestartOfTheBus(t *testing.T) {
	m := connect(t, real["bus"])
	install(t, m, map[string]string{"life.service": sleeps})
	events := m.Events(t.Context())
	expect(t, events, resync)
	if out, err := exec.CommandContext(t.Context(), "systemctl", "--user", "restart", "dbus.service").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if result, err := m.Start(within(t, long), "life.service", systemd.Replace); result != systemd.JobDone || err != nil {
		t.Errorf("start after the bus restarted: %q, %v", result, err)
	}
	until(t, events, resync)
}

// TestLiveChanges: a change that another connection knows about is marked by the answer to the next
// call. A reload ends all knowledge.
func TestLiveChanges(t *testing.T) {
	for name, options := range real {
		t.Run(name, func(t *testing.T) {
			const unit = "marked.service"
			m, other := connect(t, options), connect(t, systemd.Options{})
			install(t, other, map[string]string{unit: sleeps})
			events := m.Events(t.Context())
			<-events
			go func() {
				for range events { // nothing may wait for a reader
				}
			}()
			changes(t, m)
			for range 20 {
				for _, act := range []func(context.Context, string, string) (systemd.JobResult, error){other.Start, other.Restart, other.Stop} {
					if _, err := act(within(t, long), unit, systemd.Replace); err != nil {
						t.Fatal(err)
					}
					if list := changes(t, m); list == nil || list[unit] != systemd.Changed {
						t.Errorf("marks: %v", list)
					}
				}
			}
			if err := other.Reload(within(t, long)); err != nil {
				t.Fatal(err)
			}
			if list := changes(t, m); list != nil {
				t.Errorf("after a reload: %v", list)
			}
		})
	}
}

func TestLivePrices(t *testing.T) {
	m := connect(t, systemd.Options{})
	install(t, m, map[string]string{"app@.service": sleeps})
	names := make([]string, 30)
	for i := range names {
		names[i] = fmt.Sprintf("app@%d.service", i)
	}
	var starting, stopping sync.WaitGroup
	for _, name := range names {
		starting.Go(func() {
			if result, err := m.Start(within(t, long), name, systemd.Replace); result != systemd.JobDone || err != nil {
				t.Errorf("%s: %q, %v", name, result, err)
			}
		})
	}
	starting.Wait()
	t.Cleanup(func() {
		for _, name := range names {
			stopping.Go(func() { stop(t, m, name) })
		}
		stopping.Wait()
	})
	for what, call := range map[string]func() error{
		"List":    func() error { _, err := m.List(within(t, long), names...); return err },
		"Current": func() error { _, err := m.Current(within(t, long), names...); return err },
		"Units":   func() error { _, err := m.Units(within(t, long), names...); return err },
		"Reload":  func() error { return m.Reload(within(t, long)) },
	} {
		wall, cpu := time.Hour, time.Hour
		for range 10 {
			begun, before := time.Now(), used(t)
			if err := call(); err != nil {
				t.Fatal(err)
			}
			wall, cpu = min(wall, time.Since(begun)), min(cpu, used(t)-before)
		}
		t.Logf("%s with 30 units: %v, %v of it ours, at best", what, wall, cpu)
	}
	found, err := m.ListByPatterns(within(t, long), "app@*")
	if err != nil || len(found) != len(names) {
		t.Errorf("%d units match app@*, %v", len(found), err)
	}
}

func TestSpecialRestartOfTheManager(t *testing.T) {
	m := connect(t, systemd.Options{})
	install(t, m, map[string]string{"slow.service": "[Service]\nType=oneshot\nExecStart=/bin/sleep 60\n"})
	events := m.Events(t.Context())
	expect(t, events, resync)
	ended := make(chan ending, 1)
	go func() {
		result, err := m.Start(within(t, 2*long), "slow.service", systemd.Replace)
		ended <- ending{result, err}
	}()
	eventually(t, "it is starting", func() bool { return unit(t, m, "slow.service").ActiveState == "activating" })
	ready(t)
	until(t, events, resync)
	// The manager stopped the unit before it exited.
	if e := <-ended; e.err != nil || e.result != systemd.JobLost && e.result != systemd.JobFailed && e.result != systemd.JobCanceled {
		t.Errorf("start whose manager exited: %q, %v", e.result, e.err)
	}
	if u := unit(t, m, "slow.service"); u.LoadState != "loaded" || u.InvocationID != "" {
		t.Errorf("with the new manager: %+v", u)
	}
}

func TestSpecialSystemManagerAsRoot(t *testing.T) {
	m := connect(t, systemd.Options{Scope: units.System})
	if u := unit(t, m, "user@1000.service"); u.ActiveState != "active" || u.MainPID == 0 {
		t.Errorf("user@1000.service: %+v", u)
	}
	if result, err := m.Restart(within(t, long), "systemd-tmpfiles-clean.service", systemd.Replace); result != systemd.JobDone || err != nil {
		t.Errorf("restart: %q, %v", result, err)
	}
	if err := m.Reload(within(t, long)); err != nil {
		t.Error(err)
	}
}

func TestSpecialSystemManagerAsUser(t *testing.T) {
	m := connect(t, systemd.Options{Scope: units.System})
	if u := unit(t, m, "user@1000.service"); u.ActiveState != "active" {
		t.Errorf("user@1000.service: %+v", u)
	}
	_, err := m.Restart(within(t, long), "user@1000.service", systemd.Replace)
	if !errors.Is(err, systemd.ErrDenied) || !strings.Contains(err.Error(), "run it as root") {
		t.Errorf("restart of a system unit: %v", err)
	}
}

func TestSpecialNoManager(t *testing.T) {
	_, err := systemd.Connect(within(t, long), systemd.Options{})
	if !errors.Is(err, systemd.ErrUnreachable) || !strings.Contains(err.Error(), "loginctl enable-linger") {
		t.Errorf("connect: %v", err)
	}
	t.Log(err)
}
