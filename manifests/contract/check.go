package contract

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/imagecheck"
)

// The codes of findings. They are of no manifest that a user wrote alone: each needs
// a contract, so they stand here and not in the reference.
const (
	NoContract    diag.Code = "contract-image"
	NotListening  diag.Code = "contract-port"
	NotWritable   diag.Code = "contract-write"
	NotKept       diag.Code = "contract-volume"
	NotRead       diag.Code = "contract-variable"
	Misleads      diag.Code = "contract-unset"
	LosesData     diag.Code = "contract-signal"
	StopTooShort  diag.Code = "contract-stop"
	NetworkName   diag.Code = "contract-network"
	ExitIsFailure diag.Code = "contract-exit"
	NeedsInternet diag.Code = "contract-internet"
	SharedLimit   diag.Code = "contract-limit"
	NoLogin       diag.Code = "contract-login"
	NoProgram     diag.Code = "contract-program"
)

// Check holds an app against the contracts of its images.
func (s Set) Check(a App) diag.List {
	c := &checker{app: &a}
	if declared := a.Document.App.Networks; len(declared) > 0 && !slices.Contains(declared, a.Network) {
		return nil // archgen refuses the app on this network
	}
	for i := range a.Parts {
		p := &a.Parts[i]
		if p.Image == "" {
			continue
		}
		about := s.Of(p.Image)
		if about == nil {
			repository, tag := split(p.Image)
			c.fail(NoContract, p.Path+".image", "add a file to manifests/catalog/contracts",
				"no contract says what the program in %s:%s does", repository, tag)
			continue
		}
		c.part(newPart(&a, p, about))
	}
	c.diags.Sort()
	return c.diags
}

type checker struct {
	app   *App
	diags diag.List
}

func (c *checker) fail(code diag.Code, at, hint, format string, args ...any) {
	c.diags = append(c.diags, c.app.Diag(diag.Error, code, at, hint, format, args...))
}

// part applies every rule to a part.
func (c *checker) part(p *part) {
	for _, rule := range []func(*part){
		c.image, c.programs, c.ports, c.writes, c.variables, c.unset, c.signal, c.stopTime,
		c.network, c.exits, c.internet, c.limits, c.login,
	} {
		rule(p)
	}
}

// image applies what is checked of every image: its programs, its VOLUMEs, and the
// owners of directories that nothing is mounted on.
func (c *checker) image(p *part) {
	facts := p.facts()
	for _, d := range imagecheck.Check(c.app.Resolved, p.Part, facts) {
		if d.Severity == diag.Error {
			c.diags = append(c.diags, d)
		}
	}
}

// programs finds programs that a start script executes and that the image does not have.
func (c *checker) programs(p *part) {
	if p.about.Programs == nil {
		return
	}
	for _, words := range p.executed() {
		if len(words) > 0 && !p.about.has(words[0]) {
			c.fail(NoProgram, p.Path+".files", source(p.about.Programs.Fact), "%s has no program %s", p.about.Program, words[0])
		}
	}
}

// ports finds declared ports that the program does not open.
func (c *checker) ports(p *part) {
	if len(p.about.Listens) == 0 {
		return
	}
	for i, port := range p.Ports {
		var open []string
		found := false
		for _, l := range p.about.Listens {
			if cmp.Or(l.Protocol, "tcp") != port.Protocol {
				continue
			}
			for _, n := range p.opened(l) {
				found = found || n == port.Container
				open = append(open, strconv.Itoa(n))
			}
		}
		if found {
			continue
		}
		c.fail(NotListening, fmt.Sprintf("%s.ports[%d].container", p.Path, i), c.howToMove(p, port.Protocol),
			"%s does not listen on %d/%s; as configured it listens on %s",
			p.about.Program, port.Container, port.Protocol, cmp.Or(strings.Join(open, ", "), "no port of that protocol"))
	}
}

