// Package adopt owns taking over containers that ran before archgen. It surveys
// them with Podman, matches what they mount with the apps' manifests, makes the
// overlay that keeps their data, parks them while the app is tried, and unparks or
// removes them afterwards.
//
// It never decides when any of that happens, or whether an app serves:
// units/reconcile does, and keeps the record of what is parked. It reads no
// manifest. What it needs from one is an App, a value.
package adopt

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// OverlayName is the overlay that says which volumes an app has from a container
// that it took over. Overlays of the operator come later and override it.
const OverlayName = "50-adopted.yaml"

// Adopter takes containers over.
type Adopter struct {
	Podman podmancli.Runner
	// Apps returns the apps as their manifests are now: an overlay changes them.
	Apps func() []App
	// Source is the pattern of what a manifest can mount.
	Source Pattern
	// WriteOverlay gives the overlay OverlayName of an app its content.
	WriteOverlay func(app string, text []byte) error
}

// App is what a takeover needs from an app's manifest.
type App struct {
	ID    string
	Parts []Part
}

// Part is one container of an app.
type Part struct {
	Name, Container, Image string
	Volumes                []Volume
	// Rendered is the places of what archgen itself mounts: files and secrets.
	Rendered []string
}

// Volume is one mount in the manifest.
type Volume struct {
	Target string
	// Source is the path on the host or the Podman volume that is mounted.
	Source string
	// Name is the volume's name in the manifest, empty for a path on the host.
	Name string
	// Own: the volume belongs to the app itself and not to another app.
	Own bool
	// Existing is set where the manifest gives an own volume its source.
	Existing string
	// Disposable content needs no keeping.
	Disposable bool
}

// Pattern is what a text has to look like.
type Pattern struct {
	// Text describes the pattern to a person.
	Text string
	Fits func(string) bool
}

// Find surveys the containers in the place of apps, and writes overlays so that the
// apps keep what those containers mount. changed says that it wrote one.
func (a Adopter) Find(ctx context.Context, apps []units.App) (map[string]units.Foreign, bool, error) {
	ids := make([]string, 0, len(apps))
	for _, app := range apps {
		ids = append(ids, app.ID)
	}
	list, err := a.Survey(ctx, ids)
	if err != nil {
		return nil, false, fmt.Errorf("looking for containers in the place of apps: %w", err)
	}
	byApp := map[string][]Container{}
	for _, c := range list {
		byApp[c.App] = append(byApp[c.App], c)
	}
	found, changed := map[string]units.Foreign{}, false
	for _, id := range slices.Sorted(maps.Keys(byApp)) {
		f, wrote := a.claim(id, byApp[id])
		found[id], changed = f, changed || wrote
	}
	return found, changed, nil
}

// claim has the manifest of an app keep what its containers mount.
func (a Adopter) claim(id string, list []Container) (f units.Foreign, wrote bool) {
	keeps := map[string]string{}
	for _, c := range list {
		f.Containers = append(f.Containers, units.ForeignContainer{ID: c.id, Name: c.Name, Ran: c.ran(), Restart: c.restart})
		f.Notes = append(f.Notes, c.notes()...)
		for _, m := range c.Mounts {
			if other, twice := keeps[m.Volume]; m.Volume != "" && twice && other != m.Source {
				c.Problems = append(c.Problems, fmt.Sprintf("it has %s for the volume %s, and another part %s", m.Source, m.Volume, other))
			}
			if m.Volume != "" {
				keeps[m.Volume] = m.Source
			}
			wrote = wrote || m.isNew
		}
		if len(c.Problems) > 0 && f.Err == nil {
			f.Err = fmt.Errorf("the container %s was not made by archgen, and can't be taken over: %s", c.Name, strings.Join(c.Problems, "; "))
		}
	}
	if f.Err != nil || !wrote {
		return f, false
	}
	f.Err = a.WriteOverlay(id, overlay(id, keeps))
	return f, true
}

func overlay(id string, keeps map[string]string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by archgen: what containers called %s had mounted before archgen ran them.\napp:\n  volumes:\n", id)
	for _, volume := range slices.Sorted(maps.Keys(keeps)) {
		fmt.Fprintf(&b, "    %s: {existing: %q}\n", volume, keeps[volume])
	}
	return []byte(b.String())
}

func (c Container) notes() []string {
	var list []string
	for _, m := range c.Mounts {
		if m.Volume != "" {
			list = append(list, fmt.Sprintf("its volume %s is %s, from the container %s", m.Volume, m.Source, c.Name))
		}
	}
	if c.ManifestImage != "" && c.ManifestImage != c.Image {
		list = append(list, fmt.Sprintf("it has the manifest's image, %s; the container %s had %s", c.ManifestImage, c.Name, c.Image))
	}
	return list
}
