package limits

import (
	"fmt"
	"strings"

	"github.com/archipelago-os/archipelago/units"
)

// setting is a setting of the kernel.
type setting struct {
	name  string
	value int
}

// sysctl is the commands that set settings of the kernel, now and at each boot.
func sysctl(name string, settings ...setting) string {
	lines := make([]string, 0, len(settings))
	for _, s := range settings {
		lines = append(lines, fmt.Sprintf(`%s = %d\n`, s.name, s.value))
	}
	return "printf '" + strings.Join(lines, "") + "' | sudo tee /etc/sysctl.d/50-archipelago-" + name + ".conf\nsudo sysctl --system"
}

// containersConf is the commands that write a file of containers.conf(5).
func containersConf(name, text string, scope units.Scope) string {
	dir, write := "~/.config/containers/containers.conf.d", "tee "
	if scope == units.System {
		dir, write = "/etc/containers/containers.conf.d", "sudo tee "
	}
	return strings.TrimSuffix(write, "tee ") + "mkdir -p " + dir + "\nprintf '" + text + "' | " + write + dir + "/50-archipelago-" + name + ".conf"
}

// lockGroup is how many locks Podman makes at a time.
const lockGroup = 32

func roundUp(n int) int { return (n + lockGroup - 1) / lockGroup * lockGroup }
