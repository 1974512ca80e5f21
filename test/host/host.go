// Package host gives end-to-end tests a throwaway machine with systemd and
// rootless podman. It owns the machines that it boots, and removes them when
// their test ends; it wraps the host script beside it. It never touches the
// systemd, the podman or the home of the machine that the tests run on, and
// never reaches a network.
package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Machine is a booted machine. It may be used by one test at a time.
type Machine struct {
	// Name is what the host script calls the machine.
	Name string

	tb   testing.TB
	down bool
}

// Option changes what Up boots.
type Option func(*[]string)

// Suite boots a Debian suite other than that of ARCHIPELAGO_HOST_SUITE or trixie.
func Suite(name string) Option {
	return func(args *[]string) { *args = append(*args, "--suite", name) }
}

// Images puts only the named images, or none, into archy's store instead of all.
func Images(names ...string) Option {
	list := strings.Join(names, ",")
	if list == "" {
		list = "none"
	}
	return func(args *[]string) { *args = append(*args, "--images", list) }
}

// Include has more Debian packages in the base.
func Include(packages ...string) Option {
	return func(args *[]string) { *args = append(*args, "--include", strings.Join(packages, ",")) }
}

// Rootfs boots the tree below dir instead of a suite's base.
func Rootfs(dir string) Option {
	return func(args *[]string) { *args = append(*args, "--rootfs", dir) }
}

// Base makes a suite's base, or finds it, and returns the root of its tree: to
// copy, never to change.
func Base(tb testing.TB) string {
	tb.Helper()
	base, err := script("build", "--images", "none")
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(base), "rootfs")
}

var (
	booted atomic.Int64
	reap   sync.Once
	ours   = regexp.MustCompile(`(?m)^t([0-9]+)-[0-9]+`)
)

// removeLeftovers takes away the machines of test runs that were killed, which
// ran no cleanup. Their names hold the pid of the run.
func removeLeftovers() {
	list, _ := script("list")
	for _, name := range ours.FindAllStringSubmatch(list, -1) {
		if _, err := os.Stat("/proc/" + name[1]); errors.Is(err, os.ErrNotExist) {
			_, _ = script("down", name[0])
		}
	}
}

// Up boots a clean machine and removes it when the test ends. It is fatal when
// it can't, with the console of the machine if there is one. The first call on a
// computer builds the base, which takes minutes.
func Up(tb testing.TB, options ...Option) *Machine {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Fatal("host: a test machine needs root: run these tests as root, or leave out -tags e2e")
	}
	machine := &Machine{Name: fmt.Sprintf("t%d-%d", os.Getpid(), booted.Add(1)), tb: tb}
	reap.Do(removeLeftovers)
	args := []string{"--name", machine.Name}
	for _, option := range options {
		option(&args)
	}
	tb.Cleanup(machine.Down)
	if _, err := script("up", args...); err != nil {
		console, _ := script("log", machine.Name)
		tb.Fatalf("%v\n%s", err, console)
	}
	return machine
}

// User runs a command, an argument vector, as archy with its user bus and
// returns what it wrote to stdout. The error has its stderr and wraps
// *exec.ExitError.
func (m *Machine) User(args ...string) (string, error) {
	return script("user", append([]string{m.Name, "--"}, args...)...)
}

// Root is User for root.
func (m *Machine) Root(args ...string) (string, error) {
	return script("exec", append([]string{m.Name, "--"}, args...)...)
}

// Push copies a file or folder into the machine. A destination that is relative
// or below /home/archy belongs to archy; one that ends in / is a folder.
func (m *Machine) Push(source, destination string) error {
	_, err := script("push", m.Name, source, destination)
	return err
}

// Pull copies a file or folder out of the machine.
func (m *Machine) Pull(source, destination string) error {
	_, err := script("pull", m.Name, source, destination)
	return err
}

// Reboot cuts the power and boots on the same disk, also after Poweroff. An
// error that wraps exit status 3 says that units failed on the booted machine.
func (m *Machine) Reboot() error {
	_, err := script("reboot", m.Name)
	return err
}

// Poweroff shuts down cleanly and keeps the disk.
func (m *Machine) Poweroff() error {
	_, err := script("poweroff", m.Name)
	return err
}

// Down kills the machine and removes its disk. Up has registered it already;
// a second call does nothing.
func (m *Machine) Down() {
	m.tb.Helper()
	if m.down {
		return
	}
	m.down = true
	if _, err := script("down", m.Name); err != nil {
		m.tb.Error(err)
	}
}

// script runs a verb of the host script, which lies beside this file.
func script(verb string, args ...string) (string, error) {
	_, self, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(self) {
		return "", errors.New("host: built with -trimpath, which hides where the host script is")
	}
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(context.Background(), filepath.Join(filepath.Dir(self), "host"), append([]string{verb}, args...)...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("host %s %s: %w\n%s",
			verb, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
