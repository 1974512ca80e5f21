//go:build e2e

// Package e2e does what users of Archipelago do: it runs scripts as an unprivileged user on
// a machine with systemd and rootless Podman.
package e2e

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/archipelago-os/archipelago/test/host"
)

// TestScripts runs every script of testdata/script on a machine of its own, and
// TestFaults those of test/faults/script, which stage faults under healthd.
// Beside testscript's commands a script has:
//
//	user CMD...          run CMD as the unprivileged user; `stdout` sees its output. What
//	                     archgen apply does is compared with what archgen diff says before
//	root CMD...          the same as root
//	install              what make install installs, on the machine
//	push FILE DEST       copy a file or directory to the machine
//	disk FS DIR          mount an empty disk with a file system of that type, until it boots again
//	until DURATION CMD…  repeat `user CMD` until it succeeds
//	reboot               cut the power and boot again
//	poweroff             shut down cleanly
func TestScripts(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/script")
}

func TestFaults(t *testing.T) {
	t.Parallel()
	runScripts(t, "../faults/script")
}

func runScripts(t *testing.T, dir string) {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	slices.SortStableFunc(scripts, func(a, b string) int { return slowness(b) - slowness(a) })
	queue := make(chan string, len(scripts))
	for _, script := range scripts {
		queue <- script
	}
	close(queue)
	var workers sync.WaitGroup
	for range cap(turns()) { // passes spend most of the time waiting
		workers.Go(func() {
			for script := range queue {
				turns() <- struct{}{}
				t.Run(scriptName(script), func(t *testing.T) { runScript(t, script) })
				<-turns()
			}
		})
	}
	workers.Wait()
}

// turns bounds the machines of all scripts, to what -parallel says. testing's own parallel subtests
// would start in the reverse order of their names.
var turns = sync.OnceValue(func() chan struct{} {
	n, err := strconv.Atoi(flag.Lookup("test.parallel").Value.String())
	if err != nil {
		panic(err) // it is a number
	}
	return make(chan struct{}, n)
})

// slowScripts is the scripts that take longest, the slowest last. They start first: one of them
// would be alone at the end.
var slowScripts = []string{"node", "isolation", "chaos", "household", "package", "clash", "full", "manager", "services", "files", "update-disks", "update-node", "catalog", "crowd"}

func slowness(script string) int { return slices.Index(slowScripts, scriptName(script)) }

func scriptName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".txtar") }

func runScript(t *testing.T, script string) {
	t.Helper()
	m := host.Up(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Push(filepath.Join(root, "bin/archgen"), "/usr/local/bin/archgen"); err != nil {
		t.Fatal(err)
	}
	s := steps{t: t, machine: m, host: filepath.Join(root, "test/host/host")}
	testscript.RunT(inTurn{t}, testscript.Params{
		Files: []string{script},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"user": s.user, "root": s.root, "install": s.install, "push": s.push, "disk": s.disk, "until": s.until, "reboot": s.reboot, "poweroff": s.poweroff,
		},
		Setup: func(e *testscript.Env) error {
			for _, variable := range os.Environ() { // scripts that build use the caches of this process
				if name, value, _ := strings.Cut(variable, "="); name == "HOME" || name == "XDG_CACHE_HOME" || strings.HasPrefix(name, "GO") {
					e.Setenv(name, value)
				}
			}
			e.Setenv("ROOT", root)
			e.Setenv("ARCHIPELAGO_HOST_DIR", os.Getenv("ARCHIPELAGO_HOST_DIR")) // the machines' directory of host
			e.Setenv("NODE", filepath.Join(root, "test/e2e/testdata/node"))
			e.Setenv("FAULTS", filepath.Join(root, "test/faults"))
			e.Setenv("SHARED", filepath.Join(root, "test/e2e/testdata/shared"))
			e.Setenv("CATALOG", filepath.Join(root, "manifests/catalog"))
			e.Setenv("VOLUMES", "/home/archy/.local/share/containers/storage/volumes") // Podman's, of the user
			e.Setenv("STANDINS", filepath.Join(e.WorkDir, "standins"))
			return writeStandIns(filepath.Join(e.WorkDir, "standins"))
		},
	})
	if t.Failed() {
		journal, _ := m.User("journalctl", "--user", "-n", "600", "--no-pager", "-o", "short-precise")
		lines := slices.DeleteFunc(strings.SplitAfter(journal, "\n"), func(line string) bool { return strings.Contains(line, ": Started podman-") })
		t.Logf("the user's journal at the end:\n%s", strings.Join(lines[max(0, len(lines)-100):], ""))
	}
}

// inTurn runs a script before its test returns. testscript would delay it until then, while
// the next machines boot, until all of them run at once.
type inTurn struct{ *testing.T }

func (inTurn) Parallel()     {}
func (inTurn) Verbose() bool { return testing.Verbose() }

func (t inTurn) Run(name string, run func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { run(inTurn{t}) })
}

// steps is the commands of one script.
type steps struct {
	t       *testing.T
	machine *host.Machine
	host    string
}

func (s *steps) user(ts *testscript.TestScript, neg bool, args []string) {
	if !isApply(args) {
		s.exec(ts, neg, "user", args)
		return
	}
	planned, ok := s.previewed(args[2:])
	s.exec(ts, neg, "user", args)
	if ok {
		comparePreview(ts, planned, !neg)
	}
}

func (s *steps) root(ts *testscript.TestScript, neg bool, args []string) {
	s.exec(ts, neg, "exec", args)
}

func (s *steps) exec(ts *testscript.TestScript, neg bool, who string, args []string) {
	err := ts.Exec(s.host, append([]string{who, s.machine.Name, "--"}, args...)...)
	if neg && err == nil {
		ts.Fatalf("it succeeded")
	}
	if !neg {
		ts.Check(err)
	}
}

func (s *steps) install(ts *testscript.TestScript, _ bool, _ []string) {
	tree, tarball := ts.MkAbs("install"), ts.MkAbs("install.tar")
	ts.Check(ts.Exec("make", "-s", "-C", ts.Getenv("ROOT"), "install", "DESTDIR="+tree))
	ts.Check(ts.Exec("tar", "-C", tree, "--owner=0", "--group=0", "-cf", tarball, "usr"))
	ts.Check(s.machine.Push(tarball, "/root/"))
	s.root(ts, false, []string{"tar", "-C", "/", "-xf", "/root/install.tar"})
	s.root(ts, false, []string{"systemctl", "daemon-reload"})
	s.user(ts, false, []string{"systemctl", "--user", "daemon-reload"})
}

func (s *steps) push(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.machine.Push(ts.MkAbs(args[0]), args[1]))
}

func (s *steps) disk(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec(s.host, append([]string{"disk", s.machine.Name}, args...)...))
}

func (s *steps) until(ts *testscript.TestScript, _ bool, args []string) {
	patience, err := time.ParseDuration(args[0])
	ts.Check(err)
	deadline := time.After(patience)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ts.Exec(s.host, append([]string{"user", s.machine.Name, "--"}, args[1:]...)...)
		if err == nil {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("still failing after %v: %v", patience, err)
		case <-tick.C:
		}
	}
}

func (s *steps) reboot(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(s.machine.Reboot()) }

func (s *steps) poweroff(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(s.machine.Poweroff())
}
