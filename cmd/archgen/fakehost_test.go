package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// fakePodman has every image but localhost/absent. The program of localhost/broken fails. It has the
// directory of each volume, and no volume can be saved.
const fakePodman = `#!/bin/sh
log() { echo "$*" >>"$WORK/podman.log"; }
kept() { touch "$WORK/$1.txt"; sort -u "$WORK/$1.txt"; }
case "$1 $2" in
"--version ") echo podman version 5.4.2 ;;
"image exists") case $4 in localhost/absent*) exit 1 ;; esac ;;
"image inspect") cat "$WORK/image.json" 2>/dev/null || echo '[{"Architecture": "'"$ARCH"'"}]' ;;
"pull --quiet") echo "Error: $3: not found" >&2; exit 125 ;;
"unshare "*) case "$3 $4" in "volume save") echo "the disk is worn out" >&2; exit 1 ;; "volume size") echo 0 ;; *) echo '{}' ;; esac ;;
"volume inspect") dir=$HOME/.local/share/containers/storage/volumes/$4; mkdir -p "$dir"; echo '[{"Driver": "local", "Mountpoint": "'$dir'/_data"}]' ;;
info*) echo '{"graphRoot": "'$HOME'/.local/share/containers/storage", "volumePath": "'$HOME'/.local/share/containers/storage/volumes"}' ;;
"ps --all") echo '[]' ;;
"volume ls") kept volumes ;;
"secret ls") kept secrets ;;
"network ls") kept networks ;;
"secret create") log "$@"; cat >/dev/null; shift 4; echo "$1" >>"$WORK/secrets.txt" ;;
*) log "$@" ;;
esac
`

// fakeHost is a machine with a systemd, which a script's archgen finds in its environment.
// Its generator only knows containers. Each app has a process that replaces the monitor of
// its container.
type fakeHost struct {
	t       *testing.T
	root    string
	systemd *systemdtest.Manager

	mutex    sync.Mutex
	known    map[string]bool      // the services that there were at a reload
	monitors map[string]*exec.Cmd // by service
	jobs     string
}

// TestHostScripts runs testdata/host: scripts of verbs that change what runs, without the
// test machine. Nothing runs but archgen; the files that it writes are real. They have the
// commands of TestScripts, and
//
//	$APPS, $UNITS     the directories of manifests and of unit files
//	jobs.log          what systemd was asked to start and stop
//	podman.log        the calls of Podman that change something
//	volumes.txt, networks.txt, secrets.txt
//	                  what Podman has
//	unit              sets the state of a unit
//	image.json        what podman image inspect prints, if not an image that fits
func TestHostScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/host",
		UpdateScripts:       *rewrite,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               func(e *testscript.Env) error { return newFakeHost(t, e.WorkDir).setUp(e) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "remember": remember, "untouched": untouched, "odd": odd, "unit": unit,
		},
	})
}

// unit sets the state of a unit: unit NAME STATE RESULT ERRNO STATUS.
func unit(ts *testscript.TestScript, _ bool, args []string) {
	errno, err := strconv.Atoi(args[3])
	ts.Check(err)
	ts.Value("systemd").(*systemdtest.Manager).Set(systemd.Unit{
		Name: args[0], LoadState: "loaded", ActiveState: args[1], Result: args[2], StatusErrno: int32(errno), StatusText: args[4],
	})
}

func newFakeHost(t *testing.T, root string) *fakeHost {
	t.Helper()
	h := &fakeHost{t: t, root: root, systemd: systemdtest.New(t), known: map[string]bool{}, monitors: map[string]*exec.Cmd{}}
	h.systemd.OnReload(h.generate)
	h.systemd.OnJob(h.job)
	return h
}

func (h *fakeHost) setUp(e *testscript.Env) error {
	bin, run := filepath.Join(h.root, "bin"), filepath.Join(h.root, "run")
	for name, value := range map[string]string{
		"HOME": filepath.Join(h.root, "home"), "XDG_RUNTIME_DIR": run, "PATH": bin + ":" + e.Getenv("PATH"), "GORACE": noExitDelay,
		"APPS": "home/.config/archipelago/apps", "UNITS": "home/.config/containers/systemd/archipelago",
		"ARCH": runtime.GOARCH,
	} {
		e.Setenv(name, value)
	}
	e.Values["systemd"] = h.systemd
	e.Values["remembered"] = map[string]map[string]string{}
	return errors.Join(
		os.Mkdir(bin, 0o755), os.Mkdir(run, 0o700),
		os.Symlink(filepath.Dir(h.systemd.Private().Private), filepath.Join(run, "systemd")),
		os.WriteFile(filepath.Join(bin, "podman"), []byte(fakePodman), 0o755),
	)
}

