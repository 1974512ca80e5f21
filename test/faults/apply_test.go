//go:build linux && (amd64 || arm64)

package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// change is the work of an apply that a fault interrupts.
type change struct {
	name string
	// before and now write the manifests. For an installation, before is nil.
	before, now func(*node)
	// asks is exactly the jobs that systemd has to get, each once.
	asks []string
	// every is the distance between kills: what the first change covers is not repeated as often.
	every int
}

var changes = []change{
	{
		name:   "another command",
		before: func(n *node) { n.install("changes", "Changes", "old"); n.install("stays", "Stays", "as-ever") },
		now:    func(n *node) { n.install("changes", "Changes", "new") },
		asks:   []string{"restart app@changes.service"},
		every:  4,
	},
	{
		name:   "another name",
		before: func(n *node) { n.install("changes", "Old", "same"); n.install("stays", "Stays", "as-ever") },
		now:    func(n *node) { n.install("changes", "New", "same") },
		every:  10,
	},
	{
		name:  "installation",
		now:   func(n *node) { n.install("changes", "Changes", "new"); n.install("stays", "Stays", "as-ever") },
		asks:  []string{"start app@changes.service", "start app@stays.service"},
		every: 30, // most calls count the inotify instances of other processes, in /proc
	},
}

// trial is a change on a node, to be tried with one fault after another.
type trial struct {
	change
	*node
	from moment
	// old and new are the unit files without and with the change.
	old, new map[string]string
	// failed: a call has failed.
	failed bool
	// recovered is the states from which later runs completed the change. Most calls read,
	// so most faults leave a state that an earlier fault left, too.
	recovered map[string]bool
	// idle is the histories of repairs with which a run found nothing to do. Everything
	// else is the same whenever the change is done.
	idle map[string]bool
}

func newTrial(t *testing.T, c change) *trial {
	t.Helper()
	r := &trial{change: c, node: newNode(t, "changes", "stays"), recovered: map[string]bool{}, idle: map[string]bool{}}
	if c.before != nil {
		c.before(r.node)
		if out, err := r.apply(t.Context()); err != nil {
			t.Fatal(err, out)
		}
	}
	r.old = r.unitFiles()
	c.now(r.node)
	r.from = r.moment()
	r.restore(r.from)
	if _, err := r.apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.new = r.unitFiles()
	if err := errors.Join(r.isDone(), r.didWhatItHadTo()); err != nil || maps.Equal(r.old, r.new) {
		t.Fatal("without a fault:", err)
	}
	return r
}

// isWhole checks what has to be true at any moment: a unit file is the old one or the new
// one.
func (r *trial) isWhole() error {
	var errs []error
	now := r.unitFiles()
	for path, text := range now {
		if text != r.old[path] && text != r.new[path] {
			errs = append(errs, fmt.Errorf("%s is torn: %q", path, text))
		}
	}
	for path := range r.old {
		if _, there := now[path]; !there {
			errs = append(errs, fmt.Errorf("%s is missing", path))
		}
	}
	return errors.Join(errs...)
}

// isForPodman distinguishes unit files from temporary and parked ones.
func isForPodman(path string) bool {
	return !strings.HasPrefix(filepath.Base(path), ".") && !strings.Contains(path, ".aside-")
}

// unitFiles returns the files that Podman reads.
func (n *node) unitFiles() map[string]string {
	list := n.files(unitsDir)
	maps.DeleteFunc(list, func(path, _ string) bool { return !isForPodman(path) })
	return list
}

// isDone checks the final state that every run has to reach.
func (r *trial) isDone() error {
	var errs []error
	if list := r.leftovers(); len(list) > 0 {
		errs = append(errs, fmt.Errorf("left over: %v", list))
	}
	got, want := r.unitFiles(), r.new
	if !maps.Equal(got, want) {
		errs = append(errs, fmt.Errorf("the unit files are %q", got))
	}
	for name, m := range r.monitors {
		u := r.systemd.Unit(name)
		if u.ActiveState != "active" || u.LoadState != "loaded" || u.NeedDaemonReload || m.digest() != r.node.mark(name).Digest || r.read[name] != want[r.containerFile(name)] {
			errs = append(errs, fmt.Errorf("%s is %+v, its container of digest %s", name, u, m.digest()))
		}
	}
	return errors.Join(append(errs, r.isRecorded(want))...)
}

// leftovers returns the temporary files. If the mark of an unfinished change can't be
// removed, the next change takes a little longer.
func (r *trial) leftovers() []string {
	var list []string
	for path := range r.files("home") {
		if strings.HasSuffix(path, ".tmp") && (!r.failed || filepath.Base(path) != ".archgen-unsynced.tmp") {
			list = append(list, path)
		}
	}
	return list
}

func (r *trial) containerFile(service string) string {
	return filepath.Join(unitsDir, strings.TrimSuffix(service, ".service")+".container")
}

