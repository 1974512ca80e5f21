// Package conform owns the view that Podman has of rendered files: it is the
// only importer of Podman's Quadlet converter and lets it read a whole set in
// memory, as Podman's generator would at a daemon-reload.
//
// It reads no file, runs nothing and does not validate manifests: the converter accepts much
// that does not work, so it is only a second check.
package conform

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/containers/podman/v5/pkg/systemd/parser"
	"github.com/containers/podman/v5/pkg/systemd/quadlet"

	"github.com/archipelago-os/archipelago/manifests/parallel"
	"github.com/archipelago-os/archipelago/units"
)

// unitDir is where the converter is told that the files are. It ends up only
// in messages, from which it is taken out again.
const unitDir = "/etc/containers/systemd/archipelago/"

// Finding is a complaint about one file.
type Finding struct {
	// File is the name of the file.
	File string
	// Line is the line of the file that caused it, 0 when that can't be told.
	Line int
	// Warning: Podman creates the unit anyway.
	Warning bool
	// Message is what Podman says.
	Message string
}

// Check lets Podman's converter read the set for a scope. An empty result
// means that every file becomes a unit.
func Check(set units.Set, scope units.Scope) []Finding {
	c := newChecker(set, scope)
	for _, same := range c.byOrder() {
		c.convertAll(same)
	}
	c.incomplete(set)
	c.names(set)
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message))
	})
	return c.findings
}

// newChecker parses the set. What can't be parsed is a finding already.
func newChecker(set units.Set, scope units.Scope) *checker {
	c := &checker{user: scope == units.User, refused: map[string]bool{}}
	files := slices.DeleteFunc(slices.Clone(set), func(f units.File) bool { return units.IsPrestart(f.Name) }) // which Podman does not read
	parsed, errs := make([]*parser.UnitFile, len(files)), make([]error, len(files))
	parallel.Each(len(files), func(i int) { parsed[i], errs[i] = parse(files[i].Name, string(files[i].Content)) })
	for i, f := range files {
		if errs[i] != nil {
			// Podman drops a whole directory for it (measured with 5.4; 5.8 read).
			c.findings = append(c.findings, Finding{File: f.Name, Message: clean(errs[i], f.Name) + "; with it Podman makes no unit of any file in the directory"})
			continue
		}
		c.units = append(c.units, parsed[i])
	}
	// Podman converts what is referred to before what refers to it.
	slices.SortStableFunc(c.units, func(a, b *parser.UnitFile) int { return cmp.Compare(order(a.Filename), order(b.Filename)) })
	c.infos = infos(c.units)
	return c
}

type checker struct {
	user     bool
	units    []*parser.UnitFile
	infos    map[string]*quadlet.UnitInfo
	refused  map[string]bool
	findings []Finding
}

func order(name string) int { return quadlet.SupportedExtensions[path.Ext(name)] }

func parse(name, text string) (*parser.UnitFile, error) {
	u := parser.NewUnitFile()
	u.Filename, u.Path = name, unitDir+name
	return u, u.Parse(text)
}

// infos is what units know of each other: the service each becomes, and the
// names that are needed before the owner is converted.
func infos(list []*parser.UnitFile) map[string]*quadlet.UnitInfo {
	m := make(map[string]*quadlet.UnitInfo, len(list))
	for _, u := range list {
		service, err := quadlet.GetUnitServiceName(u)
		if err != nil {
			continue // convert says why
		}
		info := &quadlet.UnitInfo{ServiceName: service}
		switch path.Ext(u.Filename) {
		case ".container":
			info.ResourceName = quadlet.GetContainerResourceName(u)
		case ".build":
			info.ResourceName = quadlet.GetBuiltImageName(u)
		}
		m[u.Filename] = info
	}
	return m
}

// byOrder returns the units in groups: those of a group refer only to those of earlier groups.
func (c *checker) byOrder() (groups [][]*parser.UnitFile) {
	for rest := c.units; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(u *parser.UnitFile) bool { return order(u.Filename) != order(rest[0].Filename) })
		if n < 0 {
			n = len(rest)
		}
		groups, rest = append(groups, rest[:n]), rest[n:]
	}
	return groups
}

// converted is what the converter says about a unit.
type converted struct{ warning, err error }

