package manifests

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// Validate reports what is wrong within one manifest beyond the kinds and
// ranges of single values, which Parse has checked.
func Validate(m *Manifest) diag.List {
	v := &validator{m: m, app: &m.Document.App, parts: m.Document.App.Parts()}
	v.containers()
	v.appNames()
	for _, p := range v.parts {
		v.part(p)
	}
	v.internalNetworks()
	v.partCycles()
	v.hooks()
	v.once()
	v.dataFormat()
	return v.diags
}

type validator struct {
	m     *Manifest
	app   *App
	parts []Part
	diags diag.List
}

func (v *validator) fail(code diag.Code, path, hint, format string, args ...any) {
	v.diags = append(v.diags, v.m.Diag(diag.Error, code, path, hint, format, args...))
}

// manyNames is more names than a guess among them would help with.
const manyNames = 200

// reference demands that name is one of known.
func (v *validator) reference(path, what, name string, known []string) {
	if name == "" || slices.Contains(known, name) {
		return
	}
	hint := ""
	switch {
	case len(known) == 0:
		hint = "the app has none"
	case len(known) <= manyNames:
		hint = didYouMean(name, known)
	}
	v.fail(diag.UnknownName, path, hint, "there is no %s %s", what, name)
}

// unique demands that no name occurs twice; path gets the index.
func (v *validator) unique(path, what string, names []string) {
	seen := map[string]int{}
	for i, n := range names {
		if n == "" {
			continue
		}
		if first, ok := seen[n]; ok {
			v.fail(diag.NameClash, fmt.Sprintf(path, i), "", "the %s %s is already used by "+path, what, n, first)
			continue
		}
		seen[n] = i
	}
}

// exactlyOne demands that one of the named things is given.
func (v *validator) exactlyOne(path string, given map[string]bool) {
	names := sortedKeys(given)
	var have []string
	for _, n := range names {
		if given[n] {
			have = append(have, n)
		}
	}
	switch len(have) {
	case 0:
		if v.written(path, names) {
			return
		}
		v.fail(diag.Exclusive, path, "", "one of %s is needed", strings.Join(names, ", "))
	case 1:
	default:
		v.fail(diag.Exclusive, path, "keep one of them", "%s exclude each other", strings.Join(have, " and "))
	}
}

// written reports whether the file has one of the keys, or a value that is not a map, for
// which there is a diagnostic already.
func (v *validator) written(path string, keys []string) bool {
	n := v.m.lookup(path)
	return n == nil || n.Kind != syntax.MapNode || slices.ContainsFunc(keys, func(k string) bool { return n.Find(k) >= 0 })
}

func (v *validator) containers() {
	a := v.app
	if a.Container == nil && len(a.Containers) == 0 {
		if v.written("app", []string{"container", "containers"}) {
			return
		}
		v.fail(diag.Exclusive, "app", "add `container: {image: …}`", "the app has no container")
		return
	}
	if a.Container != nil && len(a.Containers) > 0 {
		v.fail(diag.Exclusive, "app.container", "move it to containers.main", "container and containers exclude each other")
	}
	if a.Container == nil && a.Containers["main"] == nil {
		v.fail(diag.MissingKey, "app.containers", didYouMean("main", sortedKeys(a.Containers)), "one of the containers has to be called main: it is app@%s.service", a.ID)
	}
	for name, c := range a.Containers {
		if c == nil {
			v.fail(diag.MissingKey, "app.containers."+name, "", "the container %s is empty", name)
		}
	}
}

// partNames is the parts that other keys can name. That main is missing is said once, and not
// for each key whose default it is.
func (v *validator) partNames() []string {
	names := append(make([]string, 0, len(v.parts)+1), "main")
	for _, p := range v.parts {
		names = append(names, p.Name)
	}
	return names
}

func (v *validator) portNames() []string {
	var names []string
	for _, p := range v.parts {
		for _, port := range p.Ports {
			if port.Name != "" {
				names = append(names, port.Name)
			}
		}
	}
	return names
}

