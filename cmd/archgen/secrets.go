package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/secret"
)

// vault is the secrets of a scope: their values, and what Podman has of them.
type vault struct {
	secret.Store
	podman podmancli.Secrets
}

func (c *cli) vaultOf(scope units.Scope) (vault, error) {
	places, err := paths.Of(scope, c.getenv)
	return c.vaultAt(places, scope), err
}

func (c *cli) vaultAt(places paths.Paths, scope units.Scope) vault {
	return vault{
		Store:  machine.Secrets(places, scope),
		podman: c.podmanSecrets(scope),
	}
}

// provide gives an app's secrets their values before it is touched.
func (v vault) provide(ctx context.Context, app units.App) error {
	return v.Provide(ctx, v.podman, app.Secrets)
}

// podmanSecrets is what Podman keeps of secrets in a scope.
func (c *cli) podmanSecrets(scope units.Scope) podmancli.Secrets {
	return podmancli.Secrets{Storage: paths.Storage(scope, c.getenv), Podman: c.podman}
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
