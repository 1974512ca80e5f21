// Package prestart owns what systemd runs around the start of a part: before its
// container (ExecStartPre=) the owners of new volumes, the rendered configuration files
// and the steps of hooks.pre_start; after it (ExecStartPost=) the wait until the part has
// reached a level; and at a reload (ExecReload=) the files that a running container can
// read again. It tells by digests whether a container was started with the configuration
// that it would get now.
//
// It never decides what follows from a digest that differs, reads no manifest (all that a
// start needs is in the recipe), starts no process but Podman through a podmancli.Runner,
// and touches no file of a container's user but in Podman's user namespace, where no link
// leads it out of the volume. Of secrets it keeps digests only, made with a key of this
// machine.
package prestart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/probe"
)

// Env is what the commands around a start need of the machine.
type Env struct {
	Podman podmancli.Runner
	// Systemd connects to the manager of the part's scope.
	Systemd func(ctx context.Context) (Systemd, error)
	// Target reads the check of a container for a level from its unit file, nil where it
	// has none.
	Target func(container, level string) (*probe.Target, error)
	// Credentials reads the passwords of checks.
	Credentials probe.Credentials
	// NotifySocket is NOTIFY_SOCKET: where systemd reads messages of the service, empty
	// where it does not.
	NotifySocket string
	// Stderr gets warnings and what the commands of steps print: the log of the app.
	Stderr io.Writer
}

// Systemd answers what systemd does with a service.
type Systemd interface {
	State(ctx context.Context, service string) (ServiceState, error)
	Close()
}

// ServiceState is what systemd does with a service.
type ServiceState int

// The states of a service.
const (
	// Stopped: the service does not run, and systemd does not start it.
	Stopped ServiceState = iota
	// Starting: systemd starts the service, or is about to.
	Starting
	// Running: the main process of the service runs.
	Running
)

// Part is one part of an app, with what has to be done before its container starts.
type Part struct {
	Env
	// ID is ID or ID.PART, as in app@ID.service: the name of the container.
	ID     string
	Scope  units.Scope
	Recipe units.Prestart
	// Renderer renders and compares the part's files.
	Renderer Renderer
}

// Configure gives new volumes to the user of their container, and writes the files for
// the next start. systemd runs it before RunSteps.
func (p *Part) Configure(ctx context.Context) error {
	if err := p.ownNewVolumes(ctx); err != nil {
		return fmt.Errorf("the volumes of app@%s: %w", p.ID, err)
	}
	if err := p.Renderer.Write(p.ID, p.Recipe); err != nil {
		return fmt.Errorf("the configuration of app@%s: %w", p.ID, err)
	}
	return nil
}

// Compare says what the container would be started with now, and what it was started with.
func (p *Part) Compare() (want, have units.ConfigDigests, err error) {
	want, have, err = p.Renderer.Compare(p.ID, p.Recipe)
	if err != nil {
		err = fmt.Errorf("the configuration of app@%s: %w", p.ID, err)
	}
	return want, have, err
}

// RunSteps does the steps of the recipe in their order, each within its own timeout.
func (p *Part) RunSteps(ctx context.Context) error {
	for i, s := range p.Recipe.Steps {
		if err := p.stepInTime(ctx, s); err != nil {
			return fmt.Errorf("step %d before the start of app@%s (%s): %w", i+1, p.ID, describeStep(s), err)
		}
	}
	return p.Renderer.RecordWatched(p.ID, p.Recipe)
}

func (p *Part) stepInTime(ctx context.Context, s units.Step) error {
	limit := time.Duration(s.Seconds) * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %v", limit))
	defer cancel()
	err := p.step(ctx, s)
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("%w; %w", context.Cause(ctx), err)
	}
	return err
}

// Reload overwrites the files that the running container can read again, and sends it
// the signal that makes it read them.
func (p *Part) Reload(ctx context.Context) error {
	if p.Recipe.Reload == "" {
		return fmt.Errorf("app@%s has no file with reload: true", p.ID)
	}
	// The files belong to the container's user: only root of Podman's user namespace can
	// write them.
	overwrite := func(f units.PrestartFile, content []byte) error {
		mode := strconv.FormatUint(uint64(f.Mode), 8)
		return p.volume(ctx, bytes.NewReader(content), "overwrite", p.Renderer.Dir(p.ID), f.Name, mode)
	}
	signal := func() error { return p.Podman.Run(ctx, "kill", "--signal="+p.Recipe.Reload, "--", p.ID) }
	if err := p.Renderer.Reload(p.ID, p.Recipe, overwrite, signal); err != nil {
		return fmt.Errorf("reloading the configuration of app@%s: %w", p.ID, err)
	}
	return nil
}

// volume runs a verb of Volume where the owners of a container's files are known: as
// root, or in Podman's user namespace.
func (p *Part) volume(ctx context.Context, stdin io.Reader, args ...string) error {
	if p.Scope == units.System {
		return Volume(ctx, args, stdin)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	err = p.Podman(ctx, podmancli.Call{Args: append([]string{"unshare", self, "volume"}, args...), Stdin: stdin})
	if failed, ok := errors.AsType[*podmancli.Error](err); ok {
		return fmt.Errorf("%w: %s", failed.Err, strings.TrimPrefix(failed.Said, "archgen: "))
	}
	return err
}

// stepContainer is the name of the container of a step. No app's has a `_`.
func (p *Part) stepContainer() string { return p.ID + "_step" }

// removeContainer removes the container of a step. It has a time of its own: that of the
// step may be over.
func (p *Part) removeContainer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), podmancli.RemoveTime)
	defer cancel()
	return p.Podman.Run(ctx, "rm", "--force", "--ignore", "--time=0", "--", p.stepContainer())
}
