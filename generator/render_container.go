package generator

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// container renders the .container file of a part. image is the digest of the
// unit that builds or pulls its image, if there is one.
func (r *renderer) container(app *manifests.Resolved, p *manifests.Part, image string) {
	c := &container{writer: r.file(app), r: r, app: app, part: p, name: manifests.ContainerName(app.ID(), p.Name)}
	c.image = image
	c.unit()
	c.begin("Container")
	c.identity()
	c.process()
	c.environment()
	c.networks()
	c.mounts()
	c.rights()
	c.limits()
	c.health()
	c.labels()
	for i, arg := range p.PodmanArgs {
		c.flag(c.at("podman_args").at(i), arg)
	}
	recipe, needed := c.recipe()
	c.service(recipe, needed)
	c.install()
	quadlet(c.writer, app.Document.App.WaitOnline)
	r.close(containerFile(app.ID(), p.Name), "Container", app, c.mark)
	if needed {
		r.recipe(app, p, recipe)
	}
}

// container is the .container file being rendered.
type container struct {
	*writer
	r    *renderer
	app  *manifests.Resolved
	part *manifests.Part
	name string
	// awaited is the parts whose containers have to run before this one starts.
	awaited []awaited
}

// awaited is a part that must run first, by the name of its container, and the key that
// requires it.
type awaited struct {
	origin
	name string
}

// at is the origin of a field of the container.
func (c *container) at(field string) origin {
	return origin{base: c.part.Path, field: field, index: -1}
}

// identity is what the container is called and made of.
func (c *container) identity() {
	p := c.part
	c.put(c.at(""), "ContainerName", c.name)
	switch {
	case p.Build != nil:
		c.put(c.at("build"), "Image", units.BuildFile(manifests.ContainerName(c.app.ID(), p.Name)))
		c.put(c.at("build"), "Pull", "never")
		return
	case p.Prefetch:
		c.put(c.at("image"), "Image", units.ImageFile(manifests.ContainerName(c.app.ID(), p.Name)))
	default:
		c.put(c.at("image"), "Image", p.Image)
	}
	if p.Pull != "missing" {
		c.put(c.at("pull"), "Pull", p.Pull)
	}
	if policy := c.autoUpdate(); policy != noUpdate {
		c.put(origin{base: "app", field: "update.policy", index: -1}, "AutoUpdate", policy)
	}
}

// autoUpdate is what podman auto-update may do with the image: "registry", "local" or noUpdate.
func (c *container) autoUpdate() string {
	if policy := c.app.Document.App.Update.Policy; policy == "registry" || policy == "local" {
		return policy
	}
	return noUpdate
}

const noUpdate = "disabled"

// process is the program in the container and its user.
func (c *container) process() {
	p := c.part
	if len(p.Entrypoint) > 0 {
		c.put(c.at("entrypoint"), "Entrypoint", jsonArray(p.Entrypoint))
	}
	if len(p.Command) > 0 {
		c.put(c.at("command"), "Exec", p.Command...)
	}
	user, group, _ := strings.Cut(p.User, ":")
	optional(c.writer, c.at(""), "user", "User", user)
	optional(c.writer, c.at(""), "user", "Group", group)
	for i, g := range p.GroupAdd {
		c.put(c.at("group_add").at(i), "GroupAdd", g)
	}
	optional(c.writer, c.at(""), "userns", "UserNS", p.UserNS)
	optional(c.writer, c.at(""), "working_dir", "WorkingDir", p.WorkingDir)
	optional(c.writer, c.at(""), "hostname", "HostName", p.Hostname)
	optional(c.writer, c.at(""), "timezone", "Timezone", p.Timezone)
	if p.PID == "host" {
		c.flag(c.at("pid"), "--pid=host")
	}
	if p.IPC == "host" {
		c.flag(c.at("ipc"), "--ipc=host")
	}
	c.enable("init", "RunInit", p.Init)
	if p.Stdin {
		c.flag(c.at("stdin"), "--interactive")
	}
	if p.TTY {
		c.flag(c.at("tty"), "--tty")
	}
	c.put(c.at("stop.timeout"), "StopTimeout", wholeSeconds(p.Stop.Timeout))
	optional(c.writer, c.at(""), "stop.signal", "StopSignal", p.Stop.Signal)
	c.put(c.at(""), "LogDriver", "journald")
}

