package prestart

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// TestRunOnce: what has succeeded never runs again; what has not runs again at the next start, in its
// place in the order.
func TestRunOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, units.Prestart{Once: []units.Once{
		{Name: "admin", Run: []string{"adduser", "--name", "a b"}, Seconds: 2}, {Name: "welcome", Run: []string{"mail"}, Seconds: 2}, {Name: "last", Run: []string{"last"}, Seconds: 2},
	}})
	var ran []string
	var fails string
	w.Podman = func(_ context.Context, call podmancli.Call) error {
		ran = append(ran, strings.Join(call.Args, "|"))
		if call.Stdout != w.Stderr || call.Stderr != w.Stderr {
			t.Error("its output is lost")
		}
		if call.Args[3] == fails {
			return &podmancli.Error{Args: call.Args, Err: exitStatus(3)}
		}
		return nil
	}
	for _, start := range []struct {
		fails, want, record string
		ran                 []string
	}{
		{"mail", "welcome, which runs once after the start of app@ui: exit status 3", "[\"admin\"]\n", []string{"exec|--|ui|adduser|--name|a b", "exec|--|ui|mail"}},
		{"", "", "[\"admin\",\"welcome\",\"last\"]\n", []string{"exec|--|ui|mail", "exec|--|ui|last"}},
		{"", "", "[\"admin\",\"welcome\",\"last\"]\n", nil},
	} {
		ran, fails = nil, start.fails
		if got := message(w.RunOnce(t.Context())); got != start.want {
			t.Errorf("got %q, want %q", got, start.want)
		}
		if d := cmp.Diff(start.ran, ran); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		if got := content(t, migratedDir(w.Renderer.State))["ui.json"]; got != start.record {
			t.Errorf("the record is %q, want %q", got, start.record)
		}
	}
}

// TestRunOnceInTime: a command that takes too long has not run.
func TestRunOnceInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, units.Prestart{Once: []units.Once{{Name: "admin", Run: []string{"sleep"}, Seconds: 2}}})
		w.Podman = func(ctx context.Context, call podmancli.Call) error {
			select {
			case <-ctx.Done():
			case <-time.After(time.Minute):
			}
			return &podmancli.Error{Args: call.Args, Err: exitStatus(143)}
		}
		const want = "admin, which runs once after the start of app@ui: not done after 2s; exit status 143"
		if got := message(w.RunOnce(t.Context())); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := names(t, migratedDir(w.Renderer.State)); got != "" {
			t.Errorf("there is a record: %s", got)
		}
	})
}

// TestRunOnceWithoutRecord: nothing runs if it is unknown what has run.
func TestRunOnceWithoutRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, units.Prestart{Once: []units.Once{{Name: "admin", Run: []string{"adduser"}, Seconds: 2}}})
	w.setMigrated(`["adm`)
	if got := message(w.RunOnce(t.Context())); !strings.Contains(got, "correct it by hand") || len(w.podman.calls) > 0 {
		t.Errorf("%s, %v", got, w.podman.calls)
	}
}
