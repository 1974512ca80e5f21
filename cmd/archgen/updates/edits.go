package updates

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/update"
)

// originOf returns the release that an app was installed from, nil if that is unknown. It has no files if
// these are. What is not stored yet is, by Keep.
func (s *Survey) originOf(id string, stored storedApp, isOfImage bool) *update.Release {
	origin := stored.origin
	if origin != nil && origin.Manifest != nil {
		return origin
	}
	found := s.sameRelease(id, stored.from, origin)
	switch {
	case found == nil || isOfImage:
		return origin
	case origin != nil:
		found.Origin = origin.Origin
	}
	s.learned[id] = *found
	return found
}

// RecordOrigins stores the origins of apps that are those of the catalog that archgen includes, word for
// word, and whose origins are not known: the next archgen may include other releases.
func RecordOrigins(store statedir.Store, k *compile.Compiled) error {
	if k.Set == nil {
		return nil
	}
	known, err := store.Origins()
	if err != nil {
		return err
	}
	var embedded []catalog.Entry
	for _, app := range k.Set.Apps {
		if known[app.ID()] || !k.IsOfCatalog(app.ID()) {
			continue
		}
		if embedded == nil {
			if embedded, _, err = catalog.All(nil); err != nil {
				return err
			}
		}
		i := slices.IndexFunc(embedded, func(e catalog.Entry) bool { return e.ID == app.ID() })
		if i < 0 {
			continue
		}
		if err := store.SaveOrigin(app.ID(), ReleaseOf(embedded[i])); err != nil {
			return err
		}
	}
	return nil
}

// sameRelease is the release whose origin is known, or else the one that is installed, if what is
// installed or a catalog has its files. A catalog from a source gets no app of which it is not known to be
// the origin.
func (s *Survey) sameRelease(id string, from update.Release, origin *update.Release) *update.Release {
	digest := from.Digest
	if origin != nil {
		digest = origin.Digest
		if from.Digest == digest {
			from.Edits = nil
			return &from
		}
	}
	for _, e := range slices.Backward(s.Catalogs) {
		isCandidate := origin == nil && e.Catalog == catalog.Own || origin != nil && e.From == origin.Catalog
		if e.ID != id || !isCandidate {
			continue
		}
		if r := ReleaseOf(e); r.Digest == digest {
			return &r
		}
	}
	return nil
}

// carry has a release keep what was edited in the installed one: what was edited in the manifest becomes
// an overlay, and what was edited beside it stays. Otherwise it returns why that can't be done.
func (s *Survey) carry(a *App, to update.Release) (_ update.Release, uncarried string) {
	to.Edits = a.From.Edits
	if a.From.Base == nil {
		return to, ""
	}
	carried, conflicts := update.Carry(a.From, to)
	if len(conflicts) > 0 {
		dir, overlays := manifests.FilesDir(a.ID), manifests.OverlayFilesDir(a.ID)
		return to, fmt.Sprintf("%s was edited, and the release changes it, too; move it to %s, where it replaces that of each release",
			filepath.Join(dir, conflicts[0]), overlays+string(filepath.Separator))
	}
	edits, why := editsOf(a.ID, a.From)
	if why != "" {
		return to, fmt.Sprintf("%s was edited, and can't be replaced: %s", a.From.File, why)
	}
	carried.Edits = edits
	return carried, ""
}

// editsOf is the overlay of what was edited in an installed manifest, with that of earlier edits. It
// returns why there can't be one.
func editsOf(id string, from update.Release) (overlay []byte, why string) {
	if !from.IsTextEdited() {
		return from.Edits, ""
	}
	base := from.AsReleased()
	edited := manifests.Input{Manifest: manifests.Source{Name: from.File, Data: from.Manifest}}
	if len(from.Edits) > 0 {
		edited.Overlays = []manifests.Source{{Name: filepath.Join(manifests.OverlaysDir(id), installed.EditedOverlay), Data: from.Edits}}
	}
	overlay, diags := manifests.Edits(manifests.Source{Name: base.File, Data: base.Manifest}, edited)
	if len(diags) > 0 {
		return nil, diags[0].Message
	}
	if len(overlay) == 0 {
		return nil, ""
	}
	return fmt.Appendf(nil, "# What was edited in %s before archgen update replaced it.\n%s", from.File, overlay), ""
}

// Return makes the release before the last update the one to install: exactly as it was, or as its catalog
// had it with what was edited since.
func (s *Survey) Return(a *App, earlier update.Earlier) (err error) {
	if a.Origin == nil || a.From.Base == nil && a.Digest != a.Origin.Digest {
		return errors.New(textUnknown(a.ID))
	}
	to := earlier.Release
	switch {
	case a.IsOwn: // only its images were replaced
		to = a.From
		to.Pin, to.Version = earlier.Pin, earlier.Version
		to.Digest = to.Sum()
	case !earlier.IsUntouched(a.From):
		var uncarried string
		to, uncarried = s.carry(a, earlier.AsReleased())
		if uncarried != "" {
			return errors.New(uncarried)
		}
	}
	if err := s.inspect(); err != nil {
		return err
	}
	a.To = &to
	a.Staged, err = s.Stage(map[string]update.Release{a.ID: to})
	return err
}

// textUnknown says that the base of edits is unknown.
func textUnknown(id string) string {
	return strings.ReplaceAll("the installed manifest was edited, and the release that it was is not known; move what differs into an overlay, ID.d/NAME.yaml, and run archgen install ID", "ID", id)
}
