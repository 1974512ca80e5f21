package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// machine is a simulated machine. The version of an app determines its behavior: the word after
// the dash, as in "2-crashes".
type machine struct {
	mu     sync.Mutex
	files  map[string]units.File
	loaded map[string]string // service → digest that systemd has read
	units  map[string]units.Unit
	starts map[string]int
	// mentioned is services that systemd keeps without a unit, because another unit mentions them.
	mentioned map[string]bool
	history   units.History
	foreign   *foreign // nil: the host does not look for containers
	commits   []units.Set
	locked    bool
	noImage   map[string]bool
	// full: no grants can be written.
	full bool
	// unreadable: Podman's generator can't read the directory's files.
	unreadable bool
	log        []string // what was done, in order
	// reloading is called when a service is reloaded.
	reloading func(service string) error
	reloads   int
	syncFail  error
	stuck     string // an immutable file
}

func newMachine() *machine {
	return &machine{
		files: map[string]units.File{}, loaded: map[string]string{}, units: map[string]units.Unit{}, starts: map[string]int{}, mentioned: map[string]bool{},
		history: units.History{}, noImage: map[string]bool{},
	}
}

func app(id, version string, needs ...string) units.App {
	file := units.File{Name: "app@" + id + ".container", App: id, Digest: version, Content: []byte(version)}
	return units.App{
		ID: id, Enabled: true, Needs: needs, ManifestDigest: version, Files: units.Set{file},
		Parts: []units.Part{{Service: "app@" + id + ".service", File: file.Name, Digest: version}},
	}
}

func (m *machine) host() reconcile.Host {
	ask := func(_ context.Context, _ units.File, _ units.Part, u units.Unit) (units.Health, string) {
		if strings.Contains(u.Digest, "silent") {
			return units.Failing, "connection refused"
		}
		return units.Serving, ""
	}
	host := reconcile.Host{
		Files: m, Services: m, Store: m, Now: time.Now, StabilizationTime: 5 * time.Second, WaitTimeout: 10 * time.Minute,
		Health: ask, Ask: ask,
		Record: func(dir, name string, content []byte) error {
			if m.full {
				return errors.New("no space left on device")
			}
			m.log = append(m.log, "record "+dir+"/"+name+" "+string(content))
			return nil
		},
		Supply: func(_ context.Context, a units.App, lack units.Prerequisites) error {
			if lack.Images && m.noImage[a.ID] {
				return errors.New("no route to registry")
			}
			return nil
		},
	}
	if m.foreign != nil {
		host.Foreign = m.foreign
	}
	return host
}

// run is a pass over some apps. It must do what its preview says.
func (m *machine) run(t *testing.T, apps ...units.App) reconcile.Report {
	t.Helper()
	want := units.Desired{Apps: apps, Complete: true}
	plan := m.preview(t, want)
	r, err := reconcile.Run(t.Context(), func() (units.Desired, error) { return want, nil }, m.host())
	if err != nil {
		t.Fatal(err)
	}
	if d := deviations(plan, r); len(d) > 0 {
		t.Errorf("the preview and the pass differ:\n%s", strings.Join(d, "\n"))
	}
	return r
}

// preview is the plan of a pass. It leaves no trace on the machine.
func (m *machine) preview(t *testing.T, want units.Desired) units.Plan {
	t.Helper()
	if m.foreign != nil {
		defer func(was foreign) { m.foreign.looks, m.foreign.rewrites = was.looks, was.rewrites }(*m.foreign)
	}
	plan, err := reconcile.Preview(t.Context(), want, m.host())
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// deviations is the actions that only the pass or only its preview has. How an app fares is not
// known in advance, so what follows from that, or is not done because of it, is no deviation.
func deviations(plan units.Plan, r reconcile.Report) (list []string) {
	isBad := map[string]bool{}
	for _, a := range r.Results {
		isBad[a.App] = a.Outcome != reconcile.Done && a.Outcome != reconcile.Unchanged
	}
	planned := plan.Actions()
	for _, a := range r.Actions {
		if i := slices.Index(planned, a); i >= 0 {
			planned = slices.Delete(planned, i, i+1)
		} else if isStopped := a.Kind == units.ResetFailed && slices.Contains(r.Actions, units.Action{App: a.App, Kind: units.Stop, Target: a.Target, Reason: a.Reason}); a.App != "" && !isBad[a.App] && !isStopped {
			list = append(list, fmt.Sprintf("done but not planned: %+v", a))
		}
	}
	for _, a := range planned {
		if a.App != "" && !isBad[a.App] {
			list = append(list, fmt.Sprintf("planned but not done: %+v", a))
		}
	}
	return list
}

// The files.

func (m *machine) Look(want units.Set) (map[string]units.FoundFile, units.Set, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]units.FoundFile{}
	for _, f := range want {
		switch have, ok := m.files[f.Name]; {
		case !ok:
			found[f.Name] = units.FoundFile{State: units.FileMissing, App: f.App}
		case string(have.Content) == "foreign":
			found[f.Name] = units.FoundFile{State: units.FileForeign, App: f.App}
		case string(have.Content) != string(f.Content):
			found[f.Name] = units.FoundFile{State: units.FileDiffers, App: f.App}
		}
	}
	for name, f := range m.files {
		if _, wanted := want.Find(name); !wanted && f.App != "" {
			found[name] = units.FoundFile{State: units.FileStale, App: f.App, Service: units.ServiceOf(name)}
		}
	}
	var ours units.Set
	for _, f := range m.files {
		if f.App != "" {
			ours = append(ours, f)
		}
	}
	ours.Sort()
	return found, ours, nil
}

