package generator

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/generator/configfile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// prestartCommand is the program that systemd runs before a part with a recipe; systemd
// searches for it. Without it the start fails: an app must not start without its
// configuration, on data that it can't read, or make defaults where its seed belongs. optionalPrestart is for a part whose
// recipe only records secrets and addresses or sets the owner of a new volume: such a part
// starts without archgen, too.
const (
	prestartCommand  = "archgen"
	optionalPrestart = "-archgen"
)

// prepared makes systemd run a verb of archgen before the container.
func (c *container) prepared(verb string, r units.Prestart) {
	args := []string{prestartCommand, verb}
	if len(r.Files)+len(r.Composed)+len(r.Facts)+len(r.Watch)+len(r.Steps)+len(r.Seeds) == 0 && r.Format.Written == 0 {
		args[0] = optionalPrestart
	}
	if c.target.Scope == units.System {
		args = append(args, "--system")
	}
	c.exec(c.at(""), "ExecStartPre", append(args, c.name)...)
}

// reloaded makes systemd run archgen to reload the part: archgen writes the files before it
// signals the program, and records the reload after. Quadlet's ReloadSignal= does neither,
// and older versions of Podman refuse it.
func (c *container) reloaded() {
	args := []string{prestartCommand, "files", "--reload"}
	if c.target.Scope == units.System {
		args = append(args, "--system")
	}
	c.exec(c.at("reload"), "ExecReload", append(args, c.name)...)
}

// recipe is what the part needs before it starts, if it needs anything.
func (c *container) recipe() (r units.Prestart, needed bool) {
	checked := map[string]bool{}
	for i := range c.part.Files {
		r.Files = append(r.Files, c.templated(i, checked))
	}
	if c.part.Reload != nil {
		r.Reload = c.part.Reload.Signal
	}
	for i := range c.part.Volumes {
		v := &c.part.Volumes[i]
		for _, file := range v.Watch {
			if !c.r.set.Mounts(c.app, v) {
				break
			}
			source, _ := c.volumeSource(v.App, v.Name)
			r.Watch = append(r.Watch, units.VolumeFile{Volume: source, Path: path.Join(v.Subpath, file)})
		}
	}
	for _, n := range c.app.Needs {
		if n.Follow && n.Provider != nil && slices.Contains(n.Parts, c.part.Name) {
			r.Follow = append(r.Follow, manifests.ContainerName(n.Provider.ID(), n.Part))
		}
	}
	r.Steps = c.subpaths()
	for _, s := range c.app.Document.App.Hooks.PreStart {
		if s.Part == c.part.Name {
			r.Steps = append(r.Steps, c.step(s)...)
		}
	}
	for _, o := range c.app.Document.App.Hooks.Once {
		if o.Part == c.part.Name {
			r.Once = append(r.Once, units.Once{Name: o.Name, Run: o.Run, Seconds: inSeconds(o.Timeout)})
		}
	}
	r.Facts = c.facts()
	r.Volumes, r.Seeds = c.newVolumes()
	r.Format = c.dataFormat()
	c.secrets(&r)
	if len(r.Files)+len(r.Composed)+len(r.Facts)+len(r.Watch)+len(r.Follow)+len(r.Steps)+len(r.Once)+len(r.Secrets)+len(r.Volumes) == 0 && r.Format.Written == 0 {
		return r, false
	}
	if len(r.Steps) > 0 {
		r.Image, r.Podman = ImageOf(c.part), c.podmanArguments()
	}
	return r, true
}

// facts is what the values of the part name that only the machine knows.
func (c *container) facts() (list []units.Fact) {
	for _, f := range c.part.Facts {
		fact := units.Fact{Variable: f.Variable, Name: f.Name, Default: f.Default}
		switch {
		case f.Volume != "":
			source, _ := c.volumeSource(cmp.Or(f.App, c.app.ID()), f.Volume)
			fact.File = &units.VolumeFile{Volume: source, Path: f.Path}
		case f.Network != "":
			fact.Network = capabilityNetwork(f.Network).name
		case f.Name == "subnet":
			fact.Network = appNetwork(c.app, manifests.OwnNetwork).name
		}
		list = append(list, fact)
	}
	return list
}

