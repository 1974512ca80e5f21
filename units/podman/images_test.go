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

// TestDigests: the digests of an index and of a platform are those of one image. The digest of its
// configuration is none of them.
func TestDigests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "overlay-images/images.json"), `[
		{"id": "a", "digest": "sha256:1", "names": ["x:1", "y:1"], "big-data-digests": {"manifest": "sha256:2", "manifest-sha256:1": "sha256:1", "sha256:a": "sha256:a"}},
		{"id": "b", "digest": "sha256:3", "names": ["x:2"]}]`)
	write(t, filepath.Join(dir, "vfs-images/images.json"), `[{"id": `)
	for image, want := range map[string][]string{
		"x:1": {"sha256:1", "sha256:2"}, "z:1@sha256:2": {"sha256:1", "sha256:2"}, "x:2": {"sha256:3"},
		"x:3": nil, "x:1@sha256:9": nil, "x:1@sha256:a": nil,
	} {
		if got := podman.Digests(dir, image); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", image, got, want)
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
