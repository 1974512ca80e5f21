//go:build linux && (amd64 || arm64)

package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// quicker is the differences of the archgen under test: shorter times, so that thousands of
// runs need not wait for what other tests cover.
var quicker = []struct{ file, is, becomes string }{
	{"units/machine/host.go", "stabilizationTime = 5 * time.Second", "stabilizationTime = time.Millisecond"},
	{"units/unitdir/unitdir.go", "lockTimeout = 30 * time.Second", "lockTimeout = 8 * time.Second"},
	{"units/statedir/statedir.go", "lockTimeout    = 30 * time.Second", "lockTimeout    = 8 * time.Second"},
}

// programs is the directory of the archgen and sync under test, with a fake Podman that has
// every image. TestMain removes it.
var programs string

const podman = "#!/bin/sh\ncase $* in --version) echo podman version 5.4.2 ;; image\\ inspect*) echo '[{}]' ;; esac\n"

// build builds the programs under test, as users get them: without the race detector.
var build = sync.OnceValue(func() (err error) {
	if programs, err = os.MkdirTemp("", "archgen"); err != nil {
		return err
	}
	overlay, err := quickened(programs)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-overlay", overlay, "-o", programs, "../../cmd/archgen", "./sync")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building archgen and sync: %w: %s", err, out)
	}
	return os.WriteFile(filepath.Join(programs, "podman"), []byte(podman), 0o755)
})

// quickened writes the changed sources into a directory, and returns their list for go
// build -overlay.
func quickened(dir string) (overlay string, err error) {
	replace := map[string]string{}
	for _, q := range quicker {
		path, err := filepath.Abs(filepath.Join("../..", q.file))
		if err != nil {
			return "", err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if strings.Count(string(text), q.is) != 1 {
			return "", fmt.Errorf("%s has no %q", q.file, q.is)
		}
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], []byte(strings.Replace(string(text), q.is, q.becomes, 1)), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}

// node is a machine that looks real to archgen: a home directory, a fake systemd that
// outlives its clients and has a fake of Podman's generator, and for each app a process
// instead of its container's monitor.
type node struct {
	root     string
	systemd  *systemdtest.Manager
	monitors map[string]*monitor // by service

	mutex   sync.Mutex
	read    map[string]string // the container files as systemd last read them, by service
	jobs    []string
	reloads int
	said    []string
	// reading, if not nil, is notified of each reload, which then waits.
	reading chan struct{}
}

func newNode(t *testing.T, apps ...string) *node {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	// The path of a socket is short, and that of t.TempDir may not be.
	root, err := os.MkdirTemp(memory(), "node") //nolint:usetesting // the path is too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	n := &node{root: root, systemd: systemdtest.New(t), monitors: map[string]*monitor{}, read: map[string]string{}}
	sockets := filepath.Dir(n.systemd.Private().Private)
	err = errors.Join(
		os.Mkdir(n.at("run"), 0o755),
		os.Symlink(sockets, n.at("run/systemd")),
		os.Symlink(filepath.Join(sockets, "bus"), n.at("run/bus")),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, app := range apps {
		n.monitors[service(app)] = newMonitor(t, n.at("containers/"+app))
	}
	n.systemd.OnReload(n.generate)
	n.systemd.OnJob(n.job)
	return n
}

// memory returns a directory in which fsync costs nothing, if there is one.
func memory() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err != nil || !info.IsDir() {
		return ""
	}
	return shm
}

func service(app string) string { return "app@" + app + ".service" }

func (n *node) at(path string) string { return filepath.Join(n.root, path) }

// put writes a file. A test that can't write its files fails.
func (n *node) put(path, text string) {
	path = n.at(path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		panic(err)
	}
}

const (
	unitsDir = "home/.config/containers/systemd/archipelago"
	appsDir  = "home/.config/archipelago/apps"
	stateDir = "home/.local/state/archipelago"
)

// install writes the manifest of an app.
func (n *node) install(app, name, edition string) {
	n.put(filepath.Join(appsDir, app+".yaml"), fmt.Sprintf(`app:
  id: %s
  name: %s
  version: 1.0.0
  container:
    image: docker.io/library/%[1]s:1
    command: [%[3]s]
    volumes: [{name: data, target: /data}]
`, app, name, edition))
}

// command returns an apply of all apps.
func (n *node) command() Command {
	return Command{
		Args:  []string{filepath.Join(programs, "archgen"), "apply"},
		Env:   []string{"HOME=" + n.at("home"), "XDG_RUNTIME_DIR=" + n.at("run"), "PATH=" + programs},
		Below: n.root,
	}
}

// start starts an apply without faults.
func (n *node) start(ctx context.Context, output io.Writer) (*exec.Cmd, error) {
	c := n.command()
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...) //nolint:gosec // the program under test
	cmd.Env, cmd.Stdout, cmd.Stderr = c.Env, output, output
	return cmd, cmd.Start()
}

