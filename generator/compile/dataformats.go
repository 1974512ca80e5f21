package compile

import (
	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// unreadable reports the apps whose data on this machine has a format that they can't read.
func (k *Compiled) unreadable(s Source) (diags diag.List) {
	if s.Format == nil || s.Root != "" {
		return nil
	}
	for _, app := range k.Set.Apps {
		if err := generator.DataFormat(app).CheckRecorded(app.ID(), s.Format); err != nil {
			diags = append(diags, app.Diag(diag.Error, diag.DataFormat, "app.data.format", "", "%v", err))
		}
	}
	return diags
}
