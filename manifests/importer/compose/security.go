package compose

import (
	"path"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// docker is the Linux capabilities that Docker keeps; podman is those of them that Podman keeps,
// too.
var (
	podman = importer.PodmanCapabilities
	docker = append([]string{"AUDIT_WRITE", "MKNOD", "NET_RAW"}, podman...)
)

// kept is what a service adds to and drops from Docker's capabilities.
type kept struct{ add, drop []string }

func (s *service) capAdd(n *syntax.Node, key string) {
	s.capabilities.add = s.capabilityNames(n, key)
	for _, name := range s.capabilities.add {
		if !slices.Contains(podman, name) {
			s.privilege(name, s.name+" keeps the Linux capability "+name, item{at: n.At, key: key})
		}
	}
}

func (s *service) capDrop(n *syntax.Node, key string) {
	s.capabilities.drop = s.capabilityNames(n, key)
}

func (s *service) capabilityNames(n *syntax.Node, key string) (names []string) {
	for _, it := range s.items(n, key) {
		name := strings.TrimPrefix(strings.ToUpper(s.text(it.node, it.key)), "CAP_")
		if !manifests.Fits("capability", name) {
			s.Report(importer.BadSourceValue, it.at, it.key, "%s is no Linux capability", diag.Quote(diag.Shorten(name)))
			continue
		}
		names = append(names, name)
	}
	return names
}

// completeCapabilities writes the privileges out that Compose keeps without saying so: Linux
// capabilities, and that set-user-ID programs gain them. Those need a grant, so they are
// written only where the container keeps capabilities that need one too, or that the source names.
func (s *service) completeCapabilities() {
	if s.c.Privileged {
		return
	}
	var list []string
	gains := len(s.capabilities.add) > 0
	if !slices.Contains(s.capabilities.drop, "ALL") {
		var answer string
		answer, list = s.defaultCapabilities()
		gains = gains || answer == "docker"
	}
	s.c.Security.AllowNewPrivileges = gains && !s.mayNotGain
	list = slices.DeleteFunc(slices.Clone(list), func(name string) bool { return slices.Contains(s.capabilities.drop, name) })
	list = append(list, s.capabilities.add...)
	if slices.Contains(list, "ALL") {
		list = []string{"ALL"}
	}
	slices.Sort(list)
	s.c.Capabilities.Add = slices.Compact(list)
	s.Note(s.path+".capabilities", s.at)
}

// defaultCapabilities asks for the capabilities of a container whose source names none.
func (s *service) defaultCapabilities() (answer string, list []string) {
	answer = s.Ask(importer.Question{
		Code: importer.Capabilities, Key: "capabilities", Text: "the Linux capabilities that the container keeps are written out",
		Default: first(s.Capabilities, "docker"), HasDefault: true, Choices: []string{"docker", "podman", "none"},
	}.From(s.at, s.key))
	return answer, map[string][]string{"docker": docker, "podman": podman}[answer]
}

func (s *service) privileged(n *syntax.Node, key string) {
	if s.c.Privileged = s.isTrue(n, key); s.c.Privileged {
		s.privilege("privileged", s.name+" is privileged", item{at: n.At, key: key})
	}
}

func (s *service) securityOptions(n *syntax.Node, key string) {
	for _, it := range s.items(n, key) {
		text := s.text(it.node, it.key)
		i := strings.IndexAny(text, ":=")
		name, value := text, "true"
		if i >= 0 {
			name, value = text[:i], text[i+1:]
		}
		if !s.securityOption(name, value) {
			s.Report(importer.SecurityOption, it.at, it.key, "the security option %s is left out", diag.Quote(diag.Shorten(text)))
		}
	}
}

// securityOption reports whether the manifest says the option.
func (s *service) securityOption(name, value string) bool {
	sec := &s.c.Security
	switch name {
	case "no-new-privileges":
		s.mayNotGain = value == "true"
		return true
	case "seccomp":
		sec.Seccomp = value
		return value == "unconfined" || path.IsAbs(value)
	case "apparmor":
		sec.AppArmor = value
		return true
	case "systempaths":
		sec.Unmask = []string{"ALL"}
		return value == "unconfined"
	case "label":
		kind, arg, _ := strings.Cut(value, ":")
		sec.LabelDisable = sec.LabelDisable || kind == "disable"
		if kind == "type" {
			sec.LabelType = arg
		}
		return kind == "disable" || kind == "type"
	}
	return false
}
