package prestart

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/probe"
)

// ofSteps is a recipe with steps, in an image with one volume.
func ofSteps(steps ...units.Step) units.Prestart {
	return units.Prestart{
		Image: "docker.io/x:1", Podman: []string{"--network=x", "--volume=ui.data:/data", "--volume=%t/archipelago/files/ui:/etc/ui:ro"},
		Steps: steps,
	}
}

func ensureStep(path string) units.Step {
	return units.Step{Seconds: 2, EnsureDir: &units.EnsureDir{
		VolumeFile: units.VolumeFile{Volume: "ui.data", Path: path}, UID: os.Getuid(), GID: os.Getgid(), Mode: 0o750,
	}}
}

// keepStep creates the directory of a subpath, which belongs to the owner of the volume.
func keepStep(path string) units.Step {
	s := ensureStep(path)
	s.EnsureDir.IsKept, s.EnsureDir.UID, s.EnsureDir.GID = true, -1, -1
	return s
}

func await(path string) units.Step {
	return units.Step{Seconds: 2, File: &units.VolumeFile{Volume: "db.data", Path: path}}
}

// fakeSystemd returns one state after the other, then repeats the last.
type fakeSystemd struct {
	states []ServiceState
	err    error
	// start and end are when the main process of a service ran.
	start, end time.Time
	asked      []string
	closed     int
}

func (f *fakeSystemd) State(_ context.Context, service string) (ServiceState, error) {
	f.asked = append(f.asked, service)
	if f.err != nil {
		return Stopped, f.err
	}
	return f.states[min(len(f.asked), len(f.states))-1], nil
}

func (f *fakeSystemd) Ran(_ context.Context, service string) (start, end time.Time, err error) {
	f.asked = append(f.asked, service)
	return f.start, f.end, f.err
}

func (f *fakeSystemd) Close() { f.closed++ }

func (f *fakeSystemd) connect(context.Context) (Systemd, error) { return f, nil }

