// Command archgen compiles app manifests into Podman Quadlet files.
//
// It owns the command line: finding manifests, printing, exit codes. What a
// manifest means, what a unit holds and how a file is written is decided in the
// packages that it calls.
package main

import (
	"errors"
	"fmt"
	"os"
)

// The exit codes. Scripts rely on them.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run()) }

func run() int {
	c := &cli{stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
	return c.exitCode(c.root().Execute())
}

// usageError is a command line that can't be understood.
type usageError struct{ error }

// errReported ends a command whose diagnostics have been printed already.
var errReported = errors.New("diagnostics were printed")

// exitCode prints what has not been said yet and chooses the exit code.
func (c *cli) exitCode(err error) int {
	usage := usageError{}
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errReported):
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintf(c.stderr, "archgen: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(c.stderr, "archgen: %v\n", err)
	return exitFailed
}
