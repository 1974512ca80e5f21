package compose

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// service is one service while it becomes a part.
type service struct {
	*project
	name string
	at   syntax.Position
	node *syntax.Node
	// key is its path in the source, part its name in the manifest and path its path there.
	key, part, path string
	c               *manifests.Container
	// env is the variables by name, with their places.
	env map[string]envValue
	// capabilities is what is kept of Linux capabilities.
	capabilities kept
	// waits is the services that this one starts after.
	waits []wait
	// mayGain: processes can gain privileges.
	mayNotGain bool
}

// read reads every key of the service.
func (s *service) read() {
	s.env = map[string]envValue{}
	eachKey(s.project, s, serviceKeys, s.node, s.key, s.path)
	s.completeImage()
	s.completeEnv()
	s.completeCapabilities()
	s.completeRestart()
}

// item is one value of a list or map.
type item struct {
	name string
	node *syntax.Node
	at   syntax.Position
	key  string
}

// items is the values of a list, or one value alone.
func (p *project) items(n *syntax.Node, key string) (list []item) {
	if n.Kind == syntax.MapNode {
		p.Report(importer.BadSourceValue, n.At, key, "%s must be a list, found a map", key)
		return nil
	}
	for i, value := range oneOrMore(n) {
		here := key
		if n.Kind == syntax.ListNode {
			here = fmt.Sprintf("%s[%d]", key, i)
		}
		list = append(list, item{node: value, at: value.At, key: here})
	}
	return list
}

// pair is NAME=value, from a map or a list.
type pair struct {
	item
	// hasValue: the source gives a value, if an empty one.
	hasValue bool
}

// pairs is the entries of a map, or of a list of NAME=value.
func (p *project) pairs(n *syntax.Node, key, separators string) (list []pair) {
	for _, e := range n.Entries {
		list = append(list, pair{item{e.Key, e.Value, e.At, key + "." + e.Key}, e.Value.Kind != syntax.NullNode})
	}
	if n.Kind == syntax.MapNode {
		return list
	}
	for _, it := range p.items(n, key) {
		if it.node.Kind != syntax.ScalarNode {
			p.Report(importer.BadSourceValue, it.at, it.key, "%s must be NAME=value, found %s", it.key, it.node.Describe())
			continue
		}
		i := strings.IndexAny(it.node.Text, separators)
		if i < 0 {
			list = append(list, pair{item{it.node.Text, &syntax.Node{Kind: syntax.NullNode, At: it.at}, it.at, it.key}, false})
			continue
		}
		value := *it.node
		value.Text, value.At.Column = it.node.Text[i+1:], it.at.Column+i+1
		list = append(list, pair{item{p.quiet(&syntax.Node{Kind: syntax.ScalarNode, Text: it.node.Text[:i], At: it.at}), &value, it.at, it.key}, true})
	}
	return list
}

// pattern is what the schema accepts for a key of a structure.
func pattern[T any](field string) func(string) bool {
	f, ok := reflect.TypeFor[T]().FieldByName(field)
	if !ok {
		panic("the schema has no " + field)
	}
	return func(text string) bool { return manifests.Fits(f.Tag.Get("pattern"), importer.Sample(text)) }
}

// What the schema accepts decides what is lost, so that a name that it learns to accept is kept
// from then on.
var (
	fitsAlias     = pattern[manifests.Container]("Aliases")
	fitsHostname  = pattern[manifests.Container]("Hostname")
	fitsAddress   = pattern[manifests.Container]("Hosts")
	fitsSysctl    = pattern[manifests.Container]("Sysctls")
	fitsImage     = pattern[manifests.Container]("Image")
	fitsPath      = pattern[manifests.Volume]("Path")
	fitsContainer = pattern[manifests.Volume]("Target")
	fitsSubpath   = pattern[manifests.Volume]("Subpath")
	fitsCDI       = pattern[manifests.Device]("CDI")
)

// boolean reads true or false.
func boolean(field func(*service) *bool) func(*service, *syntax.Node, string) {
	return func(s *service, n *syntax.Node, key string) { *field(s) = s.isTrue(n, key) }
}

func (p *project) isTrue(n *syntax.Node, key string) bool {
	text := p.text(n, key)
	value, err := strconv.ParseBool(text)
	if err != nil {
		p.Report(importer.BadSourceValue, n.At, key, "%s must be true or false, found %s", key, diag.Quote(diag.Shorten(text)))
	}
	return value
}

// number reads a whole number of at least lowest.
func (p *project) number(n *syntax.Node, key string, lowest int) (value int, ok bool) {
	text := p.text(n, key)
	value, err := strconv.Atoi(text)
	if err != nil || value < lowest {
		p.Report(importer.BadSourceValue, n.At, key, "%s must be a number, found %s", key, diag.Quote(diag.Shorten(text)))
		return 0, false
	}
	return value, true
}

// rawArgument says a key by an argument of podman run, one for each value.
func rawArgument(arg string, code importer.Code) func(*service, *syntax.Node, string) {
	return func(s *service, n *syntax.Node, key string) {
		for _, it := range s.items(n, key) {
			s.raw(code, arg, s.text(it.node, it.key), it)
		}
	}
}