// TestSteps: each kind of step when it succeeds, fails, or takes too long.
func TestSteps(t *testing.T) {
	for name, c := range map[string]struct {
		step   units.Step
		change func(w *world)
		want   string
		calls  []string
		check  func(w *world)
	}{
		"a directory": {
			step: ensureStep("a/b"),
			change: func(w *world) {
				w.makeVolume("ui.data", "wallet")
			},
			calls: []string{"unshare volume ensure a/b " + fmt.Sprintf("%d %d 750", os.Getuid(), os.Getgid())},
			check: func(w *world) {
				if info, err := os.Stat(VolumeDir(w.Renderer.Volumes, "ui.data") + "/a/b"); err != nil || info.Mode() != 0o750|os.ModeDir {
					w.t.Errorf("%v, %v", info, err)
				}
			},
		},
		"a directory in a volume that Podman fills first": {
			step:  ensureStep("a"),
			calls: []string{"create docker.io/x:1", "init ui_step", "rm ui_step", "unshare volume ensure a " + fmt.Sprintf("%d %d 750", os.Getuid(), os.Getgid())},
			check: func(w *world) {
				if got := names(w.t, VolumeDir(w.Renderer.Volumes, "ui.data")); got != "seed" {
					w.t.Errorf("the volume holds %q", got)
				}
			},
		},
		"a subpath in a volume that Podman fills first, but not with what belongs into the subpath": {
			step: keepStep("a"),
			change: func(w *world) {
				w.Recipe.Podman = append(w.Recipe.Podman, "--mount=type=volume,source=ui.data,destination=/a,subpath=a")
			},
			calls: []string{"create docker.io/x:1", "init ui_step", "rm ui_step", "unshare volume keep a 750"},
			check: func(w *world) {
				if got := names(w.t, VolumeDir(w.Renderer.Volumes, "ui.data")); got != "seed" {
					w.t.Errorf("the volume holds %q", got)
				}
			},
		},
		"a subpath that exists, with another mode, or as a file": {
			step: keepStep("wallet"),
			change: func(w *world) {
				w.makeVolume("ui.data", "wallet")
			},
			calls: []string{"unshare volume keep wallet 750"},
			check: func(w *world) {
				if info, err := os.Stat(VolumeDir(w.Renderer.Volumes, "ui.data") + "/wallet"); err != nil || info.Mode() == 0o750|os.ModeDir {
					w.t.Errorf("%v, %v", info, err)
				}
			},
		},
		"a directory of the system, where archgen is root": {
			step:   ensureStep("a"),
			change: func(w *world) { w.Scope = units.System; w.makeVolume("ui.data", "wallet") },
		},
		"a directory in one of the host's, which no image fills": {
			step: ensureStep("a"),
			change: func(w *world) {
				w.Recipe.Steps[0].EnsureDir.Volume = w.t.TempDir()
			},
			calls: []string{"unshare volume ensure a " + fmt.Sprintf("%d %d 750", os.Getuid(), os.Getgid())},
			check: func(w *world) {
				if _, err := os.Stat(filepath.Join(w.Recipe.Steps[0].EnsureDir.Volume, "a")); err != nil {
					w.t.Error(err)
				}
			},
		},
		"a directory without an image": {
			step: ensureStep("a"),
			change: func(w *world) {
				w.podman.fail = func(command string, _ bool) error {
					if strings.HasPrefix(command, "create") {
						return exitStatus(125)
					}
					return nil
				}
			},
			want:  "(ensure_dir ui.data/a): podman create docker.io/x:1: exit status 125",
			calls: []string{"create docker.io/x:1", "rm ui_step"},
		},
		"a directory behind a link": {
			step: ensureStep("out/a"),
			change: func(w *world) {
				data := w.makeVolume("ui.data", "wallet")
				if err := os.Symlink(w.t.TempDir(), filepath.Join(data, "out")); err != nil {
					w.t.Fatal(err)
				}
			},
			want:  "(ensure_dir ui.data/out/a): exit status 1: out in the volume is not a directory, or is a link, which archgen does not follow: not a directory",
			calls: []string{"unshare volume ensure out/a " + fmt.Sprintf("%d %d 750", os.Getuid(), os.Getgid())},
		},
		"a directory of a user that is known too late": {
			step: ensureStep("a"),
			change: func(w *world) {
				w.makeVolume("ui.data", "wallet")
				w.Recipe.Podman = append(w.Recipe.Podman, "--userns=auto")
			},
			want: "(ensure_dir ui.data/a): with userns auto the owner is unknown until the container runs",
		},

		"a file that is there": {
			step:   await("ready"),
			change: func(w *world) { w.makeVolume("db.data", "ready") },
			calls:  []string{"unshare volume await ready"},
		},
		"a file that comes": {
			step: await("ready"),
			change: func(w *world) {
				data := w.makeVolume("db.data")
				time.AfterFunc(time.Second, func() { _ = os.WriteFile(filepath.Join(data, "ready"), nil, 0o600) })
			},
			calls: []string{"unshare volume await ready"},
		},
		"a file that does not come": {
			step:   await("ready"),
			change: func(w *world) { w.makeVolume("db.data") },
			want:   "(wait_for db.data/ready): not done after 2s; exit status 1: there is no ready",
			calls:  []string{"unshare volume await ready"},
		},
		"a file behind a link that leads out": {
			step: await("out"),
			change: func(w *world) {
				if err := os.Symlink("/etc/passwd", filepath.Join(w.makeVolume("db.data"), "out")); err != nil {
					w.t.Fatal(err)
				}
			},
			want:  "(wait_for db.data/out): exit status 1: statat out: path escapes from parent",
			calls: []string{"unshare volume await out"},
		},

		"a service that starts": {
			step: units.Step{Seconds: 2, Service: "app@db.service", Level: "started"},
			change: func(w *world) {
				w.Systemd = (&fakeSystemd{states: []ServiceState{Stopped, Starting, Running}}).connect
			},
		},
		"a service that does not start": {
			step:   units.Step{Seconds: 2, Service: "app@db.service", Level: "started"},
			change: func(w *world) { w.Systemd = (&fakeSystemd{states: []ServiceState{Starting}}).connect },
			want:   "(wait_for app@db.service until started): not done after 2s; its last answer: app@db.service is not up",
		},
		"a service, where systemd does not answer": {
			step:   units.Step{Seconds: 2, Service: "app@db.service", Level: "started"},
			change: func(w *world) { w.Systemd = (&fakeSystemd{err: errors.New("no answer")}).connect },
			want:   "(wait_for app@db.service until started): not done after 2s; its last answer: no answer",
		},
		"a service, where there is no systemd": {
			step: units.Step{Seconds: 2, Service: "app@db.service", Level: "started"},
			change: func(w *world) {
				w.Systemd = func(context.Context) (Systemd, error) { return nil, errors.New("no bus") }
			},
			want: "(wait_for app@db.service until started): no bus",
		},
		"a service without a check runs": {
			step: units.Step{Seconds: 2, Service: "app@db.service", Level: "synced"},
			change: func(w *world) {
				w.Systemd = (&fakeSystemd{states: []ServiceState{Running}}).connect
				w.Target = func(container, level string) (*probe.Target, error) {
					if container != "db" || level != "synced" {
						w.t.Errorf("asked for the check of %s for %s", container, level)
					}
					return nil, nil //nolint:nilnil // it has none
				}
			},
		},
		"a service whose check can't be read": {
			step: units.Step{Seconds: 2, Service: "app@db.service", Level: "serving"},
			change: func(w *world) {
				w.Systemd = (&fakeSystemd{states: []ServiceState{Running}}).connect
				w.Target = func(string, string) (*probe.Target, error) { return nil, errors.New("there is no app@db.container") }
			},
			want: "(wait_for app@db.service until serving): there is no app@db.container",
		},

		"a command": {
			step:   units.Step{Seconds: 2, Run: []string{"sh", "-c", "true"}},
			change: func(w *world) { w.podman.program = expect(w.t, nil, "sh", "-c", "true") },
			calls:  []string{"run docker.io/x:1"},
		},
		"a command that fails": {
			step:   units.Step{Seconds: 2, Run: []string{"sh", "-c", "exit 3"}},
			change: func(w *world) { w.podman.program = expect(w.t, exitStatus(3), "sh", "-c", "exit 3") },
			want:   "(run sh -c exit 3): exit status 3",
			calls:  []string{"run docker.io/x:1"},
		},
		"a command that hangs": {
			step: units.Step{Seconds: 2, Run: []string{"sleep", "1000"}},
			change: func(w *world) {
				w.podman.program = func(ctx context.Context, _ []string) error {
					<-ctx.Done()
					return exitStatus(137)
				}
			},
			want:  "(run sleep 1000): not done after 2s; exit status 137",
			calls: []string{"run docker.io/x:1", "rm ui_step"},
		},

		"a migration": {
			step:   units.Step{Seconds: 2, Migrate: "2.0.0", Run: []string{"migrate"}},
			change: func(w *world) { w.podman.program = expect(w.t, nil, "migrate") },
			calls:  []string{"run docker.io/x:1"},
			check: func(w *world) {
				if d := cmp.Diff(map[string]string{"ui.json": "[\"2.0.0\"]\n"}, content(w.t, migratedDir(w.Renderer.State))); d != "" {
					w.t.Errorf("-want +got:\n%s", d)
				}
			},
		},
		"a migration that was done": {
			step:   units.Step{Seconds: 2, Migrate: "2.0.0", Run: []string{"migrate"}},
			change: func(w *world) { w.setMigrated(`["1.0.0","2.0.0"]`) },
		},
		"a migration that fails is not done": {
			step: units.Step{Seconds: 2, Migrate: "2.0.0", Run: []string{"migrate"}},
			change: func(w *world) {
				w.setMigrated(`["1.0.0"]`)
				w.podman.program = expect(w.t, exitStatus(1), "migrate")
			},
			want:  "(migrate 2.0.0): exit status 1",
			calls: []string{"run docker.io/x:1"},
			check: func(w *world) {
				if got := content(w.t, migratedDir(w.Renderer.State))["ui.json"]; got != `["1.0.0"]` {
					w.t.Errorf("the record is %q", got)
				}
			},
		},
		"a migration whose record is damaged": {
			step:   units.Step{Seconds: 2, Migrate: "2.0.0", Run: []string{"migrate"}},
			change: func(w *world) { w.setMigrated(`["1.0`) },
			want:   "(migrate 2.0.0): reading the record of migrations STATE/migrated/ui.json: unexpected end of JSON input; correct it by hand: it is a list of versions",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, ofSteps(c.step))
				w.podman.image = map[string][]string{"/data": {"seed"}}
				if c.change != nil {
					c.change(w)
				}
				want := c.want
				if want != "" {
					want = "step 1 before the start of app@ui " + want
				}
				got := strings.ReplaceAll(message(w.RunSteps(t.Context())), w.Renderer.State, "STATE")
				if got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				if d := cmp.Diff(c.calls, w.podman.taken()); d != "" {
					t.Errorf("calls, -want +got:\n%s", d)
				}
				if len(w.podman.containers) > 0 {
					t.Errorf("containers are left: %v", w.podman.containers)
				}
				if c.check != nil {
					c.check(w)
				}
			})
		})
	}
}