// services is the services that Podman's generator makes of the unit files, each with the
// text of its file.
func (h *fakeHost) services() map[string]string {
	files := map[string]string{}
	dir := filepath.Join(h.root, "home/.config/containers/systemd/archipelago")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		panic(err)
	}
	for _, e := range entries {
		name, kind := strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())), filepath.Ext(e.Name())
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			panic(err)
		case kind == ".container":
			files[name+".service"] = string(text)
		case kind == ".volume" || kind == ".network":
			files[name+"-"+kind[1:]+".service"] = string(text)
		}
	}
	return files
}

// generate is what systemd and Podman's generator do at a reload. Volumes and networks are
// active immediately. An active unit without a file stays active.
func (h *fakeHost) generate() {
	files := h.services()
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for name := range files {
		u := h.systemd.Unit(name)
		u.LoadState, h.known[name] = "loaded", true
		if !strings.HasPrefix(name, "app@") {
			u.ActiveState, u.SubState = "active", "exited"
		}
		h.systemd.Set(u)
	}
	for name := range h.known {
		u := h.systemd.Unit(name)
		switch {
		case files[name] != "":
		case u.ActiveState == "active":
			u.LoadState = "not-found"
			h.systemd.Set(u)
		default:
			h.systemd.Remove(name)
		}
	}
}

// job starts or stops the process that replaces a container, and records that in jobs.log.
func (h *fakeHost) job(j systemdtest.Job) systemdtest.Outcome {
	text := h.services()[j.Unit]
	h.mutex.Lock()
	h.jobs += j.Kind + " " + j.Unit + "\n"
	err := os.WriteFile(filepath.Join(h.root, "jobs.log"), []byte(h.jobs), 0o600)
	h.mutex.Unlock()
	if err != nil {
		panic(err)
	}
	if j.Kind != "stop" && strings.Contains(text, "\nImage=localhost/broken") {
		return systemdtest.Outcome{Result: "failed"}
	}
	return systemdtest.Outcome{Then: func(u *systemd.Unit) {
		h.mutex.Lock()
		defer h.mutex.Unlock()
		u.ActiveState, u.SubState, u.Result, u.MainPID = "inactive", "dead", "success", 0
		if j.Kind == "stop" {
			return
		}
		pid, err := h.monitor(j.Unit, text)
		if err != nil {
			panic(err)
		}
		u.ActiveState, u.SubState, u.MainPID = "active", "running", pid
		u.InvocationID, u.ActiveEnterTimestamp = fmt.Sprintf("%032x", time.Now().UnixNano()), uint64(time.Now().UnixMicro())
	}}
}

// monitor is the process of a container's monitor. Its arguments name the configuration of
// the container.
func (h *fakeHost) monitor(service, unit string) (pid uint32, err error) {
	bundle := filepath.Join(h.root, "containers", service)
	mark, _ := units.ReadOwnership([]byte(unit))
	config := fmt.Sprintf(`{"annotations": {"io.archipelago.digest": %q}}`, mark.Digest)
	if err := errors.Join(os.MkdirAll(bundle, 0o755), os.WriteFile(filepath.Join(bundle, "config.json"), []byte(config), 0o600)); err != nil {
		return 0, err
	}
	if h.monitors[service] == nil {
		cmd := exec.CommandContext(h.t.Context(), os.Args[0])
		cmd.Args = []string{"conmon", "-c", strings.Repeat("c", 64), "-b", bundle}
		stdin, err := cmd.StdinPipe() // it ends when this is closed
		if err != nil {
			return 0, err
		}
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		h.t.Cleanup(func() {
			stdin.Close()
			_ = cmd.Wait() // the end of the test's context may have killed it
		})
		h.monitors[service] = cmd
	}
	return uint32(h.monitors[service].Process.Pid), nil
}
