package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// adoptedOverlay is the overlay that says which volumes an app has from a
// container that it took over. It comes early, so that a person's counts.
const adoptedOverlay = "50-adopted.yaml"

// ourLabel is on every container that runs from a rendered unit.
const ourLabel = "io.archipelago.app"

// legacy takes over containers that were there before us, with Podman.
type legacy struct {
	podman podmancli.Runner
	// compiled is the manifests as they were last compiled.
	compiled func() *compile.Compiled
	// dir is where overlays are written.
	dir string
}

// legacyContainer is a container that has the name of an app's own and is not ours.
type legacyContainer struct {
	Name  string `json:"container"`
	App   string `json:"app"`
	Part  string `json:"part"`
	State string `json:"state"`
	Image string `json:"image"`
	// ManifestImage is the one that the app will run.
	ManifestImage string        `json:"manifest_image,omitempty"`
	Mounts        []legacyMount `json:"mounts"`
	// Problems is why it can't be taken over.
	Problems []string `json:"problems"`

	id, restart string
}

// legacyMount is what a container has mounted, and what that is to the app.
type legacyMount struct {
	Source string `json:"source"`
	Target string `json:"target"`
	// Volume is the manifest's volume whose place the source takes, empty where
	// the manifest has another use for it.
	Volume string `json:"volume,omitempty"`
	// isNew: no manifest says so yet.
	isNew bool
}

