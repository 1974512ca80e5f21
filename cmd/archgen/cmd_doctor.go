package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/systemd"

	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

func (c *cli) doctorCommand() *cobra.Command {
	var from source
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps apps from running well",
		Long: `doctor looks at the machine for what apps need: Podman and its generator, the
user's systemd, ids and limits, ports, the manifests and unit files. For each
thing that is not right it prints the command that mends it.

Nothing is changed, and no check takes longer than ten seconds.

Exit status: 0 there is no problem, though maybe a warning; 1 there is one.`,
		Example: `  archgen doctor
  archgen doctor --json > doctor.json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error { return c.doctor(&from, asJSON) },
	}
	scopeFlags(cmd, &from)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// checkup is one thing that apps need.
type checkup struct {
	name string
	// what is looked at, for a person who reads that it took too long.
	what string
	// rootless: it matters to a user's Podman only; rootful: to the system's.
	rootless, rootful bool
	look              func(context.Context, *patient) finding
}

// grade is how a check came out.
type grade string

const (
	isOK      grade = "ok"
	isWarning grade = "warning"
	isProblem grade = "problem"
)

// finding is what a check found, and the commands that mend it.
type finding struct {
	Verdict grade  `json:"verdict"`
	Detail  string `json:"detail"`
	Mend    string `json:"mend,omitempty"`
}

// diagnosis is a finding with the name of its check.
type diagnosis struct {
	Name string `json:"name"`
	What string `json:"what"`
	finding
}

func fine(format string, args ...any) finding {
	return finding{Verdict: isOK, Detail: fmt.Sprintf(format, args...)}
}

func warn(mend, format string, args ...any) finding {
	return finding{Verdict: isWarning, Detail: fmt.Sprintf(format, args...), Mend: mend}
}

func problem(mend, format string, args ...any) finding {
	return finding{Verdict: isProblem, Detail: fmt.Sprintf(format, args...), Mend: mend}
}

// checkTime is how long one check may take.
const checkTime = 10 * time.Second

func (c *cli) doctor(from *source, asJSON bool) error {
	ctx, stop := interruptible()
	defer stop()
	found := examine(ctx, checks, c.patient(ctx, from), checkTime)
	if asJSON {
		err := c.printJSON(struct {
			Checks []diagnosis `json:"checks"`
		}{found})
		if err != nil {
			return err
		}
	} else {
		c.printDiagnoses(found)
	}
	if slices.ContainsFunc(found, func(d diagnosis) bool { return d.Verdict == isProblem }) {
		return errReported
	}
	return nil
}

// examine makes all checks at the same time. One that hangs is left behind.
func examine(ctx context.Context, list []checkup, p *patient, limit time.Duration) []diagnosis {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var wg sync.WaitGroup
	list = slices.DeleteFunc(slices.Clone(list), func(k checkup) bool {
		return k.rootless && p.scope == units.System || k.rootful && p.scope == units.User
	})
	found := make([]diagnosis, len(list))
	for i, k := range list {
		d := &found[i]
		d.Name, d.What = k.name, k.what
		wg.Go(func() {
			end := make(chan finding, 1)
			go func() { end <- k.look(ctx, p) }()
			select {
			case d.finding = <-end:
			case <-ctx.Done():
				d.finding = problem("", "no answer about %s within %v", d.What, limit)
			}
		})
	}
	wg.Wait()
	return found
}

func (c *cli) printDiagnoses(found []diagnosis) {
	colors := map[grade]ui.Color{isOK: ui.Green, isWarning: ui.Yellow, isProblem: ui.Red}
	style := ui.StyleOf(c.stdout, c.getenv)
	width := 0
	for _, d := range found {
		width = max(width, len(d.Name))
	}
	for _, d := range found {
		word := style.Paint(colors[d.Verdict], fmt.Sprintf("%-7s", d.Verdict))
		fmt.Fprintf(c.stdout, "%s  %-*s  %s\n", word, width, d.Name, d.Detail)
		for line := range strings.Lines(d.Mend) {
			fmt.Fprintf(c.stdout, "         %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
}

// patient is the machine that is looked at. What several checks need is looked
// at once, when the first asks for it.
type patient struct {
	podman podmancli.Runner
	scope  units.Scope
	// root is / but in tests.
	root     string
	getenv   func(string) string
	uid      int
	user     string
	storage  string
	manager  func() (*systemd.Manager, error)
	services func() (map[string]machine.Service, error)
	apps     func() (appFiles, error)
}

// appFiles is the installed apps, and where their unit files are.
type appFiles struct {
	compiled *compile.Compiled
	want     units.Desired
	places   paths.Paths
	history  units.History
}

func (c *cli) patient(ctx context.Context, from *source) *patient {
	p := &patient{podman: c.podman, scope: from.scope(), root: "/", getenv: c.getenv, uid: os.Getuid(), user: c.getenv("USER"), storage: paths.Storage(from.scope(), c.getenv)}
	if who, err := user.Current(); err == nil {
		p.user = who.Username
	}
	p.manager = sync.OnceValues(func() (*systemd.Manager, error) {
		return systemd.Connect(ctx, systemd.Options{Scope: p.scope})
	})
	p.services = sync.OnceValues(func() (map[string]machine.Service, error) {
		manager, err := p.manager()
		if err != nil {
			return nil, err
		}
		return machine.Services{Manager: manager, Scope: p.scope}.All(ctx, nil)
	})
	p.apps = sync.OnceValues(func() (a appFiles, err error) {
		if a.compiled, a.want, err = c.installed(from); err != nil {
			return a, err
		}
		a.places, err = paths.Of(p.scope, c.getenv)
		return a, err
	})
	return p
}

// said is what a program prints. The error has what it complained about.
func said(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		err = fmt.Errorf("%w: %s", err, ui.OneLine(podmancli.LastLine(string(exit.Stderr))))
	}
	return strings.TrimSpace(string(out)), err
}

// uidText is the user's number as unit names and paths have it.
func (p *patient) uidText() string { return strconv.Itoa(p.uid) }