// marked is a text with the marks of facts as a recipe has them.
func marked(text string) string {
	return manifests.ReplaceFacts(text, func(variable string) string { return units.Fact{Variable: variable}.Mark() })
}

// dataFormat is the formats of the app's data, if the part mounts any of it.
func (c *container) dataFormat() units.DataFormat {
	if !slices.ContainsFunc(c.part.Volumes, c.app.IsOwn) {
		return units.DataFormat{}
	}
	return DataFormat(c.app)
}

// DataFormat is the formats of data that an app declares.
func DataFormat(app *manifests.Resolved) units.DataFormat {
	data := app.Document.App.Data
	return units.DataFormat{Written: data.Format, Reads: data.Oldest()}
}

// secrets is the secrets that the container gets, and those that archgen makes for it.
func (c *container) secrets(r *units.Prestart) {
	get := func(ref manifests.SecretRef) {
		if name := fullName(ref); !slices.Contains(r.Secrets, name) {
			r.Secrets = append(r.Secrets, name)
		}
	}
	for i := range c.part.Secrets {
		if ref, exists := c.r.set.SecretOf(c.app, &c.part.Secrets[i]); exists {
			get(ref)
		}
	}
	for _, v := range c.part.Composed {
		if ref, isSingle := v.Single(); isSingle {
			get(ref)
			continue
		}
		made := units.ComposedSecret{Name: c.composedName(v), Variable: v.Name}
		for _, p := range v.Pieces {
			piece := units.SecretPiece{Text: marked(p.Text)}
			if p.IsSecret() {
				piece.Secret = fullName(p.Secret)
			}
			made.Pieces = append(made.Pieces, piece)
		}
		r.Composed = append(r.Composed, made)
	}
}

// maxTemplates is the most bytes that the templates of an app have together, each as often
// as it is used: what is written down of them takes up to six times as many.
const maxTemplates = 1 << 20

// templated is a configuration file, checked as far as it can be here. What several files
// have in common is checked once.
func (c *container) templated(i int, checked map[string]bool) units.PrestartFile {
	f, at := c.part.Files[i], fmt.Sprintf("%s.files[%d]", c.part.Path, i)
	source := c.app.Templates[f.Template]
	before := c.r.templates
	if c.r.templates += len(source.Data); before > maxTemplates { // which was said
		return units.PrestartFile{}
	}
	if c.r.templates > maxTemplates {
		c.r.diags = append(c.r.diags, c.app.Diag(diag.Error, diag.TooLarge, at, "",
			"the templates of an app may have %d bytes together, each as often as it is used", maxTemplates))
		return units.PrestartFile{}
	}
	if !checked[f.Template] {
		checked[f.Template] = true
		for _, e := range configfile.Check(string(source.Data), c.data(), &c.r.budget) {
			d := diag.Diagnostic{Code: diag.Template, File: source.Name, Line: e.Line, Column: e.Column, Path: at, Message: e.Message}
			if e.OutOfReach != "" {
				d.Code = diag.Unreachable
				_, d.Hint = c.app.OutOfReach(c.part, e.OutOfReach)
			}
			c.r.diags = append(c.r.diags, d)
		}
	}
	return units.PrestartFile{Name: f.Template, Mode: uint32(f.Mode), Template: string(source.Data), Source: path.Base(path.Dir(source.Name)) + "/" + f.Template, Reload: f.Reload}
}