func (m *machine) Lost(want units.Set) (lost units.Set) {
	for _, f := range want {
		if _, ok := m.files[f.Name]; !ok {
			lost = append(lost, f)
		}
	}
	return lost
}

func (m *machine) Sync(want units.Set, owns func(units.Ownership) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.syncFail != nil {
		return m.syncFail
	}
	stuck := &units.ImmutableFileError{File: m.stuck, Err: errors.New(m.stuck + " is immutable")}
	for _, f := range want {
		if string(m.files[f.Name].Content) != string(f.Content) {
			if f.Name == m.stuck {
				return stuck
			}
			m.note("write " + f.Name + " " + f.Digest)
		}
		m.files[f.Name] = f
	}
	for name, f := range m.files {
		if _, wanted := want.Find(name); !wanted && owns != nil && owns(units.Ownership{App: f.App}) {
			if name == m.stuck {
				return stuck
			}
			m.note("remove " + name)
			delete(m.files, name)
		}
	}
	return nil
}

// systemd.

func (m *machine) note(text string) {
	m.foreign.photograph()
	m.log = append(m.log, text)
}

func (m *machine) Observe(_ context.Context, names []string, others bool) (map[string]units.Unit, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, u := range m.units {
		u.Loaded = m.loaded[name] != ""
		m.units[name] = u
		if u.Active == units.Inactive && !u.Loaded && !m.mentioned[name] {
			delete(m.units, name)
		}
	}
	for name := range m.loaded {
		if _, ok := m.units[name]; !ok {
			m.units[name] = units.Unit{Loaded: true, Active: units.Inactive}
		}
	}
	found := maps.Clone(m.units)
	maps.DeleteFunc(found, func(name string, _ units.Unit) bool { return !others && !slices.Contains(names, name) })
	return found, nil
}

func (m *machine) Reload(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reloads++
	m.note("reload")
	m.loaded = map[string]string{}
	for name, f := range m.files {
		if !strings.Contains(f.Digest, "refused") && f.App != "" && !m.unreadable {
			m.loaded[units.ServiceOf(name)] = f.Digest
		}
	}
	return nil
}

func (m *machine) Start(ctx context.Context, service string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	version := m.loaded[service]
	m.starts[service]++
	m.note("start " + service + " " + version)
	u := units.Unit{Active: units.Active, Digest: version, Invocation: fmt.Sprint(m.starts[service])}
	if strings.Contains(version, "fails") {
		u.Active = units.Failed
		m.units[service] = u
		return errors.New("starting " + service + ": the job ended with failed")
	}
	m.units[service] = u
	if strings.Contains(version, "slow") {
		m.mu.Unlock()
		<-ctx.Done()
		m.mu.Lock()
		return context.Cause(ctx)
	}
	if strings.Contains(version, "crashes") {
		go m.crash(service, u.Invocation)
	}
	if strings.Contains(version, "late") {
		return m.late(ctx, service, u)
	}
	return nil
}

