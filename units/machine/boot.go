package machine

import (
	"os"
	"strings"
)

// Boot identifies the boot of the machine. It is empty if the kernel does not say it.
func Boot() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
