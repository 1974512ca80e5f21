package statusview

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/status"
)

// Survey is the state of all apps at one time.
type Survey struct {
	Apps     []App
	Compiled *compile.Compiled
	Now      time.Time
	// Watches is the units that do not watch all files.
	Watches []status.Watch
	// Problems is the errors that left the survey incomplete.
	Problems []error
}

// Take reads the unit files and systemd, and probes the running apps.
func Take(ctx context.Context, l *machine.Machine, k *compile.Compiled, want units.Desired) (*Survey, error) {
	reader := machine.StatusReader{
		Host: l.ForPreview(), Files: l.Files(), Probe: l.Health.Probe, LastLines: l.Services.LastLines, Trials: l.Store.TrialEnds,
	}
	ids := make([]string, 0, len(k.Loaded.Manifests))
	for _, m := range k.Loaded.Manifests {
		ids = append(ids, manifests.AppOf(m.File))
	}
	apps, problems, err := reader.Read(ctx, want, ids, k.FirstErrors())
	if err != nil {
		return nil, err
	}
	watches, err := l.Services.Watches(ctx, l.Paths.Units)
	if err != nil {
		problems = append(problems, err)
	}
	s := &Survey{Compiled: k, Now: time.Now(), Watches: watches, Problems: problems}
	address := prestart.Address()
	for _, a := range apps {
		s.Apps = append(s.Apps, App{App: a, Description: k.Describe(a.ID, address), LANAddress: status.LANAddress(a.Ports, address)})
	}
	return s, nil
}

// Document is some apps of the survey for programs.
func (s *Survey) Document(apps []App) any {
	return struct {
		Apps    []App          `json:"apps"`
		Watches []status.Watch `json:"watches"`
	}{append([]App{}, apps...), append([]status.Watch{}, s.Watches...)}
}

// Lines is a table of apps, or all details of one.
func (s *Survey) Lines(style ui.Style, apps []App, isOne bool) []string {
	v := View{Style: style, Now: s.Now}
	if isOne {
		return v.One(apps[0])
	}
	return v.Table(apps)
}

// AllProblems is the errors that concern more than one app.
func (s *Survey) AllProblems() []error {
	all := slices.Clone(s.Problems)
	for _, w := range s.Watches {
		all = append(all, fmt.Errorf("%s\nto fix it: %s", w, w.Mend))
	}
	return all
}

// Diagnostics is those that no row of an app says.
func (s *Survey) Diagnostics() diag.List {
	list := s.Compiled.Diags
	if s.Compiled.Result != nil {
		list = slices.DeleteFunc(slices.Clone(list), func(d diag.Diagnostic) bool { return d.Severity != diag.Error || manifests.AppOf(d.File) != "" })
	}
	return list
}