// apply runs an apply without faults, which has to succeed.
func (n *node) apply(ctx context.Context) (output string, err error) {
	var b strings.Builder
	cmd, err := n.start(ctx, &b)
	if err == nil {
		err = cmd.Wait()
	}
	n.mutex.Lock()
	n.said = append(n.said, b.String())
	n.mutex.Unlock()
	if err != nil {
		return b.String(), fmt.Errorf("archgen apply: %w: %s", err, b.String())
	}
	return b.String(), nil
}

// generate does what systemd and Podman's generator do at a reload.
func (n *node) generate() {
	n.mutex.Lock()
	n.reloads++
	reading := n.reading
	n.mutex.Unlock()
	if reading != nil {
		reading <- struct{}{}
		<-reading
	}
	read := n.containerFiles()
	for name := range read {
		u := n.systemd.Unit(name)
		u.LoadState, u.NeedDaemonReload = "loaded", false
		n.systemd.Set(u)
	}
	for name := range n.known() {
		if _, there := read[name]; there {
			continue
		}
		if u := n.systemd.Unit(name); u.ActiveState == "active" {
			u.LoadState = "not-found"
			n.systemd.Set(u)
		} else {
			n.systemd.Remove(name)
		}
	}
	n.mutex.Lock()
	n.read = read
	n.mutex.Unlock()
}

// rest waits until systemd has finished the jobs of clients that are gone.
func (n *node) rest(ctx context.Context) {
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for n.systemd.Connections()+n.systemd.Jobs() > 0 && ctx.Err() == nil {
		<-tick.C
	}
}

func (n *node) known() map[string]string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return maps.Clone(n.read)
}

// notice makes systemd check which files changed since it read them, as systemd does at
// each query.
func (n *node) notice() {
	now := n.containerFiles()
	for name, text := range n.known() {
		if u := n.systemd.Unit(name); u.LoadState == "loaded" && u.NeedDaemonReload != (now[name] != text) {
			u.NeedDaemonReload = now[name] != text
			n.systemd.Set(u)
		}
	}
}

func (n *node) containerFiles() map[string]string {
	list := map[string]string{}
	for path, text := range n.files(unitsDir) {
		if name := units.ServiceOf(filepath.Base(path)); name != "" {
			list[name] = text
		}
	}
	return list
}

// job executes a job of systemd.
func (n *node) job(j systemdtest.Job) systemdtest.Outcome {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.jobs = append(n.jobs, j.Kind+" "+j.Unit)
	m, mark := n.monitors[j.Unit], n.mark(j.Unit)
	run := fmt.Sprintf("%032x", len(n.jobs))
	return systemdtest.Outcome{Then: func(u *systemd.Unit) {
		if j.Kind == "stop" {
			u.ActiveState, u.SubState, u.MainPID = "inactive", "dead", 0
			return
		}
		m.contain(mark.Digest)
		u.ActiveState, u.SubState, u.Result, u.MainPID = "active", "running", "success", m.pid
		u.InvocationID, u.ActiveEnterTimestamp = run, uint64(time.Now().UnixMicro())
	}}
}

