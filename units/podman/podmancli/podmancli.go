// Package podmancli owns the execution of Podman: how a command is started and stopped, and how
// its last line of output becomes an error. Every other package runs Podman through a Runner.
//
// It never decides what to run, and reads none of Podman's files; units/podman does.
package podmancli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	// Grace is how long Podman may run on after its context ended. A canceled command first
	// removes its container.
	Grace = RemoveTime + 2*time.Second
	// RemoveTime is how long Podman may take to remove the container of an interrupted command.
	RemoveTime = 7 * time.Second
)

// Call is one execution of Podman.
type Call struct {
	Args []string
	// Stdin, Stdout and Stderr are those of the process. Without Stderr, the error contains its
	// last line.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Cancel is called when the context ends, before Podman gets a SIGTERM. Podman forwards a
	// signal to the program in its container, which may ignore it.
	Cancel func() error
}

// Runner executes Podman. Exec is the real one; tests use others.
type Runner func(ctx context.Context, call Call) error

// Error is an execution that failed.
type Error struct {
	Args []string
	// Err is how the process exited, mostly an *exec.ExitError.
	Err error
	// Said is the last line that Podman printed to standard error.
	Said string
}

func (e *Error) Error() string {
	text := "podman " + strings.Join(words(e.Args), " ") + ": " + e.Err.Error()
	if e.Said != "" {
		text += ": " + e.Said
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// words is the arguments without flags: the command and its object.
func words(args []string) []string {
	list := make([]string, 0, len(args))
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			list = append(list, a)
		}
	}
	return list
}

// Exec executes the podman in PATH.
func Exec(ctx context.Context, call Call) error {
	cmd := exec.CommandContext(ctx, "podman", call.Args...)
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = call.Stdin, call.Stdout, call.Stderr
	if call.Stderr == nil {
		cmd.Stderr = &complaint
	}
	cmd.WaitDelay = Grace
	cmd.Cancel = func() error {
		var err error
		if call.Cancel != nil {
			err = call.Cancel()
		}
		return errors.Join(err, cmd.Process.Signal(syscall.SIGTERM))
	}
	if err := cmd.Run(); err != nil {
		return &Error{Args: call.Args, Err: err, Said: steady(LastLine(complaint.String()))}
	}
	return nil
}

// Run executes Podman for its effect.
func (run Runner) Run(ctx context.Context, args ...string) error {
	return run(ctx, Call{Args: args})
}

// Output returns the standard output.
func (run Runner) Output(ctx context.Context, args ...string) ([]byte, error) {
	var out bytes.Buffer
	err := run(ctx, Call{Args: args, Stdout: &out})
	return out.Bytes(), err
}

// Lines returns the words of the output, which must contain no spaces, such as names and ids.
func (run Runner) Lines(ctx context.Context, args ...string) ([]string, error) {
	out, err := run.Output(ctx, args...)
	return strings.Fields(string(out)), err
}

// JSON decodes the output.
func (run Runner) JSON(ctx context.Context, into any, args ...string) error {
	out, err := run.Output(ctx, args...)
	if err != nil || len(out) == 0 {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("decoding the JSON output of podman %s: %w", strings.Join(words(args), " "), err)
	}
	return nil
}

// Exists reports whether Podman has an object of a kind: container, image, secret or volume.
func (run Runner) Exists(ctx context.Context, kind, name string) (bool, error) {
	err := run.Run(ctx, kind, "exists", "--", name)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}

// PullMissing pulls an image unless Podman has it, and calls pulling before. An image that a unit
// builds has no name here, and needs no pull.
func (run Runner) PullMissing(ctx context.Context, image string, pulling func()) error {
	if image == "" {
		return nil
	}
	if isThere, err := run.Exists(ctx, "image", image); err != nil || isThere {
		return err
	}
	pulling()
	return run.Run(ctx, "pull", "--quiet", image)
}

// LastLine returns the last line of a text that is not empty.
func LastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// varying is the parts of an error that differ at each attempt: the time, and the local port.
var varying = regexp.MustCompile(`current time \S+ is |\S+:\d+->`)

// steady is an error of Podman without the parts that differ at each attempt, so that one cause
// has one text.
func steady(text string) string { return varying.ReplaceAllString(text, "") }