// migratedDir is the directory of units/statedir for the record of migrations.
func migratedDir(state string) string { return filepath.Join(state, "migrated") }

func (w *world) setMigrated(text string) {
	w.t.Helper()
	dir := migratedDir(w.Renderer.State)
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "ui.json"), []byte(text), 0o600)); err != nil {
		w.t.Fatal(err)
	}
}

// expect returns the program of a step that checks its command and ends with an error.
func expect(t *testing.T, ends error, command ...string) func(context.Context, []string) error {
	t.Helper()
	return func(_ context.Context, got []string) error {
		if !slices.Equal(got, command) {
			t.Errorf("it runs %q, want %q", got, command)
		}
		return ends
	}
}

// TestStepOrder: steps run in order until one fails.
func TestStepOrder(t *testing.T) {
	w := newWorld(t, ofSteps(
		units.Step{Seconds: 2, Run: []string{"one"}}, units.Step{Seconds: 2, Run: []string{"two"}}, units.Step{Seconds: 2, Run: []string{"three"}},
	))
	var ran []string
	w.podman.program = func(_ context.Context, command []string) error {
		ran = append(ran, command...)
		if command[0] == "two" {
			return exitStatus(1)
		}
		return nil
	}
	err := w.RunSteps(t.Context())
	if got, want := message(err), "step 2 before the start of app@ui (run two): exit status 1"; got != want || len(ran) != 2 {
		t.Errorf("got  %s\nwant %s\nran %q", got, want, ran)
	}
}

