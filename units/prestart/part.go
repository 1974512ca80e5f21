// Package prestart owns what systemd runs around the start of a part. Before the container
// starts (ExecStartPre=), it sets the owners of new volumes, renders the configuration
// files and runs the steps of hooks.pre_start. After the start (ExecStartPost=), it waits
// until the part has reached a level, and runs the commands of hooks.once. At a reload (ExecReload=), it rewrites the files that
// a running container can read again. It compares digests to find whether a container was
// started with its current configuration.
//
// It never decides what happens when a digest differs, and it reads no manifest: the recipe
// has all that a start needs. It starts no process but Podman, through a podmancli.Runner.
// It changes files of a container's user only in Podman's user namespace, where no link
// leads out of the volume. Of secrets it stores only digests, made with a key of this
// machine.
package prestart

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/probe"
)

// Env is what the commands around a start use of the machine.
type Env struct {
	Podman podmancli.Runner
	// Systemd connects to the manager of the part's scope.
	Systemd func(ctx context.Context) (Systemd, error)
	// IDs reads the user namespace of Podman. There are no ranges if it uses none.
	IDs func() (uids, gids []podman.IDRange, err error)
	// PauseFile is where Podman stores the process that keeps its user namespace open. It is empty if
	// Podman uses none.
	PauseFile string
	// Target reads the probe for a level from a container's unit file. It returns nil if
	// there is none.
	Target func(container, level string) (*probe.Target, error)
	// Credentials reads the passwords for probes.
	Credentials probe.Credentials
	// NotifySocket is NOTIFY_SOCKET: the address of systemd's notification socket, or
	// empty.
	NotifySocket string
	// Stderr receives warnings and the output of the steps' commands. It goes to the log of
	// the app.
	Stderr io.Writer
}

// Systemd reports the state of services.
type Systemd interface {
	State(ctx context.Context, service string) (ServiceState, error)
	// Ran returns when the main process of a service last ran. The times are zero if it has not, or
	// still runs.
	Ran(ctx context.Context, service string) (start, end time.Time, err error)
	Close()
}

// ServiceState is the state of a service in systemd.
type ServiceState int

// The states of a service.
const (
	// Stopped: the service is down, and systemd does not start it.
	Stopped ServiceState = iota
	// Starting: systemd is starting the service, or is about to.
	Starting
	// Running: the main process of the service is running.
	Running
)

// Part is one part of an app, with the work before its container starts.
type Part struct {
	Env
	// ID is ID or ID.PART, as in app@ID.service. It is the name of the container.
	ID     string
	Scope  units.Scope
	Recipe units.Prestart
	// Renderer renders and compares the part's files.
	Renderer Renderer
}

// Configure refuses data that the part can't read, has Podman create its user namespace, sets the owner of new volumes to the user of
// their container, and writes the files for the next start. systemd runs it before RunSteps.
func (p *Part) Configure(ctx context.Context) error {
	if err := p.checkFormat(); err != nil {
		return err
	}
	p.openNamespace(ctx)
	created, err := p.ownNewVolumes(ctx)
	if err == nil {
		err = p.rememberVolumes(ctx, created)
	}
	if err != nil {
		return fmt.Errorf("the volumes of app@%s: %w", p.ID, err)
	}
	renderer := p.Renderer
	renderer.inNamespace = func(w units.VolumeFile) (string, error) { return p.readVolume(ctx, w) }
	if err := renderer.Write(ctx, p.ID, p.Recipe); err != nil {
		return fmt.Errorf("the configuration of app@%s: %w", p.ID, err)
	}
	return nil
}

// Compare returns the digests of the current configuration, and of the one that the
// container was started with.
func (p *Part) Compare() (want, have units.ConfigDigests, err error) {
	want, have, err = p.Renderer.Compare(p.ID, p.Recipe)
	if err != nil {
		err = fmt.Errorf("the configuration of app@%s: %w", p.ID, err)
	}
	return want, have, err
}

// RunSteps runs the steps of the recipe in order, each within its own timeout.
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

// Reload overwrites the files that the running container can read again, and sends the
// signal that makes it read them.
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

// volume runs a verb of Volume as root or in Podman's user namespace, where the owners of a
// container's files are known.
func (p *Part) volume(ctx context.Context, stdin io.Reader, args ...string) error {
	if p.Scope == units.System {
		return Volume(ctx, args, stdin, io.Discard)
	}
	return p.Podman.Unshare(ctx, podmancli.Call{Args: append([]string{"volume"}, args...), Stdin: stdin})
}

// readVolume reads a file in a volume as root of Podman's user namespace.
func (p *Part) readVolume(ctx context.Context, w units.VolumeFile) (string, error) {
	var text bytes.Buffer
	err := p.Podman.Unshare(ctx, podmancli.Call{Args: []string{"volume", "read", VolumeDir(p.Renderer.Volumes, w.Volume), w.Path}, Stdout: &text})
	return text.String(), err
}

// stepContainer is the name of a step's container. The `_` distinguishes it from containers
// of apps.
func (p *Part) stepContainer() string { return p.ID + "_step" }

// removeContainer removes the container of a step. It has a timeout of its own, because
// that of the step may have expired.
func (p *Part) removeContainer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), podmancli.RemoveTime)
	defer cancel()
	return p.Podman.Run(ctx, "rm", "--force", "--ignore", "--time=0", "--", p.stepContainer())
}
