package adopt_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/adopt"
)

func wanted(ids ...string) []units.App {
	list := make([]units.App, 0, len(ids))
	for _, id := range ids {
		list = append(list, units.App{ID: id})
	}
	return list
}

// find is Find for one app, with a Podman that answers.
func find(t *testing.T, a adopt.Adopter, id string) (map[string]units.Foreign, bool) {
	t.Helper()
	found, changed, err := a.Find(t.Context(), wanted(id))
	if err != nil {
		t.Fatal(err)
	}
	return found, changed
}

// TestFind: an app keeps the mounts of its foreign containers, or none of them is touched.
func TestFind(t *testing.T) {
	t.Parallel()
	const head = "# Written by archgen: the mounts of the adopted containers of two.\napp:\n  volumes:\n"
	volume := func(name, target string) string {
		return `{"Type": "volume", "Name": "` + name + `", "Source": "/storage/` + name + `/_data", "Destination": "` + target + `"}`
	}
	for name, tt := range map[string]struct {
		there   []container
		found   []units.ForeignContainer
		notes   []string
		refused string
		overlay string
	}{
		"no foreign container": {},
		"it mounts nothing": {
			there: []container{{id: "c1", name: "two", state: "running", image: "two:1"}},
			found: []units.ForeignContainer{{ID: "c1", Name: "two", Ran: true}},
		},
		"a volume and a directory": {
			there: []container{{
				id: "c1", name: "two", state: "running", image: "two:1", restart: "always",
				mounts: volume("old", "/logs") + `, {"Type": "bind", "Source": "/home/me/data", "Destination": "/data"}`,
			}},
			found:   []units.ForeignContainer{{ID: "c1", Name: "two", Ran: true, Restart: "always"}},
			notes:   []string{"its volume logs is old, from the container two", "its volume data is /home/me/data, from the container two"},
			overlay: head + "    data: {existing: \"/home/me/data\"}\n    logs: {existing: \"old\"}\n",
		},
		"another image": {
			there: []container{{id: "c1", name: "two", state: "exited", image: "two:0"}},
			found: []units.ForeignContainer{{ID: "c1", Name: "two"}},
			notes: []string{"it uses the manifest's image, two:1; the container two used two:0"},
		},
		"only the second part, which never ran": {
			there: []container{{id: "c1", name: "two.db", state: "created", image: "db:1"}},
			found: []units.ForeignContainer{{ID: "c1", Name: "two.db"}},
		},
		"a paused container counts as running": {
			there: []container{{id: "c1", name: "two", state: "paused", image: "two:1"}},
			found: []units.ForeignContainer{{ID: "c1", Name: "two", Ran: true}},
		},
		"two parts with one source for a volume": {
			there: []container{
				{id: "c1", name: "two", image: "two:1", mounts: volume("old", "/data")},
				{id: "c2", name: "two.db", image: "db:1", mounts: volume("old", "/var/lib")},
			},
			found:   []units.ForeignContainer{{ID: "c1", Name: "two"}, {ID: "c2", Name: "two.db"}},
			notes:   []string{"its volume data is old, from the container two", "its volume data is old, from the container two.db"},
			overlay: head + "    data: {existing: \"old\"}\n",
		},
		"two parts with different sources for a volume": {
			there: []container{
				{id: "c1", name: "two", image: "two:1", mounts: volume("old", "/data")},
				{id: "c2", name: "two.db", image: "db:1", mounts: volume("older", "/var/lib")},
			},
			found:   []units.ForeignContainer{{ID: "c1", Name: "two"}, {ID: "c2", Name: "two.db"}},
			notes:   []string{"its volume data is old, from the container two", "its volume data is older, from the container two.db"},
			refused: "archgen did not create the container two.db and can't adopt it: it mounts older for the volume data, and another part mounts old",
		},
		"one part can be adopted, the other can't": {
			there: []container{
				{id: "c1", name: "two", image: "two:1", mounts: volume("old", "/data")},
				{id: "c2", name: "two.db", image: "db:1", mounts: volume("other", "/srv/other")},
			},
			found: []units.ForeignContainer{{ID: "c1", Name: "two"}, {ID: "c2", Name: "two.db"}},
			notes: []string{"its volume data is old, from the container two"},
			refused: "archgen did not create the container two.db and can't adopt it: the manifest has no volume for other at /srv/other; " +
				"add one under volumes, for example in an overlay in two.d/, or remove the container if the app does not need it",
		},
		"neither part can be": {
			there: []container{
				{id: "c1", name: "two", image: "two:1", autoRemove: true, mounts: volume("my files", "/data")},
				{id: "c2", name: "two.db", image: "db:1", autoRemove: true},
			},
			found: []units.ForeignContainer{{ID: "c1", Name: "two"}, {ID: "c2", Name: "two.db"}},
			refused: "archgen did not create the container two and can't adopt it: " +
				"it was created with --rm, so it can't be restored once it is stopped; stop it with podman stop --time SECONDS two; " +
				"it mounts my files at /data, but a manifest accepts only a text without white space",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPodman(t, tt.there...)
			found, changed := find(t, p.adopter(two), "two")
			f := found["two"]
			if d := cmp.Diff(units.Foreign{Containers: tt.found, Notes: tt.notes}, units.Foreign{Containers: f.Containers, Notes: f.Notes}); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			refused := ""
			if f.Err != nil {
				refused = f.Err.Error()
			}
			if d := cmp.Diff(tt.refused, refused); d != "" {
				t.Errorf("refused for, -want +got:\n%s", d)
			}
			overlay, isWritten := p.overlays["two"]
			if d := cmp.Diff(tt.overlay, overlay); d != "" || isWritten != (tt.overlay != "") {
				t.Errorf("written: %v; overlay, -want +got:\n%s", isWritten, d)
			}
			if changed != (tt.overlay != "") {
				t.Errorf("changed: %v", changed)
			}
		})
	}
}

