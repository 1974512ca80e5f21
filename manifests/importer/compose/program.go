package compose

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// image reads the reference of an image. Docker's short names get the registry that they stand
// for.
func (s *service) image(n *syntax.Node, key string) {
	x := s.expand(n)
	s.settle(x, n, key)
	image := importer.Qualified(x.text)
	if fitsImage(image) {
		s.c.Image = image
		return
	}
	s.Report(importer.ImageName, n.At, key, "%s is no image reference", diag.Quote(diag.Shorten(x.text)))
}

// completeImage gives a service without an image a name that shows what is missing.
func (s *service) completeImage() {
	if s.c.Image != "" || s.c.Build != nil {
		return
	}
	if s.node.Get("image") == nil && s.node.Get("build") == nil {
		s.Report(importer.ImageName, s.at, s.key, "the service %s has no image", s.name)
	}
	s.c.Image = "localhost/" + importer.IDOf(s.name) + ":unknown"
	s.Note(s.path+".image", s.at)
}

// build reads how an image is built from a directory beside the source.
func (s *service) build(n *syntax.Node, key string) {
	context, at := ".", n
	if n.Kind == syntax.MapNode {
		at = n.Get("context")
	}
	if at != nil {
		context = s.text(at, key)
	}
	if inline := n.Get("dockerfile_inline"); inline != nil {
		s.Report(importer.BuildSource, inline.At, key+".dockerfile_inline", "the image of %s is built from a Containerfile within the source", s.name)
		return
	}
	if isRemote(context) {
		s.Report(importer.BuildSource, n.At, key, "the image of %s is not built from a directory beside the source", s.name)
		return
	}
	clean, ok := inside(context)
	if info, err := fs.Stat(s.fsys, clean); !ok || err != nil || !info.IsDir() {
		s.Report(importer.BuildSource, n.At, key, "the directory %s that the image of %s is built from is not below the source", context, s.name)
		return
	}
	s.c.Build = &manifests.Build{Context: path.Join(s.Project, clean), Containerfile: "Dockerfile"}
	if s.c.Image != "" {
		s.c.Build.Tag, s.c.Image = s.c.Image, ""
	}
	if n.Kind == syntax.MapNode {
		eachKey(s.project, s, buildKeys, n, key, s.path)
	}
	s.Note(s.path+".build", n.At)
	s.Report(importer.LocalBuild, n.At, key, "the image of %s is built from %s, which has to stay there", s.name, s.c.Build.Context)
}

func isRemote(context string) bool {
	return strings.Contains(context, "://") || strings.HasPrefix(context, "git@") || strings.HasPrefix(context, "github.com/")
}

func (s *service) dockerfile(n *syntax.Node, key string) { s.c.Build.Containerfile = s.text(n, key) }

func (s *service) buildTarget(n *syntax.Node, key string) { s.c.Build.Target = s.text(n, key) }

func (s *service) buildArgs(n *syntax.Node, key string) {
	for _, a := range s.pairs(n, key, "=") {
		value := s.text(asWritten(a.node), a.key)
		if v, ok := s.lookup(a.name, a.at); !a.hasValue && ok {
			value = v.value
		}
		if s.c.Build.Args == nil {
			s.c.Build.Args = map[string]string{}
		}
		s.c.Build.Args[a.name] = value
	}
}

// pullPolicies is the words for when an image is pulled.
var pullPolicies = map[string]string{"always": "always", "never": "never", "missing": "", "if_not_present": "", "build": "", "": ""}

func (s *service) pullPolicy(n *syntax.Node, key string) {
	text := s.text(n, key)
	policy, known := pullPolicies[text]
	s.c.Pull = policy
	if known {
		return
	}
	s.c.Pull = "newer"
	s.Report(importer.PullInterval, n.At, key, "the image is pulled at a start if there is a newer one, instead of %s", text)
}

// entrypoint reads the program. An empty one removes that of the image, which can't be said.
func (s *service) entrypoint(n *syntax.Node, key string) {
	s.c.Entrypoint = s.words(n, key)
	if len(s.c.Entrypoint) == 0 && !s.Says(key) {
		s.Report(importer.EmptyEntrypoint, n.At, key, "the entrypoint of the image stays: it can't be removed")
	}
}