// late makes a service active or failed five minutes after its start, which waits for that.
func (m *machine) late(ctx context.Context, service string, u units.Unit) error {
	u.Active = units.Activating
	m.units[service] = u
	arrived := make(chan struct{})
	go func() {
		time.Sleep(5 * time.Minute)
		m.mu.Lock()
		defer m.mu.Unlock()
		u.Active = units.Active
		if strings.Contains(u.Digest, "lost") {
			u.Active = units.Failed
		}
		if strings.Contains(u.Digest, "loops") {
			u.Active, u.Restarting = units.Activating, true
		}
		m.units[service] = u
		close(arrived)
	}()
	m.mu.Unlock()
	defer m.mu.Lock()
	select {
	case <-arrived:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// crash ends a service three seconds after its start; systemd restarts it.
func (m *machine) crash(service, invocation string) {
	time.Sleep(3 * time.Second)
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.units[service]; u.Invocation == invocation {
		m.starts[service]++
		u.Invocation = fmt.Sprint(m.starts[service])
		m.units[service] = u
	}
}

// Restart includes the parts that systemd tries to start.
func (m *machine) Restart(ctx context.Context, service string) error {
	m.mu.Lock()
	for name, u := range m.units {
		if units.AppOf(name) == units.AppOf(service) && u.Restarting {
			m.units[name] = units.Unit{Active: units.Active, Digest: m.loaded[name], Invocation: u.Invocation + "+"}
		}
	}
	m.mu.Unlock()
	return m.Start(ctx, service)
}

func (m *machine) RestartAlone(ctx context.Context, service string) error {
	return m.Start(ctx, service)
}

// ReloadService takes a moment, and continues if its caller stops waiting.
func (m *machine) ReloadService(ctx context.Context, service string) error {
	m.mu.Lock()
	m.note("reload-service " + service)
	u := m.units[service]
	u.Job = "reload"
	m.units[service] = u
	m.mu.Unlock()
	ended := make(chan error, 1)
	go func() {
		time.Sleep(time.Second)
		err := m.reloading(service)
		m.mu.Lock()
		u := m.units[service]
		u.Job = ""
		m.units[service] = u
		m.mu.Unlock()
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *machine) Recreate(ctx context.Context, service string) error { return m.Start(ctx, service) }

func (m *machine) ReloadNetwork(context.Context) error { return nil }

func (m *machine) Stop(_ context.Context, service string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note("stop " + service)
	u := m.units[service]
	u.Active, u.Stopped = units.Inactive, true
	if strings.Contains(u.Digest, "stubborn") {
		u.Active = units.Failed
	}
	m.units[service] = u
	return nil
}

func (m *machine) ResetFailed(_ context.Context, service string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note("reset-failed " + service)
	if u := m.units[service]; u.Active == units.Failed {
		u.Active = units.Inactive
		m.units[service] = u
	}
	return nil
}

func (m *machine) Log(_ context.Context, service string, _ int) []string {
	return []string{"last words of " + service}
}

func (m *machine) GeneratorLog(_ context.Context, file string, _ time.Time) []string {
	return []string{"unsupported key in " + file}
}

// The store.

func (m *machine) Lock(context.Context) (func(), error) {
	if m.locked {
		return nil, errors.New("held by process 7")
	}
	m.locked = true
	return func() { m.locked = false }, nil
}

func (m *machine) History() (units.History, error) { return maps.Clone(m.history), nil }
func (m *machine) SaveHistory(h units.History) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.history = maps.Clone(h)
	return nil
}

func (m *machine) Adoptions() (units.Adoptions, error) { return m.foreign.adoptions(), nil }

func (m *machine) SaveAdoptions(a units.Adoptions) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note("remember " + strings.Join(slices.Sorted(maps.Keys(a)), " "))
	m.foreign.kept = maps.Clone(a)
	return nil
}

func (m *machine) Commit(set units.Set, _ string) error {
	m.commits = append(m.commits, set)
	return nil
}

func (m *machine) Good() (units.Set, error) {
	if len(m.commits) == 0 {
		return nil, nil
	}
	return m.commits[len(m.commits)-1], nil
}

func results(r reconcile.Report) []string {
	list := make([]string, 0, len(r.Results))
	for _, a := range r.Results {
		text := a.App + " " + string(a.Outcome)
		if a.Error != "" {
			text += ": " + a.Error
		}
		list = append(list, text)
	}
	return list
}

func equal(t *testing.T, what string, want, got []string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: -want +got:\n%s", what, d)
	}
}

func reasons(r reconcile.Report) []string {
	list := make([]string, 0, len(r.Actions))
	for _, a := range r.Actions {
		list = append(list, string(a.Reason))
	}
	return list
}
