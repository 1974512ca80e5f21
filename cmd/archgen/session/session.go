// Package session owns what one run of archgen works on: its environment, the manifests and the
// machine that its flags select, and how it prints diagnostics.
//
// It knows neither commands nor exit codes, and it changes nothing: cmd/archgen turns arguments into
// calls, and packages such as cmd/archgen/passes act.
package session

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/archipelago-os/archipelago/healthd/busclient"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// Session is one run of archgen.
type Session struct {
	Podman         podmancli.Runner
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// StabilizationTime is how long a started app has to stay up; zero is the default. Tests set a
	// shorter one.
	StabilizationTime time.Duration
	Source
}

// Source selects the manifests and the machine.
type Source struct {
	// Root is the directory of a system image, empty for this machine.
	Root  string
	Scope units.Scope
	// Version is the Podman version that is compiled for, empty for the installed one.
	Version string
	Grants  Need
}

// Need says which apps must have their grants.
type Need int

// The needs. Writing the units of a manifest that is not installed amounts to installing
// it, so grants are needed wherever the manifest is.
const (
	WhereInstalled Need = iota
	WhereverTheyLie
	Nowhere
)

// UsageError is a command line that can't be understood.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the error.
func (e UsageError) Unwrap() error { return e.Err }

// ErrReported ends a verb whose errors have been printed already.
var ErrReported = errors.New("diagnostics were printed")

// Interruptible is a context that SIGINT and SIGTERM cancel. While it is in force, these signals
// don't end a question to the operator.
func Interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// Connect opens the machine of the scope and connects to its systemd.
func (s *Session) Connect(ctx context.Context) (*machine.Machine, error) {
	return machine.Open(ctx, s.Machine())
}

// Local is the machine of the scope without its systemd.
func (s *Session) Local() (machine.Base, error) { return machine.Find(s.Machine()) }

// Machine is the options with which the machine of the scope is opened.
func (s *Session) Machine() machine.Options {
	return machine.Options{Scope: s.Scope, Getenv: s.Getenv, Podman: s.Podman, Record: installed.Record, Serving: busclient.Bus{Scope: s.Scope}.Serving, StabilizationTime: s.StabilizationTime}
}
