package updater

import (
	"context"
	"errors"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/manifests/tags"
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
		if app.Findings[0].Reason != update.Own {
			continue
		}
		for _, image := range s.Images(app.ID) {
			name, tag := update.SplitImage(image)
			if tag == "" || isAsked[name+":"+tag] || strings.HasPrefix(name, "localhost/") {
				continue
			}
			isAsked[name+":"+tag] = true
			list, err := skopeo.Tags(ctx, name)
			switch {
			case errors.Is(err, skopeo.ErrAbsent):
				return err
			case err != nil:
				failed = append(failed, err)
				continue
			}
			t := update.Tags{Image: name + ":" + tag, Asked: r.now()}
			t.Newest, t.Major = tags.Newer(tag, list)
			found[t.Image] = t
		}
	}
	return errors.Join(append(failed, r.Machine.Store.SaveTags(found))...)
}
