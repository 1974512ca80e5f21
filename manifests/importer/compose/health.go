package compose

import (
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// What Docker has where a health check does not say it.
const (
	dockerInterval = 30 * second
	dockerTimeout  = 30 * second
	dockerRetries  = 3
)

// healthcheck makes the probe for which the start of the part waits.
func (s *service) healthcheck(n *syntax.Node, key string) {
	if n.Kind != syntax.MapNode {
		s.Report(importer.BadSourceValue, n.At, key, "%s must be a map, found %s", key, n.Describe())
		return
	}
	if d := n.Get("disable"); d != nil && s.isTrue(d, key+".disable") {
		s.c.Health.Disable = true
		return
	}
	if test := n.Get("test"); test != nil {
		s.test(test, key+".test")
	}
	if s.c.Health.Disable {
		return
	}
	probe := s.c.Health.Serving
	if probe == nil {
		if n.Get("test") == nil && n.Get("disable") == nil {
			s.Report(importer.NoEquivalent, n.At, key, "the health check of the image keeps its own times")
		}
		return
	}
	probe.Interval, probe.Timeout, probe.Retries = dockerInterval, dockerTimeout, dockerRetries
	eachKey(s.project, s, healthKeys, n, key, s.path)
	s.Note(s.path+".health.serving", n.At)
	s.allowStart(probe, n)
}

// startTimeout is how long a part may take to start, unless its manifest says otherwise.
const startTimeout = 300 * second

// allowStart gives the start the time that the health check leaves the program: Compose waits
// without an end.
func (s *service) allowStart(p *manifests.Probe, n *syntax.Node) {
	if need := p.StartPeriod + manifests.Duration(p.Retries)*p.Interval + p.Timeout; need > startTimeout {
		s.c.Start.Timeout = min(need, 7*day)
		s.Note(s.path+".start", n.At)
	}
}

// test reads the command: CMD, CMD-SHELL, NONE, or one string for a shell.
func (s *service) test(n *syntax.Node, key string) {
	var words manifests.Words
	if n.Kind == syntax.ScalarNode {
		text, ok := s.script(item{node: n, at: n.At, key: key})
		if !ok {
			return
		}
		words = manifests.Words{"CMD-SHELL", text}
	} else if words = s.words(n, key); len(words) == 0 {
		return
	}
	switch kind := words[0]; kind {
	case "NONE":
		s.c.Health.Disable = true
	case "CMD":
		s.c.Health.Serving = &manifests.Probe{Exec: words[1:]}
	case "CMD-SHELL":
		if len(words) > 1 {
			s.c.Health.Serving = &manifests.Probe{Exec: append(manifests.Words{"/bin/sh", "-c"}, words[1:]...)}
		}
	default:
		s.Report(importer.BadSourceValue, n.At, key, "a test begins with CMD, CMD-SHELL or NONE, not with %s", diag.Quote(diag.Shorten(kind)))
	}
	if p := s.c.Health.Serving; p != nil && len(p.Exec) == 0 {
		s.c.Health.Serving = nil
	}
}

func (s *service) probeInterval(n *syntax.Node, key string) {
	if d, ok := s.duration(n, key); ok && d > 0 {
		s.c.Health.Serving.Interval = max(d, second)
	}
}

func (s *service) probeTimeout(n *syntax.Node, key string) {
	if d, ok := s.duration(n, key); ok && d > 0 {
		s.c.Health.Serving.Timeout = d
	}
}

func (s *service) probeRetries(n *syntax.Node, key string) {
	if count, ok := s.number(n, key, 0); ok && count > 0 {
		s.c.Health.Serving.Retries = count
	}
}

func (s *service) probeStart(n *syntax.Node, key string) {
	s.c.Health.Serving.StartPeriod, _ = s.duration(n, key)
}
