// Package podmancli owns the execution of Podman: how a command is started and
// ended, and how what it printed last becomes an error. Every other package that
// needs Podman to do something goes through a Runner.
//
// It never decides what Podman has to do, and reads none of Podman's files;
// units/podman does.
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
	// Grace is how long Podman may take to end after its context did. A command that is
	// cancelled removes its container first.
	Grace = RemoveTime + 2*time.Second
	// RemoveTime is how long Podman may take to remove what an interrupted command leaves.
	RemoveTime = 7 * time.Second
)

// Call is one execution of Podman.
type Call struct {
	Args []string
	// Stdin, Stdout and Stderr are those of the process. Without Stderr the error has
	// the last line of it.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Cancel is called when the context ends, before Podman gets a SIGTERM. Podman
	// passes a signal on to the program in its container, which may ignore it.
	Cancel func() error
}

// Runner executes Podman. Exec is the one that does; tests have others.
type Runner func(ctx context.Context, call Call) error

// Error is an execution that failed.
type Error struct {
	Args []string
	// Err is how the process ended, mostly an *exec.ExitError.
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

// words is the arguments without flags: the command and what it is about.
func words(args []string) []string {
	list := make([]string, 0, len(args))
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			list = append(list, a)
		}
	}
	return list
}

// Exec executes the podman of PATH.
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

// Output is what Podman prints.
func (run Runner) Output(ctx context.Context, args ...string) ([]byte, error) {
	var out bytes.Buffer
	err := run(ctx, Call{Args: args, Stdout: &out})
	return out.Bytes(), err
}

// Lines is the words that Podman prints, where none of them has a space: names and ids.
func (run Runner) Lines(ctx context.Context, args ...string) ([]string, error) {
	out, err := run.Output(ctx, args...)
	return strings.Fields(string(out)), err
}

// JSON reads what Podman prints.
func (run Runner) JSON(ctx context.Context, into any, args ...string) error {
	out, err := run.Output(ctx, args...)
	if err != nil || len(out) == 0 {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("reading what podman %s printed as JSON: %w", strings.Join(words(args), " "), err)
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

// PullMissing pulls an image unless Podman has it, and calls pulling before it does. The
// image of a build has no name, and needs no pull.
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

// LastLine is the last line of a text that is not empty.
func LastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// varying is the time of a try, and the port from which it was made.
var varying = regexp.MustCompile(`current time \S+ is |\S+:\d+->`)

// steady is what Podman prints without what differs at each try, so that one cause is
// one text.
func steady(text string) string { return varying.ReplaceAllString(text, "") }
