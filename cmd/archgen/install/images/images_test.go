package images

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/podman/podmantest"
)

func app(t *testing.T, text string) *manifests.Resolved {
	t.Helper()
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "web.yaml", Data: []byte(text)}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	set, diags := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return set.Apps[0]
}

// TestCheck: what an app has to have in its image, and what could not be found out.
func TestCheck(t *testing.T) {
	t.Parallel()
	const command = "app: {id: web, name: W, version: 1.0.0, container: {image: localhost/web:1, command: [/bin/web]}}"
	image := func(architecture string) string {
		return fmt.Sprintf(`[{"Architecture": %q, "Config": {"User": "web", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=b"]}}]`, architecture)
	}
	const there, inspect, look = "image exists", "image inspect -- localhost/web:1", "unshare "
	for what, c := range map[string]struct {
		answers       map[string]string
		finding, note string
		err           string
	}{
		"a program that is missing": {
			map[string]string{there: "", inspect: image(runtime.GOARCH), look: `{"Files": {"/bin/web": {"Missing": true}}}`}, "/bin/web", "", "",
		},
		"a program": {
			map[string]string{there: "", inspect: image(runtime.GOARCH), look: `{"Files": {"/bin/web": {"Mode": 493}}, "Passwd": "web:x:1:1\n", "Group": "web:x:1:\n"}`}, "", "", "",
		},
		"another processor": {
			map[string]string{there: "", inspect: image("m68k")}, "the image is built for m68k", "", "",
		},
		"files that can't be read": {
			map[string]string{there: "", inspect: image(runtime.GOARCH)}, "", "the files of the image were not compared: reading the files of the image localhost/web:1: ", "",
		},
		"no image":  {map[string]string{there: "", inspect: "[]"}, "", "", "podman image inspect localhost/web:1 returned no image"},
		"no answer": {map[string]string{there: ""}, "", "", "it failed"},
		"no Podman": {nil, "", "", "it failed"},
		"no JSON":   {map[string]string{there: "", inspect: "{"}, "", "", "decoding the JSON output"},
	} {
		podman := podmantest.Podman{Answers: c.answers}
		r := Reader{Podman: podman.Run, Scope: units.User}
		diags, notes, err := r.Check(t.Context(), app(t, command))
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", what, err)
		}
		if (len(diags) > 0) != (c.finding != "") || len(diags) > 0 && !strings.Contains(diags[0].Message, c.finding) {
			t.Errorf("%s: %v", what, diags)
		}
		if (len(notes) > 0) != (c.note != "") || len(notes) > 0 && !strings.HasPrefix(notes[0], c.note) {
			t.Errorf("%s: %q", what, notes)
		}
	}
}

// TestAbsentImage: an image that this machine lacks is named, and is asked for once.
func TestAbsentImage(t *testing.T) {
	t.Parallel()
	asked := 0
	r := Reader{Podman: func(ctx context.Context, _ podmancli.Call) error {
		asked++
		return exec.CommandContext(ctx, "false").Run() // as podman image exists says no
	}}
	two := app(t, "app: {id: web, name: W, version: 1.0.0, containers: {main: {image: localhost/web:1}, db: {image: localhost/web:1}}}")
	diags, notes, err := r.Check(t.Context(), two)
	const note = "the image localhost/web:1 is not on this machine and was not compared; pull it with podman pull"
	if d := cmp.Diff([]string{note, note}, notes); d != "" || len(diags) > 0 || err != nil || asked != 1 {
		t.Errorf("%v, %v, asked %d times, -want +got:\n%s", diags, err, asked, d)
	}
}

// TestLook: root looks into the image itself, and unmounts it afterwards.
func TestLook(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "web"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	podman := podmantest.Podman{Answers: map[string]string{
		"image exists": "", "image inspect": `[{"Architecture": "` + runtime.GOARCH + `"}]`, "image mount": root + "\n", "image unmount": "",
	}}
	r := Reader{Podman: podman.Run, Scope: units.System}
	diags, notes, err := r.Check(t.Context(), app(t, "app: {id: web, name: W, version: 1.0.0, container: {image: localhost/web:1, command: [/web]}}"))
	if len(diags) != 1 || !strings.Contains(diags[0].Message, "/web") || len(notes) > 0 || err != nil {
		t.Errorf("%v, %q, %v; want that it can't be executed", diags, notes, err)
	}
	if !slices.Contains(podman.Asked, "image unmount -- localhost/web:1") {
		t.Errorf("it is still mounted: %q", podman.Asked)
	}
	delete(podman.Answers, "image mount")
	if _, notes, err := r.Check(t.Context(), app(t, "app: {id: web, name: W, version: 1.0.0, container: {image: localhost/web:1}}")); len(notes) != 1 || err != nil {
		t.Errorf("%q, %v; want a note that it can't be mounted", notes, err)
	}
}

// TestCheckAll: a note names the app.
func TestCheckAll(t *testing.T) {
	t.Parallel()
	web := app(t, "app: {id: web, name: W, version: 1.0.0, container: {image: localhost/web:1}}")
	r := &Reader{Podman: func(ctx context.Context, _ podmancli.Call) error { return exec.CommandContext(ctx, "false").Run() }}
	diags, notes, err := r.CheckAll(t.Context(), []*manifests.Resolved{web, web})
	if len(diags) > 0 || err != nil || len(notes) != 2 || !strings.HasPrefix(notes[0], "web: the image localhost/web:1 is not on this machine") {
		t.Errorf("%v, %q, %v", diags, notes, err)
	}
}
