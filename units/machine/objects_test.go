package machine

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// objectsOf is an app with a network, a volume, and a volume on a device.
func objectsOf(id string) units.App {
	return units.App{ID: id, Files: units.Set{
		{Name: "app@" + id + ".container", Content: []byte("[Container]\nNetwork=archipelago-private." + id + ".network\n")},
		{Name: "archipelago-private." + id + ".network", Content: []byte("[Network]\nNetworkName=private." + id + "\nOptions=isolate=strict\nInternal=true\nLabel=io.archipelago.app=" + id + "\n")},
		{Name: "archipelago-" + id + ".data.volume", Content: []byte("[Volume]\nVolumeName=" + id + ".data\nLabel=io.archipelago.app=" + id + "\n")},
		{Name: "archipelago-" + id + ".disk.volume", Content: []byte("[Volume]\nVolumeName=" + id + ".disk\nDevice=/dev/sdz\n")},
		{Name: "archipelago-" + id + ".odd.volume", Content: []byte("[Volume]\nVolumeName=" + id + ".odd\nLabel=\"a=b c\"\n")},
	}}
}

// creator is a machine whose Podman lists what its service is asked for.
func creator(t *testing.T) (m *Machine, asked *[]string) {
	t.Helper()
	dir := t.TempDir()
	asked = new([]string)
	run := func(ctx context.Context, call podmancli.Call) error {
		l, err := (&net.ListenConfig{}).Listen(ctx, "unix", strings.TrimPrefix(call.Args[len(call.Args)-1], "unix://"))
		if err != nil {
			return err
		}
		server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			*asked = append(*asked, string(body))
			var volume struct{ Name string }
			if strings.HasSuffix(r.URL.Path, "/volumes/create") && json.Unmarshal(body, &volume) == nil {
				_ = os.MkdirAll(filepath.Join(m.Volumes, volume.Name), 0o700)
			}
		})}
		context.AfterFunc(ctx, func() { _ = server.Close() })
		return server.Serve(l)
	}
	m = &Machine{Base: Base{
		Scope: units.User, Podman: run, Paths: paths.Paths{Runtime: filepath.Join(dir, "run")},
		Volumes: filepath.Join(dir, "volumes"), Networks: filepath.Join(dir, "networks"),
	}}
	for _, dir := range []string{m.Volumes, m.Networks, m.Paths.Runtime} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return m, asked
}

// TestCreate: one process creates the plain objects that do not exist. The unit of any other
// object creates it.
func TestCreate(t *testing.T) {
	t.Parallel()
	m, asked := creator(t)
	if err := os.Mkdir(filepath.Join(m.Volumes, "a.data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.Networks, "private.b.json"), []byte(`{"name":"private.b"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	m.create(t.Context(), []units.App{objectsOf("a"), objectsOf("b"), objectsOf("c")})
	network := func(id string) string {
		return `{"name":"private.` + id + `","driver":"bridge","dns_enabled":true,"internal":true,"options":{"isolate":"strict"},"labels":{"io.archipelago.app":"` + id + `"}}`
	}
	volume := func(id string) string {
		return `{"Name":"` + id + `.data","Labels":{"io.archipelago.app":"` + id + `"},"IgnoreIfExists":true}`
	}
	if d := cmp.Diff([]string{network("a"), volume("b"), network("c"), volume("c")}, *asked); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	made, err := os.ReadFile(filepath.Join(m.Paths.Runtime, "volumes.json")) // so no start asks Podman about them
	if text := string(made); err != nil || !strings.Contains(text, `"b.data":"`) || !strings.Contains(text, `"c.data":"`) || strings.Contains(text, `"a.data"`) {
		t.Errorf("recorded: %s, %v", made, err)
	}
}

func TestCreateIsLeftToUnits(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Machine) []units.App{
		"few objects": func(*Machine) []units.App { return []units.App{objectsOf("a")} },
		"a Podman that was never executed": func(m *Machine) []units.App {
			if err := os.Remove(m.Networks); err != nil {
				t.Error(err)
			}
			return []units.App{objectsOf("a"), objectsOf("b")}
		},
	} {
		m, asked := creator(t)
		m.create(t.Context(), change(m))
		if len(*asked) > 0 {
			t.Errorf("%s: the service was asked for %v", name, *asked)
		}
	}
}

// TestObjectKeys: create knows every key with which archgen renders an object that it creates.
func TestObjectKeys(t *testing.T) {
	t.Parallel()
	known := map[string][]string{
		".network": {"NetworkName", "ServiceName", "Options", "Internal", "Label"},
		".volume":  {"VolumeName", "ServiceName", "Label"},
	}
	seen := 0
	err := filepath.WalkDir("../../generator/testdata", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for file := range strings.SplitSeq("\n"+string(text), "\n-- ") {
			name, content, _ := strings.Cut(file, " --\n")
			f := units.File{Name: name, Content: []byte(content)}
			if !isPlainObject(f) {
				continue
			}
			seen++
			for _, key := range keysOfObject(content) {
				if !slices.Contains(known[filepath.Ext(name)], key) {
					t.Errorf("%s: %s has the key %s, which create ignores", path, name, key)
				}
			}
		}
		return err
	})
	if err != nil || seen == 0 {
		t.Errorf("%d objects: %v", seen, err)
	}
}

// keysOfObject is the keys in the section of a network or a volume.
func keysOfObject(content string) (keys []string) {
	_, section, _ := strings.Cut(content, "[Network]\n")
	if section == "" {
		_, section, _ = strings.Cut(content, "[Volume]\n")
	}
	section, _, _ = strings.Cut(section, "\n[")
	for line := range strings.Lines(section) {
		if key, _, ok := strings.Cut(line, "="); ok {
			keys = append(keys, key)
		}
	}
	return keys
}
