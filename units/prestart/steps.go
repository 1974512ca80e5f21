package prestart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/status"
)

// describeStep names a step in errors.
func describeStep(s units.Step) string {
	switch {
	case s.EnsureDir != nil && s.EnsureDir.IsKept:
		return "subpath " + s.EnsureDir.Volume + "/" + s.EnsureDir.Path
	case s.EnsureDir != nil:
		return "ensure_dir " + s.EnsureDir.Volume + "/" + s.EnsureDir.Path
	case s.File != nil:
		return "wait_for " + s.File.Volume + "/" + s.File.Path
	case s.Address != "":
		return "wait_for " + s.Address
	case s.Service != "":
		return "wait_for " + s.Service + " until " + s.Level
	case s.Migrate != "":
		return "migrate " + s.Migrate
	}
	return "run " + strings.Join(s.Run, " ")
}

func (p *Part) step(ctx context.Context, s units.Step) error {
	switch {
	case s.EnsureDir != nil:
		return p.ensureDir(ctx, *s.EnsureDir)
	case s.File != nil:
		return p.volume(ctx, nil, "await", VolumeDir(p.Renderer.Volumes, s.File.Volume), s.File.Path)
	case s.Address != "":
		return p.waitForAddress(ctx, s.Address)
	case s.Service != "":
		return p.waitForService(ctx, s.Service, s.Level)
	case s.Migrate != "":
		return p.migrate(ctx, s)
	}
	return p.run(ctx, s.Run)
}

// waitForAddress waits until a port accepts connections.
func (p *Part) waitForAddress(ctx context.Context, address string) error {
	target := probe.Target{Kind: "tcp", Address: address, Timeout: 2 * time.Second}
	return p.poll(ctx, "serving", probe.Asker(target, nil))
}

// waitForService waits until another part has reached a level.
func (p *Part) waitForService(ctx context.Context, service, level string) error {
	manager, err := p.Systemd(ctx)
	if err != nil {
		return err
	}
	defer manager.Close()
	serves := func(context.Context) probe.Outcome { return probe.Outcome{State: probe.Serving} }
	if level != LevelStarted {
		target, err := p.Target(units.ContainerOf(service), level)
		if err != nil {
			return err
		}
		if target != nil {
			serves = probe.Asker(*target, p.Credentials)
		}
	}
	return p.poll(ctx, level, func(ctx context.Context) probe.Outcome {
		state, err := manager.State(ctx, service)
		switch {
		case err != nil:
			return probe.Outcome{State: probe.Unreachable, Detail: err.Error()}
		case state != Running:
			return probe.Outcome{State: probe.Unreachable, Detail: service + " is not up"}
		}
		return serves(ctx)
	})
}

// poll asks until an answer reaches a level. Meanwhile systemctl status shows what the step
// waits for.
func (p *Part) poll(ctx context.Context, level string, ask func(context.Context) probe.Outcome) error {
	if level == LevelStarted {
		level = "serving"
	}
	out := p.startNotifier(p.ID, 0)
	defer out.close()
	last, err := probe.PollUntil(ctx, status.Reached(status.Level(level)), ask, out.report)
	out.status("")
	if err != nil {
		return fmt.Errorf("its last answer: %s", last.Detail)
	}
	return nil
}

// migrate runs a command unless it has succeeded before for this version.
func (p *Part) migrate(ctx context.Context, s units.Step) error {
	store := statedir.Store{State: p.Renderer.State}
	done, err := store.Migrated(p.ID)
	if err != nil || slices.Contains(done, s.Migrate) {
		return err
	}
	if err := p.run(ctx, s.Run); err != nil {
		return err
	}
	return store.SaveMigrated(p.ID, append(done, s.Migrate))
}

// podmanFlags returns the flags of podman run for a step: those of the recipe, with the
// runtime directory instead of systemd's specifier.
func (p *Part) podmanFlags() ([]string, error) {
	args, renderer := make([]string, 0, len(p.Recipe.Podman)), p.Renderer.since(p.Renderer.load(p.ID))
	for _, a := range p.Recipe.Podman {
		a, err := renderer.withFacts(a, p.Recipe)
		if err != nil {
			return nil, err
		}
		args = append(args, strings.Replace(a, "--volume=%t/archipelago/", "--volume="+p.Renderer.Runtime+"/", 1))
	}
	return args, nil
}