func (c *container) enable(field, key string, on bool) {
	if on {
		c.put(c.at(field), key, "true")
	}
}

func (c *container) environment() {
	for _, v := range c.part.Env {
		o := c.at("env." + v.Name)
		if strings.Contains(v.Value, "\r\n") {
			c.problems = append(c.problems, problem{
				origin: o, code: diag.Unrepresentable,
				message: "a carriage return before a line feed can't be handed over in the environment: Podman drops it",
			})
			continue
		}
		c.put(o, "Environment", v.Name+"="+v.Value)
	}
	for _, v := range c.part.Composed {
		c.put(c.at("env."+v.Name), "Secret", c.composedName(v)+",type=env,target="+v.Name)
	}
	for i, f := range c.part.EnvFiles {
		if path.IsAbs(f) { // what is in others is in Env
			c.put(c.at("env_files").at(i), "EnvironmentFile", f)
		}
	}
}

// networks joins private networks of the app and those of its capabilities. The
// provider that consumers get is found there under the capability's name, a
// part under its own.
func (c *container) networks() {
	p := c.part
	switch other, shared := strings.CutPrefix(p.Network, "part:"); {
	case shared:
		c.put(c.at("network"), "Network", "container:"+manifests.ContainerName(c.app.ID(), other))
	case p.Network != "app":
		c.put(c.at("network"), "Network", p.Network)
	default:
		for i, name := range p.Networks {
			c.put(c.at("networks").at(i), "Network", appNetwork(c.app, name).file+aliases(append([]string{p.Name}, p.Aliases...)))
		}
		for _, name := range p.Provides {
			network := capabilityNetwork(name).file
			if app, part := c.r.set.Provider(name); app == c.app && part == p.Name {
				network += aliases([]string{name})
			}
			c.put(origin{base: "app", field: "provides", index: -1}, "Network", network)
		}
		for _, name := range p.Uses {
			c.put(origin{base: "app", field: "requires", index: -1}, "Network", capabilityNetwork(name).file)
		}
	}
	for i := range p.Ports {
		if p.Ports[i].Host != 0 {
			c.put(c.at("ports").at(i), "PublishPort", publish(&p.Ports[i]))
		}
	}
	for _, host := range slices.Sorted(maps.Keys(p.Hosts)) {
		c.put(c.at("hosts."+host), "AddHost", host+":"+p.Hosts[host])
	}
	for i, addr := range p.DNS {
		c.put(c.at("dns").at(i), "DNS", addr)
	}
}

func aliases(names []string) string {
	return ":alias=" + strings.Join(names, ",alias=")
}

// publish is the PublishPort= form of a port.
func publish(p *manifests.Port) string {
	bind := p.Bind
	if strings.Contains(bind, ":") && !strings.HasPrefix(bind, "[") {
		bind = "[" + bind + "]"
	}
	host, inside := strconv.Itoa(p.Host), strconv.Itoa(p.Container)
	if p.Count > 1 {
		host += "-" + strconv.Itoa(p.Host+p.Count-1)
		inside += "-" + strconv.Itoa(p.Container+p.Count-1)
	}
	return bind + ":" + host + ":" + inside + "/" + p.Protocol
}

func (c *container) mounts() {
	for i := range c.part.Volumes {
		if c.r.set.Mounts(c.app, &c.part.Volumes[i]) {
			c.mountVolume(c.at("volumes").at(i), &c.part.Volumes[i])
		}
	}
	for i, f := range c.part.Files { // which Podman gives to the container's user (U)
		c.runtimeVolume(c.at("files").at(i), "archipelago/files/"+c.name+"/"+f.Template, f.Target, ":ro,U,Z")
	}
	for i, t := range c.part.Tmpfs {
		c.put(c.at("tmpfs").at(i), "Tmpfs", tmpfs(t))
	}
	for i := range c.part.Secrets {
		if ref, exists := c.r.set.SecretOf(c.app, &c.part.Secrets[i]); exists {
			c.put(c.at("secrets").at(i), "Secret", c.secret(&c.part.Secrets[i], fullName(ref)))
		}
	}
	for i, d := range c.part.Devices {
		c.put(c.at("devices").at(i), "AddDevice", device(d))
	}
	if c.part.Engine != "" {
		c.runtimeVolume(c.at("engine"), units.Engines[c.part.Engine].Path, manifests.EngineSocket, "")
	}
}

