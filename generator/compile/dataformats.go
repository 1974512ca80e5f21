package compile

import (
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// unreadable reports the apps whose data on this machine has a format that they can't read.
func (k *Compiled) unreadable(s Source) (diags diag.List) {
	if s.Format == nil || s.Root != "" {
		return nil
	}
	for _, app := range k.Set.Apps {
		data := app.Document.App.Data
		if data.Format == 0 {
			continue
		}
		have, err := s.Format(app.ID())
		if err == nil {
			err = units.DataFormat{Written: data.Format, Reads: data.Oldest()}.Check(app.ID(), have)
		}
		if err != nil {
			diags = append(diags, app.Diag(diag.Error, diag.DataFormat, "app.data.format", "", "%v", err))
		}
	}
	return diags
}
