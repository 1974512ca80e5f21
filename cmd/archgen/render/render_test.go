package render

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/statedir"
)

const web = "app: {id: web, name: Web, version: 1.0.0, container: {image: localhost/web:1}}\n"

// output is where a user with one installed app renders to.
func output(t *testing.T) (o Output, stdout, stderr *bytes.Buffer) {
	t.Helper()
	home := t.TempDir()
	file := filepath.Join(home, ".config/archipelago/apps/web.yaml")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(web), 0o600)); err != nil {
		t.Fatal(err)
	}
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	return Output{Session: &session.Session{
		Stdout: stdout, Stderr: stderr, Source: session.Source{Scope: units.User, Version: "5.4"},
		Getenv: func(name string) string { return map[string]string{"HOME": home}[name] },
	}}, stdout, stderr
}

// TestRender: files are written for this machine or elsewhere, or printed. Only files of this machine
// have to be loaded.
func TestRender(t *testing.T) {
	t.Parallel()
	elsewhere, asJSON := filepath.Join(t.TempDir(), "units"), filepath.Join(t.TempDir(), "units")
	for what, c := range map[string]struct {
		to     Output
		stdout []string
		not    string
	}{
		"this machine":    {Output{}, []string{"2 written, 0 removed, 0 unchanged\n", "to load the files, run systemctl --user daemon-reload\n"}, "# ---"},
		"a directory":     {Output{Dir: elsewhere}, []string{elsewhere + ": 2 written"}, "daemon-reload"},
		"it, as JSON":     {Output{Dir: asJSON, AsJSON: true}, []string{`"directory": "` + asJSON + `"`, `"diagnostics": [`}, "daemon-reload"},
		"standard output": {Output{OnStdout: true}, []string{"# --- app@web.container ---\n"}, "written"},
		"it, in JSON":     {Output{OnStdout: true, AsJSON: true}, []string{`"name": "app@web.container"`}, "written"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			o, stdout, stderr := output(t)
			c.to.Session = o.Session
			if err := c.to.Render(nil); err != nil {
				t.Fatalf("%v\n%s", err, stderr)
			}
			for _, text := range c.stdout {
				if !strings.Contains(stdout.String(), text) {
					t.Errorf("no %q in\n%s", text, stdout)
				}
			}
			if strings.Contains(stdout.String(), c.not) {
				t.Errorf("%q in\n%s", c.not, stdout)
			}
		})
	}
}

// TestRenderRefuses: an image without a digest fails an image build, and a set without apps does not
// empty a directory of units.
func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	o, stdout, _ := output(t)
	o.OnlyImages = true
	if err := o.Render(nil); err == nil || !strings.Contains(err.Error(), "not pinned by digest") || stdout.String() != "localhost/web:1\n" {
		t.Errorf("%v, stdout %q", err, stdout)
	}
	o, _, stderr := output(t)
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("{{{"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Dir = filepath.Join(t.TempDir(), "units")
	if err := o.Render([]string{broken}); !errors.Is(err, session.ErrReported) || stderr.Len() == 0 {
		t.Errorf("%v, stderr %q", err, stderr)
	}
	if _, err := os.Stat(o.Dir); err == nil {
		t.Error("a manifest with errors made a directory of units")
	}
}

// TestRenderAgain: what the render before compiled is taken as it is, until a manifest changes. Files
// are compared all the same.
func TestRenderAgain(t *testing.T) {
	t.Parallel()
	o, stdout, _ := output(t)
	home := o.Getenv("HOME")
	o.Getenv = func(name string) string {
		return map[string]string{"HOME": home, "XDG_RUNTIME_DIR": filepath.Join(home, "run")}[name]
	}
	if err := os.MkdirAll(filepath.Join(home, "run/archipelago"), 0o700); err != nil {
		t.Fatal(err)
	}
	o.Dir = filepath.Join(t.TempDir(), "units")
	manifests := filepath.Join(home, ".config/archipelago/apps")
	kept := filepath.Join(home, "run/archipelago", string(statedir.ByRender))
	render := func(want string) {
		t.Helper()
		for session.Inputs(o.Compiler(), manifests) == "" {
			runtime.Gosched()
		}
		stdout.Reset()
		if err := o.Render([]string{manifests}); err != nil || !strings.Contains(stdout.String(), want) {
			t.Errorf("%v, %q", err, stdout)
		}
	}
	render("2 written, 0 removed, 0 unchanged")
	first, err := os.Stat(kept)
	if err != nil {
		t.Fatal(err)
	}
	render("2 files, nothing changed")
	if err := os.Remove(filepath.Join(o.Dir, "app@web.container")); err != nil {
		t.Fatal(err)
	}
	render("1 written, 0 removed, 1 unchanged")
	if second, err := os.Stat(kept); err != nil || !os.SameFile(first, second) {
		t.Errorf("compiled again: %v", err)
	}
	if err := os.WriteFile(filepath.Join(manifests, "web.yaml"), []byte(strings.Replace(web, "1.0.0", "1.0.1", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	render("2 written, 0 removed, 0 unchanged")
}
