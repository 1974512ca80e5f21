package prestart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
)

// volume creates the directory of a volume.
func volume(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, dataDir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, dataDir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestIsNewVolume: a volume is new while it is empty and has no mark.
func TestIsNewVolume(t *testing.T) {
	owned := volume(t)
	if err := leaveVolume(owned); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir  string
		want bool
	}{
		"empty": {volume(t), true}, "cleared": {t.TempDir(), true}, "with data": {volume(t, "a"), false}, "empty and owned": {owned, false},
	} {
		if got, err := isNewVolume(c.dir); got != c.want || err != nil {
			t.Errorf("%s: new %v, %v; want %v", name, got, err, c.want)
		}
	}
}

// TestClearVolume: content is never removed.
func TestClearVolume(t *testing.T) {
	full, empty := volume(t, "a"), volume(t)
	if err := clearVolume(full); err == nil {
		t.Error("a volume that holds data was cleared")
	}
	if _, err := os.Stat(filepath.Join(full, dataDir, "a")); err != nil {
		t.Error(err)
	}
	for range 2 { // an interrupted run may have cleared it before
		if err := clearVolume(empty); err != nil {
			t.Error(err)
		}
	}
}

// TestPlaceVolume: placed files keep their permissions, a placed volume is no longer new,
// and a volume with data is not replaced.
func TestPlaceVolume(t *testing.T) {
	from, to, full := volume(t, "seed"), volume(t), volume(t, "data")
	if err := os.Symlink("/etc/shadow", filepath.Join(from, dataDir, "link")); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(from, dataDir, "program")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, 0o755|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if err := placeVolume(from, full, os.Getuid(), os.Getgid()); err == nil {
		t.Error("a volume that holds data was replaced")
	}
	if err := placeVolume(from, to, os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"seed": 0o600, "program": 0o755 | os.ModeSetgid} {
		info, err := os.Stat(filepath.Join(to, dataDir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	if isNew, err := isNewVolume(to); isNew || err != nil {
		t.Errorf("the placed volume is new: %v, %v", isNew, err)
	}
	if _, err := os.Stat(filepath.Join(full, dataDir, "data")); err != nil {
		t.Error(err)
	}
}

// ofUser is the recipe with the volume ui.data at /data, owned by the image's user.
func ofUser(isNamed bool) units.Prestart {
	return units.Prestart{Volumes: []units.NewVolumes{{
		Image: "docker.io/x:1", Podman: []string{"--userns=keep-id"}, IsNamed: isNamed,
		List: []units.NewVolume{{Name: "ui.data", Target: "/data", Labels: []string{"archipelago=ui"}}},
	}}}
}

// TestNewVolumes: the states of a volume before its part starts, and the result for each.
func TestNewVolumes(t *testing.T) {
	owner := fmt.Sprintf("--opt=o=uid=%d,gid=%d --label=archipelago=ui", os.Getuid(), os.Getgid())
	created := []string{
		"create docker.io/x:1", "init ui_step", "container inspect ui_step", "rm ui_step", "ps",
	}
	for name, c := range map[string]struct {
		before func(w *world)
		recipe units.Prestart
		// owner is the owner that the volume is created with, empty if it is not created.
		owner, files, stderr string
		calls                []string
	}{
		"it does not exist": {
			recipe: ofUser(false),
			owner:  owner, files: "seed",
			calls: append(slices.Clone(created), "unshare volume clear", "volume create ui.data", "unshare volume place "+fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), "volume rm ui.data_new"),
		},
		"it is empty": {
			before: func(w *world) { w.makeVolume("ui.data") },
			recipe: ofUser(false),
			owner:  owner, files: "seed",
			calls: append(slices.Clone(created), "unshare volume clear", "volume rm ui.data", "volume create ui.data", "unshare volume place "+fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), "volume rm ui.data_new"),
		},
		"it holds data": {
			before: func(w *world) { w.makeVolume("ui.data", "wallet") },
			recipe: ofUser(false),
			files:  "wallet",
			calls:  []string{"volume exists ui.data"},
		},
		"it holds data, and Podman has forgotten it": {
			before: func(w *world) { w.makeVolume("ui.data", "wallet"); w.podman.forgotten["ui.data"] = true },
			recipe: ofUser(false),
			owner:  owner, files: "wallet",
			calls: []string{"volume exists ui.data", "unshare stat", "volume create ui.data", "unshare volume reclaim"},
		},
		"it is empty, and Podman has forgotten it": {
			before: func(w *world) { w.makeVolume("ui.data"); w.podman.forgotten["ui.data"] = true },
			recipe: ofUser(false),
			owner:  owner, files: "seed",
			calls: append(slices.Clone(created), "unshare volume clear", "volume rm ui.data", "volume exists ui.data", "volume create ui.data", "unshare volume place "+fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), "volume rm ui.data_new"),
		},
		"it is empty, and a container uses it": {
			before: func(w *world) {
				w.makeVolume("ui.data")
				w.podman.containers["other"] = map[string]string{"ui.data": "/data"}
			},
			recipe: ofUser(false),
			stderr: "archgen: the volume ui.data is in use and keeps its owner\n",
			calls:  append(slices.Clone(created), "volume rm ui.data_new"),
		},
		"the image's user is root, who may change to another": {
			before: func(w *world) { w.makeVolume("ui.data"); w.podman.user = 0 },
			recipe: ofUser(false),
			calls:  append(slices.Clone(created[:4]), "unshare volume leave", "volume rm ui.data_new", "volume exists ui.data"),
		},
		"the image's user is root, and there is no volume yet": {
			before: func(w *world) { w.podman.user = 0 },
			recipe: ofUser(false),
			calls:  append(slices.Clone(created[:4]), "unshare volume leave", "volume rm ui.data_new"),
		},
		"an earlier start was interrupted": {
			before: func(w *world) {
				w.makeVolume("ui.data_new", "half")
				w.podman.containers["ui_step"] = map[string]string{"ui.data_new": "/data"}
			},
			recipe: ofUser(false),
			owner:  owner, files: "seed",
			calls: append([]string{"rm ui_step", "volume rm ui.data_new"}, append(slices.Clone(created), "unshare volume clear", "volume create ui.data", "unshare volume place "+fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), "volume rm ui.data_new")...),
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.recipe)
			w.podman.image = map[string][]string{"/data": {"seed"}}
			if c.before != nil {
				c.before(w)
			}
			if err := w.Configure(t.Context()); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.calls, w.podman.taken()); d != "" {
				t.Errorf("calls, -want +got:\n%s", d)
			}
			if got := w.podman.owners["ui.data"]; got != c.owner {
				t.Errorf("created with %q, want %q", got, c.owner)
			}
			if got := names(t, VolumeDir(w.Renderer.Volumes, "ui.data")); got != c.files {
				t.Errorf("it holds %q, want %q", got, c.files)
			}
			if w.stderr.String() != c.stderr {
				t.Errorf("stderr %q, want %q", &w.stderr, c.stderr)
			}
			w.isClean(t)
			if err := w.Configure(t.Context()); err != nil || c.owner != "" && len(w.podman.taken()) > 0 {
				t.Errorf("the next start: %v, podman %q", err, w.podman.calls)
			}
		})
	}
}

