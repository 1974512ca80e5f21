package machine

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/status"
)

// StatusReader reads the status of apps. One snapshot has the states of systemd, the
// answers of the probes and the plan of a pass.
type StatusReader struct {
	// Host is the machine as a pass uses it. Its Health is not used.
	Host reconcile.Host
	// Files reads the unit files on disk.
	Files interface{ Read() (units.Set, error) }
	// Probe probes a target once.
	Probe func(context.Context, probe.Target) probe.Outcome
	// LastLines returns the last lines that a unit wrote.
	LastLines func(ctx context.Context, unit string) []string
	// Trials returns when the trials of releases end, by app.
	Trials func() (map[string]time.Time, error)
}

// probeTime is the timeout of probes and of the journal.
const probeTime = 2 * time.Second

// Read returns the status of the apps that have a manifest, and of removed apps that still
// have services or files. diagnostics is the first error of each invalid manifest. problems
// is what makes the status incomplete, such as files that can't be read.
func (r StatusReader) Read(ctx context.Context, want units.Desired, manifests []string, diagnostics map[string]string) (apps []status.App, problems []error, err error) {
	l := snapshot{Services: r.Host.Services, reader: r, answers: map[string]status.Answer{}}
	if l.disk, err = r.Files.Read(); err != nil {
		problems = append(problems, err)
	}
	history, err := r.Host.Store.History()
	if err != nil {
		problems = append(problems, err)
	}
	trials, err := r.Trials()
	if err != nil {
		problems = append(problems, err)
	}
	l.want = want
	host := r.Host
	host.Services, host.Health = &l, l.health
	plan, err := reconcile.Preview(ctx, want, host)
	if err != nil && len(problems) == 0 {
		problems = append(problems, err)
	}
	if l.found == nil {
		if _, err := l.Observe(ctx, nil, true); err != nil {
			return nil, nil, err
		}
	}
	scenes := l.scenes(status.Look{Want: want, Units: l.found, Actions: plan.Actions(), History: history, Trials: trials}, manifests)
	for id, scene := range scenes {
		scene.Diagnostic = diagnostics[id]
		scenes[id] = scene
	}
	return r.explained(ctx, scenes), problems, nil
}

// explained returns the status of each app, with the last log lines of the units that
// failed.
func (r StatusReader) explained(ctx context.Context, scenes map[string]status.Scene) []status.App {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	ids := slices.Sorted(maps.Keys(scenes))
	apps := make([]status.App, len(ids))
	var all sync.WaitGroup
	for i, id := range ids {
		apps[i] = status.Of(scenes[id])
		units := apps[i].Unexplained()
		if len(units) == 0 {
			continue
		}
		all.Go(func() {
			scene := scenes[id]
			scene.Lines = map[string][]string{}
			for _, unit := range units {
				scene.Lines[unit] = r.LastLines(ctx, unit)
			}
			apps[i] = status.Of(scene)
		})
	}
	all.Wait()
	return apps
}

// snapshot is the state of the machine at one moment. It is the Services of a preview.
type snapshot struct {
	reconcile.Services
	reader StatusReader
	want   units.Desired
	// disk is the unit files on disk.
	disk    units.Set
	found   map[string]units.Unit
	answers map[string]status.Answer
}

// Observe records the states of all units, and probes the running services.
func (l *snapshot) Observe(ctx context.Context, names []string, others bool) (map[string]units.Unit, error) {
	found, err := l.Services.Observe(ctx, names, others)
	if err != nil {
		return nil, err
	}
	l.found = maps.Clone(found)
	l.ask(ctx)
	return found, nil
}

// ask probes all running services at the same time.
func (l *snapshot) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var all sync.WaitGroup
	var mutex sync.Mutex
	for name, u := range l.found {
		targets := status.TargetsOf(l.file(name))
		if u.Phase() != units.PhaseRunning || targets == nil {
			continue
		}
		all.Go(func() {
			a := l.answer(ctx, targets)
			mutex.Lock()
			defer mutex.Unlock()
			l.answers[name] = a
		})
	}
	all.Wait()
}

// answer probes a service.
func (l *snapshot) answer(ctx context.Context, targets map[status.Level]probe.Target) status.Answer {
	answer, _ := status.Ask(func(level status.Level) *probe.Outcome {
		t, ok := targets[level]
		if !ok {
			return nil
		}
		o := l.reader.Probe(ctx, t)
		return &o
	})
	return answer
}

// health returns the health from the answers in the snapshot.
func (l *snapshot) health(_ context.Context, _ units.File, p units.Part, u units.Unit) (units.Health, string) {
	a := l.answers[p.Service]
	return cmp.Or(a.Health, u.Health), a.Detail
}

// file returns the container file of a service: the one on disk, else the rendered one.
func (l *snapshot) file(service string) units.File {
	name := units.ContainerFile(units.ContainerOf(service))
	if f, ok := l.disk.Find(name); ok {
		return f
	}
	app, _ := l.want.Find(units.AppOf(service))
	f, _ := app.Files.Find(name)
	return f
}

// scenes returns the scenes of the apps that have a manifest, and of removed apps that
// still have services or files.
func (l *snapshot) scenes(s status.Look, manifests []string) map[string]status.Scene {
	services := status.Services(s.Want.Apps, l.disk, l.found)
	ids := slices.Concat(manifests, slices.Collect(maps.Keys(services)), slices.Collect(maps.Keys(s.Want.Refused())))
	scenes := s.Scenes(ids)
	for id, scene := range scenes {
		for _, name := range services[id] {
			scene.Services = append(scene.Services, status.Service{Name: name, Unit: l.found[name], File: l.file(name), Answer: l.answers[name]})
		}
		scenes[id] = scene
	}
	return scenes
}
