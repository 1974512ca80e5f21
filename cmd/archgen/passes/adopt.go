package passes

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/adopt"
)

// Adopt starts the apps that have a foreign container. For the others it makes an
// ordinary pass, which completes an adoption that was interrupted.
func (p *Passes) Adopt(ids []string) error {
	list, err := ForeignContainers(p.Session, ids)
	if err != nil {
		return err
	}
	inPlaceOf := func(id string) bool {
		return slices.ContainsFunc(list, func(f adopt.Container) bool { return f.App == id })
	}
	for _, id := range ids {
		if !inPlaceOf(id) {
			fmt.Fprintf(p.Stderr, "%s: there is no foreign container to adopt\n", id)
		}
	}
	return p.Apply(ids, func(id string) units.Kind {
		if inPlaceOf(id) {
			return units.Start
		}
		return ""
	})
}

// ForeignContainers lists the foreign containers of installed apps: of the named ones, or
// of all if none is named.
func ForeignContainers(s *session.Session, ids []string) ([]adopt.Container, error) {
	ctx, stop := session.Interruptible()
	defer stop()
	dir, err := s.Directory()
	if err != nil {
		return nil, err
	}
	k, want, err := s.Installed()
	if err != nil {
		return nil, err
	}
	if k.Result == nil {
		return nil, cmp.Or(s.Report(k, false), session.ErrReported)
	}
	if want, err = want.Only(ids); err != nil {
		return nil, err
	}
	all := make([]string, 0, len(want.Apps))
	for _, app := range want.Apps {
		all = append(all, app.ID)
	}
	return install.Adopter(s.Podman, dir, func() (*compile.Compiled, error) { return k, nil }).Survey(ctx, all)
}
