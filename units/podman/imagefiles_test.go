package podman_test

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units/podman"
)

// imageStore creates a storage with the image localhost/x:1 of two layers, and returns the directories
// of the upper and of the lower one.
func imageStore(t *testing.T) (storage, upper, lower string) {
	t.Helper()
	storage = t.TempDir()
	write(t, filepath.Join(storage, "overlay-images/images.json"), `[{"id": "other"}, {"id": "abc", "names": ["localhost/x:1"], "layer": "up"}]`)
	write(t, filepath.Join(storage, "overlay-images/abc", "="+base64.StdEncoding.EncodeToString([]byte("sha256:abc"))), `{"config": {"User": "app"}}`)
	write(t, filepath.Join(storage, "overlay-layers/layers.json"), `[{"id": "low"}, {"id": "up", "parent": "low"}]`)
	upper, lower = filepath.Join(storage, "overlay/up/diff"), filepath.Join(storage, "overlay/low/diff")
	for _, dir := range []string{upper, lower} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return storage, upper, lower
}

func makeDirs(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// TestImageDir: a directory of an image is what its layers make of it; what they don't say plainly is
// left to Podman.
func TestImageDir(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make  func(t *testing.T, upper, lower string)
		want  error
		empty bool
	}{
		"nowhere": {func(*testing.T, string, string) {}, fs.ErrNotExist, false},
		"in the lower layer": {func(t *testing.T, _, lower string) {
			t.Helper()
			makeDirs(t, lower+"/var/data")
		}, nil, true},
		"in both layers": {func(t *testing.T, upper, lower string) {
			t.Helper()
			makeDirs(t, upper+"/var/data", lower+"/var/data/x")
		}, nil, false},
		"with a file": {func(t *testing.T, upper, _ string) {
			t.Helper()
			write(t, upper+"/var/data/f", "")
		}, nil, false},
		"a file": {func(t *testing.T, upper, _ string) {
			t.Helper()
			write(t, upper+"/var/data", "")
		}, podman.ErrUnclear, false},
		"below a link": {func(t *testing.T, upper, lower string) {
			t.Helper()
			makeDirs(t, lower+"/srv/data")
			if err := os.Symlink("srv", upper+"/var"); err != nil {
				t.Fatal(err)
			}
		}, podman.ErrUnclear, false},
		"removed, for fuse-overlayfs": {func(t *testing.T, upper, lower string) {
			t.Helper()
			makeDirs(t, lower+"/var/data")
			write(t, upper+"/var/.wh.data", "")
		}, podman.ErrUnclear, false},
		"replaced, for fuse-overlayfs": {func(t *testing.T, upper, lower string) {
			t.Helper()
			makeDirs(t, lower+"/var/data/x")
			write(t, upper+"/var/data/.wh..wh..opq", "")
		}, podman.ErrUnclear, false},
		"replaced": {func(t *testing.T, upper, lower string) {
			t.Helper()
			makeDirs(t, upper+"/var/data", lower+"/var/data/x")
			if err := unix.Setxattr(upper+"/var/data", "user.overlay.opaque", []byte("y"), 0); err != nil {
				t.Fatal(err)
			}
		}, podman.ErrUnclear, false},
		"with another owner for containers": {func(t *testing.T, upper, _ string) {
			t.Helper()
			makeDirs(t, upper+"/var/data")
			if err := unix.Setxattr(upper+"/var/data", "user.containers.override_stat", []byte("0:0:0755"), 0); err != nil {
				t.Fatal(err)
			}
		}, podman.ErrUnclear, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storage, upper, lower := imageStore(t)
			c.make(t, upper, lower)
			image, err := podman.OpenImage(storage, "localhost/x:1")
			if err != nil {
				t.Fatal(err)
			}
			dir, err := image.Dir("/var/data")
			if !errors.Is(err, c.want) || dir.Empty != c.empty {
				t.Errorf("%+v, %v; want %v", dir, err, c.want)
			}
			if err == nil && (dir.UID != os.Getuid() || dir.GID != os.Getgid()) {
				t.Errorf("owner %d:%d", dir.UID, dir.GID)
			}
		})
	}
}

