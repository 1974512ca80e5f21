package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/systemd"

	"github.com/archipelago-os/archipelago/units/paths"
)

// handPatience is how long a person waits who names no time.
const handPatience = 5 * time.Minute

// waited is what wait is asked for.
type waited struct {
	from    source
	level   string
	timeout time.Duration
}

func (c *cli) waitCommand() *cobra.Command {
	var w waited
	cmd := &cobra.Command{
		Use:   "wait ID[.PART]",
		Short: "Wait until an app serves",
		Long: `wait asks an app from the host's side, by the check that its unit file carries,
until it serves. An app that waits for a person, such as for the password of a
wallet, counts as started.

systemd runs it for each app with such a check (ExecStartPost=), so that
systemctl start returns when the app serves, and fails when it does not. There
it ends as soon as the app's main process has ended, systemctl status shows what
it waits for, and an app that says that it is loading has its start timeout
extended. An app without a check of that level is not waited for.

Levels: started (its container runs), alive (it answers at all), serving, synced
(it has caught up). Without --timeout it gives up after 5 minutes, and never
where systemd runs it, whose own timeout ends it. For started it gives up as
soon as systemd does not start the app any more.

Exit status: 0 it serves; 1 it could not be asked; 6 it did not serve in time,
or its main process has ended.`,
		Example: `  archgen wait lnd
  archgen wait bitcoin-knots --level synced --timeout 24h
  archgen wait electrs --level started`,
		Args: usageArgs(oneOf("app, as ID or ID.PART")),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.check(cmd.Flags().Changed("timeout")); err != nil {
				return usageError{err}
			}
			return c.wait(&w, args[0])
		},
	}
	scopeFlags(cmd, &w.from)
	cmd.Flags().StringVar(&w.level, "level", "serving", "the `LEVEL` that is waited for")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 0, "give up after `DURATION`")
	return cmd
}

func (w *waited) check(timeoutGiven bool) error {
	if probe.Reached(w.level) == nil && w.level != started {
		return fmt.Errorf("there is no level %q: it is started, alive, serving or synced", w.level)
	}
	if timeoutGiven && w.timeout <= 0 {
		return fmt.Errorf("a timeout of %v is none: leave it out, or give one such as 30s", w.timeout)
	}
	return nil
}

// started is the level of an app whose container runs, whatever it answers.
const started = "started"

func (c *cli) wait(w *waited, app string) error {
	if w.level == started {
		return c.waitStarted(w, app)
	}
	// MAINPID is set for nobody but the processes that systemd runs beside the
	// main one of a service.
	mainPID := c.getenv("MAINPID")
	target, err := c.targetOf(w, app)
	switch {
	case err != nil && mainPID != "":
		// It is no fault of the app that it can't be asked, so it goes on
		// running. archgen apply puts its file right.
		fmt.Fprintf(c.stderr, "archgen: not waiting for app@%s: %v\n", app, err)
		return nil
	case err != nil:
		return err
	case target == nil:
		fmt.Fprintf(c.stderr, "archgen: not waiting for app@%s: it has no check for %s that is asked from the host\n", app, w.level)
		return nil
	}

	ctx, stop := interruptible()
	defer stop()
	if mainPID != "" {
		if ctx, err = whileRuns(ctx, mainPID); err != nil {
			fmt.Fprintf(c.stderr, "archgen: an end of app@%s will not be noticed at once: %v\n", app, err)
		}
	}
	limit := w.timeout
	if limit == 0 && mainPID == "" {
		limit = handPatience
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("not %s after %v", w.level, limit))
		defer cancel()
	}
	out := c.teller(app, target.Timeout)
	defer out.close()
	last, err := probe.PollUntil(ctx, probe.Reached(w.level), probe.Asker(*target, c.podmanSecrets(w.from.scope()).Secret), out.tell)
	return c.concludeWait(out, app, last, err)
}

