package strict_test

import (
	"slices"
	"testing"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/strict"
)

// app is a manifest about which there is nothing to say but what is added to the
// app and to its container.
func app(ofApp, ofContainer string) string {
	return "app: {id: x, name: X, version: 1.0.0, " + ofApp + " container: {" + ofContainer +
		" image: 'docker.io/library/x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', health: {serving: {exec: [a]}}}}"
}

func built(context string) string {
	return "app: {id: x, name: X, version: 1.0.0, container: {build: {context: '" + context + "'}, health: {serving: {exec: [a]}}}}"
}

// A path of the host wants a second look in whichever key it is, and so does a
// parent of what belongs to the system; what a normal app needs does not.
func TestRightsThatWantASecondLook(t *testing.T) {
	t.Parallel()
	const volume = "volumes: [{name: data, target: /data}],"
	privilege, raw := []diag.Code{diag.Privilege}, []diag.Code{diag.RawArguments}
	for name, tt := range map[string]struct {
		manifest string
		want     []diag.Code
	}{
		"nothing":              {app("", ""), nil},
		"path":                 {app("", "volumes: [{path: /srv/media, target: /m}],"), privilege},
		"path, read-only":      {app("", "volumes: [{path: /srv/media, target: /m, read_only: true}],"), privilege},
		"parent of the engine": {app("", "volumes: [{path: /var, target: /m}],"), privilege},
		"existing":             {app("volumes: {data: {existing: /srv/x}},", volume), privilege},
		"existing of another":  {app("volumes: {data: {existing: wallet.data}},", volume), privilege},
		"device of a volume":   {app("volumes: {data: {device: /home/archy, type: none, options: bind}},", volume), privilege},
		"device":               {app("", "devices: [/dev/mem],"), privilege},
		"env_files":            {app("", "env_files: [/home/archy/.aws/credentials],"), privilege},
		"seccomp file":         {app("", "security: {seccomp: /srv/all.json},"), privilege},
		"build context":        {built("../../.."), privilege},
		"build beside":         {built("x.build"), nil},
		"capability":           {app("", "capabilities: {add: [SYS_MODULE]},"), privilege},
		"default capability":   {app("", "capabilities: {add: [CHOWN]},"), nil},
		"new privileges":       {app("", "security: {allow_new_privileges: true},"), privilege},
		"SELinux type":         {app("", "security: {label_type: spc_t},"), privilege},
		"argument":             {app("", "podman_args: [--pid=host],"), raw},
		"directive":            {app("", "unit: {Unit: {Before: [app@node.service]}},"), raw},
		"listening":            {app("", "ports: ['0.0.0.0:8333:8333'],"), nil},
		"companion, onion":     {app("companions: [y], onion: [{port: web}],", "ports: [{name: web, host: 80, container: 80}],"), nil},
	} {
		m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "x.yaml", Data: []byte(tt.manifest)}, Dir: "/srv/apps"})
		if diags.HasErrors() {
			t.Fatalf("%s: %v", name, diags)
		}
		set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
		var got []diag.Code
		for _, d := range strict.Check(set.Apps[0]) {
			got = append(got, d.Code)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// All that is found is an error, also what was found before.
func TestCheckAll(t *testing.T) {
	t.Parallel()
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "x.yaml", Data: []byte(app("", "privileged: true,"))}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
	found := strict.CheckAll(set, diag.List{{Severity: diag.Warning, Code: diag.ImagePort}})
	if errors, warnings := found.Count(); errors < 2 || warnings > 0 {
		t.Errorf("%d errors and %d warnings: %v", errors, warnings, found)
	}
}