// TestStepFlags: a command has the mounts and networks of its part, and its output goes to
// the part's log.
func TestStepFlags(t *testing.T) {
	w := newWorld(t, ofSteps(units.Step{Seconds: 2, Run: []string{"true"}}))
	var args []string
	w.Podman = func(_ context.Context, call podmancli.Call) error {
		args = call.Args
		if call.Stdout != w.Stderr || call.Stderr != w.Stderr {
			t.Error("its output is lost")
		}
		return nil
	}
	if err := w.RunSteps(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"run", "--rm", "--replace", "--name=ui_step", "--log-driver=none", `--entrypoint=["true"]`,
		"--network=x", "--volume=ui.data:/data", "--volume=" + w.Renderer.Runtime + "/files/ui:/etc/ui:ro", "docker.io/x:1",
	}
	if d := cmp.Diff(want, args); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestStepInterrupted: the error of a start that systemd ends says so.
func TestStepInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, ofSteps(await("ready")))
		w.makeVolume("db.data")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errors.New("terminated signal received")) })
		const want = "step 1 before the start of app@ui (wait_for db.data/ready): terminated signal received; exit status 1: there is no ready"
		if got := message(w.RunSteps(ctx)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// closedAddress is an address that no program listens on.
const closedAddress = "127.0.0.1:1"

// server listens on a port of this machine, accepts connections and never answers.
func server(t *testing.T) (address string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// TestStepForAnAddress waits for a port until it accepts connections, and systemctl status
// shows that.
func TestStepForAnAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ofSteps(units.Step{Seconds: 60, Address: server(t)}))
	manager := listen(t, &w.Env, 0)
	if err := w.RunSteps(t.Context()); err != nil {
		t.Error(err)
	}
	if got, barriers := manager.said(); len(got) > 0 || barriers > 0 {
		t.Errorf("a port that is open: messages %q, %d barriers", got, barriers)
	}
	w.Recipe.Steps[0].Address = closedAddress
	synctest.Test(t, func(t *testing.T) {
		const want = "step 1 before the start of app@ui (wait_for " + closedAddress + "): not done after 1m0s; its last answer: no program listens on " + closedAddress
		if got := message(w.RunSteps(t.Context())); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
	got, barriers := manager.said()
	if d := cmp.Diff([]string{"STATUS=waiting: no program listens on " + closedAddress, "STATUS="}, got); d != "" || barriers != 1 {
		t.Errorf("%d barriers, -want +got:\n%s", barriers, d)
	}
}

// TestStepForAServingService probes a running service.
func TestStepForAServingService(t *testing.T) {
	t.Parallel()
	address := server(t)
	systemd := &fakeSystemd{states: []ServiceState{Stopped, Running}}
	w := newWorld(t, ofSteps(units.Step{Seconds: 60, Service: "app@db.service", Level: "serving"}))
	w.Systemd = systemd.connect
	w.Target = func(string, string) (*probe.Target, error) {
		return &probe.Target{Kind: "tcp", Address: address, Timeout: time.Minute}, nil
	}
	if err := w.RunSteps(t.Context()); err != nil || len(systemd.asked) != 2 || systemd.closed != 1 {
		t.Errorf("%v, asked for %q, closed %d times", err, systemd.asked, systemd.closed)
	}
	address = closedAddress
	synctest.Test(t, func(t *testing.T) {
		const want = "step 1 before the start of app@ui (wait_for app@db.service until serving): not done after 1m0s; its last answer: no program listens on " + closedAddress
		if got := message(w.RunSteps(t.Context())); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// TestStepThatWatches: the container starts with the file that a step waited for.
func TestStepThatWatches(t *testing.T) {
	w := newWorld(t, ofSteps(await("cookie")))
	w.Recipe.Watch = []units.VolumeFile{{Volume: "db.data", Path: "cookie"}}
	data := w.makeVolume("db.data")
	if err := w.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "cookie"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.RunSteps(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want, have, err := w.Compare(); want != have || err != nil {
		t.Errorf("it would be restarted: %v, %v, %v", want, have, err)
	}
}

// TestConfigureFails: the error names the app and the position in its file.
func TestConfigureFails(t *testing.T) {
	w := newWorld(t, units.Prestart{Data: []byte("{}"), Files: []units.PrestartFile{{Name: "ui.conf", Mode: 0o400, Template: `{{setting "x"}}`, Source: "ui.files/ui.conf"}}})
	for _, err := range []error{w.Configure(t.Context()), func() error { _, _, err := w.Compare(); return err }()} {
		if want := "the configuration of app@ui: ui.files/ui.conf:1:"; !strings.HasPrefix(message(err), want) {
			t.Errorf("got  %v\nwant %s…", err, want)
		}
	}
}

// ofReload is a recipe with a file that a running container reads again, and one that it
// does not.
func ofReload(again, once string) units.Prestart {
	return units.Prestart{Data: []byte("{}"), Reload: "SIGHUP", Files: []units.PrestartFile{
		{Name: "again.conf", Mode: 0o600, Template: again, Reload: true}, {Name: "once.conf", Mode: 0o400, Template: once},
	}}
}

// TestReloadPart: files that the container reads again are overwritten in place, because
// they are mounted. Then the container gets its signal.
func TestReloadPart(t *testing.T) {
	for _, scope := range []units.Scope{units.User, units.System} {
		t.Run(fmt.Sprint(scope), func(t *testing.T) {
			w := newWorld(t, ofReload("one", "first"))
			w.Scope = scope
			if err := w.Configure(t.Context()); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(w.Renderer.Dir("ui"), "again.conf")
			before, _ := os.Stat(file)
			w.Recipe = ofReload("two", "second")
			if err := w.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			calls := []string{"unshare volume overwrite again.conf 600", "kill ui"}
			if scope == units.System { // root needs no user namespace
				calls = calls[1:]
			}
			if d := cmp.Diff(calls, w.podman.taken()); d != "" {
				t.Errorf("calls, -want +got:\n%s", d)
			}
			after, _ := os.Stat(file)
			got := content(t, w.Renderer.Dir("ui"))
			if got["again.conf"] != "two" || got["once.conf"] != "first" || !os.SameFile(before, after) {
				t.Errorf("%q; the same file: %v", got, os.SameFile(before, after))
			}
		})
	}
}

// TestReloadPartFails: the error names what failed, and the reload counts as not done.
func TestReloadPartFails(t *testing.T) {
	for name, c := range map[string]struct {
		command string
		change  func(w *world)
		want    string
	}{
		"nothing to reload": {
			change: func(w *world) { w.Recipe.Reload = "" },
			want:   "app@ui has no file with reload: true",
		},
		"the signal fails": {
			command: "kill ui",
			want:    "reloading the configuration of app@ui: podman kill ui: exit status 125",
		},
		"Podman fails": {
			command: "unshare volume overwrite again.conf 600",
			want:    "reloading the configuration of app@ui: exit status 125: ",
		},
		"a link replaces the file": {
			change: func(w *world) {
				file := filepath.Join(w.Renderer.Dir("ui"), "again.conf")
				if err := errors.Join(os.Remove(file), os.Symlink("/etc/passwd", file)); err != nil {
					w.t.Fatal(err)
				}
			},
			want: "reloading the configuration of app@ui: exit status 1: overwriting RUN/files/ui/again.conf: too many levels of symbolic links; it is a link: remove it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ofReload("one", "first"))
			if err := w.Configure(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.Recipe = ofReload("two", "first")
			if c.change != nil {
				c.change(w)
			}
			w.podman.fail = func(command string, _ bool) error {
				if command == c.command {
					return exitStatus(125)
				}
				return nil
			}
			if got := strings.ReplaceAll(message(w.Reload(t.Context())), w.Renderer.Runtime, "RUN"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if want, have, err := w.Compare(); want == have || err != nil {
				t.Errorf("it counts as reloaded: %v", err)
			}
		})
	}
}

// TestFactsOfStep: a step gets the values that the container starts with, also those of files that
// only Podman's user namespace can read.
func TestFactsOfStep(t *testing.T) {
	onion := units.Fact{Variable: "ARCHIPELAGO_ONION", Name: "file", File: &units.VolumeFile{Volume: "ui.tor", Path: "web/hostname"}}
	w := newWorld(t, units.Prestart{
		Facts: []units.Fact{onion}, Image: "x", Podman: []string{"--env=ONION=" + onion.Mark()}, Steps: []units.Step{{Run: []string{"look"}, Seconds: 60}},
	})
	below := filepath.Join(w.makeVolume("ui.tor"), "web")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(below, "hostname"), []byte("abc.onion"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	flags, err := w.podmanFlags()
	if err != nil || !slices.Equal(flags, []string{"--env=ONION=abc.onion"}) {
		t.Errorf("%q, %v", flags, err)
	}
	if text, err := w.readVolume(t.Context(), *onion.File); err != nil || text != "abc.onion" {
		t.Errorf("in the user namespace: %q, %v", text, err)
	}
}
