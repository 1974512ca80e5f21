// Package bustest is a message bus for tests: a dbus-daemon for one test only.
//
// It owns the process of the daemon, and connects no client to the bus.
package bustest

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Daemon is a dbus-daemon.
type Daemon struct {
	// Address is the address of the bus.
	Address string

	tb     testing.TB
	config string
	stop   func()
}

// New starts a daemon, which runs until the test ends.
func New(tb testing.TB) *Daemon {
	tb.Helper()
	dir := tb.TempDir()
	d := &Daemon{tb: tb, Address: "unix:path=" + filepath.Join(dir, "bus"), config: filepath.Join(dir, "bus.conf")}
	err := os.WriteFile(d.config, []byte(`<busconfig>
  <type>session</type>
  <listen>`+d.Address+`</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`), 0o644)
	if err != nil {
		tb.Fatal(err)
	}
	d.Start()
	tb.Cleanup(d.Stop)
	return d
}

// Start starts a daemon that was stopped.
func (d *Daemon) Start() {
	d.tb.Helper()
	ctx, kill := context.WithCancel(d.tb.Context())
	cmd := exec.CommandContext(ctx, "dbus-daemon", "--config-file="+d.config, "--nofork", "--print-address")
	out, err := cmd.StdoutPipe()
	if err != nil {
		d.tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.tb.Fatalf("%v: test/setup installs it", err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		d.tb.Fatalf("dbus-daemon does not listen: %v", err)
	}
	d.stop = func() { kill(); _ = cmd.Wait() }
}

// Stop ends the daemon, and with it all connections.
func (d *Daemon) Stop() { d.stop() }
