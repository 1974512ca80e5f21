package contract

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/imagecheck"
)

// App is a resolved app and what is known of it beyond its manifest.
type App struct {
	*manifests.Resolved
	// Network is the machine's Bitcoin network.
	Network string
	// Files is the rendered text of configuration files, by part and by target.
	Files map[string]map[string]string
	// VolumesKeepOwner: a new named volume belongs to the owner of the image's
	// directory, as Podman has it. archgen gives it to the container's user instead.
	VolumesKeepOwner bool
}

// part is one container of an app beside the contract of its image.
type part struct {
	*manifests.Part
	app   *App
	about *Contract
	files map[string]string
	env   []variable
}

// variable is an environment variable with the place where it is set.
type variable struct {
	name, value string
	// at is the path in the manifest, and template the file that exports it.
	at, template string
}

func newPart(a *App, p *manifests.Part, c *Contract) *part {
	out := &part{Part: p, app: a, about: c, files: a.Files[p.Name]}
	for _, v := range p.Env {
		out.env = append(out.env, variable{name: v.Name, value: v.Value, at: p.Path + ".env." + v.Name})
	}
	for _, v := range p.Composed {
		out.env = append(out.env, variable{name: v.Name, at: p.Path + ".env." + v.Name})
	}
	for i, f := range p.Files {
		for _, v := range exports(out.files[f.Target]) {
			v.at, v.template = p.Path+".files["+strconv.Itoa(i)+"]", f.Template
			out.env = append(out.env, v)
		}
	}
	for i, s := range p.Secrets {
		if s.Env != "" {
			out.env = append(out.env, variable{name: s.Env, at: p.Path + ".secrets[" + strconv.Itoa(i) + "].env"})
		}
	}
	return out
}

var assignment = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_]*)=('[^']*'|"[^"]*"|[^\s;]*)`)

// exports is the variables that a start script exports.
func exports(script string) []variable {
	var list []variable
	for line := range strings.Lines(script) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "export ")
		if !ok {
			continue
		}
		for _, m := range assignment.FindAllStringSubmatch(rest, -1) {
			list = append(list, variable{name: m[1], value: strings.Trim(m[2], `'"`)})
		}
	}
	return list
}

// words is what the part runs: the manifest's, or what of the image's it leaves.
func (p *part) words() []string {
	entrypoint, command := []string(p.Entrypoint), []string(p.Command)
	if s := p.about.Start; s != nil {
		if len(entrypoint) == 0 {
			entrypoint = s.Entrypoint
			if len(command) == 0 {
				command = s.Command
			}
		}
	}
	return slices.Concat(entrypoint, command)
}

// executed is the command lines of the programs that start scripts execute.
func (p *part) executed() [][]string {
	var list [][]string
	for _, f := range p.Files {
		for line := range strings.Lines(p.files[f.Target]) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "exec "); ok && isScript(f.Target) {
				list = append(list, strings.Fields(rest))
			}
		}
	}
	return list
}

func isScript(target string) bool { return path.Ext(target) == ".sh" }

// values is what a setting is given, empty where it has its default.
func (p *part) values(s Setting) []string {
	var list []string
	for _, words := range append([][]string{p.words()}, p.executed()...) {
		list = append(list, arguments(words, s.Argument)...)
	}
	for _, name := range s.Env {
		for _, v := range p.env {
			if v.name == name {
				list = append(list, v.value)
			}
		}
		if value, ok := p.imageEnv(name); ok && len(list) == 0 {
			list = append(list, value)
		}
	}
	for _, f := range p.Files {
		for _, key := range s.File {
			if !isScript(f.Target) {
				list = append(list, Lookup(p.files[f.Target], key)...)
			}
		}
	}
	return list
}

func (p *part) imageEnv(name string) (string, bool) {
	if p.about.Start == nil {
		return "", false
	}
	value, ok := p.about.Start.Env[name]
	return value, ok
}

// arguments is the values of a flag, as --flag=value and as --flag value.
func arguments(words, names []string) []string {
	var list []string
	for i, w := range words {
		for _, name := range names {
			if value, ok := strings.CutPrefix(w, name+"="); ok {
				list = append(list, value)
			}
			if w == name && i+1 < len(words) {
				list = append(list, words[i+1])
			}
		}
	}
	return list
}

// Lookup finds the values of a key in a configuration file, whatever language it is
// in: `key = value`, `key value`, `key value;`, and in JSON a path with dots.
func Lookup(text, key string) []string {
	var tree map[string]any
	if json.Unmarshal([]byte(text), &tree) == nil {
		return inTree(tree, strings.Split(key, "."))
	}
	var list []string
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), key)
		trimmed := strings.TrimLeft(rest, " \t")
		if !ok || rest == "" || trimmed == rest && !strings.HasPrefix(rest, "=") {
			continue
		}
		value := strings.TrimSpace(strings.TrimPrefix(trimmed, "="))
		list = append(list, strings.Trim(strings.TrimSuffix(value, ";"), `"'`))
	}
	return list
}

