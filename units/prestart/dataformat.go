package prestart

import (
	"fmt"
	"strings"

	"github.com/archipelago-os/archipelago/units/statedir"
)

// checkFormat refuses to start a part on data that it can't read, and records the format that it
// writes. It records before the start, because a start may convert the data and then fail.
func (p *Part) checkFormat() error {
	format := p.Recipe.Format
	if format.Written == 0 {
		return nil
	}
	store := statedir.Store{State: p.Renderer.State}
	app, _, _ := strings.Cut(p.ID, ".")
	switch isBlocked, err := store.IsBlocked(app); {
	case err != nil:
		return err
	case isBlocked:
		return fmt.Errorf("the data of %s is being restored; archgen apply completes it", app)
	}
	if err := format.CheckRecorded(app, store.DataFormat); err != nil {
		return err
	}
	return store.SaveDataFormat(app, format.Written)
}
