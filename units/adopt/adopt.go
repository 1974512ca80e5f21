// Package adopt owns the adoption of foreign containers. It surveys them with Podman, matches
// their mounts with the manifests of the apps, writes the overlay that keeps their data, parks
// them during the adoption, and unparks or removes them afterwards.
//
// It never decides when any of that happens, or whether an app serves: units/reconcile does, and
// records what is parked. It reads no manifest: its caller describes each one as an App.
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

// OverlayName is the overlay that gives an app the volumes of an adopted container. Overlays of
// the operator are merged later and override it.
const OverlayName = "50-adopted.yaml"

// Adopter adopts foreign containers.
type Adopter struct {
	Podman podmancli.Runner
	// Apps returns the apps of the manifests as they are now: an overlay changes them.
	Apps func() ([]App, error)
	// Source is the pattern of the volume sources that a manifest accepts.
	Source Pattern
	// WriteOverlay writes the overlay OverlayName of an app.
	WriteOverlay func(app string, text []byte) error
}

// App is what an adoption needs from the manifest of an app.
type App struct {
	ID    string
	Parts []Part
}

// Part is one container of an app.
type Part struct {
	Name, Container, Image string
	Volumes                []Volume
	// Rendered is the targets of the files and secrets that archgen mounts itself.
	Rendered []string
}

// Volume is one mount in the manifest.
type Volume struct {
	Target string
	// Source is the path on the host or the Podman volume.
	Source string
	// Name is the name of the volume in the manifest, empty for a path on the host.
	Name string
	// Own: the volume belongs to the app itself, not to another one.
	Own bool
	// Existing is the source that the manifest sets for an own volume.
	Existing string
	// Disposable: the content need not be kept.
	Disposable bool
}

// Pattern is a pattern with a description.
type Pattern struct {
	// Text describes the pattern in messages.
	Text string
	Fits func(string) bool
}

// Adopts reports that apps may replace foreign containers.
func (a Adopter) Adopts() bool { return true }

// Find surveys the foreign containers of apps and writes overlays so that the apps keep their
// mounts. changed reports that it wrote one.
func (a Adopter) Find(ctx context.Context, apps []units.App) (map[string]units.Foreign, bool, error) {
	ids := make([]string, 0, len(apps))
	for _, app := range apps {
		ids = append(ids, app.ID)
	}
	list, err := a.Survey(ctx, ids)
	if err != nil {
		return nil, false, fmt.Errorf("surveying foreign containers: %w", err)
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

// claim gives the manifest of an app the mounts of its foreign containers.
func (a Adopter) claim(id string, list []Container) (f units.Foreign, wrote bool) {
	keeps := map[string]string{}
	for _, c := range list {
		f.Containers = append(f.Containers, units.ForeignContainer{ID: c.id, Name: c.Name, Ran: c.ran(), Restart: c.restart})
		f.Notes = append(f.Notes, c.notes()...)
		for _, m := range c.Mounts {
			if other, twice := keeps[m.Volume]; m.Volume != "" && twice && other != m.Source {
				c.Problems = append(c.Problems, fmt.Sprintf("it mounts %s for the volume %s, and another part mounts %s", m.Source, m.Volume, other))
			}
			if m.Volume != "" {
				keeps[m.Volume] = m.Source
			}
			wrote = wrote || m.isNew
		}
		if len(c.Problems) > 0 && f.Err == nil {
			f.Err = fmt.Errorf("archgen did not create the container %s and can't adopt it: %s", c.Name, strings.Join(c.Problems, "; "))
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
	fmt.Fprintf(&b, "# Written by archgen: the mounts of the adopted containers of %s.\napp:\n  volumes:\n", id)
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
		list = append(list, fmt.Sprintf("it uses the manifest's image, %s; the container %s used %s", c.ManifestImage, c.Name, c.Image))
	}
	return list
}