func inTree(tree map[string]any, keys []string) []string {
	value, ok := tree[keys[0]]
	if !ok {
		return nil
	}
	if inner, ok := value.(map[string]any); ok && len(keys) > 1 {
		return inTree(inner, keys[1:])
	}
	text, err := json.Marshal(value)
	if err != nil || len(keys) > 1 {
		return nil
	}
	return []string{strings.Trim(string(text), `"`)}
}

var portText = regexp.MustCompile(`(?:^|:)([0-9]{1,5})\b`)

// ports is the port numbers in a value: 8080, 0.0.0.0:8080, tcp://:50001,ssl://:50002.
func ports(value string) []int {
	var list []int
	for word := range strings.SplitSeq(value, ",") {
		if m := portText.FindAllStringSubmatch(strings.TrimSpace(word), -1); m != nil {
			n, _ := strconv.Atoi(m[len(m)-1][1])
			list = append(list, n)
		}
	}
	return list
}

// opened is the ports of a kind that the program opens as it is configured.
func (p *part) opened(l Listen) []int {
	if given := p.values(l.MovedBy); len(given) > 0 {
		list := make([]int, 0, len(given))
		for _, v := range given {
			list = append(list, ports(v)...)
		}
		return list
	}
	if l.Port == 0 {
		return nil
	}
	return []int{l.Port}
}

// workingDir is where the program starts.
func (p *part) workingDir() string {
	if p.WorkingDir != "" {
		return p.WorkingDir
	}
	if s := p.about.Start; s != nil && s.WorkingDir != "" {
		return s.WorkingDir
	}
	return "/"
}

// uid is the user that the program runs as, and whether that is known: names are the
// image's business.
func (p *part) uid() (int, bool) {
	if p.User == "" {
		if p.about.User == nil {
			return 0, false
		}
		return p.about.User.UID, true
	}
	text, _, _ := strings.Cut(p.User, ":")
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// written is where the program writes as it is configured.
func (p *part) written(w Write) []string {
	dirs := p.values(w.MovedBy)
	if len(dirs) == 0 && w.Path != "" {
		dirs = []string{w.Path}
	}
	for i, dir := range dirs {
		if !path.IsAbs(dir) {
			dir = path.Join(p.workingDir(), dir)
		}
		if w.File {
			dir = path.Dir(dir)
		}
		dirs[i] = path.Clean(dir)
	}
	return dirs
}

// facts is the contract as what an inspection of the image would tell.
func (p *part) facts() imagecheck.Facts {
	c := p.about
	facts := imagecheck.Facts{WorkingDir: "/", Files: map[string]imagecheck.File{}}
	if c.User != nil {
		facts.User = fmt.Sprintf("%d:%d", c.User.UID, c.User.GID)
	}
	if s := c.Start; s != nil {
		facts.Entrypoint, facts.Command, facts.Env = s.Entrypoint, s.Command, s.Env
		facts.WorkingDir = cmp.Or(s.WorkingDir, "/")
	}
	for _, d := range c.Directories {
		if d.Volume {
			facts.Volumes = append(facts.Volumes, d.Path)
		}
	}
	for _, w := range c.Writes {
		for _, dir := range p.written(w) {
			if p.mountOf(dir).kind == imageMount && !slices.ContainsFunc(open, func(o string) bool { return within(dir, o) }) {
				facts.Writes = append(facts.Writes, dir)
			}
		}
	}
	for _, name := range imagecheck.Paths(p.app.Resolved, p.Part, facts) {
		if slices.Contains(facts.Writes, name) {
			d := p.owner(name)
			facts.Files[name] = imagecheck.File{Directory: true, Mode: uint32(cmp.Or(d.Mode, 0o755)), UID: d.UID, GID: d.GID}
		} else if c.Programs != nil {
			facts.Files[name] = imagecheck.File{Missing: !c.has(name), Mode: 0o755}
		}
	}
	return facts
}

// open is directories of every image that every user may write to.
var open = []string{"/tmp", "/var/tmp", "/dev/shm"}

// has reports that the image has a program: one that is listed, or its own entrypoint.
func (c *Contract) has(program string) bool {
	if c.Start != nil && len(c.Start.Entrypoint) > 0 && path.Base(c.Start.Entrypoint[0]) == path.Base(program) {
		return true
	}
	return slices.Contains(c.Programs.Names, path.Base(program)) || slices.Contains(c.Programs.Names, program)
}

// owner is the owner of a directory of the image: that of the nearest directory that the
// contract names, or root.
func (p *part) owner(dir string) Directory {
	best := Directory{Path: "/"}
	for _, d := range p.about.Directories {
		if within(dir, d.Path) && len(d.Path) >= len(best.Path) {
			best = d
		}
	}
	return best
}

// within reports whether a path is a directory or is in it.
func within(name, dir string) bool {
	return name == dir || dir == "/" || strings.HasPrefix(name, dir+"/")
}