// volumeSource is Podman's name of a named volume; isOurs reports whether archgen renders a unit
// for it.
func (c *container) volumeSource(app, name string) (source string, isOurs bool) {
	if existing := c.r.set.App(app).Existing(name); existing != "" {
		return existing, false
	}
	return units.VolumeName(app, name), true
}

// withSubpath is the first version that mounts a part of a volume.
var withSubpath = Version{5, 4}

// mountVolume mounts a volume, a part of one, or a path of the host.
func (c *container) mountVolume(o origin, v *manifests.Volume) {
	switch {
	case v.Disposable:
		c.put(o, "Volume", v.Target)
	case v.Subpath == "":
		mount := c.source(v) + ":" + v.Target
		if list := options(v); len(list) > 0 {
			mount += ":" + strings.Join(list, ",")
		}
		if strings.Contains(mount, " ") {
			c.flag(o, "--volume="+mount) // see mountsOfHost
			return
		}
		c.put(o, "Volume", mount)
	case c.target.Podman.before(withSubpath): // Quadlet knows Mount= before
		o.tail = ".subpath"
		c.tooOld(o, withSubpath, "a subpath of a volume")
	default:
		mount := append([]string{"type=volume", "source=" + c.source(v), "destination=" + v.Target, "subpath=" + v.Subpath}, options(v)...)
		c.put(o, "Mount", strings.Join(mount, ","))
	}
}

// source is what Quadlet mounts for a volume.
func (c *container) source(v *manifests.Volume) string {
	if v.Name == "" {
		return v.Path
	}
	owner := cmp.Or(v.App, c.app.ID())
	source, isOurs := c.volumeSource(owner, v.Name)
	if isOurs {
		source = units.VolumeUnitFile(owner, v.Name)
	}
	return source
}

// options is the options of a mount.
func options(v *manifests.Volume) (list []string) {
	if v.ReadOnly {
		list = append(list, "ro")
	}
	if v.Chown {
		list = append(list, "U")
	}
	switch v.Relabel {
	case "shared":
		list = append(list, "z")
	case "private":
		list = append(list, "Z")
	}
	return list
}

func tmpfs(t manifests.Tmpfs) string {
	var options []string
	if t.Size != 0 {
		options = append(options, "size="+t.Size.String())
	}
	if t.Mode != 0 {
		options = append(options, "mode="+t.Mode.String())
	}
	if len(options) == 0 {
		return t.Target
	}
	return t.Target + ":" + strings.Join(options, ",")
}

// secret mounts a Podman secret. The file belongs to the container's user
// where that is a number: mode 0400 of root would keep the program out.
func (c *container) secret(s *manifests.SecretMount, name string) string {
	if s.Env != "" {
		return name + ",type=env,target=" + s.Env
	}
	user, group, _ := strings.Cut(c.part.User, ":")
	text := name + ",type=mount,target=" + s.Target + ",mode=" + s.Mode.String()
	if id := owner(s.UID, user); id != "" {
		text += ",uid=" + id
	}
	if id := owner(s.GID, group); id != "" {
		text += ",gid=" + id
	}
	return text
}

// composedName is Podman's secret with the value of a variable: the secret itself, or one that
// archgen makes of several pieces before each start.
func (c *container) composedName(v manifests.Composed) string {
	if ref, isSingle := v.Single(); isSingle {
		return fullName(ref)
	}
	return units.SecretName(c.app.ID(), manifests.ComposedName(c.part.Name, v.Name))
}

func fullName(ref manifests.SecretRef) string { return units.SecretName(ref.App, ref.Name) }

func owner(id *int, fallback string) string {
	if id != nil {
		return strconv.Itoa(*id)
	}
	if _, err := strconv.ParseUint(fallback, 10, 32); err == nil {
		return fallback
	}
	return ""
}

func device(d manifests.Device) string {
	s := cmp.Or(d.Path, d.CDI)
	if d.Target != "" || d.Permissions != "" {
		s += ":" + cmp.Or(d.Target, d.Path)
	}
	if d.Permissions != "" {
		s += ":" + d.Permissions
	}
	if d.Optional {
		s = "-" + s
	}
	return s
}

