// Command archgen compiles app manifests into Podman Quadlet files.
//
// It owns the command line: arguments, output and exit codes. It decides neither what a
// manifest means, nor what a unit contains, nor how a file is written: the packages that
// it calls do.
package main

import (
	"errors"
	"os"
	"runtime/debug"

	"github.com/archipelago-os/archipelago/healthd/journal"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/prestart"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"

	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
)

// The exit codes. Scripts rely on them.
const (
	exitDone       = 0
	exitFailed     = 1
	exitUsage      = 2
	exitPart       = 3
	exitDiffers    = 4
	exitLocked     = 5
	exitNotServing = 6
)

// gcPercent is GOGC: archgen ends before most of its memory could be used again. For 1,000
// manifests, collecting it at the usual 100 takes a third of the processor time.
const gcPercent = 400

func main() {
	debug.SetGCPercent(gcPercent)
	os.Exit(run())
}

func run() int {
	c := &cli{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, podman: podmancli.Exec}
	code := c.exitCode(c.root().Execute())
	if c.session(&source{}).IsRunBySystemd() {
		journal.AwaitReader(os.Stdout)
		journal.AwaitReader(os.Stderr)
	}
	return code
}

// usageError is a command line that can't be understood.
type usageError struct{ error }

// differs ends a verb that found something to do.
type differs struct{ error }

func (e differs) Unwrap() error { return e.error }

// errReported ends a command whose diagnostics have been printed already.
var errReported = session.ErrReported

// exitCode prints an error that is not printed yet, and chooses the exit code.
func (c *cli) exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	if !errors.Is(err, errReported) {
		c.say(err)
	}
	switch {
	case is[usageError](err), is[session.UsageError](err):
		return exitUsage
	case is[passes.PartError](err), is[lossy](err):
		return exitPart
	case is[differs](err):
		return exitDiffers
	case is[*durable.HeldError](err):
		return exitLocked
	case is[passes.NotServingError](err), is[*prestart.NotServingError](err):
		return exitNotServing
	}
	return exitFailed
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