func (v *validator) secretNames() []string {
	names := make([]string, 0, len(v.app.Secrets))
	for _, s := range v.app.Secrets {
		names = append(names, s.Name)
	}
	return names
}

// appNames checks everything of the app that refers to, or gives, a name.
func (v *validator) appNames() {
	a, ports, secrets := v.app, v.portNames(), v.secretNames()
	v.unique("app.secrets[%d].name", "secret", secrets)
	v.unique("app.companions[%d]", "companion", a.Companions)
	v.unique("app.companion_of[%d]", "host", a.CompanionOf)
	if a.UI != nil {
		v.reference("app.ui.port", "port", a.UI.Port, ports)
	}
	for i, o := range a.Onion {
		v.reference(fmt.Sprintf("app.onion[%d].port", i), "port", o.Port, ports)
	}
	v.onions()
	for i, s := range a.Secrets {
		at := fmt.Sprintf("app.secrets[%d]", i)
		if s.Generate != nil && s.Derive != nil {
			v.exactlyOne(at, map[string]bool{"generate": true, "derive": true})
		}
		if s.Derive != nil {
			v.reference(at+".derive.from", "secret", s.Derive.From, secrets)
			if s.Derive.From == s.Name {
				v.fail(diag.Cycle, at+".derive.from", "", "the secret %s is derived from itself", s.Name)
			}
		}
	}
	owned := (&Resolved{Manifest: v.m, Parts: v.parts}).VolumeNames()
	for _, name := range sortedKeys(a.Volumes) {
		v.reference("app.volumes."+name, "volume", name, owned)
		if o := a.Volumes[name]; o != nil && o.Device == "" && (o.Type != "" || o.Options != "") {
			v.fail(diag.MissingKey, "app.volumes."+name, "", "type and options need a device")
		}
		if o := a.Volumes[name]; o != nil && o.Existing != "" && (o.Device != "" || len(o.Labels) > 0) {
			v.fail(diag.Exclusive, "app.volumes."+name, "", "an existing volume takes no settings: they apply when a volume is created")
		}
		if o := a.Volumes[name]; o != nil {
			v.engineSocket("app.volumes."+name+".existing", o.Existing)
			v.engineSocket("app.volumes."+name+".device", o.Device)
		}
		v.seed(name)
	}
	for i, s := range a.Shares {
		at := fmt.Sprintf("app.shares[%d]", i)
		v.reference(at+".volume", "volume", s.Volume, owned)
		if s.App == a.ID {
			v.fail(diag.Exclusive, at+".app", "", "an app can mount its own volumes without sharing them")
		}
	}
	v.capabilities(secrets)
}

// seed demands that archgen can fill a volume before its containers mount it.
func (v *validator) seed(volume string) {
	o, at := v.app.Volumes[volume], "app.volumes."+volume+".seed"
	if o == nil || len(o.Seed) == 0 {
		return
	}
	if o.Device != "" || o.Type != "" || o.Options != "" {
		v.fail(diag.Exclusive, at, "leave it out, in an overlay with `seed: null`", "the volume %s has a device, which is mounted only while a container runs: it takes no seed", volume)
	}
	for _, p := range v.parts {
		for i, m := range p.Volumes {
			if m.Name != volume || m.App != "" && m.App != v.app.ID {
				continue
			}
			if m.Chown {
				v.fail(diag.Exclusive, fmt.Sprintf("%s.volumes[%d].chown", p.Path, i), "leave it out: a new volume belongs to the container's user", "a volume with a seed can't be mounted with chown")
			}
			if strings.HasPrefix(p.UserNS, "auto") {
				v.fail(diag.Exclusive, p.Path+".userns", "use keep-id, or leave it out", "the user of the part %s has other ids at each start, so the seed of the volume %s can't belong to it", p.Name, volume)
			}
		}
	}
}

