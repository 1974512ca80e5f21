package statedir

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// Earlier returns the generation before the newest.
func (s Store) Earlier() (Generation, error) {
	list, err := s.Generations()
	if err == nil && len(list) < 2 {
		err = errors.New("there is no earlier generation; see archgen generations")
	}
	if err != nil {
		return Generation{}, err
	}
	return list[1], nil
}

// Numbered returns the generation with a number.
func (s Store) Numbered(number int) (Generation, error) {
	g, ok, err := s.generation(number)
	if err == nil && !ok {
		err = fmt.Errorf("generation %d does not exist or is no longer kept; see archgen generations", number)
	}
	return g, err
}

// RollBack makes the files of a generation the last-good files of its apps, except of apps
// that were removed since. It records a rollback for every app whose current files differ
// from them. An app that was installed since keeps its last-good files.
func (s Store) RollBack(ctx context.Context, want units.Desired, to Generation) error {
	unlock, err := s.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	history, err := s.History()
	if err != nil {
		return err
	}
	good, err := s.Good()
	if err != nil {
		return err
	}
	var set units.Set
	for _, f := range to.Files {
		if _, isValid := want.Find(f.App); isValid || f.App == "" || slices.Contains(want.Invalid, f.App) { // not removed since
			set = append(set, f)
		}
	}
	if err := s.readable(set); err != nil {
		return fmt.Errorf("generation %d is not restored: %w", to.Number, err)
	}
	for _, f := range good {
		if len(to.Files.Of(f.App)) == 0 { // installed since
			set = append(set, f)
		}
	}
	for _, app := range want.Apps {
		if then := to.Files.Of(app.ID); len(then) > 0 && !then.Equal(app.Files) {
			history.RollBack(app)
		}
	}
	set.Sort()
	if err := s.Commit(set, fmt.Sprintf("rollback to generation %d", to.Number)); err != nil {
		return err
	}
	return s.SaveHistory(history)
}

// readable returns an error if a set has files that can't read the data of their app.
func (s Store) readable(set units.Set) error {
	var errs []error
	seen := map[string]bool{}
	for _, f := range set {
		if seen[f.App] || f.App == "" {
			continue
		}
		seen[f.App] = true
		errs = append(errs, set.DataFormat(f.App).CheckRecorded(f.App, s.DataFormat))
	}
	return errors.Join(errs...)
}
