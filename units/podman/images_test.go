package podman_test

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/podman"
)

// TestImagesSize: a layer of several images counts once. What is not known counts nothing.
func TestImagesSize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "overlay-images/images.json"), `[
		{"id": "a", "names": ["x:1"], "layer": "up"}, {"id": "b", "names": ["x:2", "y:1"], "layer": "other"},
		{"id": "c", "names": ["loop:1"], "layer": "loop"}, {"id": "d", "names": ["lost:1"], "layer": "lost"}, {"id": "e"}]`)
	write(t, filepath.Join(dir, "overlay-layers/layers.json"), `[
		{"id": "low", "diff-size": 100}, {"id": "up", "parent": "low", "diff-size": 10}, {"id": "other", "parent": "low", "diff-size": 1},
		{"id": "loop", "parent": "loop", "diff-size": 5}]`)
	write(t, filepath.Join(dir, "vfs-images/images.json"), `[{"id": "f", "names": ["z:1"], "layer": "up"}]`)
	for _, c := range []struct {
		want  int64
		names []string
	}{
		{0, nil}, {110, []string{"x:1"}}, {111, []string{"x:1", "x:2"}}, {101, []string{"y:1"}}, {5, []string{"loop:1"}}, {0, []string{"lost:1", "z:1", "none"}},
	} {
		if got := podman.ImagesSize(dir, c.names); got != c.want {
			t.Errorf("%q take %d bytes, want %d", c.names, got, c.want)
		}
	}
}

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