// isClean checks that nothing temporary is left of the work on volumes.
func (w *world) isClean(t *testing.T) {
	t.Helper()
	if _, isLeft := w.podman.containers["ui_step"]; isLeft {
		t.Error("the container of the step is left")
	}
	if _, err := os.Stat(filepath.Dir(VolumeDir(w.Renderer.Volumes, "ui.data_new"))); err == nil {
		t.Error("the staging volume is left")
	}
}

// TestNewVolumeOfANamedRoot: a user that the manifest names owns the volume, even root.
func TestNewVolumeOfANamedRoot(t *testing.T) {
	w := newWorld(t, ofUser(true))
	w.podman.user = 0
	err := w.Configure(t.Context())
	if got := w.podman.owners["ui.data"]; got != "--opt=o=uid=100000,gid=100000 --label=archipelago=ui" {
		t.Errorf("created with %q, %v", got, err)
	}
	if os.Getuid() != 0 && err == nil { // only root of a user namespace may give files away
		t.Error("the files were given away")
	}
}

// TestNewVolumesInterrupted: if archgen dies at any call, the next start finishes its work,
// and no data of an app is lost.
func TestNewVolumesInterrupted(t *testing.T) {
	const calls = 10 // of one start, see TestNewVolumes
	for isDone, moment := range map[bool]string{false: "before", true: "after"} {
		for n := 1; n <= calls; n++ {
			t.Run(fmt.Sprintf("%s call %d", moment, n), func(t *testing.T) {
				w := newWorld(t, ofUser(false))
				w.podman.image = map[string][]string{"/data": {"seed"}}
				w.makeVolume("ui.data")
				isDead := false
				w.podman.fail = func(_ string, done bool) error {
					if isDead = isDead || len(w.podman.calls) == n && done == isDone; isDead {
						return errors.New("signal: killed")
					}
					return nil
				}
				if err := w.Configure(t.Context()); err == nil {
					t.Error("it was not interrupted")
				}
				w.podman.fail = nil
				if err := w.Configure(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.podman.taken()
				if err := w.Configure(t.Context()); err != nil || len(w.podman.taken()) > 0 {
					t.Errorf("it is not done: %v", err)
				}
				if got := names(t, VolumeDir(w.Renderer.Volumes, "ui.data")); got != "seed" {
					t.Errorf("it holds %q", got)
				}
			})
		}
	}
}

// TestForgottenVolumes: Podman is asked about a volume once, and again after its database or the
// directory of the volume was replaced.
func TestForgottenVolumes(t *testing.T) {
	w := newWorld(t, ofUser(false))
	w.makeVolume("ui.data", "wallet")
	dir := filepath.Join(w.Renderer.Volumes, "ui.data")
	database := filepath.Join(w.Renderer.Storage, "db.sql")
	write := func() {
		t.Helper()
		if err := os.WriteFile(database+".new", nil, 0o600); err != nil { // while the old one has its inode
			t.Fatal(err)
		}
		if err := os.Rename(database+".new", database); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name   string
		change func()
		asks   bool
	}{
		{"at first", func() {}, true},
		{"nothing changed", func() {}, false},
		{"a database", write, true},
		{"nothing changed", func() {}, false},
		{"another database", write, true},
		{"the directory was away", func() {
			if err := errors.Join(os.Rename(dir, dir+".kept"), os.Rename(dir+".kept", dir)); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"the record is damaged", func() {
			if err := os.WriteFile(filepath.Join(w.Renderer.State, volumesDir, "ui.json"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"nothing changed", func() {}, false},
	} {
		step.change()
		if err := w.Configure(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string(nil)
		if step.asks {
			want = []string{"volume exists ui.data"}
		}
		if d := cmp.Diff(want, w.podman.taken()); d != "" {
			t.Errorf("%s: calls, -want +got:\n%s", step.name, d)
		}
	}
	w.podman.forgotten["ui.data"] = true
	write()
	w.podman.fail = func(command string, _ bool) error {
		if command == "unshare stat" {
			return exitStatus(125)
		}
		return nil
	}
	if got, want := message(w.Configure(t.Context())), "the volumes of app@ui: making Podman know the volume ui.data: podman unshare stat "; !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestMadeVolumes: Podman is not asked about a volume that it has just created for a pass, unless its database
// or the directory of the volume has changed since.
func TestMadeVolumes(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		change func(database, dir string) error
		asks   bool
	}{
		"nothing changed": {func(_, _ string) error { return nil }, false},
		"another database": {func(database, _ string) error {
			return errors.Join(os.WriteFile(database+".new", nil, 0o600), os.Rename(database+".new", database))
		}, true},
		"the directory was away": {func(_, dir string) (err error) {
			for before := identityOf(dir); err == nil && identityOf(dir) == before; { // the kernel's clock is coarse
				err = errors.Join(os.Rename(dir, dir+".kept"), os.Rename(dir+".kept", dir))
			}
			return err
		}, true},
	} {
		w := newWorld(t, ofUser(false))
		w.makeVolume("ui.data", "wallet")
		database := filepath.Join(w.Renderer.Storage, "db.sql")
		err := errors.Join(os.WriteFile(database, nil, 0o600), w.Renderer.RecordMade([]string{"ui.data"}),
			c.change(database, filepath.Join(w.Renderer.Volumes, "ui.data")), w.Configure(t.Context()))
		if asks := slices.Contains(w.podman.taken(), "volume exists ui.data"); err != nil || asks != c.asks {
			t.Errorf("%s: it asks: %v, %v", what, asks, err)
		}
	}
}

// TestNewVolumesFail: the error names the failed command, and nothing temporary is left.
func TestNewVolumesFail(t *testing.T) {
	for name, c := range map[string]struct {
		command, want string
		change        func(w *world)
	}{
		"no image": {
			command: "create docker.io/x:1",
			want:    "the volumes of app@ui: podman create docker.io/x:1: exit status 125",
		},
		"a broken image": {
			command: "init ui_step",
			want:    "the volumes of app@ui: podman init ui_step: exit status 125",
		},
		"no answer": {
			command: "container inspect ui_step",
			want:    "the volumes of app@ui: podman container inspect ui_step: exit status 125",
		},
		"an id outside of the namespace": {
			change: func(w *world) { w.podman.user = 70000 },
			want:   "the volumes of app@ui: ID 70000 is outside of the container's user namespace",
		},
		"who uses it is unknown": {
			command: "ps",
			want:    "the volumes of app@ui: giving the new volume ui.data to the container's user: podman ps: exit status 125",
		},
		"no space": {
			command: "volume create ui.data",
			want:    "the volumes of app@ui: giving the new volume ui.data to the container's user: podman volume create ui.data: exit status 125",
		},
		"the verb fails": {
			command: "unshare volume clear",
			want:    "the volumes of app@ui: giving the new volume ui.data to the container's user: exit status 125: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ofUser(false))
			w.podman.fail = func(command string, _ bool) error {
				if command == c.command {
					return exitStatus(125)
				}
				return nil
			}
			if c.change != nil {
				c.change(w)
			}
			if got := message(w.Configure(t.Context())); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			w.isClean(t)
		})
	}
}

// TestNewVolumesWait: another part of the app is changing the owner of the same volumes.
func TestNewVolumesWait(t *testing.T) {
	w := newWorld(t, ofUser(false))
	unlock, err := durable.LockFile(t.Context(), w.Renderer.Runtime, "volumes.lock", 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(10*time.Millisecond, func() { cancel(errors.New("terminated signal received")) })
	want := "the volumes of app@ui: waiting for " + filepath.Join(w.Renderer.Runtime, "volumes.lock") + ": terminated signal received"
	if got := message(w.Configure(ctx)); got != want || len(w.podman.calls) > 0 {
		t.Errorf("got  %s\nwant %s\npodman %q", got, want, w.podman.calls)
	}
	time.AfterFunc(10*time.Millisecond, unlock)
	if err := w.Configure(t.Context()); err != nil {
		t.Error(err)
	}
}