// data is what the part's templates may name: what ${…} may, and secrets.
func (c *container) data() configfile.Data {
	d := configfile.Data{
		App: map[string]string{"part": c.part.Name}, Settings: map[string]string{}, Ports: map[string]string{}, ContainerPorts: map[string]string{},
		Capabilities: map[string]map[string]string{}, OutOfReach: map[string]string{}, Secrets: map[string]string{},
	}
	for _, n := range c.app.Needs {
		offer := map[string]string{}
		provider, secrets := c.r.set.ExportedSecrets(n.Capability, c.app.ID())
		for export, name := range secrets {
			offer[export] = units.SecretName(provider.ID(), name)
		}
		d.Capabilities[n.Capability] = offer
		if why, _ := c.app.OutOfReach(c.part, n.Capability); why != "" {
			d.OutOfReach[n.Capability] = why
		}
	}
	kinds := map[string]map[string]string{"app": d.App, "settings": d.Settings, "port": d.Ports, "container_port": d.ContainerPorts}
	for name, value := range c.r.set.Values(c.app) {
		kind, rest, _ := strings.Cut(name, ".")
		if into := kinds[kind]; into != nil {
			into[rest] = value
			continue
		}
		capability, export, _ := strings.Cut(rest, ".")
		d.Capabilities[capability][export] = value
	}
	for _, s := range c.app.Document.App.Secrets {
		d.Secrets[s.Name] = units.SecretName(c.app.ID(), s.Name)
	}
	if provider, _ := c.r.set.Provider(manifests.TorCapability); provider == c.app {
		d.Onions = onions(c.r.set)
	}
	return d
}

// onions is the ports of all apps that get a hidden service.
func onions(set *manifests.Set) (list []configfile.Onion) {
	for _, app := range set.Apps {
		for _, o := range app.Document.App.Onion {
			for _, p := range app.Parts {
				if port := p.Port(o.Port); port != nil {
					virtual := o.VirtualPort(port)
					list = append(list, configfile.Onion{
						App: app.ID(), Host: manifests.ContainerName(app.ID(), p.Name), Port: port.Container, Virtual: virtual, Address: loopback(app.ID(), virtual),
					})
				}
			}
		}
	}
	return list
}

// loopback is an address of the loopback interface for the hidden service of an app. It does
// not depend on other apps. Its 36 bits make it unlikely that two of a
// thousand services have the same: one in 100,000.
func loopback(app string, virtual int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s:%d", app, virtual))
	// 127.0.0.0/16 is left to others, and no address ends in 0 or 255.
	port := 20000 + int(binary.BigEndian.Uint16(sum[3:]))%4096
	return fmt.Sprintf("127.%d.%d.%d:%d", 1+int(sum[0])%254, sum[1], 1+int(sum[2])%254, port)
}

// step is a step as the machine runs it: none if it waits for a capability without a
// provider.
func (c *container) step(s manifests.Step) []units.Step {
	timeout := s.Timeout
	done := units.Step{Run: s.Run, Migrate: s.Migrate}
	if s.WaitFor != nil {
		timeout = s.WaitFor.Timeout
	}
	switch w := s.WaitFor; {
	case s.EnsureDir != nil:
		done.EnsureDir = c.ensureDir(s.EnsureDir)
	case w == nil:
	case w.File != "":
		volume, file, _ := strings.Cut(w.File, "/")
		source, _ := c.volumeSource(c.app.ID(), volume)
		done.File = &units.VolumeFile{Volume: source, Path: file}
	case w.Port != "":
		done.Address = c.addressOf(w.Port)
	default:
		provider, part := c.r.set.Provider(w.Capability)
		if provider == nil {
			return nil
		}
		done.Service, done.Level = serviceName(provider.ID(), part), w.Until
	}
	done.Seconds = inSeconds(timeout)
	return []units.Step{done}
}

// inSeconds rounds up: a command is never given less than it was promised.
func inSeconds(d manifests.Duration) int {
	return int((time.Duration(d) + time.Second - 1) / time.Second)
}

