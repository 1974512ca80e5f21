package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/systemd"
)

func (c *cli) prepareCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:   "prepare ID[.PART]",
		Short: "Do what has to be done before an app starts",
		Long: `prepare does the steps of hooks.pre_start for a part, in order: directories that
have to exist, things to wait for, commands in the part's image. systemd runs it
before the container (ExecStartPre=). A step that fails, or takes longer than
its timeout, fails the start; what it printed is in the app's log. A command
with migrate is not run again once it has succeeded.

Exit status: 0 all is done; 1 a step failed.`,
		Example: `  systemctl --user start app@ledger`,
		Args:    usageArgs(oneOf("app, as ID or ID.PART")),
		RunE:    func(_ *cobra.Command, args []string) error { return c.prepare(&from, args[0]) },
	}
	scopeFlags(cmd, &from)
	return cmd
}

func (c *cli) prepare(from *source, app string) error {
	if !c.runBySystemd() {
		return fmt.Errorf("%w app@%s", errByHand, app)
	}
	recipe, err := c.recipeOf(from.scope(), app)
	if err != nil {
		return err
	}
	host, err := c.configHost(from.scope())
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	p := &preparation{c: c, scope: from.scope(), app: app, recipe: recipe, host: host}
	for i, s := range recipe.Steps {
		limit := time.Duration(s.Seconds) * time.Second
		bounded, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %v", limit))
		err := p.step(bounded, s)
		if bounded.Err() != nil && err != nil {
			err = fmt.Errorf("%w; %w", context.Cause(bounded), err)
		}
		cancel()
		if err != nil {
			return fmt.Errorf("step %d before the start of app@%s (%s): %w", i+1, app, describeStep(s), err)
		}
	}
	return host.Look(app, recipe)
}

// describeStep says in a few words what a step does.
func describeStep(s units.Step) string {
	switch {
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

// preparation is the steps of one part.
type preparation struct {
	c      *cli
	scope  units.Scope
	app    string
	recipe units.Recipe
	host   prestart.Host
}

func (p *preparation) step(ctx context.Context, s units.Step) error {
	switch {
	case s.EnsureDir != nil:
		return p.ensureDir(ctx, *s.EnsureDir)
	case s.File != nil:
		return p.inVolume(ctx, "await", prestart.VolumeDir(p.host.Storage, s.File.Volume), s.File.Path)
	case s.Address != "":
		return p.awaitAddress(ctx, s.Address)
	case s.Service != "":
		return p.awaitService(ctx, s.Service, s.Level)
	case s.Migrate != "":
		return p.migrate(ctx, s)
	}
	return p.run(ctx, s.Run)
}

// awaitAddress waits until somebody answers at a port.
func (p *preparation) awaitAddress(ctx context.Context, address string) error {
	target := probe.Target{Kind: "tcp", Address: address, Timeout: 2 * time.Second}
	return p.persist(ctx, p.app, "serving", probe.Asker(target, nil))
}

// awaitService waits until another part has come to a level.
func (p *preparation) awaitService(ctx context.Context, service, level string) error {
	manager, err := systemd.Connect(ctx, systemd.Options{Scope: p.scope})
	if err != nil {
		return err
	}
	defer manager.Close()
	var target *probe.Target
	if level != "started" {
		if target, err = p.c.targetOf(&waited{from: source{system: p.scope == units.System}, level: level}, units.ContainerOf(service)); err != nil {
			return err
		}
	}
	credentials := p.c.podmanSecrets(p.scope).Secret
	return p.persist(ctx, p.app, level, func(ctx context.Context) probe.Outcome {
		list, err := manager.List(ctx, service)
		switch {
		case err != nil:
			return probe.Outcome{State: probe.Unreachable, Detail: err.Error()}
		case len(list) != 1 || !list[0].IsStarted():
			return probe.Outcome{State: probe.Unreachable, Detail: service + " is not up"}
		case target == nil:
			return probe.Outcome{State: probe.Serving}
		}
		return probe.Asker(*target, credentials)(ctx)
	})
}

// persist asks until the answer is good enough for a level, and shows in
// systemctl status what is waited for.
func (p *preparation) persist(ctx context.Context, app, level string, ask func(context.Context) probe.Outcome) error {
	enough := probe.Reached(level)
	if enough == nil { // started
		enough = probe.Reached("serving")
	}
	out := p.c.teller(app, 0)
	defer out.close()
	last, err := probe.PollUntil(ctx, enough, ask, out.tell)
	out.status("")
	if err != nil {
		return fmt.Errorf("its last answer: %s", last.Detail)
	}
	return nil
}

// migrate runs a command once for a version of the app.
func (p *preparation) migrate(ctx context.Context, s units.Step) error {
	done, err := p.migrated()
	if err != nil || slices.Contains(done, s.Migrate) {
		return err
	}
	if err := p.run(ctx, s.Run); err != nil {
		return err
	}
	text, err := json.Marshal(append(done, s.Migrate))
	if err != nil {
		return err
	}
	return durable.Replace(migratedDir(p.host.State), p.app+".json", append(text, '\n'))
}

// migratedDir is where it is kept what was migrated, a file for each part.
func migratedDir(state string) string { return filepath.Join(state, "migrated") }

func (p *preparation) migrated() ([]string, error) {
	path := filepath.Join(migratedDir(p.host.State), p.app+".json")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var done []string
	if err == nil {
		err = json.Unmarshal(text, &done)
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was migrated from %s: %w; correct it by hand, it lists versions", path, err)
	}
	return done, nil
}

// stepContainer is the name of the container of a step. No app's has a `_`.
func (p *preparation) stepContainer() string { return p.app + "_step" }

// flags is what a container of a step gets. Its part's runtime files are where
// systemd's manager has them.
func (p *preparation) flags() []string {
	args := make([]string, 0, len(p.recipe.Podman))
	for _, a := range p.recipe.Podman {
		args = append(args, strings.Replace(a, "--volume=%t/archipelago/", "--volume="+p.host.Runtime+"/", 1))
	}
	return args
}

// run runs a command in the part's image, with what the part has.
func (p *preparation) run(ctx context.Context, command []string) error {
	entrypoint, err := json.Marshal(command)
	if err != nil {
		return err
	}
	args := append([]string{"run", "--rm", "--replace", "--name=" + p.stepContainer(), "--log-driver=none", "--entrypoint=" + string(entrypoint)}, p.flags()...)
	err = p.c.podman(ctx, podmancli.Call{
		Args: append(args, p.recipe.Image), Stdout: p.c.stderr, Stderr: p.c.stderr,
		// When its container is gone Podman ends. Where there is none yet, the signal ends it.
		Cancel: func() error { return p.removeContainer(ctx) },
	})
	if failed, ok := errors.AsType[*podmancli.Error](err); ok {
		return failed.Err // how the command ended: the step is named by the caller
	}
	return err
}

// removeTime is how long it may take to remove a container: podmancli.Grace is a little
// more.
const removeTime = 7 * time.Second

// removeContainer removes what is left of a step: the time of the step may be over,
// so it has its own.
func (p *preparation) removeContainer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTime)
	defer cancel()
	return p.c.podman.Run(ctx, "rm", "--force", "--ignore", "--time=0", "--", p.stepContainer())
}

