package manifests_test

import (
	"testing"

	"github.com/archipelago-os/archipelago/manifests"
)

func TestHoldsFiles(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]bool{
		"web.d": true, "web.files": true, "web.d/files": true, "web.files/a/b": true, "web.d/files/a": true, "web.files/files": true,
		"": false, "web": false, "files": false, "web.d/more": false, "web.d/more.d": false, "web.d/filesystem": false, "web/x.files": false, "catalog/web.d": false,
	} {
		if got := manifests.HoldsFiles(dir); got != want {
			t.Errorf("%q: %v", dir, got)
		}
	}
}