// subpaths is the steps that make the directories in the app's own volumes that the part mounts,
// where they are missing: Podman fails to mount what is not there. The content of a volume
// with a device is not seen before the container runs. A directory belongs to the part's user
// if its ids are known, else to the owner of the volume.
func (c *container) subpaths() (list []units.Step) {
	uid, gid, err := (&manifests.EnsureDir{Owner: c.part.User}).Owners()
	if err != nil || c.part.UserNS != "" {
		uid, gid = -1, -1
	}
	for _, v := range c.part.Volumes {
		isOwn := v.App == "" || v.App == c.app.ID()
		if v.Subpath == "" || v.ReadOnly || !isOwn || isElsewhere(c.app.Document.App.Volumes[v.Name]) {
			continue
		}
		source, _ := c.volumeSource(c.app.ID(), v.Name)
		dir := &units.EnsureDir{VolumeFile: units.VolumeFile{Volume: source, Path: v.Subpath}, UID: uid, GID: gid, Mode: subpathMode, IsKept: true}
		list = append(list, units.Step{EnsureDir: dir, Seconds: subpathSeconds})
	}
	return list
}

// A new directory has the mode that Podman gives to a new volume, and its step the default
// timeout of steps.
const (
	subpathMode    = 0o755
	subpathSeconds = 60
)

func (c *container) ensureDir(d *manifests.EnsureDir) *units.EnsureDir {
	source, _ := c.volumeSource(c.app.ID(), d.Volume)
	dir := &units.EnsureDir{VolumeFile: units.VolumeFile{Volume: source, Path: d.Path}, Mode: uint32(d.Mode)}
	dir.UID, dir.GID, _ = d.Owners() // checked when the manifest was
	if dir.UID < 0 {
		own := manifests.EnsureDir{Owner: c.part.User}
		dir.UID, dir.GID, _ = own.Owners()
		dir.UID, dir.GID = max(dir.UID, 0), max(dir.GID, 0)
	}
	return dir
}

// addressOf is where the host reaches a port of the app.
func (c *container) addressOf(name string) string {
	for i := range c.app.Parts {
		other := &container{part: &c.app.Parts[i]}
		if other.part.Port(name) != nil {
			return other.hostAddress(name)
		}
	}
	return net.JoinHostPort("127.0.0.1", "0")
}

// stepTime is how long the steps of a part, or the commands after its start, may take together, and
// a moment to make containers for them.
func stepTime(r units.Prestart) manifests.Duration {
	before, after := time.Duration(0), time.Duration(0)
	for _, s := range r.Steps {
		before += time.Duration(s.Seconds)*time.Second + stepMargin
	}
	for _, o := range r.Once {
		after += time.Duration(o.Seconds)*time.Second + stepMargin
	}
	return manifests.Duration(max(before, after))
}

const stepMargin = 10 * time.Second

// podmanFlags is what a command before the start has of the container, as the
// arguments of podman run. What is not here a command has no use for: ports, health
// checks, labels, the timeouts of stopping.
var podmanFlags = map[string]string{
	"AddCapability": "--cap-add=", "AddDevice": "--device=", "AddHost": "--add-host=", "AppArmor": "--security-opt=apparmor=",
	"DNS": "--dns=", "DropCapability": "--cap-drop=", "Environment": "--env=", "EnvironmentFile": "--env-file=", "GroupAdd": "--group-add=",
	"HostName": "--hostname=", "Mask": "--security-opt=mask=", "Memory": "--memory=", "PidsLimit": "--pids-limit=",
	"Secret": "--secret=", "SeccompProfile": "--security-opt=seccomp=", "SecurityLabelType": "--security-opt=label=type:", "ShmSize": "--shm-size=",
	"Sysctl": "--sysctl=", "Timezone": "--tz=", "Tmpfs": "--tmpfs=", "Ulimit": "--ulimit=", "Unmask": "--security-opt=unmask=",
	"UserNS": "--userns=", "WorkingDir": "--workdir=",
}