// TestRemovedImageDir: an entry that an upper layer removed is not there. Since Linux 5.8 every user may
// make the mark, a device without a number.
func TestRemovedImageDir(t *testing.T) {
	t.Parallel()
	storage, upper, lower := imageStore(t)
	makeDirs(t, upper+"/etc", lower+"/data", lower+"/etc")
	write(t, lower+"/etc/passwd", "x")
	for _, path := range []string{"/data", "/etc/passwd"} {
		if err := unix.Mknod(upper+path, unix.S_IFCHR|0o600, 0); err != nil {
			t.Fatal(err)
		}
	}
	image, err := podman.OpenImage(storage, "localhost/x:1")
	if err != nil {
		t.Fatal(err)
	}
	if dir, err := image.Dir("/data"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%+v, %v", dir, err)
	}
	if text, err := image.File("/etc/passwd"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%q, %v", text, err)
	}
}

// TestImageFile: the upper layer's file counts.
func TestImageFile(t *testing.T) {
	t.Parallel()
	storage, upper, lower := imageStore(t)
	write(t, lower+"/etc/passwd", "lower")
	write(t, lower+"/etc/group", "group")
	write(t, upper+"/etc/passwd", "upper")
	makeDirs(t, upper+"/etc/dir")
	image, err := podman.OpenImage(storage, "localhost/x:1")
	if err != nil || image.User != "app" {
		t.Fatalf("user %q, %v", image.User, err)
	}
	for path, want := range map[string]string{"/etc/passwd": "upper", "/etc/group": "group"} {
		if text, err := image.File(path); string(text) != want || err != nil {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	for path, want := range map[string]error{"/etc/none": fs.ErrNotExist, "/none/passwd": fs.ErrNotExist, "/etc/dir": podman.ErrUnclear} {
		if text, err := image.File(path); !errors.Is(err, want) {
			t.Errorf("%s: %q, %v; want %v", path, text, err, want)
		}
	}
}

// TestUnclearImages: what is not in the storage, or kept in another way, is Podman's to tell.
func TestUnclearImages(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, storage string){
		"another image": func(t *testing.T, s string) {
			t.Helper()
			write(t, s+"/overlay-images/images.json", `[]`)
		},
		"no store": func(t *testing.T, s string) {
			t.Helper()
			write(t, s+"/overlay-images/images.json", `[{`)
		},
		"no configuration": func(_ *testing.T, s string) { _ = os.RemoveAll(s + "/overlay-images/abc") },
		"no layer": func(t *testing.T, s string) {
			t.Helper()
			write(t, s+"/overlay-layers/layers.json", `[{"id": "low"}]`)
		},
		"a ring of layers": func(t *testing.T, s string) {
			t.Helper()
			write(t, s+"/overlay-layers/layers.json", `[{"id": "low", "parent": "up"}, {"id": "up", "parent": "low"}]`)
		},
		"composefs": func(t *testing.T, s string) {
			t.Helper()
			makeDirs(t, s+"/overlay/low/composefs-data")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storage, _, _ := imageStore(t)
			damage(t, storage)
			if _, err := podman.OpenImage(storage, "localhost/x:1"); !errors.Is(err, podman.ErrUnclear) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestHostID converts IDs of a container to those of Podman's user namespace.
func TestHostID(t *testing.T) {
	t.Parallel()
	keepID := []podman.IDRange{{Host: 1, Size: 1000}, {Container: 1000, Size: 1}, {Container: 1001, Host: 1001, Size: 64536}}
	for id, want := range map[int]int{0: 1, 999: 1000, 1000: 0, 1001: 1001} {
		if got, err := podman.HostID(id, keepID); got != want || err != nil {
			t.Errorf("HostID(%d) = %d, %v; want %d", id, got, err, want)
		}
	}
	if got, err := podman.HostID(70000, nil); got != 70000 || err != nil {
		t.Errorf("without a namespace: %d, %v", got, err)
	}
	if _, err := podman.HostID(70000, keepID); err == nil {
		t.Error("an ID outside of the namespace was taken")
	}
}

// TestRootlessIDs: the process has to be in a user namespace whose root is this user.
func TestRootlessIDs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/pid", strconv.Itoa(os.Getpid())+"\n")
	uids, gids, err := podman.RootlessIDs(dir + "/pid")
	isRoot := os.Getuid() == 0
	if isRoot != (err == nil) || isRoot && (len(uids) == 0 || len(gids) == 0) {
		t.Errorf("%v, %v, %v", uids, gids, err)
	}
	write(t, dir+"/gone", "0")
	for _, file := range []string{"/gone", "/none"} {
		if _, _, err := podman.RootlessIDs(dir + file); !errors.Is(err, podman.ErrUnclear) {
			t.Errorf("%s: %v", file, err)
		}
	}
}
