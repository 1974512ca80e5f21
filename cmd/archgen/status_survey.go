package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// snapshot is one look at everything. It is the Services of a preview, so that
// what a pass would do, and what status shows, come of the same look.
type snapshot struct {
	machine.Services
	health   machine.Health
	compiled *compile.Compiled
	want     units.Desired
	// disk is the unit files that are there, by name.
	disk    units.Set
	found   map[string]machine.Service
	answers map[string]reply
	plan    units.Plan
	history units.History
	// services is those of each app, the main one first.
	services map[string][]string
	host     netip.Addr
	now      time.Time
	// problems is what kept the look from being complete.
	problems []error
}

// reply is what a service said when it was asked.
type reply struct {
	health   units.Health
	detail   string
	progress float64
	synced   bool
}

// probeTime is how long status waits for answers.
const probeTime = 2 * time.Second

// survey looks at the manifests, the unit files, systemd, and asks what runs.
func (c *cli) survey(ctx context.Context, l *host, from *source) (*snapshot, error) {
	k, want, err := c.installed(from)
	if err != nil {
		return nil, err
	}
	s := &snapshot{
		Services: l.services, compiled: k, want: want, now: time.Now(), answers: map[string]reply{},
		health: l.health, host: hostAddress(),
	}
	// Neither a directory that can't be read nor a lost record hides what runs.
	if s.disk, err = machine.Files(l.places.Units).Read(); err != nil {
		s.problems = append(s.problems, err)
	}
	if s.history, err = l.store.History(); err != nil {
		s.problems = append(s.problems, err)
	}
	host := l.host(0, nil)
	host.Services, host.Health = s, s.healthOf
	if s.plan, err = reconcile.Preview(ctx, want, host); err != nil && len(s.problems) == 0 {
		s.problems = append(s.problems, err)
	}
	if s.found == nil {
		if _, err := s.Observe(ctx, nil, true); err != nil {
			return nil, err
		}
	}
	s.group()
	return s, nil
}

// Observe keeps everything that is known, and asks what runs.
func (s *snapshot) Observe(ctx context.Context, names []string, _ bool) (map[string]units.Unit, error) {
	found, err := s.All(ctx, names)
	if err != nil {
		return nil, err
	}
	s.found = found
	s.ask(ctx)
	states := make(map[string]units.Unit, len(found))
	for name, f := range found {
		states[name] = f.State
	}
	return states, nil
}

// ask asks every running service at the same time.
func (s *snapshot) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for name, f := range s.found {
		file, ok := s.file(name)
		if f.State.Active != units.Active || f.State.Paused || !ok {
			continue
		}
		wg.Go(func() {
			a, ok := s.levels(ctx, file)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				s.answers[name] = a
			}
		})
	}
	wg.Wait()
}

// levels asks whether a service serves, and if so whether it has caught up.
func (s *snapshot) levels(ctx context.Context, file units.File) (reply, bool) {
	o, ok := s.health.Level(ctx, file, "serving")
	if !ok {
		return reply{}, false
	}
	a := reply{health: machine.Meaning(o), detail: ui.OneLine(o.Detail), progress: o.Progress}
	if a.health != units.Serving {
		return a, true
	}
	a.detail, a.progress = "", 0
	if o, ok = s.health.Level(ctx, file, "synced"); ok {
		a.synced = o.State == probe.Serving
		if !a.synced {
			a.detail, a.progress = ui.OneLine(o.Detail), o.Progress
		}
	}
	return a, true
}

// healthOf is what a service answered already.
func (s *snapshot) healthOf(_ context.Context, _ units.File, p units.Part, u units.Unit) (units.Health, string) {
	a := s.answers[p.Service]
	return cmp.Or(a.health, u.Health), a.detail
}

// file is the container file of a service: the one that is there, else the one
// that should be.
func (s *snapshot) file(service string) (units.File, bool) {
	name := units.ContainerFile(units.ContainerOf(service))
	if f, ok := s.disk.Find(name); ok {
		return f, true
	}
	for _, app := range s.want.Apps {
		if f, ok := app.Files.Find(name); ok {
			return f, true
		}
	}
	return units.File{}, false
}

// group finds the services of every app that is wanted, has a file, or is known
// to systemd as more than a name.
func (s *snapshot) group() {
	s.services = map[string][]string{}
	add := func(id, service string) {
		if id != "" && !slices.Contains(s.services[id], service) {
			s.services[id] = append(s.services[id], service)
		}
	}
	for _, app := range s.want.Apps {
		for _, p := range app.Parts {
			add(app.ID, p.Service)
		}
	}
	for _, f := range s.disk {
		if service := units.ServiceOf(f.Name); service != "" {
			add(f.App, service)
		}
	}
	for _, service := range slices.Sorted(maps.Keys(s.found)) {
		if u := s.found[service].State; u.Loaded || u.Active != units.Inactive {
			add(units.AppOf(service), service)
		}
	}
	for _, services := range s.services {
		slices.SortStableFunc(services, func(a, b string) int { return strings.Count(a, ".") - strings.Count(b, ".") })
	}
}

