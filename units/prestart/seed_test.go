package prestart

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman"
)

// binary is content that is no text.
const binary = "\x00\xff\xfe\n"

// seeded is ofUser with a seed: a file that the image has too, a program, and a database.
func seeded() units.Prestart {
	r := ofUser(false)
	r.Seeds = []units.Seed{
		{Volume: "other.data", Path: "stranger", Mode: 0o644},
		{Volume: "ui.data", Path: "app.conf", Mode: 0o644, Content: []byte("of the manifest")},
		{Volume: "ui.data", Path: "bin/run", Mode: 0o755, Content: []byte("#!/bin/sh\n")},
		{Volume: "ui.data", Path: "db/app.db", Mode: 0o644, Content: []byte(binary)},
	}
	return r
}

// newSeeded is a machine whose image has two files at the mount point of the volume.
func newSeeded(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, seeded())
	w.podman.image = map[string][]string{"/data": {"app.conf", "image.conf"}}
	return w
}

// planted is the content of a new volume with the seed.
var planted = map[string]string{
	"app.conf": "of the manifest", "image.conf": "of the image", "bin/run": "#!/bin/sh\n", "db/app.db": binary,
}

// TestSeed: a new volume gets its seed over the content of the image, once.
func TestSeed(t *testing.T) {
	owner := fmt.Sprintf("--opt=o=uid=%d,gid=%d --label=archipelago=ui", os.Getuid(), os.Getgid())
	for name, c := range map[string]struct {
		before func(w *world)
		owner  string
		want   map[string]string
	}{
		"it does not exist":        {func(*world) {}, owner, planted},
		"it is empty":              {func(w *world) { w.makeVolume("ui.data") }, owner, planted},
		"the image's user is root": {func(w *world) { w.podman.user = 0 }, owner, planted},
		"an earlier start was cut": {func(w *world) { w.makeVolume("ui.data_new", "half") }, owner, planted},
		"it holds data":            {func(w *world) { w.makeVolume("ui.data", "wallet") }, "", map[string]string{"wallet": "of the app"}},
		"the app has deleted it all": {
			func(w *world) {
				w.makeVolume("ui.data")
				if err := leaveVolume(filepath.Join(w.Renderer.Volumes, "ui.data")); err != nil {
					t.Fatal(err)
				}
			}, "", map[string]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSeeded(t)
			c.before(w)
			if err := w.Configure(t.Context()); err != nil {
				t.Fatal(err)
			}
			data := VolumeDir(w.Renderer.Volumes, "ui.data")
			if d := cmp.Diff(c.want, content(t, data)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if got := w.podman.owners["ui.data"]; got != c.owner {
				t.Errorf("created with %q, want %q", got, c.owner)
			}
			w.isClean(t)
			w.changes(t, data)
		})
	}
}

// changes checks that the next start keeps what the app does to its volume.
func (w *world) changes(t *testing.T, data string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(data, "app.conf"), []byte("of the app"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.RemoveAll(filepath.Join(data, "db"))
	want := content(t, data)
	w.Recipe.Seeds = append(w.Recipe.Seeds, units.Seed{Volume: "ui.data", Path: "new.conf", Mode: 0o644})
	if err := w.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, content(t, data)); d != "" {
		t.Errorf("the next start, -want +got:\n%s", d)
	}
}

// TestSeedInterrupted: if archgen dies at any call, the volume is as new, or has all of its seed;
// the next start finishes the work.
func TestSeedInterrupted(t *testing.T) {
	for user, calls := range map[int]int{1000: 11, 0: 12} { // of one start
		for isDone, moment := range map[bool]string{false: "before", true: "after"} {
			for n := 1; n <= calls; n++ {
				t.Run(fmt.Sprintf("user %d, %s call %d", user, moment, n), func(t *testing.T) {
					w := newSeeded(t)
					w.podman.user = user
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
					data := VolumeDir(w.Renderer.Volumes, "ui.data")
					if got := content(t, data); len(got) > 0 && cmp.Diff(planted, got) != "" {
						t.Errorf("it has a part of its content: %v", got)
					}
					w.podman.fail = nil
					if err := w.Configure(t.Context()); err != nil {
						t.Fatal(err)
					}
					w.podman.taken()
					if err := w.Configure(t.Context()); err != nil || len(w.podman.taken()) > 0 {
						t.Errorf("it is not done: %v", err)
					}
					if d := cmp.Diff(planted, content(t, data)); d != "" {
						t.Errorf("-want +got:\n%s", d)
					}
				})
			}
		}
	}
}