// isRecorded checks that the state directory can be read, and that the newest generation
// has the units that serve.
func (r *trial) isRecorded(want map[string]string) error {
	var newest string
	for path, text := range r.files(stateDir) {
		if !json.Valid([]byte(text)) {
			return fmt.Errorf("%s can't be read: %q", path, text)
		}
		if strings.Contains(path, "/generations/") {
			newest = max(newest, path)
		}
	}
	var g struct {
		Files []struct{ Name, Content string }
	}
	if err := json.Unmarshal([]byte(r.files(stateDir)[newest]), &g); err != nil {
		return fmt.Errorf("the newest generation %q: %w", newest, err)
	}
	kept := map[string]string{}
	for _, f := range g.Files {
		kept[filepath.Join(unitsDir, f.Name)] = f.Content
	}
	if !maps.Equal(kept, want) {
		return fmt.Errorf("the newest generation, %s, does not hold what serves", newest)
	}
	return nil
}

func (r *trial) didWhatItHadTo() error {
	jobs, _ := r.done()
	if slices.Sort(jobs); !slices.Equal(jobs, r.asks) {
		return fmt.Errorf("systemd was asked to %v, want %v", jobs, r.asks)
	}
	return nil
}

// recovers runs a second apply, which completes the work, and a third, which finds none.
func (r *trial) recovers(t *testing.T) error {
	t.Helper()
	r.notice()
	if _, err := r.apply(t.Context()); err != nil {
		return fmt.Errorf("the next run: %w", err)
	}
	if err := r.isDone(); err != nil {
		return fmt.Errorf("after the next run: %w", err)
	}
	record := r.files(stateDir)[filepath.Join(stateDir, "history.json")]
	if r.idle[record] {
		return nil
	}
	jobs, reloads := r.done()
	traces := r.traces()
	out, err := r.apply(t.Context())
	if err != nil || out != "nothing to do\n" {
		return fmt.Errorf("the run after that: %q, %w", out, err)
	}
	jobsNow, reloadsNow := r.done()
	if !slices.Equal(jobs, jobsNow) || reloads != reloadsNow || !maps.Equal(traces, r.traces()) {
		return errors.New("the run after that did something")
	}
	r.idle[record] = true
	return nil
}

// attempt makes the change with one fault and reports whether the fault was reached.
func (r *trial) attempt(t *testing.T, f Fault) bool {
	t.Helper()
	r.restore(r.from)
	r.failed = f.Errno != 0
	result, err := Run(r.command(), f)
	r.rest(t.Context())
	if err != nil {
		t.Error(err)
		return false
	}
	errs := []error{r.isWhole()}
	if state := r.state(); !result.Hit || !r.recovered[state] {
		errs = append(errs, r.recovers(t))
		if result.Exit == -1 || !result.Hit {
			errs = append(errs, r.didWhatItHadTo())
		}
		r.recovered[state] = true
	}
	switch {
	case result.Exit == -1 && (!result.Hit || f.Errno != 0):
		errs = append(errs, errors.New("it was killed by another process"))
	case result.Exit > 0 && !explains(result.Output):
		errs = append(errs, errors.New("the error does not say what it is about"))
	}
	if err := errors.Join(errs...); err != nil {
		at := Call{}
		if result.Hit {
			at = result.Calls[f.At-1]
		}
		t.Errorf("fault %d (%v) at %v: %v\nexit %d: %s\nthe next runs: %q", f.At, f.Errno, at, err, result.Exit, result.Output, r.said)
	}
	return result.Hit
}

var named = regexp.MustCompile(`(?m)(^| )/[a-z]|app@|manager|podman [a-z]+`)

// explains reports whether a message names a path, a unit, the manager, or what Podman
// should have done.
func explains(message string) bool {
	if strings.Contains(message, "panic") || strings.Contains(message, "goroutine ") {
		return false
	}
	return named.MatchString(message)
}

// sweep injects faults, on two nodes at a time, until there are no more calls. The nth fault is the one
// that errno returns. They begin at a random call, so that some runs cover every call.
func (c change) sweep(t *testing.T, step int, errno func(n int) syscall.Errno) int {
	t.Helper()
	first := firstOf(t, step)
	var (
		wg      sync.WaitGroup
		next    atomic.Int64
		reached atomic.Int64
		done    atomic.Bool
	)
	for range 2 {
		r := newTrial(t, c)
		wg.Go(func() {
			for !done.Load() {
				n := int(next.Add(1)) - 1
				if r.attempt(t, Fault{first + n*step, errno(n)}) {
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

func TestAnApplyKilledAtAnyCallIsCompletedByTheNext(t *testing.T) { //nolint:paralleltest // sweeps use both cores
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			t.Logf("%d kill points", c.sweep(t, step(c.every), func(int) syscall.Errno { return 0 }))
		})
	}
}

// Errors other than EACCES differ only in their messages.
func TestAnApplyThatFailsAtAnyCallIsCompletedByTheNext(t *testing.T) { //nolint:paralleltest // sweeps use both cores
	errnos := []syscall.Errno{syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.EACCES}
	t.Logf("%d calls failed", changes[0].sweep(t, step(3), func(n int) syscall.Errno { return errnos[n%len(errnos)] }))
}
