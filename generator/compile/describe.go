package compile

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/status"
)

// Description is what the manifest of an app says to a person. The names of the fields are a
// contract.
type Description struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// UI is where a person finds the app, null without a port of the host for that.
	UI *status.UI `json:"ui"`
	// Rights is what the app can do beyond its own containers, or asks for; empty where its
	// manifest can't be read, or is gone.
	Rights []rights.Granted `json:"rights"`
}

// Describe describes an app of a machine that others reach at an address.
func (k *Compiled) Describe(id, address string) Description {
	d := Description{Rights: k.RightsOf(id)}
	isIts := func(m *manifests.Manifest) bool { return manifests.AppOf(m.File) == id }
	if i := slices.IndexFunc(k.Loaded.Manifests, isIts); i >= 0 {
		app := k.Loaded.Manifests[i].Document.App
		d.Name, d.Version = app.Name, app.Version
	}
	if k.Set != nil {
		d.UI = uiOf(k.Set.App(id), address)
	}
	return d
}

// RightsOf is the rights of an app, and why it has each.
func (k *Compiled) RightsOf(id string) []rights.Granted { return k.GrantsOf(id).Explain(k.Rights[id]) }

func uiOf(app *manifests.Resolved, address string) *status.UI {
	if app == nil || app.Document.App.UI == nil {
		return nil
	}
	ui := app.Document.App.UI
	for _, part := range app.Parts {
		p := part.Port(ui.Port)
		if p == nil || p.Host == 0 {
			continue
		}
		port := units.Port{Address: p.Bind, Host: strconv.Itoa(p.Host)}
		return status.UI{Scheme: ui.Scheme, Port: p.Host, Path: cmp.Or(ui.Path, "/")}.With(port, address)
	}
	return nil
}

// FirstErrors is the first error of each app's manifest, with its place and without its
// code, by the id of the app.
func (k *Compiled) FirstErrors() map[string]string {
	list := map[string]string{}
	for _, d := range k.Diags {
		id := manifests.AppOf(d.File)
		if d.Severity == diag.Error && id != "" && list[id] == "" {
			list[id] = strings.TrimSuffix(d.String(), " ["+string(d.Code)+"]")
		}
	}
	return list
}
