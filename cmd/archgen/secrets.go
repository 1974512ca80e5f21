package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/container"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/secret"
)

// vault is the secrets of a scope: their values, and what Podman has of them.
type vault struct {
	secret.Store
	podman podmanSecrets
}

func (c *cli) vaultOf(scope units.Scope) (vault, error) {
	places, err := machine.PlacesOf(scope, c.getenv)
	return c.vaultAt(places, scope), err
}

func (c *cli) vaultAt(places machine.Places, scope units.Scope) vault {
	return vault{
		Store:  places.Secrets(scope),
		podman: c.podmanSecrets(scope),
	}
}

// provide gives an app's secrets their values before it is touched.
func (v vault) provide(ctx context.Context, app units.App) error {
	return v.Provide(ctx, v.podman, app.Secrets)
}

// podmanSecrets is what Podman keeps of secrets, for containers.
type podmanSecrets struct{ storage string }

func (c *cli) podmanSecrets(scope units.Scope) podmanSecrets {
	return podmanSecrets{container.Storage(scope, c.getenv)}
}

// Secret reads what the next container gets, without a process where Podman keeps
// it in files.
func (p podmanSecrets) Secret(name string) (string, error) {
	value, err := container.SecretValue(p.storage, name)
	switch {
	case err == nil:
		return value, nil
	case errors.Is(err, container.ErrNoSecret):
		return "", secret.ErrNone
	}
	// Podman writes its files in place: one that it is writing can't be understood.
	out, err := exec.Command("podman", "secret", "inspect", "--showsecret", "--format={{.SecretData}}", "--", name).Output() //nolint:noctx // the probe's own timeout can't reach here, and Podman answers from a file
	if err == nil {
		return strings.TrimSuffix(string(out), "\n"), nil
	}
	exists := exec.Command("podman", "secret", "exists", "--", name).Run() //nolint:noctx // as above
	if code, ok := errors.AsType[*exec.ExitError](exists); ok && code.ExitCode() == 1 {
		return "", secret.ErrNone
	}
	if failed, ok := errors.AsType[*exec.ExitError](err); ok && len(failed.Stderr) > 0 {
		err = fmt.Errorf("%w: %s", err, lastLine(string(failed.Stderr)))
	}
	return "", fmt.Errorf("podman secret inspect %s: %w", name, err)
}

// SetSecret gives Podman a value, on standard input: arguments can be seen by all.
func (p podmanSecrets) SetSecret(ctx context.Context, name, value string) error {
	cmd := exec.CommandContext(ctx, "podman", "secret", "create", "--replace", "--", name, "-")
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(value), &complaint
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("podman secret create %s: %w: %s", name, err, lastLine(complaint.String()))
	}
	return nil
}

// value reads the value of a secret from a file, or from standard input where that
// is "-". The newline at the end of a single line belongs to no value.
func (c *cli) value(name, file string) (string, error) {
	from := c.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("reading the value of %s: %w", name, err)
		}
		defer f.Close()
		from = f
	} else if terminal, ok := isTerminal(c.stdin); ok {
		fmt.Fprintf(c.stderr, "value of %s (it is not shown): ", name)
		defer fmt.Fprintln(c.stderr)
		restore, err := silence(terminal)
		if err != nil {
			return "", err
		}
		defer restore()
		from = &line{c.stdin}
	}
	text, err := io.ReadAll(io.LimitReader(from, secret.MaxValue+1))
	if err != nil {
		return "", fmt.Errorf("reading the value of %s: %w", name, err)
	}
	value := string(text)
	if strings.Count(value, "\n") == 1 {
		value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	}
	return value, secret.CheckValue(name, value)
}

// line ends with the first newline, which a person types once.
type line struct{ from io.Reader }

func (l *line) Read(into []byte) (int, error) {
	n, err := l.from.Read(into[:min(1, len(into))])
	if n > 0 && into[0] == '\n' {
		l.from = strings.NewReader("")
	}
	return n, err
}

func isTerminal(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return nil, false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return f, err == nil
}

// silence keeps a terminal from showing what is typed, until restore is called or
// the program is ended.
func silence(terminal *os.File) (restore func(), err error) {
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("asking how the terminal is set: %w", err)
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return nil, fmt.Errorf("keeping the terminal from showing what is typed: %w", err)
	}
	reset := func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, isSignal := <-ended; isSignal {
			reset()
			os.Exit(exitFailed)
		}
	}()
	return func() {
		signal.Stop(ended)
		close(ended)
		reset()
	}, nil
}