// rights is least privilege: everything that the manifest does not ask for is off.
func (c *container) rights() {
	p, s := c.part, c.part.Security
	if p.Privileged {
		c.flag(c.at("privileged"), "--privileged")
	} else {
		c.put(c.at("capabilities"), "DropCapability", "all")
	}
	for i, name := range p.Capabilities.Add {
		c.put(c.at("capabilities.add").at(i), "AddCapability", name)
	}
	c.enable("security.allow_new_privileges", "NoNewPrivileges", !s.AllowNewPrivileges)
	c.enable("read_only", "ReadOnly", p.ReadOnly)
	optional(c.writer, c.at(""), "security.seccomp", "SeccompProfile", s.Seccomp)
	optional(c.writer, c.at(""), "security.apparmor", "AppArmor", s.AppArmor)
	c.enable("security.label_disable", "SecurityLabelDisable", s.LabelDisable)
	optional(c.writer, c.at(""), "security.label_type", "SecurityLabelType", s.LabelType)
	for i, path := range s.Mask {
		c.put(c.at("security.mask").at(i), "Mask", path)
	}
	for i, path := range s.Unmask {
		c.put(c.at("security.unmask").at(i), "Unmask", path)
	}
	for _, k := range slices.Sorted(maps.Keys(p.Sysctls)) {
		c.sysctl(c.at("sysctls."+k), k+"="+p.Sysctls[k])
	}
}

// sysctl sets a kernel parameter. Sysctl= holds words that are written as they are, and an
// argument can be quoted.
func (c *container) sysctl(o origin, assignment string) {
	if strings.Contains(assignment, " ") {
		c.flag(o, "--sysctl="+assignment)
		return
	}
	c.put(o, "Sysctl", assignment)
}

func (c *container) limits() {
	l := c.part.Limits
	if l.Memory != 0 {
		c.put(c.at("limits.memory"), "Memory", l.Memory.String())
	}
	if l.CPUs != "" {
		c.flag(c.at("limits.cpus"), "--cpus="+string(l.CPUs))
	}
	if l.Pids != 0 {
		c.put(c.at("limits.pids"), "PidsLimit", strconv.Itoa(l.Pids))
	}
	if l.Shm != 0 {
		c.put(c.at("limits.shm"), "ShmSize", l.Shm.String())
	}
	c.ulimit("nofile", l.NoFile)
	c.ulimit("memlock", l.MemLock)
	for _, k := range slices.Sorted(maps.Keys(l.Ulimits)) {
		c.put(c.at("limits.ulimits."+k), "Ulimit", k+"="+l.Ulimits[k])
	}
}

func (c *container) ulimit(name string, n int) {
	if n != 0 {
		c.put(c.at("limits."+name), "Ulimit", fmt.Sprintf("%s=%d:%d", name, n, n))
	}
}

func (c *container) labels() {
	c.put(c.at(""), "Label", "io.archipelago.app="+c.app.ID())
	c.reserveDigest()
	if policy := c.autoUpdate(); policy == noUpdate {
		// Else a label of the image would have podman auto-update replace it.
		c.put(origin{base: "app", field: "update.policy", index: -1}, "Label", "io.containers.autoupdate="+policy)
	}
	for _, k := range slices.Sorted(maps.Keys(c.part.Labels)) {
		c.put(c.at("labels."+k), "Label", k+"="+c.part.Labels[k])
	}
}

// stopMargin is what systemd waits beyond the container's own stop timeout:
// Quadlet sets no TimeoutStopSec=, and systemd's 90 s would cut a longer one.
const stopMargin = manifests.Duration(30 * time.Second)

