package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/lifecycle"
	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/podman/podmantest"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// world is a user's home, a systemd and a Podman. systemd finds a service for each container file at
// a reload, as with Podman's generator.
type world struct {
	podmantest.Podman
	t       *testing.T
	home    string
	systemd *systemdtest.Manager

	stdin          strings.Reader
	stdout, stderr bytes.Buffer

	mutex sync.Mutex
	known map[string]bool
	// log is the jobs of systemd and the calls of Podman that change something, in order.
	log []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, home: t.TempDir(), systemd: systemdtest.New(t), known: map[string]bool{}}
	w.Answers = map[string]string{"info": "{}", "ps --all": "[]", "volume ls": "", "secret ls": "", "network ls": "", "image inspect": `[{"Architecture": "` + runtime.GOARCH + `"}]`, "unshare": "{}"}
	run := filepath.Join(w.home, "run")
	t.Setenv("XDG_RUNTIME_DIR", run) // the client of systemd reads it
	if err := errors.Join(
		os.MkdirAll(w.apps(), 0o755), os.Mkdir(run, 0o700),
		os.Symlink(filepath.Dir(w.systemd.Private().Private), filepath.Join(run, "systemd")),
	); err != nil {
		t.Fatal(err)
	}
	w.systemd.OnReload(w.generate)
	w.systemd.OnJob(func(j systemdtest.Job) systemdtest.Outcome {
		w.note(j.Kind + " " + j.Unit)
		return systemdtest.Outcome{}
	})
	return w
}

func (w *world) apps() string { return filepath.Join(w.home, ".config/archipelago/apps") }

func (w *world) unit(name string) string {
	return filepath.Join(w.home, ".config/containers/systemd/archipelago", name)
}

func (w *world) note(line string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.log = append(w.log, line)
}

// put writes a manifest or an overlay.
func (w *world) put(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.apps(), name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		w.t.Fatal(err)
	}
}

// exists reports whether there is a file.
func (w *world) exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// generate has systemd know the services of container files, and forget those without one.
func (w *world) generate() {
	entries, err := os.ReadDir(filepath.Dir(w.unit("x")))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Error(err)
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	files := map[string]bool{}
	for _, e := range entries {
		if name, isContainer := strings.CutSuffix(e.Name(), ".container"); isContainer {
			files[name+".service"] = true
		}
	}
	for name := range files {
		u := w.systemd.Unit(name)
		u.LoadState, w.known[name] = "loaded", true
		w.systemd.Set(u)
	}
	for name := range w.known {
		if u := w.systemd.Unit(name); !files[name] && u.ActiveState != "active" {
			w.systemd.Remove(name)
		}
	}
}

// podman is a podmancli.Runner. What has no answer does not exist.
func (w *world) podman(ctx context.Context, call podmancli.Call) error {
	command := strings.Join(call.Args, " ")
	switch {
	case slices.Contains(call.Args, "rm") || slices.Contains(call.Args, "create"):
		w.note(command)
		return nil
	case strings.HasPrefix(command, "image exists"):
		return nil
	}
	err := w.Run(ctx, call)
	if err != nil && strings.Contains(command, " exists ") {
		return exec.CommandContext(ctx, "false").Run() // exit status 1 means no
	}
	return err
}

// archgen is the verbs, with what is typed.
func (w *world) archgen(typed string) lifecycle.Apps {
	w.stdin = *strings.NewReader(typed)
	getenv := func(name string) string {
		return map[string]string{"HOME": w.home, "XDG_RUNTIME_DIR": filepath.Join(w.home, "run")}[name]
	}
	return lifecycle.Apps{Passes: &passes.Passes{
		Session: &session.Session{
			Podman: w.podman, Stdin: &w.stdin, Stdout: &w.stdout, Stderr: &w.stderr, Getenv: getenv,
			StabilizationTime: time.Millisecond, Source: session.Source{Scope: units.User, Version: "5.4"},
		},
		Timeout:      10 * time.Second,
		ResumeUpdate: func(context.Context, *machine.Machine, passes.Request) error { return nil },
	}}
}

// active is whether a service runs.
func (w *world) active(name string) bool { return w.systemd.Unit(name).ActiveState == "active" }