// podmanArguments is what a command in the part's image gets.
func (c *container) podmanArguments() []string {
	var args []string
	if c.part.User != "" {
		args = append(args, "--user="+c.part.User)
	}
	for _, a := range c.assignments {
		if a.section != "Container" {
			continue
		}
		for _, value := range c.values[a.first : a.first+a.count] {
			args = append(args, c.podmanArgument(a, value)...)
		}
	}
	return args
}

func (c *container) podmanArgument(a assignment, value string) []string {
	if flag := podmanFlags[a.key]; flag != "" {
		return []string{flag + marked(value)}
	}
	switch a.key {
	case "PodmanArgs":
		return []string{value}
	case "ReadOnly":
		return []string{"--read-only"}
	case "RunInit":
		return []string{"--init"}
	case "NoNewPrivileges":
		return []string{"--security-opt=no-new-privileges"}
	case "SecurityLabelDisable":
		return []string{"--security-opt=label=disable"}
	case "Network":
		name, _, _ := strings.Cut(value, ":alias=") // which are the container's own
		return []string{"--network=" + units.ObjectOf(name, ".network")}
	case "Mount":
		before, rest, _ := strings.Cut(value, "source=")
		source, options, _ := strings.Cut(rest, ",")
		return []string{"--mount=" + before + "source=" + units.ObjectOf(source, ".volume") + "," + options}
	case "Volume":
		source, rest, _ := strings.Cut(value, ":")
		if a.class == runtimeLine {
			source = runtimePrefix + source
		}
		return []string{"--volume=" + units.ObjectOf(source, ".volume") + strings.TrimSuffix(":"+rest, ":")}
	}
	return nil
}

// maxData is the most bytes that the recipes of an app have for what its templates may name:
// its secrets and capabilities, repeated for each part.
const maxData = 4 << 20

// facts writes down what the part's templates may name.
func (r *renderer) facts(app *manifests.Resolved, p *manifests.Part, recipe *units.Prestart) bool {
	before := r.data
	if before > maxData { // which was said
		return false
	}
	c := &container{r: r, app: app, part: p}
	data, err := json.Marshal(c.data())
	if err != nil {
		panic(fmt.Sprintf("encoding texts as JSON: %v", err))
	}
	recipe.Data = data
	if r.data += len(data); r.data > maxData {
		r.diags = append(r.diags, app.Diag(diag.Error, diag.TooLarge, p.Path+".files", "",
			"what the templates of the app may name, its secrets and capabilities for each part, takes more than %d bytes", maxData))
		return false
	}
	return true
}

// recipe writes the file of a recipe. It is not a unit: only archgen reads it.
func (r *renderer) recipe(app *manifests.Resolved, p *manifests.Part, recipe units.Prestart) {
	if len(recipe.Files) > 0 && !r.facts(app, p, &recipe) {
		return
	}
	body, err := recipe.Text()
	if err != nil {
		panic(fmt.Sprintf("encoding texts as JSON: %v", err))
	}
	sum := sha256.Sum256([]byte(body))
	digest := hex.EncodeToString(sum[:])[:digestLen]
	var b strings.Builder
	fmt.Fprintf(&b, "# Rendered by archgen from %s: what has to be there before %s starts.\n", path.Base(app.File), serviceName(app.ID(), p.Name))
	b.WriteString("# Changes made here are lost: change the manifest, or the templates in " + manifests.FilesDir(app.ID()) + ".\n\n" + body)
	fmt.Fprintf(&b, "\n[%s]\nApp=%s\nDigest=%s\nManifestDigest=%s\nGenerator=archgen %s\n", units.OwnershipSection, app.ID(), digest, app.Digest, r.target.Generator)
	name := recipeFile(app.ID(), p.Name)
	if b.Len() > units.MaxFile {
		r.diags = append(r.diags, app.Diag(diag.Error, diag.TooLarge, p.Path+".files", "", "the templates and seeds of a part may have about %d bytes together", units.MaxFile))
	}
	r.result.Files = append(r.result.Files, units.File{Name: name, App: app.ID(), Digest: digest, Content: []byte(b.String())})
	r.result.sources[name] = source{app: app}
}
