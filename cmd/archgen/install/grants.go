package install

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/manifests/rights"
)

// Grants is the grants of one app, installed or not.
type Grants struct {
	// IsInstalled reports whether the app has a manifest.
	IsInstalled bool

	id    string
	dir   installed.Directory
	asked []rights.Right
	has   rights.Grants
}

// GrantsOf returns the grants of an app, beside the installed apps as they were compiled.
func GrantsOf(id string, dir installed.Directory, k *compile.Compiled) (*Grants, error) {
	if _, isRead := k.Loaded.Grants[id]; !isRead { // it is not installed
		_ = k.Loaded.LoadGrants(dir.Paths(), id) // a file with errors is refused below
	}
	if granted := k.Loaded.Grants[id]; granted.Broken {
		return nil, fmt.Errorf("%s has errors, and writing it would lose what can't be read: fix it first, see archgen check", granted.File)
	}
	asked, isInstalled := k.Rights[id]
	return &Grants{isInstalled, id, dir, asked, k.GrantsOf(id)}, nil
}

// Unasked is the rights of a list that the installed app does not ask for.
func (g *Grants) Unasked(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(right string) bool { return !g.IsInstalled || rights.ListsAny(right, g.asked) })
}

// Add grants rights.
func (g *Grants) Add(list []string) error {
	return g.dir.SetGrants(g.id, slices.Concat(g.has.App, list))
}

// Revoke removes grants of the app.
func (g *Grants) Revoke(list []string) error {
	var errs []error
	for _, right := range list {
		if !slices.Contains(g.has.App, right) {
			errs = append(errs, g.notGranted(right))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	isRevoked := func(right string) bool { return slices.Contains(list, right) }
	return g.dir.SetGrants(g.id, slices.DeleteFunc(slices.Clone(g.has.App), isRevoked))
}

// notGranted is why revoking a grant can't remove a right.
func (g *Grants) notGranted(right string) error {
	kind, _, _ := strings.Cut(right, ":")
	switch origin := g.has.OriginIn(g.asked, right); {
	case slices.Contains(g.has.App, kind):
		return fmt.Errorf("%s is granted all rights of the kind %s: revoke %s, and grant those that it should keep", g.id, kind, kind)
	case origin == rights.ByOverlay:
		return fmt.Errorf("an overlay of %s asks for %s: change the overlay, archgen rights %s names it", g.id, right, g.id)
	case origin == rights.BySettings:
		return fmt.Errorf("archipelago.toml allows %s to all apps: change it there", right)
	}
	return fmt.Errorf("%s is not granted %s; see archgen rights %s", g.id, right, g.id)
}

// RecordGrants writes the grants file of installed apps that had rights without one so far.
func RecordGrants(dir installed.Directory, k *compile.Compiled) error {
	for id, list := range k.Unrecorded {
		if !k.Owns(id) {
			continue
		}
		if err := dir.SetGrants(id, list); err != nil {
			return err
		}
	}
	return nil
}
