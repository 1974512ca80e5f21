package imagecheck_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/imagecheck"
)

// resolved is an app whose container has these lines, from line 6 on.
func resolved(t *testing.T, container string, templates map[string]string) *manifests.Resolved {
	t.Helper()
	var text strings.Builder
	text.WriteString("app:\n  id: x\n  name: X\n  version: \"1\"\n  container:\n    image: localhost/x:1\n")
	for line := range strings.Lines(container) {
		text.WriteString("    " + line)
	}
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "x.yaml", Data: []byte(text.String())}})
	if diags.HasErrors() {
		t.Fatalf("%v\n%s", diags, text.String())
	}
	m.Templates = map[string]manifests.Source{}
	for name, data := range templates {
		m.Templates[name] = manifests.Source{Name: name, Data: []byte(data)}
	}
	set, diags := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return set.App("x")
}

var (
	program   = imagecheck.File{Mode: 0o755}
	missing   = imagecheck.File{Missing: true}
	directory = imagecheck.File{Directory: true, Mode: 0o755, UID: 999, GID: 999}
)

// everywhere is what is known of a program that is in one directory of PATH.
func everywhere(name, dir string, f imagecheck.File) map[string]imagecheck.File {
	files := map[string]imagecheck.File{}
	for _, d := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		files[d+"/"+name] = missing
	}
	if dir != "" {
		files[dir+"/"+name] = f
	}
	return files
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, container string
		templates       map[string]string
		facts           imagecheck.Facts
		want            []string
	}{
		{name: "nothing is known"},
		{
			name: "another processor", facts: imagecheck.Facts{Architecture: "arm64", Machine: "amd64", Volumes: []string{"/data"}},
			want: []string{"x.yaml:6:12: error: the image is built for arm64, and this machine is amd64 [image-architecture]"},
		},
		{name: "an older processor of the same kind", facts: imagecheck.Facts{Architecture: "386", Machine: "amd64"}},
		{
			name: "a port that is not exposed", container: "ports: [{name: ui, container: 3006}, {name: api, container: 80}]\n",
			facts: imagecheck.Facts{Ports: []imagecheck.Port{{Number: 80, Protocol: "tcp"}, {Number: 3006, Protocol: "udp"}}},
			want:  []string{"x.yaml:7:35: warning: the image does not expose port 3006/tcp, and nothing in the manifest configures it [image-port]"},
		},
		{name: "an image that exposes nothing", container: "ports: [{name: ui, container: 3006}]\n"},
		{
			name: "a range that has an exposed port", container: "ports: [{name: ui, container: 8000, count: 10}]\n",
			facts: imagecheck.Facts{Ports: []imagecheck.Port{{Number: 8005, Protocol: "tcp"}}},
		},
		{
			name: "a port that an argument sets", container: "ports: [{name: ui, container: 3006}]\ncommand: [--bind=0.0.0.0:3006]\n",
			facts: imagecheck.Facts{Ports: []imagecheck.Port{{Number: 80, Protocol: "tcp"}}},
		},
		{
			name: "a port that a variable sets", container: "ports: [{name: ui, container: 3006}]\nenv: {PORT: \"3006\"}\n",
			facts: imagecheck.Facts{Ports: []imagecheck.Port{{Number: 80, Protocol: "tcp"}}},
		},
		{
			name: "a port that a file sets", container: "ports: [{name: ui, container: 3006}]\nfiles: [{template: a.conf, target: /etc/a.conf}]\n",
			templates: map[string]string{"a.conf": "listen 3006;"},
			facts:     imagecheck.Facts{Ports: []imagecheck.Port{{Number: 80, Protocol: "tcp"}}},
		},
		{
			name: "a longer number is another port", container: "ports: [{name: ui, container: 3006}]\nenv: {PORT: \"13006\"}\n",
			facts: imagecheck.Facts{Ports: []imagecheck.Port{{Number: 80, Protocol: "tcp"}}},
			want:  []string{"x.yaml:7:35: warning: the image does not expose port 3006/tcp, and nothing in the manifest configures it [image-port]"},
		},
		{
			name: "a volume that nothing covers", container: "volumes: [{name: data, target: /data/sub}]\n", facts: imagecheck.Facts{Volumes: []string{"/data"}},
			want: []string{"x.yaml:6:12: error: the image has the volume /data, which nothing covers: what it holds is deleted at each stop [image-volume]"},
		},
		{
			name:      "volumes that something covers",
			container: "volumes: [{name: data, target: /a}, {disposable: true, target: /b}]\ntmpfs: [{target: /c}]\npodman_args: [\"--tmpfs=/d\"]\n",
			facts:     imagecheck.Facts{Volumes: []string{"/a/", "/b", "/c", "/d"}},
		},
		{name: "the image's volumes are turned off", container: "podman_args: [--image-volume=tmpfs]\n", facts: imagecheck.Facts{Volumes: []string{"/a"}}},
		{
			name: "no such user, no such group", container: "user: \"ap:staff\"\n",
			facts: imagecheck.Facts{Users: map[string]imagecheck.Account{"app": {UID: 1000, GID: 1000}}, Groups: map[string]int{"app": 1000}},
			want: []string{
				"x.yaml:7:11: error: the image has no user ap [image-user]",
				"x.yaml:7:11: error: the image has no group staff [image-user]",
			},
		},
		{
			name: "a user in numbers, of which the image knows nothing", container: "user: \"1000:1000\"\n",
			facts: imagecheck.Facts{Users: map[string]imagecheck.Account{"root": {}}, Groups: map[string]int{"root": 0}},
		},
		{
			name: "no shell for a probe", container: "health: {serving: {exec: [sh, -c, exit]}}\n", facts: imagecheck.Facts{Files: everywhere("sh", "", missing)},
			want: []string{"x.yaml:7:30: error: the program of the probe can't run: the image has no sh [image-program]"},
		},
		{name: "a shell for a probe", container: "health: {serving: {exec: [sh, -c, exit]}}\n", facts: imagecheck.Facts{Files: everywhere("sh", "/bin", program)}},
		{
			name: "an entrypoint that is missing", container: "entrypoint: [/app/run]\n", facts: imagecheck.Facts{Files: map[string]imagecheck.File{"/app/run": missing}},
			want: []string{"x.yaml:7:17: error: the program can't run: the image has no /app/run [image-program]"},
		},
		{
			name: "an entrypoint that is mounted", container: "entrypoint: [/app/run]\nfiles: [{template: run, target: /app/run}]\n", templates: map[string]string{"run": ""},
			facts: imagecheck.Facts{Files: map[string]imagecheck.File{"/app/run": missing}},
		},
		{
			name: "the image's entrypoint is no program", facts: imagecheck.Facts{Entrypoint: []string{"./run"}, WorkingDir: "/app", Files: map[string]imagecheck.File{"/app/run": {Mode: 0o644}}},
			want: []string{"x.yaml:6:12: error: its entrypoint can't run: the image has /app/run, which is not executable [image-program]"},
		},
		{
			name: "a command is an argument of the entrypoint", container: "command: [serve]\n",
			facts: imagecheck.Facts{Entrypoint: []string{"/run"}, Files: map[string]imagecheck.File{"/run": program}},
		},
		{
			name: "a command without an entrypoint", container: "command: [/serve]\n", facts: imagecheck.Facts{Files: map[string]imagecheck.File{"/serve": missing}},
			want: []string{"x.yaml:7:14: error: the program can't run: the image has no /serve [image-program]"},
		},
		{
			name: "PATH of the manifest", container: "entrypoint: [run]\nenv: {PATH: /opt}\n",
			facts: imagecheck.Facts{Env: map[string]string{"PATH": "/bin"}, Files: map[string]imagecheck.File{"/opt/run": program, "/bin/run": missing}},
		},
		{
			name: "a volume of another user belongs to ours", container: "user: \"1000:1000\"\nvolumes: [{name: data, target: /data}]\n",
			facts: imagecheck.Facts{Files: map[string]imagecheck.File{"/data": directory}},
		},
		{
			name: "root by the image, without rights over the directory", container: "volumes: [{name: data, target: /data}]\n",
			facts: imagecheck.Facts{Files: map[string]imagecheck.File{"/data": directory}},
			want:  []string{"x.yaml:7:36: warning: the image runs as root and its /data belongs to 999:999, so that root without capabilities can't write to it [image-owner]"},
		},
		{
			name: "root that changes its user", container: "capabilities: {add: [SETUID, SETGID]}\nvolumes: [{name: data, target: /data}]\n",
			facts: imagecheck.Facts{Files: map[string]imagecheck.File{"/data": directory}},
		},
		{
			name: "a directory that the program writes to", container: "user: \"1000:1000\"\n",
			facts: imagecheck.Facts{Writes: []string{"/app/logs"}, Files: map[string]imagecheck.File{"/app/logs": directory}},
			want:  []string{"x.yaml:7:11: error: the program writes to /app/logs, which belongs to 999:999 and not to the user 1000 [image-owner]"},
		},
		{
			name: "what the program writes is read-only", container: "user: \"999:999\"\nread_only: true\n",
			facts: imagecheck.Facts{Writes: []string{"/app/logs", "/tmp/x"}, Files: map[string]imagecheck.File{"/app/logs": directory}},
			want:  []string{"x.yaml:8:16: error: the program writes to /app/logs, which is read-only [image-owner]"},
		},
		{
			name: "what the program writes is mounted", container: "user: \"1000:1000\"\nread_only: true\ntmpfs: [{target: /app}]\n",
			facts: imagecheck.Facts{Writes: []string{"/app/logs"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			app := resolved(t, c.container, c.templates)
			diags := imagecheck.Check(app, &app.Parts[0], c.facts)
			got := make([]string, len(diags))
			for i, d := range diags {
				got[i] = d.String()
			}
			if d := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestPaths: what Check asks for is what Paths names.
func TestPaths(t *testing.T) {
	app := resolved(t, "entrypoint: [run]\nenv: {PATH: \"/opt:/bin\"}\nvolumes: [{name: data, target: /data}]\nhealth: {serving: {exec: [/bin/ok]}}\n", nil)
	got := imagecheck.Paths(app, &app.Parts[0], imagecheck.Facts{Writes: []string{"/logs"}})
	want := []string{"/bin/ok", "/bin/run", "/data", "/logs", "/opt/run"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestCatalog: no app of the catalog is blamed for what is not known of its images, nor
// for ports that its own configuration sets.
func TestCatalog(t *testing.T) {
	files, err := catalog.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		m, _ := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: f.Name, Data: f.Data}})
		set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
		for _, app := range set.Apps {
			for i := range app.Parts {
				ports := make([]imagecheck.Port, 0, len(app.Parts[i].Ports))
				for _, p := range app.Parts[i].Ports {
					ports = append(ports, imagecheck.Port{Number: p.Container, Protocol: p.Protocol})
				}
				for _, d := range imagecheck.Check(app, &app.Parts[i], imagecheck.Facts{Ports: ports}) {
					t.Errorf("%v", d)
				}
			}
		}
	}
}
