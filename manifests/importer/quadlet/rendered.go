package quadlet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/units"
)

// ownership is the section of files that archgen rendered.
const ownership = units.OwnershipSection

// filesBelow is where the configuration files of rendered containers are.
const filesBelow = "%t/archipelago/files/"

// isRendered reports whether archgen rendered the file.
func (f *file) isRendered() bool { return f.value(ownership, "App") != "" }

// ownDirectives is what archgen writes into the units of containers without being told to.
var ownDirectives = []string{
	"Unit.Wants", "Unit.PartOf", "Unit.StartLimitIntervalSec=0", "Service.RestartMode", "Service.SyslogLevelPrefix", "Service.MemoryMax=80%",
	"Service.EnvironmentFile", "Service.ExecStartPre", "Service.ExecStartPost", "Service.ExecReload", "Service.RemainAfterExit", "Service.RestartSteps", "Service.TimeoutStopSec",
	"Container.LogDriver", "Container.HealthOnFailure", "Container.Annotation",
}

// isOwn reports whether archgen writes an entry of a rendered file without being told to.
func isOwn(f *file, e entry) bool {
	return f.isRendered() && (slices.Contains(ownDirectives, e.id()) || slices.Contains(ownDirectives, e.id()+"="+e.value))
}

// isOtherApp reports whether a unit is that of another app that archgen rendered.
func (u *unit) isOtherApp(name string) bool {
	return u.isRendered() && units.AppOf(name+".service") != ""
}

// isRenderedFile reports whether a mount is a configuration file, and adds that.
func (u *unit) isRenderedFile(e entry) bool {
	below, ok := strings.CutPrefix(e.value, filesBelow)
	if !ok || !u.isRendered() {
		return false
	}
	source, rest, _ := strings.Cut(below, ":")
	target, _, _ := strings.Cut(rest, ":")
	name := path.Base(source)
	u.say(func(d *importer.Draft) {
		for _, f := range u.recipe(d).Files {
			if f.Name != name {
				continue
			}
			d.Templates[name] = []byte(f.Template)
			u.part.Files = append(u.part.Files, manifests.File{Template: name, Target: target, Mode: manifests.Mode(f.Mode), Reload: f.Reload})
			d.Keep(e.at, e.id(), fmt.Sprintf("%s.files[%d]", u.part.Path, len(u.part.Files)-1))
		}
	})
	return true
}

// isRenderedEngine reports whether a mount is the socket of the engine, and adds that.
func (u *unit) isRenderedEngine(e entry) bool {
	source, _, _ := strings.Cut(e.value, ":")
	for word, engine := range units.Engines {
		if u.isRendered() && (source == "%t/"+engine.Path || source == "/run/"+engine.Path) {
			u.set("engine", e, func(c *manifests.Container) { c.Engine = word })
			return true
		}
	}
	return false
}

// recipe is what archgen does before the part starts.
func (u *unit) recipe(d *importer.Draft) units.Prestart {
	name := units.PrestartName(u.file.service() + ".service")
	data, err := fs.ReadFile(u.fsys, name)
	if err != nil {
		return units.Prestart{} // the part needs nothing
	}
	r, err := units.ReadPrestart(data)
	if err != nil {
		d.Report(importer.BadSource, u.start(), "", "%s: %v", name, err)
	}
	return r
}

// readFacts gives the variables that archgen determines before each start the names that a manifest
// has for them. What is wrong with the recipe is reported where the rest of it is read.
func (u *unit) readFacts() {
	data, err := fs.ReadFile(u.fsys, units.PrestartName(u.file.service()+".service"))
	if err != nil {
		return
	}
	r, _ := units.ReadPrestart(data)
	for _, f := range r.Facts {
		name := "machine." + f.Name
		capability, isShared := strings.CutPrefix(f.Network, units.CapabilityNetwork(""))
		switch {
		case f.File != nil && onionVariable.MatchString(f.Variable):
			name = onionOf(f.Variable)
		case f.File != nil:
			_, volume, _ := strings.Cut(f.File.Volume, ".")
			name = "volume." + volume + "/" + f.File.Path
		case isShared:
			name = "capability." + capability + "." + f.Name
		case f.Network != "":
			name = "network." + f.Name
		}
		if f.Default != "" {
			name += ":-" + f.Default
		}
		u.variables[f.Variable] = importer.Reference(name)
	}
}