func (c *checker) howToMove(p *part, protocol string) string {
	var hints []string
	for _, l := range p.about.Listens {
		if cmp.Or(l.Protocol, "tcp") == protocol && !l.MovedBy.Empty() {
			hints = append(hints, fmt.Sprintf("%s moves the port of %s (%s)", l.MovedBy, l.What, l.Source))
		}
	}
	return strings.Join(hints, "; ")
}

// writes finds directories that the program can't write to, or that are lost with the
// container although they must not be.
func (c *checker) writes(p *part) {
	for _, w := range p.about.Writes {
		for _, dir := range p.written(w) {
			c.write(p, w, dir)
		}
	}
}

func (c *checker) write(p *part, w Write, dir string) {
	m := p.mountOf(dir)
	why := p.unwritable(m)
	switch {
	case why != "":
		c.fail(NotWritable, m.at, source(w.Fact), "%s can't write its %s to %s: %s", p.about.Program, w.What, dir, why)
	case w.Keep && m.kind != volumeMount && m.kind != pathMount:
		c.fail(NotKept, m.at, source(w.Fact), "%s writes its %s to %s, which is lost at each stop", p.about.Program, w.What, dir)
	}
}

// mount is what a path of the container is on.
type mount struct {
	kind   mountKind
	target string
	at     string
	volume *manifests.Volume
	mode   manifests.Mode
}

type mountKind int

const (
	imageMount mountKind = iota
	volumeMount
	disposableMount
	pathMount
	tmpfsMount
	fileMount
)

// mountOf is the innermost mount that holds a path.
func (p *part) mountOf(dir string) mount {
	best := mount{at: p.Path + ".user", target: "/"}
	if p.User == "" {
		best.at = p.Path + ".image"
	}
	take := func(m mount) {
		if within(dir, m.target) && (best.kind == imageMount || len(m.target) >= len(best.target)) {
			best = m
		}
	}
	for i := range p.Volumes {
		v := &p.Volumes[i]
		kind := volumeMount
		switch {
		case v.Disposable:
			kind = disposableMount
		case v.Path != "":
			kind = pathMount
		}
		take(mount{kind: kind, target: v.Target, at: fmt.Sprintf("%s.volumes[%d]", p.Path, i), volume: v})
	}
	for i, t := range p.Tmpfs {
		take(mount{kind: tmpfsMount, target: t.Target, at: fmt.Sprintf("%s.tmpfs[%d]", p.Path, i), mode: t.Mode})
	}
	for i, f := range p.Files {
		take(mount{kind: fileMount, target: f.Target, at: fmt.Sprintf("%s.files[%d]", p.Path, i)})
	}
	return best
}

// unwritable is why the program can't write to a path, empty where it can.
func (p *part) unwritable(m mount) string {
	switch m.kind {
	case fileMount:
		return "a configuration file is mounted there, read-only"
	case tmpfsMount:
		if uid, ok := p.uid(); ok && uid != 0 && m.mode != 0 && m.mode&0o002 == 0 {
			return fmt.Sprintf("the memory file system belongs to root, with mode %s", m.mode)
		}
		return ""
	case pathMount, volumeMount:
		if m.volume.ReadOnly {
			return "it is mounted read-only"
		}
		if m.volume.Chown || m.kind == pathMount {
			return ""
		}
		existing := m.volume.App == "" && p.app.Existing(m.volume.Name) != ""
		if !existing && !p.app.VolumesKeepOwner {
			return "" // archgen gives a new volume to the container's user
		}
		return p.copied(m.target, "a volume that is not new keeps its owner; the image gave it to")
	case disposableMount:
		return p.copied(m.target, "a disposable volume takes its owner from the image,")
	case imageMount: // imagecheck judges it
	}
	return ""
}