// exports checks named values of an offer. Consumers find where they reach the provider
// under the same names.
func (v *validator) exports(at string, offer Provide, exports map[string]string, secrets []string) {
	for _, k := range sortedKeys(exports) {
		if strings.HasSuffix(k, "_secret") {
			v.reference(at+"."+k, "secret", exports[k], secrets)
		}
		if k == "host" || k == "port" && offer.Port != "" {
			v.fail(diag.NameClash, at+"."+k, "give the export another name",
				"the export %s never reaches consumers: for them ${capability.%s.%s} is the %s at which they reach the provider", k, offer.Capability, k, k)
		}
	}
}

func (v *validator) capabilities(secrets []string) {
	a, names := v.app, v.partNames()
	offered, required := make([]string, 0, len(a.Provides)), make([]string, 0, len(a.Requires))
	for i, p := range a.Provides {
		at := fmt.Sprintf("app.provides[%d]", i)
		offered = append(offered, p.Capability)
		v.reference(at+".part", "part", p.Part, names)
		v.reference(at+".port", "port", p.Port, v.portNames())
		v.exports(at+".exports", p, p.Exports, secrets)
		v.onionFile(at+".onions", p)
		for _, id := range sortedKeys(p.For) {
			if !isID(id) {
				v.fail(diag.BadValue, at+".for."+id, "", "%q is no id of an app", id)
			}
			v.exports(at+".for."+id, p, p.For[id], secrets)
		}
	}
	for i, r := range a.Requires {
		required = append(required, r.Capability)
		for j, p := range r.Parts {
			v.reference(fmt.Sprintf("app.requires[%d].parts[%d]", i, j), "part", p, names)
		}
		if slices.Contains(offered, r.Capability) {
			v.fail(diag.Cycle, fmt.Sprintf("app.requires[%d].capability", i), "", "the app requires %s, which it provides itself", r.Capability)
		}
	}
	v.unique("app.provides[%d].capability", "capability", offered)
	v.unique("app.requires[%d].capability", "capability", required)
	for i, c := range a.Conflicts {
		if c == a.ID {
			v.fail(diag.Conflict, fmt.Sprintf("app.conflicts[%d]", i), "", "the app conflicts with itself")
		}
	}
}

// part checks one container.
func (v *validator) part(p Part) {
	v.exactlyOne(p.Path, map[string]bool{"image": p.Image != "", "build": p.Build != nil})
	if p.Prefetch && p.Build != nil {
		v.fail(diag.Exclusive, p.Path+".prefetch", "", "an image that is built is not pulled")
	}
	v.buildName(p)
	v.autoUpdate(p)
	v.network(p)
	v.networksOf(p)
	v.namespaces(p)
	v.portsOf(p)
	v.mounts(p)
	v.devices(p)
	v.reload(p)
	v.secretMounts(p)
	v.environment(p)
	v.health(p)
	v.restarting(p)
	v.limits(p)
	v.unit(p)
	for i, after := range p.After {
		v.after(p, i, after)
	}
	for i, arg := range p.PodmanArgs {
		v.podmanArg(fmt.Sprintf("%s.podman_args[%d]", p.Path, i), arg)
	}
}

// buildName demands that the name of an image that is built can be one.
func (v *validator) buildName(p Part) {
	if p.Build == nil || v.app.ID == "" || v.app.Version == "" || isImage(p.Build.Tag) {
		return
	}
	v.fail(diag.BadValue, p.Path+".build", "name it in build: `tag: localhost/NAME:TAG`",
		"the image can't be called %s, after the app's id and version: that is no valid image reference", p.Build.Tag)
}

// autoUpdate refuses to ask a registry for a newer image under a name that stands for one
// image only: podman auto-update takes no name with a tag and a digest, and no registry has
// an image that is built here.
func (v *validator) autoUpdate(p Part) {
	if _, _, isPinned := strings.Cut(p.Image, "@"); isPinned && v.app.Update.Policy == "registry" {
		v.fail(diag.Exclusive, p.Path+".image", "remove the digest, or write `update: {policy: manual}`",
			"podman auto-update can't look for a newer image of one that is pinned by digest")
	}
	if p.Build != nil && v.app.Update.Policy == "registry" {
		v.fail(diag.Exclusive, p.Path+".build", "write `update: {policy: manual}`, or use an image of a registry",
			"podman auto-update can't look for a newer image of one that is built on this machine")
	}
}