// ids lists the apps that are installed, well or not, and those of which
// something is still there.
func (s *snapshot) ids() []string {
	list := slices.Collect(maps.Keys(s.services))
	list = slices.AppendSeq(list, maps.Keys(s.want.Refused()))
	for _, m := range s.compiled.Loaded.Manifests {
		list = append(list, manifests.AppOf(m.File))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// reason is why a service is as it is, or what a pass would do to it. What is
// wrong with its file counts where nothing else does.
func (s *snapshot) reason(id, service string) units.Reason {
	if why := s.lack(id); why != "" {
		return why
	}
	if why := s.want.Refused()[id]; why != "" { // which a person has to mend, and all else is mended
		return why
	}
	file := units.ContainerFile(units.ContainerOf(service))
	var ofFile, ofApp units.Reason
	for _, a := range s.plan.Actions() {
		switch {
		case a.Kind == units.Acquire: // which says nothing of how the app is
		case a.Target == service && a.Reason != units.ReasonNeverStarted:
			return a.Reason
		case a.Target == service || a.Target == file:
			ofFile = cmp.Or(ofFile, a.Reason)
		case a.App == id && (a.Target == "" || a.Kind == units.Write || a.Kind == units.Remove):
			ofApp = cmp.Or(ofApp, a.Reason)
		}
	}
	switch f := s.found[service]; {
	case ofFile != "":
		return ofFile
	case ofApp != "":
		return ofApp
	case s.isRolledBack(id):
		return units.ReasonRolledBack
	case s.want.Complete && !s.isWanted(id):
		return units.ReasonRemoved
	case !f.State.Loaded:
		return units.ReasonNotLoaded
	case f.State.NeedsReload:
		return units.ReasonNeedsReload
	case f.State.Active == units.Failed:
		return units.ReasonFailed
	}
	return ""
}

// lack is what systemd has to say of what an app lacks, where it matters.
func (s *snapshot) lack(id string) units.Reason {
	isForIt := func(a units.Action) bool {
		return a.App == id && a.Kind != units.Leave && a.Kind != units.ResetFailed
	}
	switch s.found[units.PullOf(id)].State.Active {
	case units.Activating:
		return units.ReasonPulling
	case units.Failed:
		if slices.ContainsFunc(s.plan.Actions(), isForIt) {
			return units.ReasonPullFailed
		}
	case units.Active, units.Deactivating, units.Inactive:
	}
	return ""
}

func (s *snapshot) isWanted(id string) bool {
	_, ok := s.want.Find(id)
	return ok
}

func (s *snapshot) isRolledBack(id string) bool {
	app, ok := s.want.Find(id)
	return ok && s.history.RolledBack(app)
}

// lastWords finds what those said last that are down for no good reason, and why what
// they lack can't be had.
func (s *snapshot) lastWords(ctx context.Context, apps []appStatus) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var wg sync.WaitGroup
	for i := range apps {
		if apps[i].Reason == units.ReasonPullFailed {
			wg.Go(func() { apps[i].Error = cmp.Or(apps[i].Error, ui.OneLine(s.PullWords(ctx, apps[i].ID))) })
		}
		for j := range apps[i].Parts {
			p := &apps[i].Parts[j]
			if p.State != units.PhaseFailed && p.State != units.PhaseRestarting {
				continue
			}
			wg.Go(func() { p.Error = ui.OneLine(s.LastWords(ctx, p.Service)) })
		}
	}
	wg.Wait()
	for i := range apps {
		apps[i].Error = cmp.Or(apps[i].Error, firstError(apps[i]))
	}
}

// firstError is the error of the first part that has one, with its name where
// it is not the main one.
func firstError(a appStatus) string {
	for _, p := range a.Parts {
		switch {
		case p.Error == "":
		case p.Name == a.ID:
			return p.Error
		default:
			return strings.TrimPrefix(p.Name, a.ID+".") + ": " + p.Error
		}
	}
	return ""
}

// lanAddress is where the first port is reached from elsewhere, empty where none is.
func (s *snapshot) lanAddress(ports []units.Port) string {
	for _, p := range ports {
		address, err := netip.ParseAddr(p.Address)
		switch {
		case err != nil || address.IsLoopback() || p.Protocol != "tcp":
			continue
		case address.IsUnspecified():
			address = s.host
		}
		if address.IsValid() {
			host, _, _ := strings.Cut(p.Host, "-")
			return net.JoinHostPort(address.String(), host)
		}
	}
	return ""
}

// hostAddress is the address of this machine in its network: the first private
// IPv4 address, and rather one of the interface that leads outside than that of
// a bridge to containers.
func hostAddress() netip.Addr {
	routes, _ := os.ReadFile("/proc/net/route")
	interfaces, err := net.Interfaces()
	if err != nil {
		return netip.Addr{}
	}
	outside := defaultInterface(routes)
	if i := slices.IndexFunc(interfaces, func(i net.Interface) bool { return i.Name == outside }); i > 0 {
		interfaces[0], interfaces[i] = interfaces[i], interfaces[0]
	}
	var list []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() {
				list = append(list, prefix.Addr())
			}
		}
	}
	if i := slices.IndexFunc(list, netip.Addr.IsPrivate); i >= 0 {
		return list[i]
	}
	if len(list) > 0 {
		return list[0]
	}
	return netip.Addr{}
}

// defaultInterface is the interface of the default route in /proc/net/route.
func defaultInterface(routes []byte) string {
	lines := bufio.NewScanner(bytes.NewReader(routes))
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) > 7 && f[1] == "00000000" && f[7] == "00000000" {
			return f[0]
		}
	}
	return ""
}
