package adopt_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/units/adopt"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// The labels of the containers of units, ours and others.
const (
	AppLabel  = "io.archipelago.app"
	unitLabel = "PODMAN_SYSTEMD_UNIT"
)

// podman simulates Podman with containers and volumes.
type podman struct {
	containers []container
	// volumes says whether each volume is anonymous.
	volumes map[string]bool
	// overlays is the written overlays by app.
	overlays map[string]string
	// old: before 5.1, update can't change the restart policy.
	old bool
	// done is the commands that changed something.
	done []string
	// before is called with each command and may make it fail. It may change the containers, as
	// another program would.
	before func(command string) error
	// gone is the error of a process that exits with 1.
	gone error
}

// container is one as podman ps and podman inspect print it.
type container struct {
	id, name, state, image string
	labels                 map[string]string
	mounts                 string // as JSON
	autoRemove             bool
	restart                string // always, on-failure:3
}

func newPodman(t *testing.T, containers ...container) *podman {
	t.Helper()
	return &podman{containers: containers, overlays: map[string]string{}, gone: exec.CommandContext(t.Context(), "false").Run()}
}

// adopter is an Adopter with this Podman.
func (p *podman) adopter(apps ...adopt.App) adopt.Adopter {
	return adopt.Adopter{
		Podman: p.run, Apps: func() ([]adopt.App, error) { return apps, nil }, Source: noSpace,
		WriteOverlay: func(app string, text []byte) error {
			p.overlays[app] = string(text)
			return nil
		},
	}
}

// noSpace stands for the pattern of manifests.
var noSpace = adopt.Pattern{
	Text: "a text without white space",
	Fits: func(text string) bool { return !strings.ContainsAny(text, " \t") },
}

func (p *podman) run(_ context.Context, call podmancli.Call) error {
	text := strings.Join(call.Args, " ")
	if p.before != nil {
		if err := p.before(text); err != nil {
			return err
		}
	}
	var flags, words []string
	for _, arg := range call.Args {
		if flag, isFlag := strings.CutPrefix(arg, "--"); isFlag {
			flags = append(flags, flag)
		} else {
			words = append(words, arg)
		}
	}
	switch command := words[0]; command {
	case "ps":
		return p.ps(call.Stdout, flags)
	case "inspect":
		return p.inspect(call.Stdout, words[1:])
	case "volume":
		return p.volumeList(call.Stdout)
	case "container":
		if p.find(words[2]) < 0 {
			return p.gone
		}
		return nil
	case "rm":
		p.done = append(p.done, text)
		return p.remove(words[1:], flags)
	default:
		p.done = append(p.done, text)
		i := p.find(words[1])
		if i < 0 {
			return said("no such container")
		}
		return p.change(i, command, append(flags, words[2:]...))
	}
}

// change carries out a command that changes only one container.
func (p *podman) change(i int, command string, args []string) error {
	c := &p.containers[i]
	switch {
	case command == "unpause" && c.state == "paused":
		c.state = "running"
	case command == "stop" && c.state == "paused":
		return said("container state improper")
	case command == "stop":
		if c.state == "running" {
			c.state = "exited"
		}
		if c.autoRemove {
			p.containers = slices.Delete(p.containers, i, i+1)
		}
	case command == "update" && p.old:
		return said("unknown flag: --restart")
	case command == "update":
		c.restart = strings.TrimPrefix(args[0], "restart=")
	case command == "rename" && p.find(args[0]) >= 0:
		return said("that name is already in use")
	case command == "rename":
		c.name = args[0]
	case command == "start":
		c.state = "running"
	default:
		return said("can't " + command + " a container that is " + c.state)
	}
	return nil
}

func (p *podman) remove(ids, flags []string) error {
	for _, id := range ids {
		i := p.find(id)
		switch {
		case i < 0 && slices.Contains(flags, "ignore"):
		case i < 0:
			return said("no such container")
		case p.containers[i].state == "running" && !slices.Contains(flags, "force"):
			return said("cannot remove a container that runs without force")
		default:
			p.containers = slices.Delete(p.containers, i, i+1)
		}
	}
	return nil
}

func (p *podman) ps(out io.Writer, flags []string) error {
	isListed := func(container) bool { return true }
	for _, flag := range flags {
		before := isListed
		if name, ok := strings.CutPrefix(flag, "filter=name="); ok {
			pattern := regexp.MustCompile(name)
			isListed = func(c container) bool { return before(c) && pattern.MatchString(c.name) }
		}
		if label, ok := strings.CutPrefix(flag, "filter=label="); ok {
			isListed = func(c container) bool {
				_, has := c.labels[label]
				return before(c) && has
			}
		}
	}
	list := make([]any, 0, len(p.containers))
	for _, c := range p.containers {
		switch {
		case !isListed(c):
		case slices.Contains(flags, "quiet"):
			fmt.Fprintln(out, c.id)
		default:
			list = append(list, map[string]any{"Id": c.id, "Names": []string{c.name}, "Labels": c.labels})
		}
	}
	if slices.Contains(flags, "quiet") {
		return nil
	}
	return json.NewEncoder(out).Encode(list)
}

func (p *podman) inspect(out io.Writer, ids []string) error {
	var err error
	list := make([]any, 0, len(ids))
	for _, id := range ids {
		i := p.find(id)
		if i < 0 {
			err = said("no such container " + id)
			continue
		}
		c := p.containers[i]
		policy, retries, _ := strings.Cut(c.restart, ":")
		n, _ := strconv.Atoi(retries)
		list = append(list, map[string]any{
			"Id": c.id, "Name": c.name, "Image": "sha256:1", "ImageName": c.image,
			"State":  map[string]any{"Status": c.state, "Running": c.state == "running"},
			"Config": map[string]any{"Labels": c.labels},
			"Mounts": json.RawMessage("[" + c.mounts + "]"),
			"HostConfig": map[string]any{
				"AutoRemove":    c.autoRemove,
				"RestartPolicy": map[string]any{"Name": policy, "MaximumRetryCount": n},
			},
		})
	}
	return errors.Join(json.NewEncoder(out).Encode(list), err)
}

func (p *podman) volumeList(out io.Writer) error {
	list := make([]any, 0, len(p.volumes))
	for _, name := range slices.Sorted(maps.Keys(p.volumes)) {
		list = append(list, map[string]any{"Name": name, "Anonymous": p.volumes[name]})
	}
	return json.NewEncoder(out).Encode(list)
}

// find is the index of a container with an id or name.
func (p *podman) find(key string) int {
	return slices.IndexFunc(p.containers, func(c container) bool { return c.id == key || c.name == key })
}

// said is the error of a podman that printed something.
func said(text string) error {
	return &podmancli.Error{Err: errors.New("exit status 125"), Said: "Error: " + text}
}

// fails makes commands with a prefix fail.
func fails(prefix string) func(string) error {
	return func(command string) error {
		if strings.HasPrefix(command, prefix) {
			return said("the disk is gone")
		}
		return nil
	}
}
