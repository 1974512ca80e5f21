package podman_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/archipelago-os/archipelago/units/podman"
)

// TestNextIDs: the namespace is what podman unshare cat /proc/self/uid_map prints, or else it is unclear.
func TestNextIDs(t *testing.T) {
	t.Parallel()
	const one = "archy:100000:65536\n"
	own, sub := podman.IDRange{Host: 1000, Size: 1}, podman.IDRange{Container: 1, Host: 100000, Size: 65536}
	group := podman.IDRange{Host: 990, Size: 1}
	for what, c := range map[string]struct {
		uids, gids, nss    string
		wantUIDs, wantGIDs []podman.IDRange
	}{
		"one range":      {one, one, "", []podman.IDRange{own, sub}, []podman.IDRange{group, sub}},
		"of files":       {one, one, "subid: files\n", []podman.IDRange{own, sub}, []podman.IDRange{group, sub}},
		"others', too":   {"bob:7:8\n\n# archy:1:2\n" + one, "bob:1:2\n" + one, "", []podman.IDRange{own, sub}, []podman.IDRange{group, sub}},
		"by number, two": {"1000:300000:10\n1000:200000:5\n", one, "", []podman.IDRange{own, {Container: 1, Host: 200000, Size: 5}, {Container: 6, Host: 300000, Size: 10}}, []podman.IDRange{group, sub}},
		"errors":         {"archy:x:1\narchy:1\n" + one, one, "", []podman.IDRange{own, sub}, []podman.IDRange{group, sub}},
		"no file":        {one, "", "", nil, nil},
		"no range":       {"bob:100000:65536\n", one, "", nil, nil},
		"of a service":   {one, one, "subid: sss\n", nil, nil},
	} {
		root := t.TempDir()
		for file, text := range map[string]string{podman.SubUIDs: c.uids, podman.SubGIDs: c.gids, "etc/nsswitch.conf": c.nss} {
			if text != "" {
				write(t, root+"/"+file, text)
			}
		}
		uids, gids, err := podman.NextIDs(root, "archy", 1000, 990)
		if isUnclear := c.wantUIDs == nil; isUnclear != errors.Is(err, podman.ErrUnclear) || isUnclear != (err != nil) {
			t.Errorf("%s: %v", what, err)
		}
		if !reflect.DeepEqual(uids, c.wantUIDs) || !reflect.DeepEqual(gids, c.wantGIDs) {
			t.Errorf("%s: %v, %v", what, uids, gids)
		}
	}
}
