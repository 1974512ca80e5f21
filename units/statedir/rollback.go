package statedir

import (
	"context"
	"fmt"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// RollBack makes the files of a generation the last-good files of each app that it has and
// that was not removed since, and records of every app that differs from them now that it
// is to have them. An app that was installed since keeps its last-good files.
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
		if _, isValid := want.Find(f.App); isValid || f.App == "" || slices.Contains(want.Invalid, f.App) { // it was not removed since
			set = append(set, f)
		}
	}
	for _, f := range good {
		if len(to.Files.Of(f.App)) == 0 { // it was installed since
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
