package updater

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/manifests/tags"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/podman/skopeo"
	"github.com/archipelago-os/archipelago/units/update"
)

// AskRegistries asks the registries of own manifests' images for newer tags, and stores the answers. Its
// error says which could not be asked; what was known of their images stays.
func (r *Runner) AskRegistries(ctx context.Context, s *updates.Survey, apps []*updates.App) error {
	found := map[string]update.Tags{}
	for _, id := range s.IDs() {
		for _, image := range s.Images(id) {
			if t, isKnown := s.Tags(image); isKnown {
				found[t.Image] = t
			}
		}
	}
	var failed []error
	isAsked := map[string]bool{}
	for _, app := range apps {
		if !app.IsOwn {
			continue
		}
		for _, image := range s.Images(app.ID) {
			name, tag := update.SplitImage(image)
			if tag == "" || isAsked[name+":"+tag] || strings.HasPrefix(name, "localhost/") {
				continue
			}
			isAsked[name+":"+tag] = true
			t, err := r.ask(ctx, image)
			switch {
			case errors.Is(err, skopeo.ErrAbsent):
				return err
			case err != nil:
				failed = append(failed, err)
				continue
			}
			found[t.Image] = t
		}
	}
	return errors.Join(append(failed, r.Machine.Store.SaveTags(found))...)
}

// ask asks the registry of an image for newer tags, and what the newest one stands for. Without a newer
// one it compares what the present tag stands for with the image that this machine has.
func (r *Runner) ask(ctx context.Context, image string) (t update.Tags, err error) {
	name, tag := update.SplitImage(image)
	t = update.Tags{Image: name + ":" + tag, Asked: r.now()}
	list, err := skopeo.Tags(ctx, name)
	if err != nil {
		return t, err
	}
	t.Newest, t.Major = tags.Newer(tag, list)
	t.Digest, err = skopeo.Digest(ctx, name+":"+cmp.Or(t.Newest, tag))
	if err != nil || t.Newest != "" {
		return t, err
	}
	have := podman.Digests(r.Machine.Storage, image)
	if _, pinned, isPinned := strings.Cut(image, "@"); isPinned {
		have = append(have, pinned)
	}
	if len(have) == 0 || slices.Contains(have, t.Digest) {
		t.Digest = ""
	}
	return t, nil
}