func (n *node) mark(service string) units.Ownership {
	mark, _ := units.ReadOwnership([]byte(n.read[service]))
	return mark
}

// monitor replaces conmon, whose arguments name the directory of the container's
// configuration.
type monitor struct {
	pid    uint32
	bundle string
}

// monitorName makes the test binary a monitor when it runs under this name.
const monitorName = "conmon"

func newMonitor(t *testing.T, bundle string) *monitor {
	t.Helper()
	if err := os.MkdirAll(bundle, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Args = []string{monitorName, "-c", strings.Repeat("c", 64), "-b", bundle}
	stdin, err := cmd.StdinPipe() // the monitor ends when this is closed
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // the end of the test's context may have killed it
	})
	return &monitor{uint32(cmd.Process.Pid), bundle}
}

// contain starts a container from a unit file with a digest.
func (m *monitor) contain(digest string) {
	text := fmt.Sprintf(`{"annotations": {"io.archipelago.digest": %q}}`, digest)
	if err := os.WriteFile(filepath.Join(m.bundle, "config.json"), []byte(text), 0o600); err != nil {
		panic(err)
	}
}

// files returns the regular files below a directory and their contents.
func (n *node) files(dir string) map[string]string {
	list := map[string]string{}
	err := filepath.WalkDir(n.at(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		path, _ = filepath.Rel(n.root, path)
		list[path] = string(text)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		panic(err)
	}
	return list
}

// state returns all that a run can see, as text: the files with their types and modes, the
// units, and the jobs of systemd. It leaves out the start time of a unit, because the jobs
// distinguish its starts.
func (n *node) state() string {
	var b strings.Builder
	err := filepath.WalkDir(n.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintln(&b, path, info.Mode())
		}
		return err
	})
	if err != nil {
		panic(err)
	}
	states := map[string]systemd.Unit{}
	for name := range n.monitors {
		u := n.systemd.Unit(name)
		u.ActiveEnterTimestamp = 0
		states[name] = u
	}
	jobs, reloads := n.done()
	fmt.Fprint(&b, n.files("."), n.known(), states, jobs, reloads)
	return b.String()
}

// traces returns what every write below the home directory changes, even one without
// effect.
func (n *node) traces() map[string]string {
	list := map[string]string{}
	err := filepath.WalkDir(n.at("home"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		list[path] = fmt.Sprint(st.Ino, st.Ctim)
		return nil
	})
	if err != nil {
		panic(err)
	}
	return list
}

// moment is the state of a node, to be restored.
type moment struct {
	files, read, digests map[string]string
	units                []systemd.Unit
}

func (n *node) moment() moment {
	m := moment{files: n.files("home"), read: n.known(), digests: map[string]string{}}
	for name, monitor := range n.monitors {
		m.digests[name] = monitor.digest()
		if u := n.systemd.Unit(name); u.LoadState != "not-found" {
			m.units = append(m.units, u)
		}
	}
	return m
}

// digest returns the digest of the container that was started last.
func (m *monitor) digest() string {
	var config struct{ Annotations map[string]string }
	text, err := os.ReadFile(filepath.Join(m.bundle, "config.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err != nil {
		panic(err)
	}
	return config.Annotations["io.archipelago.digest"]
}

func (n *node) restore(m moment) {
	if err := errors.Join(os.RemoveAll(n.at("home")), os.RemoveAll(n.at("run/archipelago")), os.MkdirAll(n.at("home"), 0o755)); err != nil {
		panic(err)
	}
	for path, text := range m.files {
		n.put(path, text)
	}
	for name, monitor := range n.monitors {
		n.systemd.Remove(name)
		monitor.contain(m.digests[name])
	}
	n.systemd.Set(m.units...)
	n.mutex.Lock()
	n.read, n.jobs, n.reloads, n.said = m.read, nil, 0, nil
	n.mutex.Unlock()
}

// done returns the jobs and the number of reloads since the node was restored.
func (n *node) done() (jobs []string, reloads int) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return slices.Clone(n.jobs), n.reloads
}