// copied is the same for a volume, which takes its owner from the image only where the
// image has the directory.
func (p *part) copied(target, because string) string {
	if !slices.ContainsFunc(p.about.Directories, func(d Directory) bool { return d.Path == target }) {
		return ""
	}
	return p.owned(target, because)
}

// owned is why the user can't write to a directory that has its owner from the image.
func (p *part) owned(dir, because string) string {
	uid, ok := p.uid()
	d := p.owner(dir)
	if !ok || uid == d.UID || d.Mode&0o002 != 0 {
		return ""
	}
	return fmt.Sprintf("%s %d:%d, and the program runs as %d", because, d.UID, d.GID, uid)
}

// anyProgram is variables that every program may be given.
var anyProgram = []string{"HOME", "PATH", "TZ", "LANG", "LC_ALL"}

// variables finds variables without an effect.
func (c *checker) variables(p *part) {
	if p.about.Environment == nil || !p.about.Environment.Closed {
		return
	}
	for _, v := range p.env {
		if slices.Contains(anyProgram, v.name) || p.about.reads(v.name) != nil {
			continue
		}
		c.report(p, v, NotRead, source(p.about.Environment.Fact), "%s does not read the variable %s", p.about.Program, v.name)
	}
}

func (c *Contract) reads(name string) *Variable {
	i := slices.IndexFunc(c.Environment.Reads, func(v Variable) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Environment.Reads[i]
}

// report points at the line of the template where a script exports a variable.
func (c *checker) report(p *part, v variable, code diag.Code, hint, format string, args ...any) {
	d := p.app.Diag(diag.Error, code, v.at, hint, format, args...)
	if t, ok := p.app.Templates[v.template]; ok {
		for i, line := range strings.Split(string(t.Data), "\n") {
			if at := strings.Index(line, v.name+"="); at >= 0 {
				d.File, d.Line, d.Column = t.Name, i+1, at+1
				break
			}
		}
	}
	c.diags = append(c.diags, d)
}

// unset finds variables whose default is wrong here.
func (c *checker) unset(p *part) {
	if p.about.Environment == nil {
		return
	}
	for _, v := range p.about.Environment.Reads {
		concerned := len(v.Networks) == 0 || slices.Contains(v.Networks, c.app.Network)
		if v.Unset == "" || !concerned || slices.ContainsFunc(p.env, func(e variable) bool { return e.name == v.Name }) {
			continue
		}
		on := ""
		if len(v.Networks) > 0 {
			on = " on " + c.app.Network
		}
		c.fail(Misleads, p.Path+".env", source(v.Fact), "%s is not set%s: %s", v.Name, on, v.Unset)
	}
}

// signal finds a stop signal on which the program loses data.
func (c *checker) signal(p *part) {
	name := "SIGTERM"
	if s := p.about.Start; s != nil && s.Signal != "" {
		name = s.Signal
	}
	name = cmp.Or(p.Stop.Signal, name)
	for _, s := range p.about.Signals {
		if s.Signal == name && s.Loses != "" {
			c.fail(LosesData, p.Path+".stop", c.better(p, s), "on %s %s %s, and loses %s", name, p.about.Program, s.Does, s.Loses)
		}
	}
}

// better names a signal that loses nothing.
func (c *checker) better(p *part, bad Signal) string {
	for _, s := range p.about.Signals {
		if s.Loses == "" && s.Signal != bad.Signal {
			return fmt.Sprintf("on %s it %s (%s)", s.Signal, s.Does, s.Source)
		}
	}
	return source(bad.Fact)
}

func (c *checker) stopTime(p *part) {
	s := p.about.Stop
	if s == nil || time.Duration(p.Stop.Timeout) >= s.Needs {
		return
	}
	c.fail(StopTooShort, p.Path+".stop", source(s.Fact), "%s needs %s to stop, and gets %s",
		p.about.Program, manifests.Duration(s.Needs), p.Stop.Timeout)
}

// network finds a network that the program does not know, or knows by another word.
func (c *checker) network(p *part) {
	n := p.about.Networks
	if n == nil {
		return
	}
	word, known := n.Known[c.app.Network]
	if !known {
		c.fail(NetworkName, p.Path+".image", "say so in app.networks ("+n.Source+")", "%s does not know the network %s", p.about.Program, c.app.Network)
		return
	}
	for _, given := range p.values(n.SetBy) {
		if given != word {
			c.fail(NetworkName, p.Path, source(n.Fact), "%s calls %s %q, and is given %q", p.about.Program, c.app.Network, word, given)
		}
	}
}

// exits finds exit codes of a clean stop that systemd takes for a failure.
func (c *checker) exits(p *part) {
	for _, e := range p.about.Exits {
		if !e.Clean || e.Code == 0 || p.cleanExit(e.Code) {
			continue
		}
		c.fail(ExitIsFailure, p.Path+".stop", fmt.Sprintf("stop: {success_exit_codes: [%d]} (%s)", e.Code, e.Source),
			"%s ends with %d %s, which systemd takes for a failure", p.about.Program, e.Code, e.When)
	}
}

func (p *part) cleanExit(code int) bool {
	return slices.Contains(p.Stop.SuccessExitCodes, code)
}

// internet finds a start that needs the internet, where a setting avoids it or no
// notice says so.
func (c *checker) internet(p *part) {
	for _, i := range p.about.Internet {
		if i.Ends == nil || len(p.values(i.AvoidedBy)) > 0 {
			continue
		}
		switch {
		case !i.AvoidedBy.Empty():
			c.fail(NeedsInternet, p.Path, source(i.Fact), "%s needs %s at its %s, for %s; %s avoids that", p.about.Program, i.Host, i.moment(), i.For, i.AvoidedBy)
		case !c.notice("internet"):
			c.fail(NeedsInternet, "app.notices", source(i.Fact), "%s needs %s at its %s, for %s, and no notice says that it needs the internet", p.about.Program, i.Host, i.moment(), i.For)
		}
	}
}

// moment is when the program asks, in words.
func (i Internet) moment() string { return strings.ReplaceAll(i.When, "-", " ") }

// notice reports that a notice of the app has one of the words.
func (c *checker) notice(words ...string) bool {
	return slices.ContainsFunc(c.app.Document.App.Notices, func(n string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(n), w) })
	})
}