// onionVariable is a variable for the address of a hidden service, with the port of the app or the
// capability that it is of.
var onionVariable = regexp.MustCompile(`^ARCHIPELAGO_(?:ONION_([A-Z0-9_]+)|CAPABILITY_([A-Z0-9_]+)_ONION)_[0-9a-f]{8}$`)

// onionOf is the name that a manifest has for such a variable. Names of ports and capabilities have
// lower-case letters, digits and dashes only.
func onionOf(variable string) string {
	m := onionVariable.FindStringSubmatch(variable)
	lower := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "-") }
	if m[1] != "" {
		return "onion." + lower(m[1])
	}
	return "capability." + lower(m[2]) + ".onion"
}

// facts is what the templates of a part may name.
type facts struct {
	App                   map[string]string
	Ports, ContainerPorts map[string]string
	Capabilities          map[string]map[string]string
	Secrets               map[string]string
}

// factsOf reads them from a recipe. A part without templates has none.
func factsOf(r units.Prestart) (f facts) {
	var read struct {
		App            map[string]string            `json:"app"`
		Ports          map[string]string            `json:"ports"`
		ContainerPorts map[string]string            `json:"container_ports"`
		Capabilities   map[string]map[string]string `json:"capabilities"`
		Secrets        map[string]string            `json:"secrets"`
	}
	if r.Data == nil || json.Unmarshal(r.Data, &read) != nil {
		return f
	}
	return facts(read)
}

// know adds what the templates of the parts may name: the version, names of ports, and secrets
// that no container mounts.
func (a *app) know(d *importer.Draft) {
	for _, u := range a.units {
		if !u.isRendered() {
			continue
		}
		f := factsOf(u.recipe(d))
		d.App.Version = cmp.Or(f.App["version"], d.App.Version)
		for _, name := range slices.Sorted(maps.Keys(f.ContainerPorts)) {
			a.namePort(name, f.ContainerPorts[name], f.Ports[name])
		}
		addSecrets(d, f)
	}
}

// namePort gives a port its name. One that only other containers reach is in no unit.
func (a *app) namePort(name, inside, host string) {
	for _, u := range a.units {
		for i := range u.part.Ports {
			p := &u.part.Ports[i]
			if p.Name == name {
				return
			}
			if p.Name == "" && strconv.Itoa(p.Container) == inside && (host == strconv.Itoa(p.Host) || host == "" && p.Host == 0) {
				p.Name = name
				return
			}
		}
	}
	number, err := strconv.Atoi(inside)
	if i := slices.IndexFunc(a.units, func(u *unit) bool { return u.part.Name == "main" }); err == nil && host == "" && i >= 0 {
		main := a.units[i].part
		main.Ports = append(main.Ports, manifests.Port{Name: name, Container: number})
	}
}

func addSecrets(d *importer.Draft, f facts) {
	for _, name := range slices.Sorted(maps.Keys(f.Secrets)) {
		if !slices.ContainsFunc(d.App.Secrets, func(s manifests.Secret) bool { return s.Name == name }) {
			d.App.Secrets = append(d.App.Secrets, manifests.Secret{Name: name})
		}
	}
}

// exports is what other apps of the directory get from a capability of this one, by their ids.
func (u *unit) exports(capability string) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, f := range u.files {
		if f.kind != ".container" || !f.isRendered() || f.value(ownership, "App") == u.ID {
			continue
		}
		data, err := fs.ReadFile(u.fsys, units.PrestartName(f.service()+".service"))
		if err != nil {
			continue // a part that needs nothing
		}
		r, _ := units.ReadPrestart(data) // which is reported with its app
		for name, value := range factsOf(r).Capabilities[capability] {
			if name == "host" {
				continue
			}
			app := f.value(ownership, "App")
			if all[app] == nil {
				all[app] = map[string]string{}
			}
			all[app][name] = strings.TrimPrefix(value, u.ID+".")
		}
	}
	return all
}

