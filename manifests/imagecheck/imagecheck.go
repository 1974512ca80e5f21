package imagecheck

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// Check compares a part of an app with the facts of its image.
func Check(app *manifests.Resolved, part *manifests.Part, facts Facts) diag.List {
	c := &check{app: app, part: part, facts: facts}
	c.architecture()
	if c.diags.HasErrors() { // it is the wrong image: what else it has says nothing
		return c.diags
	}
	c.ports()
	c.volumes()
	c.account()
	c.programs()
	c.directories()
	return c.diags
}

// Paths is what Check needs to know of the image's files.
func Paths(app *manifests.Resolved, part *manifests.Part, facts Facts) []string {
	c := &check{app: app, part: part, facts: facts}
	list := slices.Clone(facts.Writes)
	for _, p := range c.runs() {
		list = append(list, c.candidates(p.argv)...)
	}
	for _, v := range part.Volumes {
		list = append(list, path.Clean(v.Target))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

type check struct {
	app   *manifests.Resolved
	part  *manifests.Part
	facts Facts
	diags diag.List
}

func (c *check) report(severity diag.Severity, code diag.Code, field, hint, format string, args ...any) {
	c.diags = append(c.diags, c.app.Diag(severity, code, c.part.Path+field, hint, format, args...))
}

// imageField is where the part says which image it runs.
func (c *check) imageField() string {
	if c.part.Build != nil {
		return ".build"
	}
	return ".image"
}

// runsOn is the machines that run another architecture's programs as well.
var runsOn = map[string]string{"386": "amd64", "arm": "arm64"}

func (c *check) architecture() {
	have, want := c.facts.Architecture, c.facts.Machine
	if have == "" || want == "" || have == want || runsOn[have] == want {
		return
	}
	c.report(diag.Error, diag.ImageArchitecture, c.imageField(), "use an image that is built for "+want,
		"the image is built for %s, and this machine is %s", have, want)
}

// ports compares declared ports with the exposed ones. EXPOSE is documentation, so a
// port that the manifest or the image mentions elsewhere counts as configured.
func (c *check) ports() {
	for i, p := range c.part.Ports {
		var others []string
		exposed := false
		for _, e := range c.facts.Ports {
			if e.Protocol == p.Protocol {
				others = append(others, strconv.Itoa(e.Number))
				exposed = exposed || e.Number >= p.Container && e.Number < p.Container+p.Count
			}
		}
		if exposed || len(others) == 0 || c.mentions(p.Container) {
			continue
		}
		c.report(diag.Warning, diag.ImagePort, fmt.Sprintf(".ports[%d].container", i), "the image exposes "+strings.Join(others, ", "),
			"the image does not expose port %d/%s, and nothing in the manifest configures it", p.Container, p.Protocol)
	}
}

// mentions reports whether the configuration of the part names a port.
func (c *check) mentions(port int) bool {
	number := regexp.MustCompile(`(?:^|[^0-9])` + strconv.Itoa(port) + `(?:[^0-9]|$)`)
	texts := slices.Concat([]string(c.part.Entrypoint), []string(c.part.Command), c.facts.Entrypoint, c.facts.Command)
	for _, v := range c.part.Env {
		texts = append(texts, v.Value)
	}
	texts = slices.AppendSeq(texts, maps.Values(c.facts.Env))
	for _, f := range c.part.Files {
		texts = append(texts, string(c.app.Templates[f.Template].Data))
	}
	return slices.ContainsFunc(texts, number.MatchString)
}

// volumes demands that each VOLUME of the image is mapped: Podman makes an anonymous
// volume of one that is not, which is deleted with the container at each stop.
func (c *check) volumes() {
	targets := c.targets()
	for _, v := range c.facts.Volumes {
		if slices.Contains(targets, path.Clean(v)) || slices.ContainsFunc(c.part.PodmanArgs, mapsVolume(v)) {
			continue
		}
		c.report(diag.Error, diag.ImageVolume, c.imageField(), fmt.Sprintf("add `{name: …, target: %s}` to volumes, or `{disposable: true, target: %s}` if its content may be lost", v, v),
			"the image has the volume %s, which nothing covers: what it holds is deleted at each stop", v)
	}
}

// targets is where something is mounted.
func (c *check) targets() (list []string) {
	for _, v := range c.part.Volumes {
		list = append(list, path.Clean(v.Target))
	}
	for _, t := range c.part.Tmpfs {
		list = append(list, path.Clean(t.Target))
	}
	return list
}

// mapsVolume tells raw arguments that map a volume, or turn the image's off.
func mapsVolume(volume string) func(arg string) bool {
	return func(arg string) bool {
		flag, value, _ := strings.Cut(arg, "=")
		return flag == "--image-volume" && value != "anonymous" && value != "bind" ||
			flag == "--tmpfs" && strings.Contains(value, volume)
	}
}

// account demands that a user or group that is given by name is one of the image.
func (c *check) account() {
	user, group, _ := strings.Cut(c.part.User, ":")
	if _, known := c.facts.Users[user]; c.facts.Users != nil && !known && isName(user) {
		c.report(diag.Error, diag.ImageUser, ".user", didYouMean(user, slices.Sorted(maps.Keys(c.facts.Users))), "the image has no user %s", user)
	}
	if _, known := c.facts.Groups[group]; c.facts.Groups != nil && !known && isName(group) {
		c.report(diag.Error, diag.ImageUser, ".user", didYouMean(group, slices.Sorted(maps.Keys(c.facts.Groups))), "the image has no group %s", group)
	}
}

func isName(id string) bool {
	_, err := strconv.Atoi(id)
	return id != "" && err != nil
}

func didYouMean(name string, known []string) string {
	hint := "give numbers, as in `user: \"1000:1000\"`"
	for _, k := range known {
		if strings.EqualFold(k, name) || strings.HasPrefix(k, name) || strings.HasPrefix(name, k) {
			return "did you mean " + k + "?"
		}
	}
	return hint
}

// run is a command that runs in the image, and where the manifest says so.
type run struct {
	field string
	argv  []string
	what  string
}

// runs is the commands of the part: its program, its probes, and its steps.
func (c *check) runs() (list []run) {
	switch p, f := c.part, c.facts; {
	case len(p.Entrypoint) > 0:
		list = append(list, run{".entrypoint", p.Entrypoint, "the program"})
	case len(f.Entrypoint) > 0:
		list = append(list, run{c.imageField(), f.Entrypoint, "its entrypoint"})
	case len(p.Command) > 0:
		list = append(list, run{".command", p.Command, "the program"})
	case len(f.Command) > 0:
		list = append(list, run{c.imageField(), f.Command, "its command"})
	}
	h := c.part.Health
	for _, level := range []struct {
		name  string
		probe *manifests.Probe
	}{{"alive", h.Alive}, {"serving", h.Serving}, {"synced", h.Synced}} {
		if level.probe != nil && len(level.probe.Exec) > 0 {
			list = append(list, run{".health." + level.name + ".exec", level.probe.Exec, "the program of the probe"})
		}
	}
	for i, s := range c.app.Document.App.Hooks.PreStart {
		if s.Part == c.part.Name && len(s.Run) > 0 {
			list = append(list, run{fmt.Sprintf("app.hooks.pre_start[%d].run", i), s.Run, "the program of the step"})
		}
	}
	return list
}

func (c *check) programs() {
	for _, r := range c.runs() {
		problem := c.lacks(r.argv)
		if problem == "" {
			continue
		}
		d := c.app.Diag(diag.Error, diag.ImageProgram, r.field, "", "%s can't run: the image %s", r.what, problem)
		if strings.HasPrefix(r.field, ".") {
			d = c.app.Diag(diag.Error, diag.ImageProgram, c.part.Path+r.field, "", "%s can't run: the image %s", r.what, problem)
		}
		if slices.Contains(shells, path.Base(r.argv[0])) {
			d.Hint = "name a program that the image has, or use a probe that needs none, such as http or tcp"
		}
		c.diags = append(c.diags, d)
	}
}

var shells = []string{"sh", "bash", "ash", "dash"}

// lacks is the reason why a command can't run, or empty. A program that is mounted, or whose
// candidates are not all known, may exist.
func (c *check) lacks(argv []string) string {
	list := c.candidates(argv)
	mounted := c.mounted()
	problem := "has no " + argv[0]
	for _, candidate := range list {
		f, known := c.facts.Files[candidate]
		switch {
		case !known || covers(mounted, candidate):
			return ""
		case f.Missing:
		case f.Directory:
			problem = "has a directory at " + candidate
		case f.Mode&0o111 == 0:
			problem = "has " + candidate + ", which is not executable"
		default:
			return ""
		}
	}
	if len(list) == 0 {
		return ""
	}
	return problem
}

// mounted is where the content is not the image's.
func (c *check) mounted() []string {
	list := c.targets()
	for _, f := range c.part.Files {
		list = append(list, path.Clean(f.Target))
	}
	for _, s := range c.part.Secrets {
		if s.Env == "" {
			list = append(list, s.Target)
		}
	}
	return list
}

func (c *check) candidates(argv []string) []string {
	if len(argv) == 0 {
		return nil
	}
	search := cmp.Or(c.facts.Env["PATH"], defaultPath)
	for _, v := range c.part.Env {
		if v.Name == "PATH" {
			search = v.Value
		}
	}
	return candidates(argv[0], search, cmp.Or(c.part.WorkingDir, c.facts.WorkingDir, "/"))
}

// directories demands that the user can write where the program does. A new named
// volume belongs to the container's user, unless that is root by the image.
func (c *check) directories() {
	uid, gid, known := c.identity()
	if !known {
		return
	}
	for i, v := range c.part.Volumes {
		dir, isKnown := c.facts.Files[path.Clean(v.Target)]
		isRootOfImage := uid == 0 && c.part.User == ""
		if !isRootOfImage || v.Name == "" || v.App != "" || v.ReadOnly || v.Chown || !isKnown || dir.Missing || c.canWrite(dir, uid, gid) {
			continue
		}
		c.report(diag.Warning, diag.ImageOwner, fmt.Sprintf(".volumes[%d].target", i), fmt.Sprintf("give `user: \"%d:%d\"`, or the capabilities with which the program changes its user", dir.UID, dir.GID),
			"the image runs as root and its %s belongs to %d:%d, so that root without capabilities can't write to it", v.Target, dir.UID, dir.GID)
	}
	for _, w := range c.facts.Writes {
		c.writes(path.Clean(w), uid, gid)
	}
}

// writes checks a directory that the program is known to write to.
func (c *check) writes(dir string, uid, gid int) {
	if covers(c.targets(), dir) || c.part.ReadOnly && covers([]string{"/run", "/tmp", "/var/tmp", "/dev/shm"}, dir) {
		return
	}
	hint := fmt.Sprintf("add `{target: %s, mode: \"1777\"}` to tmpfs, or a volume", dir)
	if c.part.ReadOnly {
		c.report(diag.Error, diag.ImageOwner, ".read_only", hint, "the program writes to %s, which is read-only", dir)
		return
	}
	if f, known := c.facts.Files[dir]; known && !f.Missing && !c.canWrite(f, uid, gid) {
		c.report(diag.Error, diag.ImageOwner, c.userField(), hint, "the program writes to %s, which belongs to %d:%d and not to the user %d", dir, f.UID, f.GID, uid)
	}
}

func (c *check) userField() string {
	if c.part.User == "" {
		return c.imageField()
	}
	return ".user"
}

// canWrite reports whether a user can write to a directory.
func (c *check) canWrite(f File, uid, gid int) bool {
	switch {
	case uid == 0 && (c.part.Privileged || len(c.part.Capabilities.Add) > 0): // it gives up or uses its rights by itself
		return true
	case uid == f.UID:
		return f.Mode&0o200 != 0
	case gid == f.GID || slices.Contains(c.part.GroupAdd, strconv.Itoa(f.GID)):
		return f.Mode&0o020 != 0
	}
	return f.Mode&0o002 != 0
}

// identity is the user and group that the program has, as far as they are known.
func (c *check) identity() (uid, gid int, known bool) {
	user, group, hasGroup := strings.Cut(cmp.Or(c.part.User, c.facts.User, "0"), ":")
	account, found := c.facts.Users[user]
	uid, err := strconv.Atoi(user)
	switch {
	case err == nil:
		for _, a := range c.facts.Users {
			if a.UID == uid {
				gid = a.GID
			}
		}
	case found:
		uid, gid = account.UID, account.GID
	default:
		return 0, 0, user == "root"
	}
	if !hasGroup {
		return uid, gid, true
	}
	if n, err := strconv.Atoi(group); err == nil {
		return uid, n, true
	}
	n, found := c.facts.Groups[group]
	return uid, n, found
}