func (v *validator) network(p Part) {
	at := p.Path + ".network"
	if other, ok := strings.CutPrefix(p.Network, "part:"); ok {
		v.reference(at, "part", other, v.partNames())
		if other == p.Name {
			v.fail(diag.Cycle, at, "", "the part shares its own network")
		}
	}
	if p.Network == "app" {
		return
	}
	for i, port := range p.Ports {
		if port.Host != 0 {
			v.fail(diag.Exclusive, fmt.Sprintf("%s.ports[%d].host", p.Path, i), "", "a container with `network: %s` publishes no ports", p.Network)
		}
	}
	if len(p.Aliases) > 0 {
		v.fail(diag.Exclusive, p.Path+".aliases", "", "a container with `network: %s` has no names on the app's network", p.Network)
	}
}

// namespaces refuses what Podman can't do in namespaces of the host.
func (v *validator) namespaces(p Part) {
	if p.PID == "host" && p.Init {
		v.fail(diag.Exclusive, p.Path+".init", "leave one of them out", "with `pid: host` no program of the container is process 1")
	}
	if p.IPC == "host" && p.Limits.Shm != 0 {
		v.fail(diag.Exclusive, p.Path+".limits.shm", "leave one of them out", "with `ipc: host` the container has no /dev/shm of its own")
	}
}

func (v *validator) portsOf(p Part) {
	names := make([]string, 0, len(p.Ports))
	for i, port := range p.Ports {
		names = append(names, port.Name)
		if last := max(port.Host, port.Container) + port.Count - 1; last > 65535 {
			v.fail(diag.OutOfRange, fmt.Sprintf("%s.ports[%d].count", p.Path, i), "", "the range ends at %d; the last port is 65535", last)
		}
	}
	v.unique(p.Path+".ports[%d].name", "port name", names)
	v.containerPorts(p)
}

// containerPorts demands that a container port that is given again has a host port each time.
// That the host's ports differ is checked with those of all apps.
func (v *validator) containerPorts(p Part) {
	first := map[string]int{}
	for i, port := range p.Ports {
		listens := fmt.Sprintf("%d/%s", port.Container, port.Protocol)
		k, isAgain := first[listens]
		switch {
		case port.Container == 0: // there is a diagnostic already
		case !isAgain:
			first[listens] = i
		case port.Host == 0 || p.Ports[k].Host == 0:
			v.fail(diag.NameClash, fmt.Sprintf("%s.ports[%d].container", p.Path, i), "to publish it at several addresses or ports of the host, give each a `host:`",
				"the container port %s is already used by %s.ports[%d].container", listens, p.Path, k)
		}
	}
}

// mounts checks that every mount says one source and that no two share a target.
func (v *validator) mounts(p Part) {
	first := map[string]string{}
	take := func(path, target string) {
		if other, ok := first[target]; ok && target != "" {
			v.fail(diag.NameClash, path, "", "%s is already mounted by %s", target, other)
			return
		}
		first[target] = path
	}
	for i, m := range p.Volumes {
		at := fmt.Sprintf("%s.volumes[%d]", p.Path, i)
		v.exactlyOne(at, map[string]bool{"name": m.Name != "", "path": m.Path != "", "disposable": m.Disposable})
		if m.App != "" && m.Name == "" {
			v.fail(diag.MissingKey, at, "", "app needs the name of the volume")
		}
		if m.Optional && (m.App == "" || m.App == v.app.ID) {
			v.fail(diag.MissingKey, at+".optional", "leave it out, or name the app", "only the volume of another app is optional")
		}
		if m.Subpath != "" && m.Name == "" {
			v.fail(diag.MissingKey, at, "name the volume, or add it to the path", "subpath needs the name of a volume")
		}
		if len(m.Watch) > 0 && (m.App == "" || m.App == v.app.ID || !m.ReadOnly) {
			v.fail(diag.Exclusive, at+".watch", "mount another app's volume, `read_only: true`", "only a file that another app writes can be watched: a container that writes it itself would be restarted forever")
		}
		v.engineSocket(at+".path", m.Path)
		if m.Disposable && (m.ReadOnly || m.Chown || m.Relabel != "") {
			v.fail(diag.Exclusive, at, "", "a disposable volume takes no other options")
		}
		take(at+".target", m.Target)
	}
	if p.Engine != "" {
		take(p.Path+".engine", EngineSocket)
	}
	for i, t := range p.Tmpfs {
		take(fmt.Sprintf("%s.tmpfs[%d].target", p.Path, i), t.Target)
	}
	for i, f := range p.Files {
		take(fmt.Sprintf("%s.files[%d].target", p.Path, i), f.Target)
	}
}

