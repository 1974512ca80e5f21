//go:build linux && (amd64 || arm64)

package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

func TestMain(m *testing.M) {
	if os.Args[0] == monitorName {
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	code := m.Run()
	_ = os.RemoveAll(programs) // nothing of the tests is in it
	os.Exit(code)
}

func all(units.Ownership) bool { return true }

// unit returns a rendered file. refers is the name of a file that must exist whenever this
// one does.
func unit(name, generation, refers string) units.File {
	text := "# Rendered by archgen from x.yaml.\n[Unit]\nDescription=" + generation + "\nX-Refers=" + refers +
		"\n[X-Archipelago]\nApp=x\nDigest=0a\n"
	return units.File{Name: name, App: "x", Content: []byte(text)}
}

var sets = map[string]units.Set{
	"none": nil,
	"old": {
		unit("app@changes.container", "old", "gone.volume"),
		unit("app@gone.container", "old", "gone.volume"),
		unit("app@stays.container", "both", "changes.network"),
		unit("changes.network", "old", ""),
		unit("gone.volume", "old", ""),
	},
	"new": {
		unit("app@changes.container", "new", "made.volume"),
		unit("app@made.container", "new", "made.volume"),
		unit("app@stays.container", "both", "changes.network"),
		unit("changes.network", "new", ""),
		unit("made.volume", "new", ""),
	},
}

// foreign is the files of the operator in the directory.
var foreign = map[string]string{
	"hand.container":                       "[Container]\nImage=x\n",
	"notes.txt":                            "[X-Archipelago]\nApp=x\n",
	"app@changes.container.d/10-mine.conf": "[Container]\nEnvironment=A=b\n",
	"app@gone.container.d/10-mine.conf":    "[Container]\nEnvironment=A=b\n",
}

// scenario is the change of a run that a fault interrupts.
type scenario struct {
	name, from, to string
	odd            bool // a link replaces a wanted file
	killed         bool // there are leftovers of a killed run
}

var scenarios = []scenario{
	{name: "change", from: "old", to: "new"},
	{name: "install", from: "none", to: "new"},
	{name: "remove all", from: "old", to: "none"},
	{name: "link in the place", from: "old", to: "new", odd: true},
	{name: "after a kill", from: "new", to: "new", killed: true},
}

// prepare creates the state before the run. For an installation there is no directory.
func (s scenario) prepare(t *testing.T, root string) (dir string) {
	t.Helper()
	dir = filepath.Join(root, "containers/systemd/archipelago")
	if s.from == "none" {
		return dir
	}
	if _, err := unitdir.Sync(dir, sets[s.from], all); err != nil {
		t.Fatal(err)
	}
	files := maps.Clone(foreign)
	if s.killed {
		files[".archgen-1-0.tmp"], files[".archgen-unsynced.tmp"] = "half a fi", ""
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if s.odd {
		path := filepath.Join(dir, "app@changes.container")
		if err := errors.Join(os.Remove(path), os.Symlink(filepath.Join(dir, "notes.txt"), path)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (s scenario) command(t *testing.T, dir, root string) Command {
	t.Helper()
	set, err := json.Marshal(sets[s.to])
	if err := errors.Join(err, build()); err != nil {
		t.Fatal(err)
	}
	return Command{Args: []string{filepath.Join(programs, "sync"), dir, string(set)}, Below: root}
}

// check checks what has to be true at any moment, and after a fault.
func (s scenario) check(dir string) (errs []error) {
	from, to := sets[s.from], sets[s.to]
	for _, set := range []units.Set{from, to} {
		for _, f := range set {
			if err := s.checkFile(dir, f.Name, from, to); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if s.from != "none" {
		for name, text := range foreign {
			if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != text {
				errs = append(errs, fmt.Errorf("the operator's %s: %q, %w", name, got, err))
			}
		}
	}
	return errs
}

func (s scenario) checkFile(dir, name string, from, to units.Set) error {
	before, had := from.Find(name)
	after, has := to.Find(name)
	info, err := os.Lstat(filepath.Join(dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist) && had && has && !s.odd:
		return fmt.Errorf("%s is missing", name)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case s.odd && info.Mode().Type() == fs.ModeSymlink:
		return nil
	}
	got, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	if text := string(got); (!had || text != string(before.Content)) && (!has || text != string(after.Content)) {
		return fmt.Errorf("%s is torn: %q", name, text)
	}
	_, refers, _ := strings.Cut(string(got), "X-Refers=")
	refers, _, _ = strings.Cut(refers, "\n")
	if _, err := os.Lstat(filepath.Join(dir, refers)); err != nil {
		return fmt.Errorf("%s refers to what is not there: %w", name, err)
	}
	return nil
}

// isDone returns an error unless the directory has exactly the wanted set.
func (s scenario) isDone(dir string, leftoversToo bool) error {
	var got []string
	entries, err := os.ReadDir(dir)
	if err != nil && (len(sets[s.to]) > 0 || !errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		_, theirs := foreign[name]
		if theirs || e.IsDir() || name == ".archgen.lock" || strings.Contains(name, ".aside-") ||
			(!leftoversToo && strings.HasPrefix(name, ".archgen-")) {
			continue
		}
		got = append(got, name)
	}
	var want []string
	for _, f := range sets[s.to] {
		want = append(want, f.Name)
		if text, err := os.ReadFile(filepath.Join(dir, f.Name)); err != nil || string(text) != string(f.Content) {
			return fmt.Errorf("%s is not as wanted: %q, %w", f.Name, text, err)
		}
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		return fmt.Errorf("the directory holds %v, want %v", got, want)
	}
	return nil
}

// recovers runs a second run, which completes the work, and a third, which finds none.
func (s scenario) recovers(t *testing.T, dir string) (errs []error) {
	t.Helper()
	if _, err := unitdir.Sync(dir, sets[s.to], all); err != nil {
		return []error{fmt.Errorf("the next run: %w", err)}
	}
	if err := s.isDone(dir, true); err != nil {
		errs = append(errs, fmt.Errorf("after the next run: %w", err))
	}
	ch, err := unitdir.Sync(dir, sets[s.to], all)
	if err != nil || len(ch.Written)+len(ch.Removed)+len(ch.MovedAside) > 0 {
		errs = append(errs, fmt.Errorf("the run after that: %+v, %w", ch, err))
	}
	return append(errs, s.check(dir)...)
}

// attempt runs one scenario with one fault and reports whether the fault was reached.
func (s scenario) attempt(t *testing.T, f Fault) bool {
	t.Helper()
	root := t.TempDir()
	dir := s.prepare(t, root)
	r, err := Run(s.command(t, dir, root), f)
	if err != nil {
		t.Error(err)
		return false
	}
	errs := s.check(dir)
	if s.from == "none" && !r.Hit && len(r.Calls) == 0 {
		errs = append(errs, errors.New("no call was counted"))
	}
	switch {
	case r.Exit == -1 && (!r.Hit || f.Errno != 0):
		errs = append(errs, errors.New("another process killed it"))
	case r.Exit == 0:
		if err := s.isDone(dir, !r.Hit); err != nil {
			errs = append(errs, fmt.Errorf("it reported success: %w", err))
		}
	case r.Exit > 0 && (!strings.Contains(r.Output, root) || strings.Contains(r.Output, "panic")):
		errs = append(errs, errors.New("the error names no path"))
	}
	errs = append(errs, s.recovers(t, dir)...)
	if err := errors.Join(errs...); err != nil {
		at := Call{}
		if r.Hit {
			at = r.Calls[f.At-1]
		}
		t.Errorf("fault %d (%v) at %v: %v\nexit %d: %s", f.At, f.Errno, at, err, r.Exit, r.Output)
	}
	return r.Hit
}

// sweep injects the fault into every call, two at a time, until there are no more calls.
func (s scenario) sweep(t *testing.T, errno syscall.Errno, step int) int {
	t.Helper()
	var (
		wg      sync.WaitGroup
		next    atomic.Int64
		reached atomic.Int64
		done    atomic.Bool
	)
	for range 2 {
		wg.Go(func() {
			for !done.Load() && !t.Failed() {
				at := 1 + (int(next.Add(1))-1)*step
				if s.attempt(t, Fault{at, errno}) {
					reached.Add(1)
				} else {
					done.Store(true)
				}
			}
		})
	}
	wg.Wait()
	return int(reached.Load())
}

func TestAKillAtAnyCallLosesNothing(t *testing.T) { //nolint:paralleltest // sweeps use both cores
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Logf("%d kill points", s.sweep(t, 0, step(1)))
		})
	}
}

func TestAnErrorAtAnyCallLosesNothing(t *testing.T) { //nolint:paralleltest // sweeps use both cores
	for _, c := range []struct {
		errno syscall.Errno
		every int
	}{
		{syscall.ENOSPC, 1},
		{syscall.EIO, 1},
		{syscall.EACCES, 1},
		{syscall.EROFS, 4}, // from here on only unitdir's messages differ
		{syscall.EDQUOT, 4},
		{syscall.EMFILE, 4},
	} {
		for _, s := range scenarios[:2] {
			t.Run(fmt.Sprintf("%s, %v", s.name, c.errno), func(t *testing.T) {
				t.Logf("%d calls failed", s.sweep(t, c.errno, step(c.every)))
			})
		}
	}
}

// step is the distance between faults: -short tries a seventh of them.
func step(every int) int {
	if testing.Short() {
		return 7 * every
	}
	return every
}

// firstOf is a random call of those before the distance between two faults ends.
func firstOf(t *testing.T, step int) int {
	t.Helper()
	first := 1 + rand.IntN(step)
	t.Logf("from call %d, each %d", first, step)
	return first
}

// A run that finds no difference makes no call that writes.
func TestARunWithoutChangesWritesNothing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := scenario{from: "old", to: "old"}
	dir := s.prepare(t, root)
	r, err := Run(s.command(t, dir, root), Fault{})
	if err != nil || r.Exit != 0 || len(r.Calls) == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, c := range r.Calls {
		if c.Writes || c.Name == "flock" {
			t.Errorf("a call that writes: %v", c)
		}
	}
	t.Logf("%d calls, none writes", len(r.Calls))
}