// waitStarted waits until an app's container runs, or nobody starts it.
func (c *cli) waitStarted(w *waited, app string) error {
	ctx, stop := interruptible()
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(w.timeout, handPatience), errors.New("its container does not run yet"))
	defer cancel()
	manager, err := systemd.Connect(ctx, systemd.Options{Scope: w.from.scope()})
	if err != nil {
		return err
	}
	defer manager.Close()
	for backoff := (probe.Backoff{}); ; {
		list, err := manager.List(ctx, "app@"+app+".service")
		switch {
		case err != nil:
			return err
		case len(list) == 1 && list[0].IsStarted():
			return nil
		case len(list) != 1 || !list[0].IsStarting():
			return notServingError{fmt.Errorf("app@%s does not run, and systemd does not start it", app)}
		}
		select {
		case <-ctx.Done():
			return givenUp(fmt.Errorf("app@%s: %w", app, context.Cause(ctx)))
		case <-time.After(backoff.Next()):
		}
	}
}

// concludeWait says how the waiting ended.
func (c *cli) concludeWait(out *teller, app string, last probe.Outcome, err error) error {
	switch {
	case err != nil && last.State == "":
		return givenUp(fmt.Errorf("app@%s: %w; it has given no answer", app, err))
	case err != nil:
		return givenUp(fmt.Errorf("app@%s: %w; its last answer: %s", app, err, last.Detail))
	case last.State == probe.NeedsUser:
		out.status("when it started: " + last.Detail)
		fmt.Fprintf(c.stderr, "archgen: app@%s runs, but waits for a person: %s\n", app, last.Detail)
	default:
		out.status("")
	}
	return nil
}

// givenUp tells an app that does not serve from a person who is done waiting.
func givenUp(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return notServingError{err}
}

// targetOf reads the check of an app from its unit file. It is nil where there
// is none of that level.
func (c *cli) targetOf(w *waited, app string) (*probe.Target, error) {
	content, err := c.renderedFile(w.from.scope(), app, "app@"+app+".container")
	if err != nil {
		return nil, err
	}
	mark, ours := units.ReadMark(content)
	if !ours {
		return nil, fmt.Errorf("app@%s.container is not a file of archgen's; archgen apply writes it anew", app)
	}
	text := mark.Probe(w.level)
	if text == "" {
		return nil, nil
	}
	target, err := probe.Parse([]byte(text))
	return &target, err
}

// renderedFile reads a file of an app that archgen rendered, the user's before the
// image's.
func (c *cli) renderedFile(scope units.Scope, app, name string) ([]byte, error) {
	if filepath.Base(name) != name {
		return nil, fmt.Errorf("%q is not an app: give its id, such as lnd, or a part's, such as ledger.db", app)
	}
	dirs := paths.Env{Scope: scope, Getenv: c.getenv}.Rendered()
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular() || info.Size() > units.MaxFile: // opening a pipe could wait for ever
			return nil, fmt.Errorf("%s is not a file that archgen writes", path)
		}
		return os.ReadFile(path)
	}
	return nil, fmt.Errorf("there is no %s in %s: install the app, then archgen apply", name, strings.Join(dirs, " or "))
}

var errProcessEnded = errors.New("its main process has ended")

// whileRuns ends the context when a process has ended. To be told by the kernel
// costs nothing while it runs, and takes no other process of that number for it.
func whileRuns(ctx context.Context, pid string) (context.Context, error) {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return ctx, fmt.Errorf("MAINPID is %q, which is no process", pid)
	}
	watched, cancel := context.WithCancelCause(ctx)
	fd, err := unix.PidfdOpen(n, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		cancel(errProcessEnded)
		return watched, nil
	case err != nil:
		cancel(nil)
		return ctx, fmt.Errorf("watching its main process %d: %w", n, err)
	}
	go func() {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(poll, -1); !errors.Is(err, unix.EINTR) {
				cancel(errProcessEnded)
				return
			}
		}
	}()
	return watched, nil
}
