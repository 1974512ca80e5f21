package podman_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/podman"
)

// The creator of a container is read without Podman.
func TestForeignNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := filepath.Join(dir, "overlay-containers")
	if names, err := podman.ForeignNames(dir); err != nil || len(names) > 0 {
		t.Errorf("without a store: %v, %v", names, err)
	}
	write(t, filepath.Join(list, "containers.json"), `[{"id": "a", "names": ["byhand"]}, {"id": "b", "names": ["created"]}]`)
	write(t, filepath.Join(list, "volatile-containers.json"), `[{"id": "c", "names": ["ours"]}, {"id": "d", "names": ["starting"]}, {"id": "e", "names": ["shortlived"]}]`)
	write(t, filepath.Join(list, "a/userdata/config.json"), `{"annotations": {"org.systemd.property.KillSignal": "15"}}`)
	write(t, filepath.Join(list, "c/userdata/config.json"), `{"annotations": {"io.archipelago.digest": "12"}}`)
	write(t, filepath.Join(list, "e/userdata/config.json"), `{}`)
	names, err := podman.ForeignNames(dir)
	slices.Sort(names)
	if d := cmp.Diff([]string{"byhand", "created", "shortlived"}, names); d != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, d)
	}
	write(t, filepath.Join(list, "containers.json"), `[{"id": `)
	if names, err := podman.ForeignNames(dir); err == nil {
		t.Errorf("from a truncated list: %v", names)
	}
}
