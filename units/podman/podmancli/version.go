package podmancli

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// versionTime is how long Podman may take to say its version.
const versionTime = 10 * time.Second

var isVersion = regexp.MustCompile(`^\d+\.\d+(\.|$)`).MatchString

// InstalledVersion is the version of the podman of PATH, empty where there is none. Podman's
// generator, which is what will read unit files, says it in an eighth of the time.
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

// answer is what a program prints, or empty.
func answer(program, arg string) string {
	ctx, cancel := context.WithTimeout(context.Background(), versionTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, arg).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