// convertAll converts units that don't refer to each other, several at a time.
func (c *checker) convertAll(list []*parser.UnitFile) {
	results := make([]converted, len(list))
	parallel.Each(len(list), func(i int) { _, results[i].warning, results[i].err = c.convert(list[i]) })
	for i, u := range list {
		c.note(u, results[i])
	}
}

// note records what the converter says about a unit.
func (c *checker) note(u *parser.UnitFile, said converted) {
	c.refused[u.Filename] = said.err != nil
	for _, e := range []struct {
		err     error
		warning bool
	}{{said.err, false}, {said.warning, true}} {
		if e.err == nil {
			continue
		}
		message := clean(e.err, u.Filename)
		c.findings = append(c.findings, Finding{File: u.Filename, Line: c.cause(u, message, e.warning), Warning: e.warning, Message: message})
	}
}

// longestLine is the longest line of a unit file that systemd reads. It ignores a file with a
// longer one.
const longestLine = 1 << 20

// convert converts one unit. A panic of the converter is a refusal too.
func (c *checker) convert(u *parser.UnitFile) (service *parser.UnitFile, warning, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("Podman's converter fails on it: %v", p)
		}
	}()
	switch path.Ext(u.Filename) {
	case ".container":
		service, warning, err = quadlet.ConvertContainer(u, c.infos, c.user)
	case ".volume":
		service, warning, err = quadlet.ConvertVolume(u, c.infos, c.user)
	case ".network":
		service, warning, err = quadlet.ConvertNetwork(u, c.infos, c.user)
	case ".build":
		service, warning, err = quadlet.ConvertBuild(u, c.infos, c.user)
	case ".image":
		service, err = quadlet.ConvertImage(u, c.infos, c.user)
	default:
		err = errors.New("it is not a Quadlet file")
	}
	if err == nil {
		if command, _ := service.LookupLastRaw(quadlet.ServiceGroup, "ExecStart"); len(command) >= longestLine {
			err = fmt.Errorf("its command takes %d bytes in the unit, and systemd reads no line of more than %d", len(command), longestLine)
		}
	}
	return service, warning, err
}

// clean takes the made-up directory out of a message.
func clean(err error, name string) string {
	text := strings.ReplaceAll(err.Error(), " in "+unitDir+name, "")
	return strings.ReplaceAll(strings.ReplaceAll(text, unitDir, ""), "\n", "; ")
}

// cause finds the line that causes a message, 0 for none. The converter does not name it, so
// cause converts the file without some lines: the message disappears without the line that
// causes it. Removing a required line causes another message, so a line without which there
// is no message at all is preferred. cause removes all lines of a key first and then fewer:
// a file of thousands of lines takes some dozens of trials.
func (c *checker) cause(u *parser.UnitFile, message string, isWarning bool) int {
	text, err := u.ToString()
	if err != nil {
		return 0
	}
	// Others must not see a resource that only a trial has made.
	if info := c.infos[u.Filename]; info != nil {
		before := *info
		defer func() { *info = before }()
	}
	t := trial{c, u.Filename, strings.Split(text, "\n"), message, isWarning}
	changed := 0
	for _, key := range t.keys() {
		switch without := t.without(key); {
		case without == nothing:
			return 1 + t.last(key, func(r result) bool { return r == nothing })
		case without == another && changed == 0:
			changed = 1 + t.last(key, func(r result) bool { return r != theSame })
		}
	}
	return changed
}

// trial leaves lines of a file out to see what the converter says then.
type trial struct {
	*checker
	name      string
	lines     []string
	message   string
	isWarning bool
}

// result is what is left of a complaint.
type result int

const (
	theSame result = iota
	another
	nothing
)

// keys is the numbers of the lines of each key, in the order of their first.
func (t *trial) keys() (list [][]int) {
	section, at := "", map[string]int{}
	for i, l := range t.lines {
		key, _, isAssignment := strings.Cut(l, "=")
		switch {
		case strings.HasPrefix(l, "["):
			section = l
		case isAssignment && !strings.HasPrefix(key, "#"):
			name := section + key
			n, known := at[name]
			if !known {
				n = len(list)
				at[name], list = n, append(list, nil)
			}
			list[n] = append(list[n], i)
		}
	}
	return list
}

// without is what is left of the complaint without some lines.
func (t *trial) without(left []int) result {
	lines := slices.Clone(t.lines)
	for _, i := range left {
		lines[i] = "#"
	}
	u, err := parse(t.name, strings.Join(lines, "\n"))
	if err != nil {
		return theSame
	}
	_, warning, err := t.convert(u)
	if t.isWarning {
		err = warning
	}
	switch {
	case err == nil:
		return nothing
	case clean(err, t.name) != t.message:
		return another
	}
	return theSame
}

