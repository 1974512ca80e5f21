//go:build linux && (amd64 || arm64)

package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// One of two runs does the work of a round, and the other finds it done.
func TestTwoAppliesAtOnceTakeTurns(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	n := newNode(t, "changes", "stays")
	n.install("stays", "Stays", "as-ever")
	for round := range 60 {
		n.install("changes", "Changes", "edition-"+strconv.Itoa(round))
		n.notice()
		var said [2]string
		var wg sync.WaitGroup
		for i := range said {
			wg.Go(func() {
				var err error
				if said[i], err = n.apply(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		slices.Sort(said[:])
		if said[0] != "nothing to do\n" || !strings.Contains(said[1], "changes: done") {
			t.Fatalf("round %d: %q", round, said)
		}
		jobs, reloads := n.done()
		if reloads != round+1 || len(jobs) != round+2 { // and the start of a service that does not change
			t.Fatalf("round %d: %d reloads, jobs %v", round, reloads, jobs)
		}
	}
	if text := n.known()[service("changes")]; !strings.Contains(text, "Exec=edition-59") {
		t.Errorf("systemd runs %s", text)
	}
}

// shared is a machine on which several passes run at once. It records when two overlap. Its
// files and its lock are real. Its systemd knows only what passes request.
type shared struct {
	statedir.Store
	reconcile.Services
	files machine.Files

	inside, met atomic.Int32

	mutex  sync.Mutex
	loaded map[string]units.Unit
}

func (s *shared) Lock(ctx context.Context) (func(), error) {
	unlock, err := s.Store.Lock(ctx)
	if err != nil {
		return nil, err
	}
	if s.inside.Add(1) != 1 {
		s.met.Add(1)
	}
	return func() {
		s.inside.Add(-1)
		unlock()
	}, nil
}

func (s *shared) Observe(context.Context, []string, bool) (map[string]units.Unit, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return maps.Clone(s.loaded), nil
}

func (s *shared) HasUnits(context.Context, []string) (map[string]bool, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	loaded := map[string]bool{}
	for name, u := range s.loaded {
		loaded[name] = u.Loaded
	}
	return loaded, nil
}

// Reload reads the files on disk as the units of systemd.
func (s *shared) Reload(context.Context) error {
	set, err := s.files.Read()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, f := range set {
		if name := units.ServiceOf(f.Name); name != "" {
			u := s.loaded[name]
			u.Loaded = true
			s.loaded[name] = u
		}
	}
	return err
}

// Restart starts a container from the unit file on disk.
func (s *shared) Restart(_ context.Context, name string) error {
	set, err := s.files.Read()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	f, _ := set.Find(strings.TrimSuffix(name, ".service") + ".container")
	u := s.loaded[name]
	started, _ := strconv.Atoi(u.Invocation)
	s.loaded[name] = units.Unit{
		Loaded: true, Active: units.Active, Digest: f.Digest, Invocation: strconv.Itoa(started + 1),
	}
	return err
}

func (s *shared) Start(ctx context.Context, name string) error { return s.Restart(ctx, name) }

func (s *shared) host() reconcile.Host {
	unprobed := func(context.Context, units.File, units.Part, units.Unit) (units.Health, string) {
		return units.HealthUnknown, ""
	}
	return reconcile.Host{
		Files: s.files, Services: s, Store: s, Health: unprobed, Ask: unprobed, Now: time.Now, WaitTimeout: time.Hour,
	}
}

// TestAThousandTimesTwoPasses changes both apps in each round: one pass does all of the
// work, the other nothing.
func TestAThousandTimesTwoPasses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	root := newNode(t).root
	s := &shared{
		Store: statedir.Store{State: filepath.Join(root, "state"), Runtime: filepath.Join(root, "run"), Now: time.Now},
		files: machine.Files(filepath.Join(root, "units")), loaded: map[string]units.Unit{},
	}
	for round := range 1000 {
		want := units.Desired{Complete: true, Apps: []units.App{edition("a", round), edition("b", round)}}
		if changed := s.round(ctx, t, want); changed != 1 {
			t.Fatalf("round %d: %d passes did the work", round, changed)
		}
		set, err := s.files.Read()
		if err != nil {
			t.Fatal(err)
		}
		for _, app := range want.Apps {
			f, _ := set.Find(app.Files[0].Name)
			u := s.loaded[app.Parts[0].Service]
			if string(f.Content) != string(app.Files[0].Content) || u.Digest != f.Digest || u.Invocation != strconv.Itoa(round+1) {
				t.Fatalf("round %d: %s is %q, its service %+v", round, f.Name, f.Content, u)
			}
		}
	}
	if n := s.met.Load(); n > 0 {
		t.Errorf("%d times two passes met", n)
	}
	unlock, err := s.Lock(ctx)
	if err != nil {
		t.Fatal("the lock is not free:", err)
	}
	unlock()
}

// round runs two passes at once and returns how many changed something.
func (s *shared) round(ctx context.Context, t *testing.T, want units.Desired) int {
	t.Helper()
	var wg sync.WaitGroup
	var changed atomic.Int32
	for range 2 {
		wg.Go(func() {
			report, err := reconcile.Run(ctx, func() (units.Desired, error) { return want, nil }, s.host())
			if failed, _ := report.Count(); err != nil || failed > 0 {
				t.Errorf("%+v, %v", report, err)
			}
			if report.Changed() {
				changed.Add(1)
			}
		})
	}
	wg.Wait()
	return int(changed.Load())
}

func edition(id string, round int) units.App {
	f := units.File{Name: "app@" + id + ".container", App: id, Digest: fmt.Sprintf("%04x", round)}
	f.Content = fmt.Appendf(nil, "# Rendered by archgen from %s.yaml.\n[Container]\nImage=x\n[X-Archipelago]\nApp=%s\nDigest=%s\n", id, id, f.Digest)
	return units.App{
		ID: id, Enabled: true, ManifestDigest: f.Digest, Files: units.Set{f},
		Parts: []units.Part{{Service: service(id), File: f.Name, Digest: f.Digest}},
	}
}

// holding starts an apply that holds the lock until its reload is answered.
func holding(t *testing.T, n *node) (cmd *exec.Cmd, answer func()) {
	t.Helper()
	reading := make(chan struct{})
	n.mutex.Lock()
	n.reading = reading
	n.mutex.Unlock()
	cmd, err := n.start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	<-reading
	n.mutex.Lock()
	n.reading = nil
	n.mutex.Unlock()
	return cmd, func() { reading <- struct{}{} }
}

// A stopped run keeps the lock, and the next one names the holder. A killed run releases
// it.
func TestTheLockIsItsHoldersUntilItsEnd(t *testing.T) {
	t.Parallel()
	n := newNode(t, "changes", "stays")
	changes[2].now(n)
	holder, answer := holding(t, n)
	defer answer()
	if err := holder.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_, err := n.apply(t.Context())
	exit, _ := errors.AsType[*exec.ExitError](err)
	want := fmt.Sprintf("another run (process %d) has held %s for ", holder.Process.Pid, n.at("run/archipelago/lock"))
	if exit == nil || exit.ExitCode() != 5 || !strings.Contains(err.Error(), want) {
		t.Errorf("beside a run that was stopped: %v, want exit code 5 and %s", err, want)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // it was killed
	n.notice()
	if out, err := n.apply(t.Context()); err != nil {
		t.Errorf("after it was killed: %v: %s", err, out)
	}
}
