package prestart

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman"
)

// writeImage writes the image docker.io/x:1 of one layer to Podman's storage.
func (w *world) writeImage(user string) {
	w.t.Helper()
	for file, text := range map[string]string{
		"overlay-images/images.json": `[{"id": "abc", "names": ["docker.io/x:1"], "layer": "one"}]`,
		"overlay-images/abc/=" + base64.StdEncoding.EncodeToString([]byte("sha256:abc")): fmt.Sprintf(`{"config": {"User": %q}}`, user),
		"overlay-layers/layers.json":  `[{"id": "one"}]`,
		"overlay/one/diff/etc/passwd": "app:x:1000:1000::/:\nother:x:1001:1001::/:\n",
		"overlay/one/diff/full/file":  "",
	} {
		path := filepath.Join(w.Renderer.Storage, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(w.Renderer.Storage, "overlay/one/diff/data"), 0o755); err != nil {
		w.t.Fatal(err)
	}
}

// makeDatabase makes a database that is younger than all that there was before, as far as the kernel
// tells: its clock for files has ticks of up to 10 ms.
func (w *world) makeDatabase() {
	w.t.Helper()
	for before := time.Now().Add(2 * time.Millisecond); ; runtime.Gosched() {
		file := filepath.Join(w.Renderer.Storage, "db.sql")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			w.t.Fatal(err)
		}
		if made, err := born(file); err != nil || made.After(before) {
			return
		}
		if err := os.Remove(file); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestLeftVolumes: the owner of a new volume is left to Podman if it takes the one that archgen would
// set. The user of this test is 1000 in containers.
func TestLeftVolumes(t *testing.T) {
	for name, c := range map[string]struct {
		image    string   // the image's user
		podman   []string // the arguments that create a container
		named    bool
		isShared bool
		target   string
		isLeft   bool
	}{
		"the image's user owns the directory":     {image: "app", target: "/data", isLeft: true},
		"the image's user, in numbers":            {image: "1000:1000", target: "/data", isLeft: true},
		"the image's user with another group":     {image: "1000:1001", target: "/data"},
		"another user of the image":               {image: "other", target: "/data"},
		"a user that the image does not know":     {image: "nobody", target: "/data"},
		"the manifest's user owns the directory":  {podman: []string{"--user=1000"}, named: true, target: "/data", isLeft: true},
		"the manifest's user is another":          {image: "app", podman: []string{"--user=1001"}, named: true, target: "/data"},
		"no directory":                            {image: "app", target: "/none", isLeft: true},
		"a directory with files":                  {image: "app", target: "/full"},
		"another container mounts it":             {image: "app", target: "/data", isShared: true},
		"root, who may change to another user":    {target: "/data", isLeft: true},
		"that root, and a shared volume":          {target: "/full", isShared: true, isLeft: true},
		"root by the manifest":                    {podman: []string{"--user=0"}, named: true, target: "/data"},
		"a user namespace of the container's own": {image: "app", podman: []string{"--userns=keep-id"}, target: "/data"},
	} {
		t.Run(name, func(t *testing.T) {
			recipe := ofUser(c.named)
			recipe.Volumes[0].Podman = c.podman
			recipe.Volumes[0].List[0].Target, recipe.Volumes[0].List[0].IsOwn = c.target, !c.isShared
			w := newWorld(t, recipe)
			w.writeImage(c.image)
			w.IDs = func() (uids, gids []podman.IDRange, err error) {
				return idsOf(os.Getuid()), idsOf(os.Getgid()), nil
			}
			if got := w.isLeft(recipe.Volumes[0], recipe.Volumes[0].List[0]); got != c.isLeft {
				t.Errorf("left: %v", got)
			}
		})
	}
}

// TestLeftVolumeStarts: a start with a volume that is left to Podman runs no Podman.
func TestLeftVolumeStarts(t *testing.T) {
	recipe := ofUser(false)
	recipe.Volumes[0].Podman, recipe.Volumes[0].List[0].IsOwn = nil, true
	w := newWorld(t, recipe)
	w.writeImage("0")
	before := time.Now().Add(-time.Second)
	w.makeVolume("ui.data")
	manager := &fakeSystemd{start: before, end: time.Now().Add(time.Second)}
	w.Systemd = manager.connect
	for range 2 {
		if err := w.Configure(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if calls := w.podman.taken(); len(calls) > 0 {
		t.Errorf("podman %q", calls)
	}
	if len(manager.asked) != 1 || manager.asked[0] != units.VolumeService("ui.data") || manager.closed != 1 {
		t.Errorf("systemd was asked for %q", manager.asked)
	}
}

// TestVolumeOfEarlierRun: Podman is asked about a directory that the last run of the volume's service
// did not make.
func TestVolumeOfEarlierRun(t *testing.T) {
	for name, run := range map[string]func() *fakeSystemd{
		"made before it": func() *fakeSystemd {
			return &fakeSystemd{start: time.Now().Add(time.Hour), end: time.Now().Add(2 * time.Hour)}
		},
		"made after it": func() *fakeSystemd {
			return &fakeSystemd{start: time.Now().Add(-2 * time.Hour), end: time.Now().Add(-time.Hour)}
		},
		"it did not run": func() *fakeSystemd { return &fakeSystemd{} },
		"the database is younger": func() *fakeSystemd {
			return &fakeSystemd{start: time.Now().Add(-time.Hour), end: time.Now().Add(time.Millisecond)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ofUser(false))
			w.makeVolume("ui.data", "wallet")
			w.Systemd = run().connect
			w.makeDatabase()
			if err := w.Configure(t.Context()); err != nil {
				t.Fatal(err)
			}
			if calls := w.podman.taken(); len(calls) != 1 || calls[0] != "volume exists ui.data" {
				t.Errorf("podman %q", calls)
			}
		})
	}
}

// idsOf maps 1000 in containers to an ID.
func idsOf(id int) []podman.IDRange {
	return []podman.IDRange{{Host: 100000, Size: 1000}, {Container: 1000, Host: id, Size: 1}}
}