// TestSeedFails: the start fails, and the volume is as new as before.
func TestSeedFails(t *testing.T) {
	for name, c := range map[string]struct {
		before func(w *world)
		want   string
	}{
		"a container uses the empty volume": {
			func(w *world) { w.podman.containers["other"] = map[string]string{"ui.data": "/data"} },
			"it is empty and a container uses it, so it can't get its initial content: remove that container, see podman ps --all --filter volume=ui.data",
		},
		"the image has a file in place of a directory": {
			func(w *world) { w.podman.image["/data"] = []string{"bin"} },
			"exit status 1: writing bin/run of the seed: removeat bin/run: not a directory",
		},
		"there is no space": {
			func(w *world) {
				w.podman.fail = func(command string, _ bool) error {
					if command == "unshare volume seed" {
						return exitStatus(1)
					}
					return nil
				}
			},
			"exit status 1: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSeeded(t)
			w.makeVolume("ui.data")
			c.before(w)
			got := message(w.Configure(t.Context()))
			if want := "the volumes of app@ui: giving the new volume ui.data to the container's user: "; !strings.HasPrefix(got, want) || !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s%s", got, want, c.want)
			}
			if isNew, err := isNewVolume(filepath.Join(w.Renderer.Volumes, "ui.data")); !isNew || err != nil {
				t.Errorf("new: %v, %v", isNew, err)
			}
			w.isClean(t)
		})
	}
}

// TestSeedIsNotLeft: Podman fills no volume that has a seed, also where the owner is left to it.
func TestSeedIsNotLeft(t *testing.T) {
	for _, user := range []string{"app", ""} {
		w := newWorld(t, seeded())
		w.Recipe.Volumes[0].Podman, w.Recipe.Volumes[0].List[0].IsOwn = nil, true
		w.IDs = func() (uids, gids []podman.IDRange, err error) {
			return idsOf(os.Getuid()), idsOf(os.Getgid()), nil
		}
		w.writeImage(user)
		by := w.Recipe.Volumes[0]
		if w.isLeft(by, by.List[0]) {
			t.Errorf("user %q: it is left to Podman", user)
		}
		w.Recipe.Seeds = nil
		if !w.isLeft(by, by.List[0]) {
			t.Errorf("user %q: it is not left to Podman without a seed", user)
		}
	}
}

// TestSeedOwner: a seed has the owner of its directory, and keeps it where the owner is left to Podman.
func TestSeedOwner(t *testing.T) {
	from, to := volume(t, "image.conf"), volume(t)
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 { // only root can tell owners apart
		uid, gid = 999, 998
	}
	if err := os.Chown(filepath.Join(from, dataDir), uid, gid); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal([]units.Seed{{Path: "app.conf", Mode: 0o644}, {Path: "a/b", Mode: 0o644}})
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range [][]string{{"seed", from}, {"place", from, to, keepOwner}} {
		if err := Volume(t.Context(), call, strings.NewReader(string(text)), nil); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]int{".": uid, "app.conf": uid, "a": uid, "a/b": uid, "image.conf": os.Getuid()} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(to, dataDir, path), &st); err != nil || int(st.Uid) != want {
			t.Errorf("%s belongs to %d, %v; want %d", path, st.Uid, err, want)
		}
	}
}

// TestSeedVolume: modes and owners are set whatever the umask, files and links of the image are
// replaced, and no link leads out of the volume.
func TestSeedVolume(t *testing.T) {
	outside := t.TempDir()
	put := func(dir string, seed ...units.Seed) error {
		t.Helper()
		text, err := json.Marshal(seed)
		if err != nil {
			t.Fatal(err)
		}
		return Volume(t.Context(), []string{"seed", dir}, strings.NewReader(string(text)), nil)
	}
	dir := volume(t, "app.conf")
	for _, link := range []string{"out", "link.conf"} {
		if err := os.Symlink(outside, filepath.Join(dir, dataDir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // an interrupted start does it again
		if err := put(dir, units.Seed{Path: "app.conf", Mode: 0o644}, units.Seed{Path: "link.conf", Mode: 0o644}, units.Seed{Path: "a/b/run", Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]os.FileMode{"app.conf": 0o644, "link.conf": 0o644, "a/b/run": 0o755, "a/b": os.ModeDir | 0o755} {
		if info, err := os.Lstat(filepath.Join(dir, dataDir, path)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", path, info, err, want)
		}
	}
	for _, path := range []string{"out/x", "a", "../x", "/x"} {
		if err := put(dir, units.Seed{Path: path, Mode: 0o644}); err == nil {
			t.Errorf("%s was written", path)
		}
	}
	if got := content(t, outside); len(got) > 0 {
		t.Errorf("something was written outside: %v", got)
	}
	if got := message(Volume(t.Context(), []string{"seed", dir}, strings.NewReader("{"), nil)); !strings.HasPrefix(got, "reading the seed: ") {
		t.Error(got)
	}
}
