//go:build linux && (amd64 || arm64)

package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/archipelago-os/archipelago/units/update"
)

// updateVerb is a run of archgen update that a fault interrupts, of an app that a catalog has a newer
// release of.
type updateVerb struct {
	name string
	args []string
	// isOnTrial: the app has the newer release, which has ended in its trial.
	isOnTrial bool
	// ends is the releases that the app may have after the next run.
	ends []string
}

var updateVerbs = []updateVerb{
	{"a newer release", []string{"update", "changes"}, false, []string{"1", "2"}},
	{"the end of a trial", []string{"update", "--resume", "changes"}, true, []string{"1"}},
}

// manifest is a release of the app.
func manifest(release string) string {
	return fmt.Sprintf(`app:
  id: changes
  name: Changes
  version: %s.0.0
  revision: %[1]s
  container:
    image: docker.io/library/changes:1
    command: [edition-%[1]s]
    volumes: [{name: data, target: /data}]
`, release)
}

// updating is a node on which an update is tried with one fault after another.
type updating struct {
	updateVerb
	*node
	from moment
	// recovered is the states from which the next run has completed the update.
	recovered map[string]bool
}

func newUpdating(t *testing.T, v updateVerb) *updating {
	t.Helper()
	u := &updating{v, newNode(t, "changes"), moment{}, map[string]bool{}}
	must := func(args ...string) {
		t.Helper()
		if out, err := u.archgen(t.Context(), args...); err != nil {
			t.Fatalf("archgen %q: %v: %s", args, err, out)
		}
	}
	const entry = "home/.config/archipelago/catalog/changes.yaml"
	u.put(entry, manifest("1"))
	must("install", "changes")
	u.put(entry, manifest("2"))
	if v.isOnTrial {
		must("update", "changes")
		on := u.systemd.Unit(service("changes"))
		on.NRestarts++
		u.systemd.Set(on)
	}
	u.from = u.moment()
	u.restore(u.from)
	must(v.args...)
	if err := u.isAt(v.ends[len(v.ends)-1]); err != nil {
		t.Fatal("without a fault:", err)
	}
	return u
}

