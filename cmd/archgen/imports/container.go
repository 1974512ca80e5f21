package imports

import (
	"context"
	"fmt"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/importer/container"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// Containers imports containers of Podman as the parts of one app. It stops and changes none.
func Containers(ctx context.Context, podman podmancli.Runner, names []string, id string, answers Answers, ask Ask) (*importer.Result, error) {
	facts, err := inspect(ctx, podman, names)
	if err != nil {
		return nil, err
	}
	set, err := container.Read(facts)
	if err != nil {
		return nil, err
	}
	return answered(answers.All, ask, func() *importer.Result {
		return set.Import(compose.Options{ID: id, Answers: answers.All})
	}), nil
}

// inspect asks Podman for the containers, and for what is needed to understand them.
func inspect(ctx context.Context, podman podmancli.Runner, names []string) (f container.Facts, err error) {
	ask := func(into *[]byte, what string, names []string) {
		if err == nil && len(names) > 0 {
			*into, err = podman.Output(ctx, append([]string{what, "inspect", "--"}, names...)...)
		}
	}
	ask(&f.Containers, "container", names)
	if err != nil {
		return f, fmt.Errorf("asking Podman for the containers: %w", err)
	}
	needs, err := container.NeedsOf(f.Containers)
	if err != nil {
		return f, err
	}
	ask(&f.Others, "container", needs.Others)
	ask(&f.Images, "image", needs.Images)
	ask(&f.Networks, "network", needs.Networks)
	if err == nil && needs.All {
		f.All, err = podman.Output(ctx, "ps", "--all", "--pod", "--format=json")
	}
	if err != nil {
		return f, fmt.Errorf("asking Podman what belongs to the containers: %w", err)
	}
	return f, nil
}
