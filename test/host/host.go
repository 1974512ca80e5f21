// Package host provides end-to-end tests with throwaway machines with systemd and rootless
// Podman. It owns the machines that it boots, and removes them when their test ends. It
// wraps the host script beside it. It never touches the systemd, the Podman or the home
// directory of the machine that runs the tests, and never uses a network.
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

// Machine is a booted machine. Only one test may use it at a time.
type Machine struct {
	// Name is the name of the machine for the host script.
	Name string

	tb   testing.TB
	down bool
}

// Option changes what Up boots.
type Option func(*[]string)

// Suite selects the Debian suite. The default is that of ARCHIPELAGO_HOST_SUITE, or trixie.
func Suite(name string) Option {
	return func(args *[]string) { *args = append(*args, "--suite", name) }
}

// Images selects the images in archy's store, which may be none. The default is all.
func Images(names ...string) Option {
	list := strings.Join(names, ",")
	if list == "" {
		list = "none"
	}
	return func(args *[]string) { *args = append(*args, "--images", list) }
}

// Include adds Debian packages to the base.
func Include(packages ...string) Option {
	return func(args *[]string) { *args = append(*args, "--include", strings.Join(packages, ",")) }
}

// Rootfs boots the tree below dir instead of a suite's base.
func Rootfs(dir string) Option {
	return func(args *[]string) { *args = append(*args, "--rootfs", dir) }
}

// Base builds a suite's base if necessary, and returns the root of its tree. Tests may copy
// the tree and must not change it.
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

// removeLeftovers removes the machines of killed test runs, which ran no cleanup. Their
// names contain the process ID of the run.
func removeLeftovers() {
	list, _ := script("list")
	for _, name := range ours.FindAllStringSubmatch(list, -1) {
		if _, err := os.Stat("/proc/" + name[1]); errors.Is(err, os.ErrNotExist) {
			_, _ = script("down", name[0])
		}
	}
}

// Up boots a clean machine and removes it when the test ends. If it fails it ends the test,
// with the machine's console if there is one. The first call on a computer builds the base,
// which takes minutes.
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

// User runs a command, given as an argument vector, as archy with its user bus and returns
// its standard output. The error includes its standard error and wraps *exec.ExitError.
func (m *Machine) User(args ...string) (string, error) {
	return script("user", append([]string{m.Name, "--"}, args...)...)
}

// Root is User for root.
func (m *Machine) Root(args ...string) (string, error) {
	return script("exec", append([]string{m.Name, "--"}, args...)...)
}

// Push copies a file or directory to the machine. archy owns a destination that is relative
// or below /home/archy. A destination that ends in / is a directory.
func (m *Machine) Push(source, destination string) error {
	_, err := script("push", m.Name, source, destination)
	return err
}

// Pull copies a file or directory from the machine.
func (m *Machine) Pull(source, destination string) error {
	_, err := script("pull", m.Name, source, destination)
	return err
}

// Reboot cuts the power and boots from the same disk, also after Poweroff. An error that
// wraps exit status 3 means that units failed on the booted machine.
func (m *Machine) Reboot() error {
	_, err := script("reboot", m.Name)
	return err
}

// Poweroff shuts down cleanly and keeps the disk.
func (m *Machine) Poweroff() error {
	_, err := script("poweroff", m.Name)
	return err
}

// Down kills the machine and removes its disk. Up registers it as a cleanup; a second call
// does nothing.
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

// script runs a verb of the host script, which is beside this file.
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