// isCapability reports whether a network is that of a capability.
func (u *unit) isCapability(network string) bool {
	f := u.find(network)
	return f != nil && f.value(ownership, "Capability") != ""
}

// capability reads that the part offers a capability, or uses it.
func (u *unit) capability(network, options string, e entry) {
	name := u.find(network).value(ownership, "Capability")
	if options == "alias="+name {
		u.say(func(d *importer.Draft) {
			p := manifests.Provide{Capability: name, Part: u.part.Name}
			if p.Part == "main" {
				p.Part = ""
			}
			if all := u.exports(name); len(all) > 0 {
				p.For = all
			}
			d.App.Provides = append(d.App.Provides, p)
			d.Report(importer.NotRecorded, e.at, e.id(), "what the capability %s exports is known for apps that use it here", name)
		})
		return
	}
	u.say(func(d *importer.Draft) { u.require(d, name, network, e) })
}

func (u *unit) require(d *importer.Draft, name, network string, e entry) {
	provider := u.providerOf(network, name)
	if u.value(ownership, "Onion") != "" && !u.hasRight("use:"+name) {
		return // only its ports have hidden services
	}
	r := manifests.Require{Capability: name, Optional: provider == nil}
	if provider != nil {
		// A provider that is followed for several capabilities is there as often.
		followed := slices.DeleteFunc(u.recipe(d).Follow, func(name string) bool { return name != containerOf(provider) })
		r.Follow = len(followed) > u.follows[provider]
		if r.Follow {
			u.follows[provider]++
		}
		isAfter := slices.ContainsFunc(u.entries, func(e entry) bool {
			return e.id() == "Unit.After" && unitName(e.value) == provider.service()
		})
		if !isAfter {
			r.Until = "started"
		}
	}
	i := slices.IndexFunc(d.App.Requires, func(o manifests.Require) bool { return o.Capability == name })
	if i < 0 {
		r.Parts = []string{u.part.Name}
		d.App.Requires = append(d.App.Requires, r)
		d.Keep(e.at, e.id(), fmt.Sprintf("app.requires[%d]", len(d.App.Requires)-1))
		return
	}
	d.App.Requires[i].Parts = append(d.App.Requires[i].Parts, u.part.Name)
}

// hasRight reports whether the app has a right by a grant. A capability that it does not name has
// none.
func (u *unit) hasRight(right string) bool {
	return slices.ContainsFunc(u.units, func(o *unit) bool {
		var list []string
		return json.Unmarshal([]byte(o.value(ownership, "Rights")), &list) == nil && slices.Contains(list, right)
	})
}

// onions is the ports that have hidden services.
func (u *unit) onions(d *importer.Draft) {
	for _, e := range u.entries {
		if e.section != ownership || e.key != "Onion" {
			continue
		}
		virtual, inside, _ := strings.Cut(e.value, ":")
		number, _ := strconv.Atoi(virtual) // archgen wrote it
		for i := range u.part.Ports {
			if p := &u.part.Ports[i]; strconv.Itoa(p.Container) == inside && p.Protocol != "udp" {
				p.Name = cmp.Or(p.Name, "port-"+inside)
				d.App.Onion = append(d.App.Onion, manifests.Onion{Port: p.Name, Virtual: number})
				break
			}
		}
	}
}

// sortRequires puts what the app requires into the order of its units.
func (u *unit) sortRequires(d *importer.Draft) {
	var order []string
	for _, other := range u.units {
		for _, e := range other.entries {
			if e.id() == "Unit.Wants" {
				order = append(order, unitName(e.value))
			}
		}
	}
	at := func(r manifests.Require) int {
		for _, f := range u.files {
			if f.kind == ".network" && f.value(ownership, "Capability") == r.Capability {
				if provider := u.providerOf(f.name, r.Capability); provider != nil {
					return slices.Index(order, provider.service())
				}
			}
		}
		return len(order)
	}
	slices.SortStableFunc(d.App.Requires, func(a, b manifests.Require) int { return cmp.Compare(at(a), at(b)) })
}

// providerOf is the container that offers a capability on its network.
func (u *unit) providerOf(network, capability string) *file {
	for _, f := range u.files {
		if slices.ContainsFunc(f.entries, func(e entry) bool {
			return e.id() == "Container.Network" && e.value == network+":alias="+capability
		}) {
			return f
		}
	}
	return nil
}