// survey lists the containers that stand in the place of apps, by name.
func (l legacy) survey(ctx context.Context, ids []string) ([]legacyContainer, error) {
	places := l.places(ids)
	var all []struct {
		ID     string `json:"Id"`
		Names  []string
		Labels map[string]string
	}
	if err := l.podman.JSON(ctx, &all, "ps", "--all", "--format=json"); err != nil {
		return nil, err
	}
	var found []string
	for _, c := range all {
		_, isOurs := c.Labels[ourLabel]
		isWanted := slices.ContainsFunc(c.Names, func(n string) bool { return places[n] != appPart{} })
		if isWanted && !isOurs {
			found = append(found, c.ID)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	var details []podmanContainer
	if err := l.podman.JSON(ctx, &details, append([]string{"inspect", "--type=container"}, found...)...); err != nil {
		return nil, err
	}
	volumes, err := l.podmanVolumes(ctx)
	if err != nil {
		return nil, err
	}
	set := l.compiled().Set
	list := make([]legacyContainer, 0, len(details))
	for _, d := range details {
		at := places[d.Name]
		m := mapping{set: set, app: set.App(at.app), part: set.App(at.app).Part(at.part), volumes: volumes}
		c := d.legacy(at)
		c.ManifestImage = m.part.Image
		c.Mounts, c.Problems = m.mounts(d, c.Problems)
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b legacyContainer) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// appPart is the part of an app that a container's name stands for.
type appPart struct{ app, part string }

func (l legacy) places(ids []string) map[string]appPart {
	places := map[string]appPart{}
	for _, app := range l.compiled().Set.Apps {
		if !slices.Contains(ids, app.ID()) {
			continue
		}
		for _, p := range app.Parts {
			places[generator.ContainerName(app.ID(), p.Name)] = appPart{app.ID(), p.Name}
		}
	}
	return places
}

// Find implements reconcile.Legacy.
func (l legacy) Find(ctx context.Context, apps []units.App) (map[string]reconcile.Found, bool, error) {
	ids := make([]string, 0, len(apps))
	for _, app := range apps {
		ids = append(ids, app.ID)
	}
	list, err := l.survey(ctx, ids)
	if err != nil {
		return nil, false, fmt.Errorf("looking for containers in the place of apps: %w", err)
	}
	byApp := map[string][]legacyContainer{}
	for _, c := range list {
		byApp[c.App] = append(byApp[c.App], c)
	}
	found, changed := map[string]reconcile.Found{}, false
	for _, id := range slices.Sorted(maps.Keys(byApp)) {
		f, wrote := l.claim(id, byApp[id])
		found[id], changed = f, changed || wrote
	}
	return found, changed, nil
}

// claim lets the manifest of an app keep what its containers have mounted.
func (l legacy) claim(id string, list []legacyContainer) (f reconcile.Found, wrote bool) {
	keeps := map[string]string{}
	for _, c := range list {
		f.Containers = append(f.Containers, units.Legacy{ID: c.id, Name: c.Name, Ran: c.ran(), Restart: c.restart})
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
	if err := durable.Replace(filepath.Join(l.dir, manifests.OverlaysDir(id)), adoptedOverlay, overlayOf(id, keeps)); err != nil {
		f.Err = err
	}
	return f, true
}

func overlayOf(id string, keeps map[string]string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by archgen: what containers called %s had mounted before archgen ran them.\napp:\n  volumes:\n", id)
	for _, volume := range slices.Sorted(maps.Keys(keeps)) {
		fmt.Fprintf(&b, "    %s: {existing: %q}\n", volume, keeps[volume])
	}
	return []byte(b.String())
}

func (c legacyContainer) ran() bool { return c.State == "running" || c.State == "paused" }

func (c legacyContainer) notes() []string {
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

// Retire implements reconcile.Legacy. A container that is gone is in nobody's way.
func (l legacy) Retire(ctx context.Context, app units.App, c units.Legacy) error {
	now, err := l.lookAt(ctx, c.ID)
	if err != nil || now.ID == "" {
		return err
	}
	if now.State.Status == "paused" { // Podman stops only what runs
		if err := l.podman.Run(ctx, "unpause", c.ID); err != nil {
			return err
		}
	}
	if err := l.podman.Run(ctx, "stop", "--time="+stopTime(app, c.Name), c.ID); err != nil {
		return err
	}
	if c.Restart != "" {
		// podman-restart.service would start it at the next boot. Before Podman 5.1
		// that can't be changed, and there it has to be done with before that.
		_ = l.podman.Run(ctx, "update", "--restart=no", c.ID)
	}
	if now.Name == c.Aside() {
		return nil
	}
	return l.podman.Run(ctx, "rename", c.ID, c.Aside())
}

// Restore implements reconcile.Legacy.
func (l legacy) Restore(ctx context.Context, c units.Legacy) error {
	now, err := l.lookAt(ctx, c.ID)
	if err != nil {
		return err
	}
	if now.ID == "" {
		return fmt.Errorf("the container %s is gone: somebody has removed it", c.Name)
	}
	if now.Name != c.Name {
		if err := l.removeOurs(ctx, c.Name); err != nil {
			return err
		}
		if err := l.podman.Run(ctx, "rename", c.ID, c.Name); err != nil {
			return err
		}
	}
	if c.Restart != "" {
		_ = l.podman.Run(ctx, "update", "--restart="+c.Restart, c.ID) // as in Retire
	}
	if !c.Ran || now.State.Status == "running" {
		return nil
	}
	return l.podman.Run(ctx, "start", c.ID)
}

// removeOurs removes what a unit of ours that has ended may have left.
func (l legacy) removeOurs(ctx context.Context, name string) error {
	found, err := l.podman.Lines(ctx, "ps", "--all", "--quiet", "--no-trunc", "--filter=name=^"+regexp.QuoteMeta(name)+"$", "--filter=label="+ourLabel)
	if err != nil || len(found) == 0 {
		return err
	}
	return l.podman.Run(ctx, append([]string{"rm", "--force", "--ignore"}, found...)...)
}

// Discard implements reconcile.Legacy. Volumes stay, named or not.
func (l legacy) Discard(ctx context.Context, c units.Legacy) error {
	return l.podman.Run(ctx, "rm", "--ignore", c.ID)
}

// podmanContainer is what matters of what podman inspect prints.
type podmanContainer struct {
	ID        string `json:"Id"`
	Name      string
	Image     string
	ImageName string
	State     struct{ Status string }
	Config    struct{ Labels map[string]string }
	Mounts    []struct {
		Type, Name, Source, Destination string
	}
	HostConfig struct {
		AutoRemove    bool
		RestartPolicy struct {
			Name              string
			MaximumRetryCount int
		}
	}
}

// lookAt inspects one container, and returns none where it is gone.
func (l legacy) lookAt(ctx context.Context, id string) (podmanContainer, error) {
	if isThere, err := l.podman.Exists(ctx, "container", id); err != nil || !isThere {
		return podmanContainer{}, err
	}
	var list []podmanContainer
	if err := l.podman.JSON(ctx, &list, "inspect", "--type=container", id); err != nil {
		return podmanContainer{}, err
	}
	if len(list) != 1 {
		return podmanContainer{}, fmt.Errorf("podman inspect %s told of %d containers", id, len(list))
	}
	return list[0], nil
}

// legacy is what is to be known of the container, and what speaks against taking
// it over, whatever it has mounted.
func (d podmanContainer) legacy(at appPart) legacyContainer {
	c := legacyContainer{
		Name: d.Name, App: at.app, Part: at.part, State: d.State.Status, Image: d.ImageName, Problems: []string{},
		id: d.ID, restart: d.HostConfig.RestartPolicy.Name,
	}
	if n := d.HostConfig.RestartPolicy.MaximumRetryCount; n > 0 {
		c.restart += ":" + strconv.Itoa(n)
	}
	if c.restart == "no" {
		c.restart = ""
	}
	unit := d.Config.Labels["PODMAN_SYSTEMD_UNIT"]
	switch {
	case unit != "":
		c.Problems = append(c.Problems, fmt.Sprintf("the unit %s runs it, and would start it again: systemctl --user disable --now %s, and remove what makes that unit", unit, unit))
	case d.HostConfig.AutoRemove:
		c.Problems = append(c.Problems, "it was made with --rm, so that nothing is left of it that could run again once it is stopped: stop it yourself, podman stop --time SECONDS "+d.Name)
	}
	return c
}

// stopTime is how many seconds the program of a container gets to end, by the
// unit that takes its place.
func stopTime(app units.App, container string) string {
	f, _ := app.Files.Find("app@" + container + ".container")
	return cmp.Or(f.Value("StopTimeout"), "30")
}
