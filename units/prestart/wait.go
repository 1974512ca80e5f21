package prestart

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/status"
)

// LevelStarted is the level of a part whose main process runs, whatever it answers.
// status.Reached has the other levels.
const LevelStarted = "started"

// manualTimeout is the default timeout of archgen wait when a user runs it.
const manualTimeout = 5 * time.Minute

// Wait waits until a part has reached a level. systemd runs it once the main process of a
// part runs (ExecStartPost=). Users can run it at any time.
type Wait struct {
	Env
	// ID is that of the part.
	ID    string
	Level string
	// Timeout is 0 for the default. When systemd runs the command the default is none,
	// because systemd has a timeout of its own.
	Timeout time.Duration
	// MainPID is the part's main process when systemd runs the command, else empty.
	MainPID string
}

// NotServingError says that a part did not reach its level.
type NotServingError struct{ Err error }

func (e *NotServingError) Error() string { return e.Err.Error() }

func (e *NotServingError) Unwrap() error { return e.Err }

// Run waits until the part has reached its level. The error is a *NotServingError if the
// timeout expires or the main process ends first.
func (w *Wait) Run(ctx context.Context) error {
	if w.Level == LevelStarted {
		return w.waitForRunning(ctx)
	}
	target, err := w.Target(w.ID, w.Level)
	switch {
	case err != nil && w.MainPID != "":
		// An app whose probe can't be read is not at fault and keeps running. archgen apply
		// repairs its file.
		fmt.Fprintf(w.Stderr, "archgen: not waiting for app@%s: %v\n", w.ID, err)
		return nil
	case err != nil:
		return err
	case target == nil:
		fmt.Fprintf(w.Stderr, "archgen: not waiting for app@%s: it has no probe for %s on the host\n", w.ID, w.Level)
		return nil
	}
	return w.waitForTarget(ctx, *target)
}

func (w *Wait) waitForTarget(ctx context.Context, target probe.Target) error {
	limit := w.Timeout
	if w.MainPID != "" {
		var err error
		if ctx, err = whileRuns(ctx, w.MainPID); err != nil {
			fmt.Fprintf(w.Stderr, "archgen: can't detect the end of app@%s while waiting: %v\n", w.ID, err)
		}
	} else {
		limit = cmp.Or(limit, manualTimeout)
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("not %s after %v", w.Level, limit))
		defer cancel()
	}
	out := w.startNotifier(w.ID, target.Timeout)
	defer out.close()
	last, err := probe.PollUntil(ctx, status.Reached(status.Level(w.Level)), probe.Asker(target, w.Credentials), out.report)
	switch {
	case err != nil && last.State == "":
		return givenUp(fmt.Errorf("app@%s: %w; it has given no answer", w.ID, err))
	case err != nil:
		return givenUp(fmt.Errorf("app@%s: %w; its last answer: %s", w.ID, err, last.Detail))
	case last.State == probe.NeedsUser:
		out.status("when it started: " + last.Detail)
		fmt.Fprintf(w.Stderr, "archgen: app@%s runs, but waits for a person: %s\n", w.ID, last.Detail)
	default:
		out.status("")
	}
	return nil
}

// waitForRunning waits until the part's main process runs, or until systemd no longer
// starts it.
func (w *Wait) waitForRunning(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(w.Timeout, manualTimeout), errors.New("its container does not run yet"))
	defer cancel()
	manager, err := w.Systemd(ctx)
	if err != nil {
		return err
	}
	defer manager.Close()
	for backoff := (probe.Backoff{}); ; {
		state, err := manager.State(ctx, units.ServiceName(w.ID))
		switch {
		case err != nil:
			return err
		case state == Running:
			return nil
		case state == Stopped:
			return &NotServingError{fmt.Errorf("app@%s does not run, and systemd does not start it", w.ID)}
		}
		select {
		case <-ctx.Done():
			return givenUp(fmt.Errorf("app@%s: %w", w.ID, context.Cause(ctx)))
		case <-time.After(backoff.Next()):
		}
	}
}

// givenUp distinguishes a part that did not reach its level from a user who stopped the
// command.
func givenUp(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &NotServingError{err}
}

var errProcessEnded = errors.New("its main process has ended")

// whileRuns returns a context that ends when a process ends. Waiting on a pidfd costs
// nothing while the process runs, and a reused process ID can't be mistaken for it.
func whileRuns(ctx context.Context, pid string) (context.Context, error) {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return ctx, fmt.Errorf("MAINPID is %q, which is not a process ID", pid)
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