// ensureDir makes a directory in a volume.
func (p *preparation) ensureDir(ctx context.Context, d units.EnsureDir) error {
	dir := prestart.VolumeDir(p.host.Storage, d.Volume)
	entries, err := os.ReadDir(dir)
	isNew := err == nil && len(entries) == 0 || errors.Is(err, os.ErrNotExist)
	if isNew && !filepath.IsAbs(d.Volume) {
		if err := p.fill(ctx); err != nil {
			return err
		}
	}
	uid, err := p.inNamespace(d.UID, "uid=", os.Getuid())
	if err != nil {
		return err
	}
	gid, err := p.inNamespace(d.GID, "gid=", os.Getgid())
	if err != nil {
		return err
	}
	return p.inVolume(ctx, "ensure", dir, d.Path, strconv.Itoa(uid), strconv.Itoa(gid), strconv.FormatUint(uint64(d.Mode), 8))
}

// fill lets Podman make a volume and give it what the image has at its place, and
// its owner. It does so only while the volume is empty, as the container is made.
func (p *preparation) fill(ctx context.Context) error {
	args := []string{"create", "--replace", "--name=" + p.stepContainer(), "--network=none"}
	for _, a := range p.flags() {
		if !strings.HasPrefix(a, "--network=") {
			args = append(args, a)
		}
	}
	for _, command := range [][]string{append(args, p.recipe.Image), {"init", p.stepContainer()}} {
		if err := p.c.podman.Run(ctx, command...); err != nil {
			return errors.Join(err, p.removeContainer(ctx))
		}
	}
	return p.removeContainer(ctx)
}

// inNamespace is what an id of the container is in Podman's user namespace.
func (p *preparation) inNamespace(id int, key string, own int) (int, error) {
	mode := ""
	for _, a := range p.recipe.Podman {
		if value, ok := strings.CutPrefix(a, "--userns="); ok {
			mode = value
		}
	}
	options, isKept := strings.CutPrefix(mode, "keep-id")
	switch {
	case p.scope == units.System && (mode == "" || mode == "host"), mode == "", mode == "host":
		return id, nil
	case !isKept || p.scope == units.System:
		return 0, fmt.Errorf("with userns %s nobody knows the owner before the container runs", mode)
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
	switch { // Podman's own namespace has the user for 0
	case id == own:
		return 0, nil
	case id < own:
		return id + 1, nil
	}
	return id, nil
}

// inVolume runs `archgen volume` where the owners of a container's files are known:
// in Podman's user namespace, or as root.
func (p *preparation) inVolume(ctx context.Context, args ...string) error {
	if p.scope == units.System {
		return p.c.volume(ctx, args)
	}
	return p.inNamespaceOf(ctx, nil, args...)
}

// inNamespaceOf runs `archgen volume` in Podman's user namespace.
func (p *preparation) inNamespaceOf(ctx context.Context, stdin io.Reader, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	err = p.c.podman(ctx, podmancli.Call{Args: append([]string{"unshare", self, "volume"}, args...), Stdin: stdin})
	if failed, ok := errors.AsType[*podmancli.Error](err); ok {
		return fmt.Errorf("%w: %s", failed.Err, strings.TrimPrefix(failed.Said, "archgen: "))
	}
	return err
}