// engineSocket refuses a path of the host by which an app would get the engine: engine says it.
func (v *validator) engineSocket(path, name string) {
	if IsEngineSocket(name) {
		v.fail(diag.EngineSocket, path, "write `engine: read` or `engine: full` into the container instead", "%s is the socket of the container engine, which no path mounts", name)
	}
}

// devices checks that every device says which it is.
func (v *validator) devices(p Part) {
	for i, d := range p.Devices {
		at := fmt.Sprintf("%s.devices[%d]", p.Path, i)
		v.exactlyOne(at, map[string]bool{"path": d.Path != "", "cdi": d.CDI != ""})
		if d.CDI != "" && (d.Target != "" || d.Permissions != "" || d.Optional) {
			v.fail(diag.Exclusive, at, "", "a device with a CDI name takes no other options: its specification on the host has them")
		}
	}
}

// reload checks that a container has both `reload` and a file that it reloads, or neither.
func (v *validator) reload(p Part) {
	isAny := false
	for i, f := range p.Files {
		isAny = isAny || f.Reload
		if f.Reload && p.Reload == nil {
			v.fail(diag.MissingKey, fmt.Sprintf("%s.files[%d].reload", p.Path, i), "add `reload: {signal: SIGHUP}` to the container, with the signal that the program's manual names",
				"the file is to be read again, and the container has no `reload` that says how")
		}
	}
	if p.Reload != nil && !isAny {
		v.fail(diag.MissingKey, p.Path+".reload", "add `reload: true` to a file", "no file of the container is marked with `reload: true`")
	}
}

// onionFile checks where the addresses of hidden services are.
func (v *validator) onionFile(at string, p Provide) {
	if p.Onions == "" {
		return
	}
	volume, path := p.onionFile("app", 80)
	_, pattern, _ := strings.Cut(p.Onions, "/")
	switch {
	case p.Capability != TorCapability:
		v.fail(diag.BadValue, at, "leave it out", "only an app that provides %s has addresses of hidden services", TorCapability)
	case !strings.Contains(pattern, onionApp) || !strings.Contains(pattern, onionPort) || !isRelativePath(path):
		v.fail(diag.BadValue, at, "write VOLUME/PATH, such as data/{app}-{port}/hostname", "%q is no file of a volume with {app} and {port} in its path", p.Onions)
	default:
		v.reference(at, "volume", volume, v.volumeNames())
	}
}

// onions checks that each hidden service of the app has a port of its own.
func (v *validator) onions() {
	virtual := make([]string, 0, len(v.app.Onion))
	for _, o := range v.app.Onion {
		port := o.Virtual
		for i := range v.parts {
			if p := v.parts[i].port(o.Port); p != nil {
				port = o.VirtualPort(p)
				break
			}
		}
		virtual = append(virtual, strconv.Itoa(port))
	}
	v.unique("app.onion[%d]", "virtual port", virtual)
}

