// Package doctor owns the checks of archgen doctor: what apps need of a machine, whether
// the machine has it, and the commands that fix a problem.
//
// It changes nothing on the machine and prints nothing. A check reads the machine through an
// Env and from files below its root. It never connects to systemd, and executes programs
// only through the Env, which ThisMachine makes.
package doctor

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/secret"
	"github.com/archipelago-os/archipelago/units/status"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// Env is the machine that is checked. Several checks use it at the same time.
type Env struct {
	Scope units.Scope
	// Root is / except in tests.
	Root   string
	Getenv func(string) string
	UID    int
	User   string
	// Storage is the directory in which Podman keeps images, Volumes and Networks those of its
	// volumes and of the files of its networks.
	Storage, Volumes, Networks string
	// Self is the path of this archgen.
	Self string

	// Podman executes Podman, Exec another program.
	Podman podmancli.Runner
	Exec   func(ctx context.Context, program string, args ...string) (Output, error)
	// LookPath finds a program in PATH.
	LookPath func(program string) (string, error)
	// Statfs describes the file system of a path.
	Statfs func(path string) (unix.Statfs_t, error)

	Manager  func() (Manager, error)
	Services func() (map[string]machine.Service, error)
	Apps     func() (Apps, error)
	Secrets  func() (Secrets, error)
	// Watches is the units that do not watch all files that they should.
	Watches func() ([]status.Watch, error)
	Limits  Limits
	// Findings compares the limits of the machine with what the apps need.
	Findings func() ([]limits.Finding, error)
}

// Output is what a program printed.
type Output struct{ Stdout, Stderr string }

// Manager is the part of a systemd manager that checks need.
type Manager interface {
	Units(ctx context.Context, names ...string) ([]systemd.Unit, error)
}

// Secrets is the part of the store of secrets that checks need.
type Secrets interface {
	// Rotation is the unfinished rotation, or nil.
	Rotation() (*secret.Rotation, error)
	// Sealing is why values can't be encrypted, or nil if they can.
	Sealing(ctx context.Context) error
	// Plain is the names of the secrets that are not encrypted.
	Plain() ([]string, error)
}

// Apps is the installed apps as they were compiled.
type Apps struct {
	Diags diag.List
	Want  units.Desired
	Paths paths.Paths
}

// check is one thing that apps need.
type check struct {
	name string
	// about is what is checked, for the message that it took too long.
	about string
	// rootless: the check is for a user's Podman only; rootful: for the system's only.
	rootless, rootful bool
	run               func(context.Context, *Env) Result
}

// Severity is how bad a result is.
type Severity string

// The severities.
const (
	OK      Severity = "ok"
	Warning Severity = "warning"
	Problem Severity = "problem"
)

// Result is the finding of a check, and the commands that fix it. The JSON names are a
// contract.
type Result struct {
	Name     string   `json:"name"`
	About    string   `json:"what"`
	Severity Severity `json:"verdict"`
	Detail   string   `json:"detail"`
	Fix      string   `json:"mend,omitempty"`
}

func fine(format string, args ...any) Result {
	return Result{Severity: OK, Detail: fmt.Sprintf(format, args...)}
}

func warn(fix, format string, args ...any) Result {
	return Result{Severity: Warning, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func problem(fix, format string, args ...any) Result {
	return Result{Severity: Problem, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

// timeout is how long one check may take.
const timeout = 10 * time.Second

// Run makes all checks of the scope at the same time.
func Run(ctx context.Context, e *Env) []Result { return run(ctx, checks, e, timeout) }

// run makes checks. It does not wait for one that hangs longer than the limit.
func run(ctx context.Context, list []check, e *Env, limit time.Duration) []Result {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var wg sync.WaitGroup
	list = slices.DeleteFunc(slices.Clone(list), func(c check) bool {
		return c.rootless && e.Scope == units.System || c.rootful && e.Scope == units.User
	})
	results := make([]Result, len(list))
	for i, c := range list {
		wg.Go(func() {
			end := make(chan Result, 1)
			go func() { end <- c.run(ctx, e) }()
			select {
			case results[i] = <-end:
			case <-ctx.Done():
				results[i] = problem("", "checking %s took longer than %v", c.about, limit)
			}
			results[i].Name, results[i].About = c.name, c.about
		})
	}
	wg.Wait()
	return results
}

// execute executes a program of the machine.
func execute(ctx context.Context, program string, args ...string) (Output, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	return Output{stdout.String(), stderr.String()}, err
}

// said is the output of a program. The error ends with the last line of its standard error.
func (e *Env) said(ctx context.Context, program string, args ...string) (string, error) {
	out, err := e.Exec(ctx, program, args...)
	if complaint := ui.OneLine(podmancli.LastLine(out.Stderr)); err != nil && complaint != "" {
		err = fmt.Errorf("%w: %s", err, complaint)
	}
	return strings.TrimSpace(out.Stdout), err
}

// uidText is the user's id as it is written in unit names and paths.
func (e *Env) uidText() string { return strconv.Itoa(e.UID) }
