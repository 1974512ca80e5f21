package adopt_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/adopt"
)

// x is an app with one volume of each kind. A test of cmd/archgen/install holds that a manifest with these
// volumes becomes this value.
var x = adopt.App{
	ID: "x",
	Parts: []adopt.Part{{
		Name: "main", Container: "x", Image: "docker.io/library/x:1",
		Volumes: []adopt.Volume{
			{Target: "/data", Source: "x.data", Name: "data", Own: true},
			{Target: "/cold", Source: "chosen", Name: "cold", Own: true, Existing: "chosen"},
			{Target: "/shared", Source: "y.shared", Name: "shared"},
			{Target: "/media", Source: "/srv/media"},
			{Target: "/cache", Disposable: true},
			{Target: "/part", Source: "chosen/part"},
		},
		Rendered: []string{"/etc/x.conf", "/etc/pass"},
	}},
}

// TestMountsOfAContainer: each mount is matched with the manifest, or named in a problem.
func TestMountsOfAContainer(t *testing.T) {
	t.Parallel()
	const anonymous = "0123456789abcdef"
	for name, tt := range map[string]struct {
		mounts  string // as podman inspect prints them
		volumes map[string]bool
		want    map[string]string // manifest's volume → its new source
		problem string
	}{
		"a volume": {
			mounts: `{"Type": "volume", "Name": "old", "Source": "/storage/old/_data", "Destination": "/data"}`,
			want:   map[string]string{"data": "old"},
		},
		"a directory, its target not clean": {
			mounts: `{"Type": "bind", "Source": "/home/me/x", "Destination": "/data/"}`,
			want:   map[string]string{"data": "/home/me/x"},
		},
		"the volume that the app would make": {
			mounts: `{"Type": "volume", "Name": "x.data", "Destination": "/data"}`, volumes: map[string]bool{"x.data": false},
		},
		"the app already has data": {
			mounts: `{"Type": "volume", "Name": "old", "Destination": "/data"}`, volumes: map[string]bool{"old": false, "x.data": false},
			problem: "it mounts old at /data, but the app already has data in the volume x.data; choose one of them in x.d/NAME.yaml: app: {volumes: {data: {existing: old}}}",
		},
		"the operator has decided": {
			mounts: `{"Type": "volume", "Name": "old", "Destination": "/cold"}`,
		},
		"an earlier run wrote it": {
			mounts: `{"Type": "volume", "Name": "chosen", "Destination": "/cold"}`,
			want:   map[string]string{"cold": "chosen"},
		},
		"the same directory of a volume": {
			mounts: `{"Type": "volume", "Name": "chosen", "SubPath": "/part", "Destination": "/part"}`,
		},
		"the whole of a volume instead of a directory": {
			mounts:  `{"Type": "volume", "Name": "chosen", "Destination": "/part"}`,
			problem: "it mounts chosen at /part, but the manifest mounts chosen/part there",
		},
		"the same directory of the host": {
			mounts: `{"Type": "bind", "Source": "/srv/media", "Destination": "/media"}`,
		},
		"another directory of the host": {
			mounts:  `{"Type": "bind", "Source": "/srv/films", "Destination": "/media"}`,
			problem: "it mounts /srv/films at /media, but the manifest mounts /srv/media there",
		},
		"the volume of the other app": {
			mounts: `{"Type": "volume", "Name": "y.shared", "Destination": "/shared"}`,
		},
		"not the volume of the other app": {
			mounts:  `{"Type": "volume", "Name": "old", "Destination": "/shared"}`,
			problem: "it mounts old at /shared, but the manifest mounts y.shared there",
		},
		"disposable content": {
			mounts: `{"Type": "volume", "Name": "old", "Destination": "/cache"}`,
		},
		"a secret replaces the mount": {
			mounts: `{"Type": "bind", "Source": "/home/me/pass", "Destination": "/etc/pass"}`,
		},
		"a rendered file replaces the mount": {
			mounts: `{"Type": "bind", "Source": "/home/me/x.conf", "Destination": "/etc/x.conf"}`,
		},
		"only the image declares it": {
			mounts: `{"Type": "volume", "Name": "` + anonymous + `", "Destination": "/var/lib/x"}`, volumes: map[string]bool{anonymous: true},
		},
		"an anonymous volume with disposable content": {
			mounts: `{"Type": "volume", "Name": "` + anonymous + `", "Destination": "/cache"}`, volumes: map[string]bool{anonymous: true},
		},
		"data in an anonymous volume, and the manifest mounts a directory": {
			mounts: `{"Type": "volume", "Name": "` + anonymous + `", "Destination": "/media"}`, volumes: map[string]bool{anonymous: true},
			problem: "its data at /media is in the anonymous volume " + anonymous + ", but the manifest mounts /srv/media there; copy the data first",
		},
		"data in an anonymous volume": {
			mounts: `{"Type": "volume", "Name": "` + anonymous + `", "Destination": "/data"}`, volumes: map[string]bool{anonymous: true},
			problem: "its data at /data is in an anonymous volume, which Podman would delete with the app's container; copy the data first: " +
				"podman stop x; podman volume create x.data; podman volume export " + anonymous + " | podman volume import x.data -; podman rename x x.old",
		},
		"nothing in the manifest": {
			mounts: `{"Type": "volume", "Name": "old", "Destination": "/srv/a"}, {"Type": "bind", "Source": "/home/me/b", "Destination": "/srv/b"}`,
			problem: "the manifest has no volume for old at /srv/a, /home/me/b at /srv/b; add one under volumes, " +
				"for example in an overlay in x.d/, or remove the container if the app does not need it",
		},
		"no manifest can name it": {
			mounts:  `{"Type": "bind", "Source": "/home/me/my files", "Destination": "/data"}`,
			problem: "it mounts /home/me/my files at /data, but a manifest accepts only a text without white space",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPodman(t, container{id: "c1", name: "x", state: "running", mounts: tt.mounts})
			p.volumes = tt.volumes
			list, err := p.adopter(x).Survey(t.Context(), []string{"x"})
			if err != nil || len(list) != 1 {
				t.Fatal(list, err)
			}
			var got map[string]string
			for _, m := range list[0].Mounts {
				if m.Volume != "" {
					got = map[string]string{m.Volume: m.Source}
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" && tt.problem == "" {
				t.Errorf("-want +got:\n%s", d)
			}
			want := []string{}
			if tt.problem != "" {
				want = append(want, tt.problem)
			}
			if d := cmp.Diff(want, list[0].Problems); d != "" {
				t.Errorf("problems, -want +got:\n%s", d)
			}
		})
	}
}
