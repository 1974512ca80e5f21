package podman_test

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/podman"
)

func TestImages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if names := podman.Images(dir); len(names) > 0 {
		t.Errorf("without a store: %v", names)
	}
	write(t, filepath.Join(dir, "overlay-images/images.json"), `[{"id": "a", "names": ["docker.io/library/x:1", "localhost/y:1"]}, {"id": "b"}]`)
	write(t, filepath.Join(dir, "vfs-images/images.json"), `[{"id": `)
	want := []string{"docker.io/library/x:1", "localhost/y:1"}
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(podman.Images(dir)))); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
