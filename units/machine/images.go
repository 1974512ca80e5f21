package machine

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman"
)

// Fetched is the apps whose images were fetched ahead of a pass, each with the error of its
// pull.
type Fetched map[string]error

// FetchImages pulls the missing images of an app, and calls pulling before each. It asks Podman only
// for those that Podman's storage does not list, because asking takes as long as a quarter of a start.
func (b Base) FetchImages(ctx context.Context, app units.App, pulling func(app, image string)) error {
	return b.fetch(ctx, app, podman.Images(b.Storage), pulling)
}

// fetch is FetchImages, given the images that Podman's storage lists.
func (b Base) fetch(ctx context.Context, app units.App, listed map[string]bool, pulling func(app, image string)) error {
	for _, f := range app.Files {
		if listed[f.Image()] {
			continue
		}
		if err := b.Podman.PullMissing(ctx, f.Image(), func() { pulling(app.ID, f.Image()) }); err != nil {
			return err
		}
	}
	return nil
}

// FetchAhead pulls the images of apps whose containers are about to change. During a pass,
// all other apps would wait for the pulls. It skips the apps in before, and returns them
// together with its own.
func (b Base) FetchAhead(ctx context.Context, want units.Desired, before Fetched, pulling func(app, image string)) Fetched {
	found, _, err := b.Files().Look(want.Files())
	if err != nil {
		return before // the pass finds and reports the same error
	}
	all := maps.Clone(before)
	if all == nil {
		all = Fetched{}
	}
	listed := sync.OnceValue(func() map[string]bool { return podman.Images(b.Storage) }) // most passes change no image
	for _, app := range want.Apps {
		if _, isFetched := before[app.ID]; isFetched {
			continue
		}
		isChanged := func(f units.File) bool {
			now, differs := found[f.Name]
			return differs && now.State != units.FileForeign && f.Image() != ""
		}
		if app.Request != units.Stop && slices.ContainsFunc(app.Files, isChanged) {
			all[app.ID] = b.fetch(ctx, app, listed(), pulling)
		}
	}
	return all
}

// hasImages reports whether Podman has every image that the app's files name. It is false
// for an app with secrets: archgen has to run for it in any case, to set its secrets.
func hasImages(app units.App, storage string) bool {
	if len(app.Secrets) > 0 {
		return false
	}
	names := podman.Images(storage)
	return !slices.ContainsFunc(app.Files, func(f units.File) bool { return f.Image() != "" && !names[f.Image()] })
}
