// Command healthd watches the apps of a user or of the system: it connects healthd.Run to
// the machine, and stops on a signal.
//
// It makes no decisions of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/units"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "healthd: %v\n", err)
		os.Exit(1)
	}
}

const usage = `Usage: healthd [--system]

healthd watches over the apps of this user (with --system, of the system). It is
started by systemd: systemctl --user enable --now archipelago-healthd.service
`

// options is the command line.
type options struct {
	*flag.FlagSet
	system, version bool
}

func newOptions(stderr io.Writer) *options {
	o := &options{FlagSet: flag.NewFlagSet("healthd", flag.ContinueOnError)}
	o.SetOutput(stderr)
	o.Usage = func() { fmt.Fprint(stderr, usage) }
	o.BoolVar(&o.system, "system", false, "")
	o.BoolVar(&o.version, "version", false, "")
	return o
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := newOptions(stderr)
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("healthd takes no arguments, but got %q", flags.Arg(0))
	case flags.version:
		_, err := fmt.Fprintln(stdout, "healthd "+compile.Version())
		return err
	}
	scope := units.User
	if flags.system {
		scope = units.System
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return watchApps(ctx, scope)
}