// last is the number of the last line of a key that has to be left out, with those before
// it, for what holds without them all.
func (t *trial) last(key []int, holds func(result) bool) int {
	n := sort.Search(len(key)-1, func(n int) bool { return holds(t.without(key[:n+1])) })
	return key[n]
}

// incomplete reports containers that Podman would start without a unit that it refused. If
// that is a volume, the container would get an anonymous one, whose content is deleted at the
// next stop.
func (c *checker) incomplete(set units.Set) {
	for _, u := range c.units {
		if path.Ext(u.Filename) != ".container" || c.refused[u.Filename] {
			continue
		}
		for _, line := range []struct{ key, before, end string }{{"Image", "", ":"}, {"Mount", "type=volume,source=", ","}, {"Volume", "", ":"}} {
			for _, value := range u.LookupAll(quadlet.ContainerGroup, line.key) {
				name, _, _ := strings.Cut(strings.TrimPrefix(value, line.before), line.end)
				if c.refused[name] {
					c.findings = append(c.findings, Finding{File: u.Filename, Line: lineOf(set, u.Filename, line.key+"="+line.before+name), Message: "it needs " + name + ", which is refused"})
				}
			}
		}
	}
}

// names reports two files that would become one service or one Podman object.
// Podman's generator says nothing: one of the two silently wins.
func (c *checker) names(set units.Set) {
	first := map[string]string{}
	take := func(what, name, file, key string) {
		if name == "" {
			return
		}
		id := what + " " + name
		if other, ok := first[id]; ok {
			c.findings = append(c.findings, Finding{File: file, Line: lineOf(set, file, key+"="), Message: fmt.Sprintf("the %s %s is also that of %s", what, name, other)})
			return
		}
		first[id] = file
	}
	for _, u := range c.units {
		if info := c.infos[u.Filename]; info != nil {
			take("service", info.ServiceName, u.Filename, "ServiceName")
		}
		switch path.Ext(u.Filename) {
		case ".container":
			take("container", lookup(u, "Container", "ContainerName"), u.Filename, "ContainerName")
		case ".volume":
			take("volume", lookup(u, "Volume", "VolumeName"), u.Filename, "VolumeName")
		case ".network":
			take("network", lookup(u, "Network", "NetworkName"), u.Filename, "NetworkName")
		}
	}
}

func lookup(u *parser.UnitFile, section, key string) string {
	v, _ := u.Lookup(section, key)
	return v
}

// lineOf is the first line of a file that begins with text.
func lineOf(set units.Set, file, text string) int {
	f, _ := set.Find(file)
	for i, l := range strings.Split(string(f.Content), "\n") {
		if strings.HasPrefix(l, text) {
			return i + 1
		}
	}
	return 0
}

// Values decodes the values of a key the way the converter looks them up for
// the command line, before systemd expands % and $ in it.
func Values(content []byte, section, key string) ([]string, error) {
	u, err := parse("x.container", string(content))
	if err != nil {
		return nil, err
	}
	if section == "Network" && key == "Options" { // of a volume it is one value
		pairs, err := u.LookupAllKeyVal(section, key)
		return joined(pairs), err
	}
	switch key {
	case "Exec":
		args, _, err := u.LookupLastArgs(section, key)
		return args, err
	case "PodmanArgs", "Secret", "EnvironmentFile", "Mask", "Mount", "Unmask":
		return u.LookupAllArgs(section, key), nil
	case "Environment", "Label", "Annotation", "BuildArg":
		pairs, err := u.LookupAllKeyVal(section, key)
		return joined(pairs), err
	case "AddDevice", "AddCapability", "DropCapability", "Sysctl":
		return u.LookupAllStrv(section, key), nil
	case "Volume", "PublishPort", "Network", "Tmpfs", "AddHost", "DNS", "GroupAdd", "Ulimit":
		return u.LookupAll(section, key), nil
	}
	v, ok := u.Lookup(section, key)
	if !ok {
		return nil, nil
	}
	return []string{v}, nil
}

func joined(pairs map[string]*string) []string {
	list := make([]string, 0, len(pairs))
	for k, v := range pairs {
		if v != nil {
			k += "=" + *v
		}
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
