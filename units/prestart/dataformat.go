package prestart

import (
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
	if err := format.CheckRecorded(app, store.DataFormat); err != nil {
		return err
	}
	return store.SaveDataFormat(app, format.Written)
}