func (v *validator) secretMounts(p Part) {
	targets := make([]string, 0, len(p.Secrets))
	for i, s := range p.Secrets {
		at := fmt.Sprintf("%s.secrets[%d]", p.Path, i)
		v.exactlyOne(at, map[string]bool{"name": s.Name != "", "capability": s.Capability != ""})
		v.reference(at+".name", "secret", s.Name, v.secretNames())
		absent := "export"
		if s.Capability == "" {
			absent = "capability"
		}
		if (s.Capability == "") != (s.Export == "") && !v.written(at, []string{absent}) {
			v.fail(diag.MissingKey, at, "", "capability and export need each other")
		}
		if s.Env != "" && (s.Target != "" || v.m.isGiven(at+".mode") || s.UID != nil || s.GID != nil) {
			v.fail(diag.Exclusive, at, "", "env excludes target, mode, uid and gid: the secret is either a file or a variable")
		}
		targets = append(targets, s.Target)
	}
	v.unique(p.Path+".secrets[%d].target", "target", targets)
}

// environment demands that each variable has one source: Podman keeps the value of one and
// says nothing. What is in files on the host is known at the start only.
func (v *validator) environment(p Part) {
	sources := map[string]string{}
	take := func(path, name string) {
		if first, ok := sources[name]; ok && name != "" {
			v.fail(diag.NameClash, path, "keep one of them", "the variable %s is already given by %s", name, first)
			return
		}
		sources[name] = path
	}
	given := v.m.lookup(p.Path + ".env")
	for _, e := range p.Env {
		from := p.Path + ".env." + e.Name
		if given == nil || given.Kind == syntax.MapNode && given.Get(e.Name) == nil {
			from = p.Path + ".env_files"
		}
		take(from, e.Name)
	}
	for i, s := range p.Secrets {
		take(fmt.Sprintf("%s.secrets[%d].env", p.Path, i), s.Env)
	}
	for i, arg := range p.PodmanArgs {
		if given, ok := strings.CutPrefix(arg, "--env="); ok {
			name, _, _ := strings.Cut(given, "=")
			take(fmt.Sprintf("%s.podman_args[%d]", p.Path, i), name)
		}
	}
}

func (v *validator) health(p Part) {
	levels := map[string]*Probe{"alive": p.Health.Alive, "serving": p.Health.Serving, "synced": p.Health.Synced}
	for _, level := range sortedKeys(levels) {
		if levels[level] == nil {
			continue
		}
		at := p.Path + ".health." + level
		if level == "serving" && !v.m.isGiven(at) {
			v.uiProbe(p)
			continue
		}
		if p.Health.Disable {
			v.fail(diag.Exclusive, at, "", "health.disable excludes probes")
		}
		if p.Oneshot {
			v.fail(diag.Exclusive, at, "", "a oneshot container exits before a probe can ask it")
		}
		v.probe(p, at, levels[level])
	}
}

// uiProbe checks the probe that a container has because it serves the user interface.
func (v *validator) uiProbe(p Part) {
	const at = "app.ui.port"
	switch port := p.port(v.app.UI.Port); {
	case p.Oneshot:
		v.fail(diag.Exclusive, at, "name a port of a container that keeps running", "the port %s belongs to a oneshot container, which stops after its work and serves no user interface", port.Name)
	case !isReached(p, port):
		v.fail(diag.MissingKey, at, "give the port a `host:`, the container a `health.serving` of its own, or `ui` the key `probe: false`",
			"the user interface is probed from the host, and the port %s has no host port", port.Name)
	}
}

// isReached reports whether the host reaches a port of the part.
func isReached(p Part, port *Port) bool { return port.Host != 0 || p.Network == "host" }

func (v *validator) probe(p Part, at string, probe *Probe) {
	given := map[string]bool{"exec": len(probe.Exec) > 0}
	questions := probe.questions()
	for _, q := range questions {
		given[q.Kind] = q.Options != nil
		if secret, isText := q.Options["password_secret"].(string); isText {
			v.reference(at+"."+q.Kind+".password_secret", "secret", secret, v.secretNames())
		}
	}
	v.exactlyOne(at, given)
	known := make([]string, 0, len(p.Ports))
	for _, port := range p.Ports {
		known = append(known, port.Name)
	}
	for _, q := range questions {
		path := at + "." + q.Kind + ".port"
		v.reference(path, "port", q.Port, known)
		if port := p.port(q.Port); port != nil && !isReached(p, port) {
			v.fail(diag.MissingKey, path, "give the port a `host:`, or ask with `exec`", "the probe asks from the host, and the port %s has no host port", port.Name)
		}
	}
}

