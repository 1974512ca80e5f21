// Package sessiontest owns a machine for tests of what a run of archgen does: a user's home, a
// systemd and a Podman. It starts no container.
package sessiontest

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

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/podman/podmantest"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// World is a user's home, a systemd and a Podman. At a reload systemd finds a service for each
// container file, as with Podman's generator. Every image exists; of all other objects Podman has those
// that it answers with.
type World struct {
	podmantest.Podman
	Home    string
	Systemd *systemdtest.Manager
	// Stdout and Stderr is what was printed.
	Stdout, Stderr bytes.Buffer
	// Log is the jobs of systemd and the calls of Podman that change something, in order.
	Log []string

	t     *testing.T
	mutex sync.Mutex
	known map[string]bool
}

// New is a world without an app. Its test can't be parallel: the client of systemd reads the
// environment.
func New(t *testing.T) *World {
	t.Helper()
	w := &World{t: t, Home: t.TempDir(), Systemd: systemdtest.New(t), known: map[string]bool{}}
	w.Answers = map[string]string{
		"info": "{}", "ps --all": "[]", "volume ls": "", "secret ls": "", "network ls": "", "unshare": "{}",
		"image inspect": `[{"Architecture": "` + runtime.GOARCH + `"}]`,
	}
	run := filepath.Join(w.Home, "run")
	t.Setenv("XDG_RUNTIME_DIR", run)
	if err := errors.Join(
		os.MkdirAll(w.Apps(), 0o755), os.Mkdir(run, 0o700),
		os.Symlink(filepath.Dir(w.Systemd.Private().Private), filepath.Join(run, "systemd")),
	); err != nil {
		t.Fatal(err)
	}
	w.Systemd.OnReload(w.generate)
	w.Systemd.OnJob(func(j systemdtest.Job) systemdtest.Outcome {
		w.note(j.Kind + " " + j.Unit)
		return systemdtest.Outcome{}
	})
	return w
}

// Session is a run of archgen with what is typed.
func (w *World) Session(typed string) *session.Session {
	getenv := func(name string) string {
		return map[string]string{"HOME": w.Home, "XDG_RUNTIME_DIR": filepath.Join(w.Home, "run")}[name]
	}
	return &session.Session{
		Podman: w.podman, Stdin: strings.NewReader(typed), Stdout: &w.Stdout, Stderr: &w.Stderr, Getenv: getenv,
		StabilizationTime: time.Millisecond, Source: session.Source{Scope: units.User, Version: "5.4"},
	}
}

// Forget empties what was printed and done.
func (w *World) Forget() {
	w.Stdout.Reset()
	w.Stderr.Reset()
	w.Log = nil
}

// Apps is the directory of manifests.
func (w *World) Apps() string { return filepath.Join(w.Home, ".config/archipelago/apps") }

// Unit is the path of a unit file.
func (w *World) Unit(name string) string {
	return filepath.Join(w.Home, ".config/containers/systemd/archipelago", name)
}

// Put writes a manifest or an overlay, by its path below the directory of manifests.
func (w *World) Put(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.Apps(), name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		w.t.Fatal(err)
	}
}

// Exists reports whether there is a file.
func (w *World) Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// IsActive reports whether a service runs.
func (w *World) IsActive(service string) bool { return w.Systemd.Unit(service).ActiveState == "active" }

func (w *World) note(line string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.Log = append(w.Log, line)
}

// generate has systemd know the services of container files, and forget those without one.
func (w *World) generate() {
	entries, err := os.ReadDir(filepath.Dir(w.Unit("x")))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Error(err)
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	files := map[string]bool{}
	for _, e := range entries {
		if service := units.ServiceOf(e.Name()); service != "" {
			files[service] = true
		}
	}
	for service := range files {
		u := w.Systemd.Unit(service)
		u.LoadState, w.known[service] = "loaded", true
		w.Systemd.Set(u)
	}
	for service := range w.known {
		if !files[service] && !w.IsActive(service) {
			w.Systemd.Remove(service)
		}
	}
}

// podman is a podmancli.Runner.
func (w *World) podman(ctx context.Context, call podmancli.Call) error {
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