// renderedVolume is what a manifest calls a volume of an app. That of another app gets a name of
// its own, which is replaced once the mounts are made.
func (u *unit) renderedVolume(f *file) string {
	owner := f.value(ownership, "App")
	name := strings.TrimPrefix(f.value("Volume", "VolumeName"), owner+".")
	if owner == u.ID {
		return name
	}
	full := owner + "." + name
	u.say(func(*importer.Draft) {
		for i := range u.part.Volumes {
			if v := &u.part.Volumes[i]; v.Name == importer.IDOf(full) && v.App == "" {
				v.App, v.Name = owner, name
				v.Watch = u.watched(full)
			}
		}
	})
	return full
}

// watched is the files in a volume of another app that the part reads at its start.
func (u *unit) watched(volume string) (list []string) {
	data, err := fs.ReadFile(u.fsys, units.PrestartName(u.file.service()+".service"))
	if err != nil {
		return nil
	}
	r, _ := units.ReadPrestart(data) // which is reported
	for _, w := range r.Watch {
		if w.Volume == volume {
			list = append(list, w.Path)
		}
	}
	return list
}

// lend shares the app's volumes with the other apps of the directory that mount them, and names
// its companions.
func (u *unit) lend(d *importer.Draft) {
	for _, f := range u.files {
		app := f.value(ownership, "App")
		if f.kind != ".container" || app == "" {
			continue
		}
		for _, e := range f.entries {
			source, rest, _ := strings.Cut(e.value, ":")
			switch volume := u.find(source); {
			case e.id() == "Unit.PartOf" && app != u.ID && units.AppOf(e.value) == u.ID:
				d.App.Companions = append(d.App.Companions, app)
			case e.id() == "Unit.PartOf" && app == u.ID && units.AppOf(e.value) != u.ID:
				d.App.CompanionOf = append(d.App.CompanionOf, units.AppOf(e.value))
			case e.id() != "Container.Volume" || app == u.ID || volume == nil || volume.value(ownership, "App") != u.ID:
			default:
				name := strings.TrimPrefix(volume.value("Volume", "VolumeName"), u.ID+".")
				share := manifests.Share{Volume: name, App: app, Write: !strings.Contains(rest, ":ro")}
				if !slices.Contains(d.App.Shares, share) {
					d.App.Shares = append(d.App.Shares, share)
				}
			}
		}
	}
}

// renderedNetwork is what a manifest calls a network of an app.
func (u *unit) renderedNetwork(f *file, e entry) string {
	full := f.value("Network", "NetworkName")
	name := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(full, "private."), "internal."), u.ID)
	name = strings.TrimPrefix(name, ".")
	if name == "" {
		return "default"
	}
	mark := ""
	if f.value("Network", "Internal") == "true" {
		mark = "internal"
	}
	u.declare("networks", name, mark, e)
	return name
}

// finishRendered adds what the ownership section and the recipe say.
func (u *unit) finishRendered(d *importer.Draft) {
	recipe := u.recipe(d)
	if recipe.Reload != "" {
		u.part.Reload = &manifests.Reload{Signal: recipe.Reload}
	}
	for _, s := range recipe.Steps {
		u.step(d, s)
	}
	for _, o := range recipe.Once {
		once := manifests.Once{Name: o.Name, Run: o.Run, Timeout: seconds(o.Seconds)}
		if u.part.Name != "main" {
			once.Part = u.part.Name
		}
		d.App.Hooks.Once = append(d.App.Hooks.Once, once)
	}
	h := &u.part.Health
	for _, of := range []struct {
		level string
		at    **manifests.Probe
	}{{"Alive", &h.Alive}, {"Serving", &h.Serving}, {"Synced", &h.Synced}} {
		level, at := of.level, of.at
		text := u.value(ownership, level)
		if text == "" {
			continue
		}
		if level == "Serving" && *at != nil {
			h.Alive = *at // the command that Podman runs
		}
		p, err := u.probe(text)
		if err != nil {
			d.Report(importer.NotRecorded, u.last(ownership, level).at, "", "the probe is left out: %v", err)
			continue
		}
		*at = p
	}
	u.onions(d)
	if u.part.Name == "main" {
		u.lend(d)
		u.sortRequires(d)
		d.Report(importer.NotRecorded, u.start(), "", "links, the user interface, how secrets are made, and backups are not in the units")
	}
}

