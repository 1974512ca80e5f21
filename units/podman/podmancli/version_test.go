package podmancli

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestInstalledVersion: Podman's generator answers, or else Podman.
func TestInstalledVersion(t *testing.T) {
	const podman = "#!/bin/sh\necho podman version 5.4.2\n"
	for name, c := range map[string]struct {
		programs map[string]string
		want     string
	}{
		"no Podman":              {nil, ""},
		"Podman alone":           {map[string]string{"bin/podman": podman}, "5.4.2"},
		"a Podman that fails":    {map[string]string{"bin/podman": "#!/bin/sh\nexit 1\n"}, ""},
		"the generator":          {map[string]string{"bin/podman": podman, "libexec/podman/quadlet": "#!/bin/sh\necho 5.8.0\n"}, "5.8.0"},
		"the generator in lib":   {map[string]string{"bin/podman": podman, "lib/podman/quadlet": "#!/bin/sh\necho 5.8.0\n"}, "5.8.0"},
		"an unclear generator":   {map[string]string{"bin/podman": podman, "libexec/podman/quadlet": "#!/bin/sh\necho no idea\n"}, "5.4.2"},
		"a generator that fails": {map[string]string{"bin/podman": podman, "libexec/podman/quadlet": "#!/bin/sh\necho 5.8.0\nexit 1\n"}, "5.4.2"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("PATH", filepath.Join(dir, "bin"))
			for file, text := range c.programs {
				path := filepath.Join(dir, file)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
					t.Fatal(err)
				}
			}
			if got := InstalledVersion(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
