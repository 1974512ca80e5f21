package compose

import (
	"fmt"
	"path"
	"slices"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// engineSockets is the names of the sockets of Docker and Podman, wherever they are.
var engineSockets = []string{"docker.sock", "podman.sock"}

func isEngineSocket(source string) bool { return slices.Contains(engineSockets, path.Base(source)) }

// mountEngine is a mount of the engine's socket. That it is mounted read-only says what the app
// means to do, and keeps it from nothing.
func (s *service) mountEngine(m mount) {
	s.engine(m.item, m.isReadOnly)
	if s.c.Engine != "" && m.target != manifests.EngineSocket && "/var"+m.target != manifests.EngineSocket {
		s.Report(importer.EnginePath, m.at, m.key, "the socket is at %s instead of %s", manifests.EngineSocket, m.target)
	}
}

// useAPISocket is what Compose calls the same.
func (s *service) useAPISocket(n *syntax.Node, key string) {
	if s.isTrue(n, key) {
		s.engine(item{node: n, at: n.At, key: key}, false)
	}
}

// engine asks what a service may do with the engine. There is a default only for a service that
// means to read.
func (s *service) engine(it item, doesRead bool) {
	q := importer.Question{
		Code: importer.EngineSocket, Key: "engine." + s.name, Choices: []string{"read", "full", "none"},
		Text: fmt.Sprintf("%s uses the socket of the container engine", s.name),
	}.From(it.at, it.key)
	if doesRead {
		q.Default, q.HasDefault = "read", true
		q.Text += ", and may only read"
	}
	all, isForAll := s.Answer("engine")
	if _, isForOne := s.Answer(q.Key); isForAll && !isForOne {
		q.Key, q.Text = "engine", "what services may do with the container engine"
	}
	if answer := first(s.Ask(q), all); answer == "full" || answer == "read" && s.c.Engine == "" {
		s.c.Engine = answer
		s.Note(s.path+".engine", it.at)
	}
}