func (v *validator) restarting(p Part) {
	given := p.Restart
	if given.MaxDelay != 0 && given.MaxDelay < given.Delay {
		v.fail(diag.OutOfRange, p.Path+".restart.max_delay", "", "max_delay %v is shorter than delay %v", given.MaxDelay, given.Delay)
	}
	if p.Oneshot && given.Policy == "always" {
		v.fail(diag.Exclusive, p.Path+".restart.policy", "use on-failure", "a oneshot container can't restart always")
	}
}

// limitDirectives is directives that `unit` can set, by the key of `limits` that writes them.
var limitDirectives = map[string]string{"cpu_weight": "CPUWeight", "memory_reservation": "MemoryLow"}

// limits checks limits against each other, and against directives of the service.
func (v *validator) limits(p Part) {
	l := p.Limits
	if l.Memory != 0 && l.MemoryReservation > l.Memory {
		v.fail(diag.OutOfRange, p.Path+".limits.memory_reservation", "", "memory_reservation %v is larger than memory %v", l.MemoryReservation, l.Memory)
	}
	for _, key := range sortedKeys(limitDirectives) {
		directive := limitDirectives[key]
		if v.m.isGiven(p.Path+".limits."+key) && len(p.Unit["Service"][directive]) > 0 {
			v.fail(diag.Exclusive, p.Path+".unit.Service."+directive, "keep one of them", "%s= is already written from limits.%s", directive, key)
		}
	}
}

func (v *validator) after(p Part, i int, after After) {
	at := fmt.Sprintf("%s.after[%d]", p.Path, i)
	v.reference(at+".part", "part", after.Part, v.partNames())
	other := (&Resolved{Parts: v.parts}).Part(after.Part)
	if other == nil {
		return
	}
	if after.Until == "completed" && !other.Oneshot {
		v.fail(diag.BadValue, at+".until", "add `oneshot: true` to "+after.Part, "%s never completes: it is not a oneshot container", after.Part)
	}
}

// partCycles reports parts that wait for each other.
func (v *validator) partCycles() {
	waits := map[string][]string{}
	paths := map[string]string{}
	for _, p := range v.parts {
		paths[p.Name] = p.Path
		for _, a := range p.After {
			waits[p.Name] = append(waits[p.Name], a.Part)
		}
		if other, ok := strings.CutPrefix(p.Network, "part:"); ok && other != p.Name {
			waits[p.Name] = append(waits[p.Name], other)
		}
	}
	for _, loop := range loops(waits) {
		v.fail(diag.Cycle, paths[loop[0]]+".after", "", "the parts wait for each other: %s", strings.Join(append(loop, loop[0]), " -> "))
	}
}

func (v *validator) hooks() {
	names := v.partNames()
	for i, s := range v.app.Hooks.PreStart {
		at := fmt.Sprintf("app.hooks.pre_start[%d]", i)
		v.exactlyOne(at, map[string]bool{"ensure_dir": s.EnsureDir != nil, "wait_for": s.WaitFor != nil, "run": len(s.Run) > 0})
		v.reference(at+".part", "part", s.Part, names)
		if s.EnsureDir != nil {
			v.ensureDir(at+".ensure_dir", s.EnsureDir)
		}
		if s.WaitFor != nil {
			v.waitFor(at+".wait_for", s.WaitFor, s.Part)
		}
		if s.Migrate != "" && len(s.Run) == 0 {
			v.fail(diag.MissingKey, at, "add `run:` with the command", "migrate needs a command to run once")
		}
	}
}