func (c *container) service(recipe units.Prestart, isNeeded bool) {
	p := c.part
	c.begin("Service")
	if p.Oneshot {
		c.put(c.at("oneshot"), "Type", "oneshot")
		c.put(c.at("oneshot"), "RemainAfterExit", "yes")
	}
	c.put(c.at("restart.policy"), "Restart", p.Restart.Policy)
	if p.Restart.Policy != "no" {
		c.put(c.at("restart.delay"), "RestartSec", p.Restart.Delay.String())
		if n := restartSteps(p.Restart.Delay, p.Restart.MaxDelay); n > 0 {
			c.put(c.at("restart.max_delay"), "RestartSteps", strconv.Itoa(n))
			c.put(c.at("restart.max_delay"), "RestartMaxDelaySec", p.Restart.MaxDelay.String())
		}
	}
	c.restartMode()
	// systemd gives each of the commands of a start as much.
	c.put(c.at("start.timeout"), "TimeoutStartSec", max(p.Start.Timeout, stepTime(recipe)).String())
	c.put(c.at("stop.timeout"), "TimeoutStopSec", (p.Stop.Timeout + stopMargin).String())
	// A program that ends on the signal that asks it to, without handling it,
	// leaves 128 plus the signal behind; for a process of its own systemd takes
	// the same for a clean end.
	c.put(c.at("stop.success_exit_codes"), "SuccessExitStatus", successExitStatus(p.Stop.SuccessExitCodes))
	// What an image writes, such as in a step before the start, is no priority in the
	// journal: systemd shows messages of priority 0 on every terminal.
	c.put(c.at(""), "SyslogLevelPrefix", "no")
	c.ceiling()
	c.shares()
	if len(recipe.Facts) > 0 {
		c.assign(c.at(""), "EnvironmentFile", runtimeFile, "archipelago/files/"+c.name+"/"+units.FactsFile)
	}
	c.takeBackNetwork()
	for _, a := range c.awaited {
		c.waitForRunning(a)
	}
	if isNeeded {
		c.prepared("files", recipe)
	}
	if len(recipe.Steps) > 0 {
		c.prepared("prepare", recipe)
	}
	if recipe.Reload != "" {
		c.reloaded()
	}
	c.untilServing()
	if len(recipe.Once) > 0 {
		c.archgenAfter("once", origin{base: "app", field: "hooks.once", index: -1})
	}
	c.raw("Service")
}

// successExitStatus adds the exit codes of a clean end to those of the usual signals.
func successExitStatus(codes []int) string {
	words := append(make([]string, 0, 3+len(codes)), "130", "131", "143")
	for _, code := range codes {
		words = append(words, strconv.Itoa(code))
	}
	return strings.Join(words, " ")
}

// install enables the app: it starts at boot. A provider does not pull its consumers in: they
// have Wants= and do not stop with it.
func (c *container) install() {
	if !c.app.Document.App.Enabled || c.part.Name != "main" {
		return
	}
	c.begin("Install")
	enabled := origin{base: "app", field: "enabled", index: -1}
	if c.target.Scope == units.System {
		c.put(enabled, "WantedBy", "multi-user.target")
	} else {
		c.put(enabled, "WantedBy", "default.target")
	}
}

// raw writes the escape hatch's directives for the current section.
func (c *container) raw(section string) {
	directives := c.part.Unit[section]
	for _, key := range slices.Sorted(maps.Keys(directives)) {
		for i, value := range directives[key] {
			c.put(c.at("unit."+section+"."+key).at(i), key, value)
		}
	}
}

// memoryCeiling is how much of the machine's memory the containers of one service may use. A
// container that uses more and more is killed before the others have none left. systemd
// computes the value on the machine that runs the unit.
const memoryCeiling = "80%"

func (c *container) ceiling() {
	if len(c.part.Unit["Service"]["MemoryMax"]) == 0 {
		c.put(c.at("unit"), "MemoryMax", memoryCeiling)
	}
}

// shares is what the service gets when services compete. Not --memory-reservation and
// --cpu-shares of Podman: the runtime can fail to start the container where the kernel has no
// such controller, and systemd ignores the directives there. A weight of the container would compare
// it with nothing: it is alone in the control group of its service.
func (c *container) shares() {
	if weight := c.part.Limits.CPUWeight; weight != 0 {
		c.put(c.at("limits.cpu_weight"), "CPUWeight", strconv.Itoa(weight))
	}
	if size := c.part.Limits.MemoryReservation; size != 0 {
		c.put(c.at("limits.memory_reservation"), "MemoryLow", strings.ToUpper(size.String())) // systemd knows no small letters
	}
}

// wholeSeconds rounds up: a program is never given less than it was promised.
func wholeSeconds(d manifests.Duration) string {
	return strconv.FormatInt(int64((time.Duration(d)+time.Second-1)/time.Second), 10)
}