func (s *service) command(n *syntax.Node, key string) {
	s.c.Command = s.words(n, key, s.c.Entrypoint...)
}

// words reads a command: a list, or one string that is split without a shell. The words before it
// say whether it is for one.
func (s *service) words(n *syntax.Node, key string, before ...string) (words manifests.Words) {
	if n.Kind == syntax.ScalarNode {
		return s.commandLine(item{node: n, at: n.At, key: key}, before)
	}
	for _, it := range s.items(n, key) {
		if it.node.Kind != syntax.ScalarNode {
			s.Report(importer.BadSourceValue, it.at, it.key, "a word of a command must be text, found %s", it.node.Describe())
			continue
		}
		read := s.script
		if !isScript(slices.Concat(before, words)) {
			read = func(it item) (string, bool) { return s.word(it, key) }
		}
		text, ok := read(it)
		if !ok {
			return nil
		}
		words = append(words, text)
	}
	return words
}

// commandLine reads a command that is one string.
func (s *service) commandLine(it item, before []string) manifests.Words {
	if words, ok := s.scriptLine(it, before); ok {
		return words
	}
	text, ok := s.word(it, it.key)
	if !ok {
		return nil
	}
	words, err := splitWords(text)
	if err != nil {
		s.Report(importer.BadSourceValue, it.at, it.key, "the command can't be split into words: %v", err)
	}
	return words
}

func (s *service) user(n *syntax.Node, key string) {
	if user := s.text(n, key); !s.isUnset(n) {
		s.c.User = user
	}
}

// userNamespace reads a namespace of Podman's. The others depend on how the engine runs.
func (s *service) userNamespace(n *syntax.Node, key string) {
	mode := s.text(n, key)
	switch kind, _, _ := strings.Cut(mode, ":"); kind {
	case "keep-id", "nomap", "auto":
		s.c.UserNS = mode
	default:
		s.Report(importer.UserNamespace, n.At, key, "the container has the user namespace of the user that runs Podman")
	}
}

func (s *service) groups(n *syntax.Node, key string) {
	for _, it := range s.items(n, key) {
		s.c.GroupAdd = append(s.c.GroupAdd, s.text(it.node, it.key))
	}
}

func (s *service) workingDir(n *syntax.Node, key string) {
	if dir := path.Clean(s.text(n, key)); path.IsAbs(dir) {
		s.c.WorkingDir = dir
		return
	}
	s.Report(importer.BadSourceValue, n.At, key, "the working directory must be an absolute path")
}

func (s *service) stopSignal(n *syntax.Node, key string) {
	signal := strings.ToUpper(s.text(n, key))
	if signal != "" && (signal[0] < '0' || signal[0] > '9') && !strings.HasPrefix(signal, "SIG") {
		signal = "SIG" + signal
	}
	s.c.Stop.Signal = signal
}

func (s *service) stopGrace(n *syntax.Node, key string) {
	if d, ok := s.duration(n, key); ok {
		s.c.Stop.Timeout = max(d, second)
	}
}

// restart reads when the container restarts. `unless-stopped` is what systemd does anyway.
func (s *service) restart(n *syntax.Node, key string) {
	policy, count, _ := strings.Cut(s.text(n, key), ":")
	switch policy {
	case "always", "unless-stopped":
		s.c.Restart.Policy = "always"
	case "no", "false", "":
		s.c.Restart.Policy = "no"
	case "on-failure":
		s.c.Restart.Policy = "on-failure"
		s.limitRestarts(count, n, key)
	default:
		s.Report(importer.BadSourceValue, n.At, key, "%s is no restart policy", diag.Quote(diag.Shorten(policy)))
	}
}

// limitRestarts ends a series of restarts. Compose counts them in all, systemd within a time.
func (s *service) limitRestarts(count string, n *syntax.Node, key string) {
	var most int
	if _, err := fmt.Sscanf(count, "%d", &most); err != nil || most < 1 {
		return
	}
	s.c.Restart.Limit = &manifests.RestartLimit{Burst: min(most+1, 1000), Interval: hour}
	s.Report(importer.RestartLimit, n.At, key, "%d restarts are allowed within an hour, not in all", most)
}