// once demands that each command runs in a container that stays, and is recorded under a name of
// its own.
func (v *validator) once() {
	first := map[string]string{}
	for i, s := range v.app.Hooks.PreStart {
		if s.Migrate != "" {
			first[s.Part+" "+s.Migrate] = fmt.Sprintf("app.hooks.pre_start[%d].migrate", i)
		}
	}
	for i, o := range v.app.Hooks.Once {
		at := fmt.Sprintf("app.hooks.once[%d]", i)
		v.reference(at+".part", "part", o.Part, v.partNames())
		if other, isTaken := first[o.Part+" "+o.Name]; isTaken && o.Name != "" {
			v.fail(diag.NameClash, at+".name", "", "the name %s is already used by %s", o.Name, other)
		}
		first[o.Part+" "+o.Name] = at + ".name"
		for _, p := range v.parts {
			if p.Name == o.Part && p.Oneshot {
				v.fail(diag.Exclusive, at+".part", "use `migrate` in `pre_start`", "the container of %s exits when its work is done, so no command runs in it", p.Name)
			}
		}
	}
}

// dataFormat demands that a format is one of the app's volumes.
func (v *validator) dataFormat() {
	switch d := v.app.Data; {
	case d.Reads > 0 && d.Format == 0:
		v.fail(diag.MissingKey, "app.data.reads", "add `format:`", "reads says which formats can be converted, and needs the format that they are converted to")
	case d.Reads > d.Format:
		v.fail(diag.BadValue, "app.data.reads", "", "the oldest format that the app reads, %d, is newer than the format that it writes, %d", d.Reads, d.Format)
	case d.Format > 0 && len(v.volumeNames()) == 0:
		v.fail(diag.MissingKey, "app.data.format", "", "the app has no volume, and so no data that has a format")
	}
}

func (v *validator) volumeNames() []string {
	return (&Resolved{Manifest: v.m, Parts: v.parts}).VolumeNames()
}

func (v *validator) ensureDir(at string, d *EnsureDir) {
	v.reference(at+".volume", "volume", d.Volume, v.volumeNames())
	if _, _, err := d.Owners(); err != nil {
		v.fail(diag.BadValue, at+".owner", "write uid:gid as numbers", "the names of users are known only in the image")
	}
	if o := v.app.Volumes[d.Volume]; o != nil && o.Device != "" {
		v.fail(diag.Exclusive, at+".volume", "use `run`", "a volume with a device is mounted only while a container runs")
	}
}

func (v *validator) waitFor(at string, w *WaitFor, part string) {
	v.exactlyOne(at, map[string]bool{"file": w.File != "", "port": w.Port != "", "capability": w.Capability != ""})
	if w.File != "" {
		volume, _, _ := strings.Cut(w.File, "/")
		v.reference(at+".file", "volume", volume, v.volumeNames())
	}
	v.reference(at+".port", "port", w.Port, v.portNames())
	for _, p := range v.parts {
		switch port := p.port(w.Port); {
		case port == nil:
		case p.Name == part:
			v.fail(diag.Cycle, at+".port", "", "%s would wait for its own port before it starts", part)
		case !isReached(p, port):
			v.fail(diag.MissingKey, at+".port", "give the port a `host:`, or use `after`", "the port is waited for from the host, and %s has no host port", w.Port)
		}
	}
	if w.Capability != "" {
		required := make([]string, 0, len(v.app.Requires))
		for _, r := range v.app.Requires {
			required = append(required, r.Capability)
		}
		v.reference(at+".capability", "required capability", w.Capability, required)
	}
}

// Owners is the owner as numbers, -1 for what is left out.
func (d *EnsureDir) Owners() (uid, gid int, err error) {
	user, group, _ := strings.Cut(d.Owner, ":")
	if uid, err = idOr(user, -1); err == nil {
		gid, err = idOr(group, uid)
	}
	return uid, gid, err
}

func idOr(text string, fallback int) (int, error) {
	if text == "" {
		return fallback, nil
	}
	id, err := strconv.ParseUint(text, 10, 32)
	return int(id), err
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
