//go:build e2e

package package_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/test/host"
)

// This is what Debian runs of packaging/deb/tests, on a machine with only the package and
// the dependencies in tests/control.
func TestAutopkgtest(t *testing.T) {
	t.Parallel()
	m := host.Up(t, host.Images())
	_, busybox, _ := strings.Cut(strings.TrimSpace(run(t, "../host", "./host", "images", "busybox")), "\t")
	here := t.TempDir()
	run(t, here, "tar", "-xf", busybox, "--wildcards", "*bin/busybox")
	for source, destination := range map[string]string{
		only(t, dist(t), "*.deb"): "/root/archipelago.deb",
		strings.TrimSpace(run(t, here, "find", here, "-name", "busybox", "-type", "f")): "/usr/bin/busybox",
		"../../packaging/deb/tests": "/root/tests",
	} {
		if err := m.Push(source, destination); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Root("dpkg", "--install", "/root/archipelago.deb"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"offline", "app"} {
		out, err := m.Root("env", "AUTOPKGTEST_TMP=/tmp", "sh", "-ex", filepath.Join("/root/tests", name))
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