// TestFindTwice: the second time the overlay exists, and nothing is written.
func TestFindTwice(t *testing.T) {
	t.Parallel()
	app := two
	p := newPodman(t, container{id: "c1", name: "two", image: "two:1", mounts: `{"Type": "bind", "Source": "/home/me/data", "Destination": "/data"}`})
	a := p.adopter()
	a.Apps = func() ([]adopt.App, error) { return []adopt.App{app}, nil }
	if _, changed := find(t, a, "two"); !changed {
		t.Error("the first time nothing was written")
	}
	main := app.Parts[0]
	main.Volumes = []adopt.Volume{{Target: "/data", Source: "/home/me/data", Name: "data", Own: true, Existing: "/home/me/data"}}
	app.Parts = []adopt.Part{main}
	found, changed := find(t, a, "two")
	want := units.Foreign{
		Containers: []units.ForeignContainer{{ID: "c1", Name: "two"}},
		Notes:      []string{"its volume data is /home/me/data, from the container two"},
	}
	if d := cmp.Diff(want, found["two"]); d != "" || changed {
		t.Errorf("changed %v, -want +got:\n%s", changed, d)
	}
}

// TestFindOnAFullDisk: an app is refused if its overlay can't be written, because it
// would run without its data. Another app is still adopted.
func TestFindOnAFullDisk(t *testing.T) {
	t.Parallel()
	p := newPodman(t,
		container{id: "c1", name: "two", image: "two:1", mounts: `{"Type": "volume", "Name": "old", "Destination": "/data"}`},
		container{id: "c2", name: "x", mounts: `{"Type": "volume", "Name": "older", "Destination": "/data"}`},
		container{id: "c3", name: "z"},
	)
	bare := adopt.App{ID: "z", Parts: []adopt.Part{{Name: "main", Container: "z"}}}
	a := p.adopter(two, x, bare)
	write := a.WriteOverlay
	a.WriteOverlay = func(app string, text []byte) error {
		if app == "two" {
			return errors.New("no space left on device")
		}
		return write(app, text)
	}
	found, changed, err := a.Find(t.Context(), wanted("two", "x", "z"))
	if err != nil || !changed || found["two"].Err == nil || found["x"].Err != nil || found["z"].Err != nil {
		t.Errorf("%v, changed %v, found %v", err, changed, found)
	}
	if p.overlays["x"] == "" {
		t.Error("the overlay of x is not written")
	}
}