// run runs a command in the part's image, with the mounts, networks and user of the part.
func (p *Part) run(ctx context.Context, command []string) error {
	entrypoint, err := json.Marshal(command)
	if err != nil {
		return err
	}
	flags, err := p.podmanFlags()
	if err != nil {
		return err
	}
	args := append([]string{"run", "--rm", "--replace", "--name=" + p.stepContainer(), "--log-driver=none", "--entrypoint=" + string(entrypoint)}, flags...)
	err = p.Podman(ctx, podmancli.Call{
		Args: append(args, p.Recipe.Image), Stdout: p.Stderr, Stderr: p.Stderr,
		// Podman ends when its container is gone. If there is no container yet, the signal
		// ends Podman.
		Cancel: func() error { return p.removeContainer(ctx) },
	})
	if failed, ok := errors.AsType[*podmancli.Error](err); ok {
		return failed.Err // the exit status of the command is enough: the caller names the step
	}
	return err
}

// ensureDir creates a directory in a volume.
func (p *Part) ensureDir(ctx context.Context, d units.EnsureDir) error {
	dir := VolumeDir(p.Renderer.Volumes, d.Volume)
	entries, err := os.ReadDir(dir)
	isNew := err == nil && len(entries) == 0 || errors.Is(err, os.ErrNotExist)
	if isNew && !filepath.IsAbs(d.Volume) {
		if err := p.populate(ctx); err != nil {
			return err
		}
	}
	mode := strconv.FormatUint(uint64(d.Mode), 8)
	if d.UID < 0 { // only a directory that keeps its owner
		return p.volume(ctx, nil, "keep", dir, d.Path, mode)
	}
	uid, err := p.namespaceID(d.UID, "uid=", os.Getuid())
	if err != nil {
		return err
	}
	gid, err := p.namespaceID(d.GID, "gid=", os.Getgid())
	if err != nil {
		return err
	}
	if d.IsKept {
		return p.volume(ctx, nil, "keep", dir, d.Path, mode, strconv.Itoa(uid), strconv.Itoa(gid))
	}
	return p.volume(ctx, nil, "ensure", dir, d.Path, strconv.Itoa(uid), strconv.Itoa(gid), mode)
}

// populate has Podman create the part's volumes with the content and owner of the image's
// directories at the mount points. Podman does so for empty volumes when it creates a
// container.
func (p *Part) populate(ctx context.Context) error {
	flags, err := p.podmanFlags()
	if err != nil {
		return err
	}
	args := []string{"create", "--replace", "--name=" + p.stepContainer(), "--network=none"}
	for _, a := range flags {
		isOfWhole := !strings.HasPrefix(a, "--mount=") // Podman would fill the volume with what belongs into a part of it
		if isOfWhole && !strings.HasPrefix(a, "--network=") {
			args = append(args, a)
		}
	}
	for _, command := range [][]string{append(args, p.Recipe.Image), {"init", p.stepContainer()}} {
		if err := p.Podman.Run(ctx, command...); err != nil {
			return errors.Join(err, p.removeContainer(ctx))
		}
	}
	return p.removeContainer(ctx)
}

// namespaceID converts an ID in the container to the ID in Podman's user namespace. key is
// the option of keep-id that maps the user's own ID.
func (p *Part) namespaceID(id int, key string, own int) (int, error) {
	mode := ""
	for _, a := range p.Recipe.Podman {
		if value, ok := strings.CutPrefix(a, "--userns="); ok {
			mode = value
		}
	}
	options, isKept := strings.CutPrefix(mode, "keep-id")
	switch {
	case p.Scope == units.System && (mode == "" || mode == "host"), mode == "", mode == "host":
		return id, nil
	case !isKept || p.Scope == units.System:
		return 0, fmt.Errorf("with userns %s the owner is unknown until the container runs", mode)
	}
	for option := range strings.SplitSeq(strings.TrimPrefix(options, ":"), ",") {
		if text, ok := strings.CutPrefix(option, key); ok {
			given, err := strconv.Atoi(text)
			if err != nil {
				return 0, fmt.Errorf("userns %s: %w", mode, err)
			}
			own = given
		}
	}
	switch { // in Podman's own namespace, 0 is the user
	case id == own:
		return 0, nil
	case id < own:
		return id + 1, nil
	}
	return id, nil
}