// step adds a step before the start, unless archgen adds it without being told to.
func (u *unit) step(d *importer.Draft, s units.Step) {
	step := manifests.Step{Migrate: s.Migrate, Run: s.Run, Timeout: seconds(s.Seconds)}
	if u.part.Name != "main" {
		step.Part = u.part.Name
	}
	inVolume := func(f units.VolumeFile) string { return strings.TrimPrefix(f.Volume, u.ID+".") }
	switch {
	case s.EnsureDir != nil && s.EnsureDir.IsKept:
		return
	case s.EnsureDir != nil:
		step.EnsureDir = &manifests.EnsureDir{
			Volume: inVolume(s.EnsureDir.VolumeFile), Path: s.EnsureDir.Path, Owner: fmt.Sprintf("%d:%d", s.EnsureDir.UID, s.EnsureDir.GID), Mode: manifests.Mode(s.EnsureDir.Mode),
		}
	case s.File != nil:
		step.WaitFor = &manifests.WaitFor{File: inVolume(*s.File) + "/" + s.File.Path}
	case s.Address != "" || s.Service != "":
		d.Report(importer.NotRecorded, u.start(), "", "a step that waits for %s is left out", cmp.Or(s.Address, s.Service))
		return
	}
	d.App.Hooks.PreStart = append(d.App.Hooks.PreStart, step)
}

func seconds(n int) manifests.Duration { return manifests.Duration(time.Duration(n) * time.Second) }

// recorded is a probe as the ownership section has it.
type recorded struct {
	Kind, Address, Path, Contains, Method, User string
	PasswordSecret                              string `json:"password_secret"`
	Status                                      []int
	Expect                                      map[string]string
	Interval, Timeout                           string
	StartPeriod                                 string `json:"start_period"`
	Retries                                     int
}

// probe is a probe of the host. It gives the port that it asks a name.
func (u *unit) probe(text string) (*manifests.Probe, error) {
	var r recorded
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return nil, err
	}
	port, err := u.portOf(r.Address)
	if err != nil {
		return nil, err
	}
	p := &manifests.Probe{Retries: r.Retries}
	for _, of := range []struct {
		text string
		into *manifests.Duration
	}{{r.Interval, &p.Interval}, {r.Timeout, &p.Timeout}, {r.StartPeriod, &p.StartPeriod}} {
		span, _ := time.ParseDuration(of.text) // none is the default
		*of.into = manifests.Duration(span)
	}
	page := &manifests.HTTPProbe{Port: port, Path: r.Path, Status: r.Status, Contains: r.Contains}
	at := &manifests.TCPProbe{Port: port}
	switch r.Kind {
	case "http":
		p.HTTP = page
	case "https":
		p.HTTPS = page
	case "tcp":
		p.TCP = at
	case "electrum":
		p.Electrum = at
	case "postgres":
		p.Postgres = at
	case "redis":
		p.Redis = at
	case "mysql":
		p.MySQL = at
	case "jsonrpc":
		secret := strings.TrimPrefix(r.PasswordSecret, u.ID+".")
		p.JSONRPC = &manifests.JSONRPCProbe{Port: port, Path: r.Path, Method: r.Method, User: r.User, PasswordSecret: secret, Expect: r.Expect}
	default:
		return nil, fmt.Errorf("the kind %s is not known", r.Kind)
	}
	return p, nil
}

// portOf is the name of the port with an address of the host, which gets one if it has none.
func (u *unit) portOf(address string) (string, error) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	number, _ := strconv.Atoi(text) // 0 is no port
	for i := range u.part.Ports {
		if p := &u.part.Ports[i]; p.Host == number && p.Protocol != "udp" {
			p.Name = cmp.Or(p.Name, "port-"+strconv.Itoa(p.Container))
			return p.Name, nil
		}
	}
	return "", fmt.Errorf("no port has the address %s", address)
}