func (s *service) raw(code importer.Code, arg, value string, it item) {
	if value == "" || strings.ContainsAny(value, "\n\x00") {
		return
	}
	s.c.PodmanArgs = append(s.c.PodmanArgs, arg+"="+value)
	s.Note(fmt.Sprintf("%s.podman_args[%d]", s.path, len(s.c.PodmanArgs)-1), it.at)
	s.Report(code, it.at, it.key, "%s is said by the argument %s of podman run", lastOf(it.key), arg)
}

// lastOf is the last name of a path in the source.
func lastOf(key string) string {
	key, _, _ = strings.Cut(key[strings.LastIndexByte(key, '.')+1:], "[")
	return key
}

// namespace shares a namespace with the host; with another container it can't.
func namespace(field func(*manifests.Container) *string) func(*service, *syntax.Node, string) {
	return func(s *service, n *syntax.Node, key string) {
		switch mode := s.text(n, key); {
		case mode == "host":
			*field(s.c) = mode
			s.privilege(lastOf(key)+"."+s.name, fmt.Sprintf("%s shares the %s namespace of the host", s.name, lastOf(key)), item{at: n.At, key: key})
		case strings.HasPrefix(mode, "service:"), strings.HasPrefix(mode, "container:"):
			s.Report(importer.ForeignContainer, n.At, key, "%s is left out: parts share no such namespace", key)
		case mode == "private" || mode == "shareable" || mode == "none" || mode == "":
			s.Report(importer.NoMeaning, n.At, key, "the container has a namespace of its own")
		default:
			s.Report(importer.BadSourceValue, n.At, key, "%s is no namespace", diag.Quote(diag.Shorten(mode)))
		}
	}
}

// privilege asks for a right that can harm the host. The default keeps it.
func (s *service) privilege(name, text string, it item) {
	s.Ask(importer.Question{Code: importer.Privilege, Key: "privilege." + name, Text: text, HasDefault: true, Default: "keep"}.From(it.at, it.key))
}

func (s *service) runtime(n *syntax.Node, key string) {
	switch name := s.text(n, key); name {
	case "runc", "crun", "":
		s.Report(importer.NoMeaning, n.At, key, "Podman has a runtime of its own")
	case "nvidia":
		s.addCDI("nvidia.com/gpu=all", item{at: n.At, key: key})
	default:
		s.Report(importer.Runtime, n.At, key, "the runtime %s is left out", name)
	}
}

func (s *service) scale(n *syntax.Node, key string) {
	switch count, ok := s.number(n, key, 0); {
	case ok && count > 1:
		s.Report(importer.Replicas, n.At, key, "%d copies of the service become one", count)
	case ok:
		s.Report(importer.NoMeaning, n.At, key, "a part is one container")
	}
}

func (s *service) labels(n *syntax.Node, key string) {
	fits := func(name string) bool { return manifests.Fits("label", name) }
	for _, l := range s.pairs(n, key, "=") {
		switch {
		case isProxyLabel(l.name):
			s.Report(importer.ProxyLabel, l.at, l.key, "the label %s configures a reverse proxy, and is left out", l.name)
		case !fits(l.name):
			s.Report(importer.Label, l.at, l.key, "the label %s is left out", l.name)
		default:
			value, ok := s.word(item{node: asWritten(l.node), at: l.at, key: l.key}, l.key)
			if !ok {
				continue
			}
			if s.c.Labels == nil {
				s.c.Labels = map[string]string{}
			}
			s.c.Labels[l.name] = value
			s.Keep(l.at, l.key, s.path+".labels."+l.name)
		}
	}
}

// proxies is the beginnings of labels that reverse proxies and dashboards read.
var proxies = []string{"traefik.", "caddy", "nginx.", "swag", "sablier.", "tsdproxy.", "virtual."}

func isProxyLabel(name string) bool {
	return slices.ContainsFunc(proxies, func(prefix string) bool { return strings.HasPrefix(strings.ToLower(name), prefix) })
}

func (s *service) annotations(n *syntax.Node, key string) {
	for _, a := range s.pairs(n, key, "=") {
		s.raw(importer.RawArgument, "--annotation", a.name+"="+s.text(a.node, a.key), a.item)
	}
}

func (s *service) logging(n *syntax.Node, key string) {
	driver := ""
	if d := n.Get("driver"); d != nil {
		driver = s.text(d, key+".driver")
	}
	switch driver {
	case "", "json-file", "local", "journald":
		s.Report(importer.Journal, n.At, key, "what the container prints is in the journal")
	default:
		s.Report(importer.LogDriver, n.At, key, "the log driver %s is left out; the log is in the journal", driver)
	}
}

// completeRestart writes that a container does not restart, which is the default of Compose and
// not that of a manifest.
func (s *service) completeRestart() {
	if s.c.Restart.Policy == "" && s.node.Get("restart") == nil && s.node.Get("deploy").Get("restart_policy") == nil {
		s.c.Restart.Policy = "no"
	}
	if s.c.Restart.Policy == "always" {
		s.c.Restart.Policy = "" // the default
	}
}

// byName sorts pairs of a map that is written in order.
func byName(a, b manifests.Variable) int { return cmp.Compare(a.Name, b.Name) }