// limits finds bounds for each address where all clients have one.
func (c *checker) limits(p *part) {
	if !slices.ContainsFunc(p.Ports, func(port manifests.Port) bool { return port.Host != 0 }) {
		return
	}
	for _, l := range p.about.Limits {
		given := p.values(l.SetBy)
		if len(given) == 0 {
			given = []string{strconv.Itoa(l.Default)}
		}
		if given[len(given)-1] != l.Lifted {
			c.fail(SharedLimit, p.Path+".ports", source(l.Fact), "%s allows %s %s an address, and all clients of a published port have one; %s = %s lifts that",
				p.about.Program, given[len(given)-1], l.What, l.SetBy, l.Lifted)
		}
	}
}

// login finds programs that give away what matters without a login, where a hidden
// service publishes them or no notice says so.
func (c *checker) login(p *part) {
	l := p.about.Login
	if l == nil || l.Kind != "none" || l.Exposes == "" {
		return
	}
	if !c.notice("login", "password") {
		c.fail(NoLogin, "app.notices", source(l.Fact), "%s has no login and gives who reaches it %s, and no notice says so", p.about.Program, l.Exposes)
	}
	for i, o := range c.app.Document.App.Onion {
		if p.Port(o.Port) != nil {
			c.fail(NoLogin, fmt.Sprintf("app.onion[%d]", i), source(l.Fact), "%s has no login, and a hidden service would publish %s", p.about.Program, l.Exposes)
		}
	}
}

// source is where upstream says so, as a hint.
func source(f Fact) string { return f.Source }
