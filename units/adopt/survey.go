package adopt

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
)

// AppLabel is the label of every container of a rendered unit. Its value is the id of the app.
const AppLabel = "io.archipelago.app"

// Container is a foreign container that has the name of an app's container. archgen adopt --json
// prints it.
type Container struct {
	Name  string `json:"container"`
	App   string `json:"app"`
	Part  string `json:"part"`
	State string `json:"state"`
	Image string `json:"image"`
	// ManifestImage is the image that the app will run.
	ManifestImage string  `json:"manifest_image,omitempty"`
	Mounts        []Mount `json:"mounts"`
	// Problems is why archgen can't adopt it.
	Problems []string `json:"problems"`

	id, restart string
}

// Mount is one mount of a container, and the volume of the app that it becomes.
type Mount struct {
	Source string `json:"source"`
	Target string `json:"target"`
	// Volume is the volume of the manifest that the source becomes, empty if the manifest does not
	// need it.
	Volume string `json:"volume,omitempty"`
	// isNew: the manifest does not say so yet.
	isNew bool
}

// Survey lists the foreign containers of these apps by name. It changes nothing.
func (a Adopter) Survey(ctx context.Context, ids []string) ([]Container, error) {
	apps, err := a.Apps()
	if err != nil {
		return nil, err
	}
	places := places(apps, ids)
	var all []struct {
		ID     string `json:"Id"`
		Names  []string
		Labels map[string]string
	}
	if err := a.Podman.JSON(ctx, &all, "ps", "--all", "--format=json"); err != nil {
		return nil, err
	}
	var found []string
	for _, c := range all {
		_, isOurs := c.Labels[AppLabel]
		isWanted := slices.ContainsFunc(c.Names, func(n string) bool { return places[n] != nil })
		if isWanted && !isOurs {
			found = append(found, c.ID)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	var details []inspected
	if err := a.Podman.JSON(ctx, &details, append([]string{"inspect", "--type=container"}, found...)...); err != nil {
		return nil, err
	}
	volumes, err := a.volumes(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Container, 0, len(details))
	for _, d := range details {
		at := places[d.Name]
		if at == nil {
			continue // it was renamed meanwhile
		}
		c := d.container(at)
		c.Mounts, c.Problems = mapping{app: at.app.ID, part: at.part, volumes: volumes, source: a.Source}.mounts(d, c.Problems)
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Container) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// place is the part of an app that has the name of a container.
type place struct {
	app  App
	part Part
}

func places(apps []App, ids []string) map[string]*place {
	places := map[string]*place{}
	for _, app := range apps {
		if !slices.Contains(ids, app.ID) {
			continue
		}
		for _, part := range app.Parts {
			places[part.Container] = &place{app, part}
		}
	}
	return places
}

// volumes returns all volumes and whether each is anonymous.
func (a Adopter) volumes(ctx context.Context) (map[string]bool, error) {
	var list []struct {
		Name      string
		Anonymous bool
	}
	if err := a.Podman.JSON(ctx, &list, "volume", "ls", "--format=json"); err != nil {
		return nil, err
	}
	volumes := make(map[string]bool, len(list))
	for _, v := range list {
		volumes[v.Name] = v.Anonymous
	}
	return volumes, nil
}

// inspected is the part of podman inspect that an adoption needs.
type inspected struct {
	ID        string `json:"Id"`
	Name      string
	Image     string
	ImageName string
	State     struct{ Status string }
	Config    struct{ Labels map[string]string }
	Mounts    []struct {
		Type, Name, Source, Destination string
		// SubPath is the directory of the volume that is mounted instead of the whole.
		SubPath string
	}
	HostConfig struct {
		AutoRemove    bool
		RestartPolicy struct {
			Name              string
			MaximumRetryCount int
		}
	}
}

// container returns the facts about a container, and the problems that do not depend on its
// mounts.
func (d inspected) container(at *place) Container {
	c := Container{
		Name: d.Name, App: at.app.ID, Part: at.part.Name, State: d.State.Status, Image: d.ImageName, ManifestImage: at.part.Image,
		Problems: []string{}, id: d.ID, restart: d.HostConfig.RestartPolicy.Name,
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
		c.Problems = append(c.Problems, fmt.Sprintf("the unit %s runs it and would restart it; disable the unit with systemctl --user disable --now %s, and remove the file that defines it", unit, unit))
	case d.HostConfig.AutoRemove:
		c.Problems = append(c.Problems, "it was created with --rm, so it can't be restored once it is stopped; stop it with podman stop --time SECONDS "+d.Name)
	}
	return c
}

func (c Container) ran() bool { return c.State == "running" || c.State == "paused" }
