package podmancli

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// versionTime is the timeout for reading Podman's version.
const versionTime = 10 * time.Second

var isVersion = regexp.MustCompile(`^\d+\.\d+(\.|$)`).MatchString

// InstalledVersion returns the version of the podman in PATH, empty if there is none. It asks Podman's
// generator, which reads the unit files and answers in an eighth of the time, and then Podman.
func InstalledVersion() string {
	podman, err := exec.LookPath("podman")
	if err != nil {
		return ""
	}
	for _, dir := range []string{"libexec", "lib"} {
		if v := answer(filepath.Join(filepath.Dir(podman), "..", dir, "podman/quadlet"), "-version"); isVersion(v) {
			return v
		}
	}
	_, v, _ := strings.Cut(answer(podman, "--version"), "podman version ")
	return v
}

// answer returns the output of a program, empty if it fails.
func answer(program, arg string) string {
	ctx, cancel := context.WithTimeout(context.Background(), versionTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, arg).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