// archgen runs archgen without a fault.
func (n *node) archgen(ctx context.Context, args ...string) (string, error) {
	c := n.command()
	cmd := exec.CommandContext(ctx, c.Args[0], args...) //nolint:gosec // the program under test
	cmd.Env = c.Env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// isAt checks that the app has a release, runs with it, and that nothing is left of the update but what
// archgen knows of it.
func (u *updating) isAt(release string) error {
	var errs []error
	if text := u.files(appsDir)[filepath.Join(appsDir, "changes.yaml")]; text != manifest(release) {
		errs = append(errs, fmt.Errorf("the manifest is %q", text))
	}
	unit := u.files(unitsDir)[filepath.Join(unitsDir, "app@changes.container")]
	if !strings.Contains(unit, "edition-"+release) || u.known()[service("changes")] != unit {
		errs = append(errs, fmt.Errorf("the unit file is %q", unit))
	}
	if s := u.systemd.Unit(service("changes")); s.ActiveState != "active" || u.monitors[service("changes")].digest() != u.mark(service("changes")).Digest {
		errs = append(errs, fmt.Errorf("%s is %s, or runs with something else", s.Name, s.ActiveState))
	}
	state := u.files(stateDir)
	for path, text := range state {
		if isLeft := strings.HasSuffix(path, ".tmp"); !isLeft && !json.Valid([]byte(text)) { // the next write of the file replaces it
			errs = append(errs, fmt.Errorf("%s can't be read: %q", path, text))
		}
	}
	in := func(path string) string { return state[filepath.Join(stateDir, path)] }
	if in("updates/journal.json") != "" {
		errs = append(errs, errors.New("its journal is left"))
	}
	var origin update.Release
	if err := json.Unmarshal([]byte(in("origins/changes.json")), &origin); err != nil {
		errs = append(errs, fmt.Errorf("its origin: %w", err))
	} else if string(origin.Manifest) != manifest(release) {
		errs = append(errs, fmt.Errorf("its origin is %s", origin))
	}
	isOnTrial, isRefused := in("updates/trials/changes.json") != "", strings.Contains(in("updates/refused.json"), "changes")
	if isOnTrial != (release == "2") || isRefused != u.isOnTrial {
		errs = append(errs, fmt.Errorf("on trial %v, refused %v", isOnTrial, isRefused))
	}
	return errors.Join(errs...)
}

// isWhole checks what is true at any moment: the manifest is that of one of the two releases.
func (u *updating) isWhole() error {
	text := u.files(appsDir)[filepath.Join(appsDir, "changes.yaml")]
	if text != manifest("1") && text != manifest("2") {
		return fmt.Errorf("the manifest is %q", text)
	}
	return nil
}

// attempt runs the verb with one fault and reports whether the fault was reached.
func (u *updating) attempt(t *testing.T, f Fault) bool {
	t.Helper()
	u.restore(u.from)
	c := u.command()
	c.Args = append([]string{c.Args[0]}, u.args...)
	result, err := Run(c, f)
	u.rest(t.Context())
	if err != nil {
		t.Error(err)
		return false
	}
	errs := []error{u.isWhole()}
	if state := u.state(); !result.Hit || !u.recovered[state] {
		errs = append(errs, u.recovers(t))
		u.recovered[state] = true
	}
	switch {
	case result.Exit == -1 && (!result.Hit || f.Errno != 0):
		errs = append(errs, errors.New("it was killed by another process"))
	case result.Exit > 0 && !explains(result.Output) && !strings.Contains(result.Output, "changes: not updated: "):
		errs = append(errs, errors.New("the error does not say what it is about"))
	}
	if err := errors.Join(errs...); err != nil {
		at := Call{}
		if result.Hit {
			at = result.Calls[f.At-1]
		}
		t.Errorf("fault %d (%v) at %v: %v\nexit %d: %s\nthe next runs: %q", f.At, f.Errno, at, err, result.Exit, result.Output, u.said)
	}
	return result.Hit
}

// recovers runs an apply, which completes the work, and another one, which finds none.
func (u *updating) recovers(t *testing.T) error {
	t.Helper()
	u.notice()
	if _, err := u.apply(t.Context()); err != nil {
		return fmt.Errorf("the next run: %w", err)
	}
	var errs []error
	isDone := false
	for _, release := range u.ends {
		err := u.isAt(release)
		errs, isDone = append(errs, err), isDone || err == nil
	}
	if !isDone {
		return fmt.Errorf("after the next run: %w", errors.Join(errs...))
	}
	if out, err := u.apply(t.Context()); err != nil || out != "nothing to do\n" {
		return fmt.Errorf("the run after that: %q, %w", out, err)
	}
	return nil
}

// sweep injects one fault after another, each into a later call. The nth is the one that errno returns.
// They begin at a random call, so that some runs cover every call.
func (v updateVerb) sweep(t *testing.T, every int, errno func(n int) syscall.Errno) {
	t.Helper()
	u := newUpdating(t, v)
	n, first := 0, firstOf(t, every)
	for u.attempt(t, Fault{first + n*every, errno(n)}) && !t.Failed() {
		n++
	}
	t.Logf("%d faults", n)
}

func TestAnUpdateKilledAtAnyCallIsCompletedByTheNext(t *testing.T) { //nolint:paralleltest // other sweeps use both cores
	for _, v := range updateVerbs {
		t.Run(v.name, func(t *testing.T) { v.sweep(t, step(25), func(int) syscall.Errno { return 0 }) })
	}
}

func TestAnUpdateThatFailsAtAnyCallIsCompletedByTheNext(t *testing.T) { //nolint:paralleltest // other sweeps use both cores
	errnos := []syscall.Errno{syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.EACCES}
	for _, v := range updateVerbs {
		t.Run(v.name, func(t *testing.T) { v.sweep(t, step(19), func(n int) syscall.Errno { return errnos[n%len(errnos)] }) })
	}
}
