package images

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests/imagecheck"
)

// TestLookInto: links are followed within the image, whether they are absolute or
// lead upwards, and never out of it.
func TestLookInto(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"usr/bin", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]os.FileMode{"usr/bin/busybox": 0o755, "usr/bin/text": 0o644} {
		if err := os.WriteFile(filepath.Join(root, path), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0::/:\nbroken\napp:x:1000:1001::/:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"bin": "usr/bin", "usr/bin/sh": "/bin/busybox", "up": "../../../../bin/sh", "out": "/no/such", "loop": "loop",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	found, err := lookInto(root, []string{"/bin/sh", "/up", "/bin/text", "/bin", "/out", "/loop", "/bin/text/x", "/none"})
	if err != nil {
		t.Fatal(err)
	}
	uid, gid := os.Getuid(), os.Getgid()
	missing := imagecheck.File{Missing: true}
	program := imagecheck.File{Mode: 0o755, UID: uid, GID: gid}
	want := map[string]imagecheck.File{
		"/bin/sh": program, "/up": program, "/bin/text": {Mode: 0o644, UID: uid, GID: gid},
		"/bin": {Directory: true, Mode: 0o755, UID: uid, GID: gid},
		"/out": missing, "/loop": missing, "/bin/text/x": missing, "/none": missing,
	}
	if d := cmp.Diff(want, found.Files); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if d := cmp.Diff(map[string]imagecheck.Account{"root": {}, "app": {UID: 1000, GID: 1001}}, accounts(found.Passwd)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if found.Group != "" || groups(found.Group) != nil {
		t.Errorf("the image has no groups, found %q", found.Group)
	}
	if d := cmp.Diff(map[string]int{"app": 1001}, groups("app:x:1001:\n")); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
