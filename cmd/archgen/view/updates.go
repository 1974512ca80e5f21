package view

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"path/filepath"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/cmd/archgen/updates"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units/update"
)

// Update is an installed app and what its catalog has. The names of the fields are a contract.
type Update struct {
	ID        string `json:"id"`
	Installed string `json:"installed"`
	// Available is the version of another release, empty if the app is up to date.
	Available string `json:"available"`
	Revision  int    `json:"revision"`
	Catalog   string `json:"catalog"`
	// Reason is the first of Findings, and State its text.
	Reason    update.Reason    `json:"reason"`
	State     string           `json:"state"`
	Findings  []update.Finding `json:"findings"`
	Changelog string           `json:"changelog"`
	// Rights is what the release asks for in addition, Lacks what others may rely on and it lacks.
	Rights []update.Right `json:"rights"`
	Lacks  []string       `json:"lacks"`
	// Unsaved is why the data, which the release may convert, is not saved before, empty if it is or there is
	// none.
	Unsaved string `json:"unsaved"`
	// Tags is the tags that follow those of the images of an own manifest.
	Tags []update.Tags `json:"tags"`
	// Edits is the text of the overlay that what was edited in the installed manifest becomes, empty if
	// nothing was since the last update.
	Edits string `json:"edits"`
	// Log is the last lines of an app whose release was refused.
	Log []string `json:"log,omitempty"`
}

// UpdateOf is what updates shows of an app.
func UpdateOf(a *updates.App) Update {
	u := Update{
		ID: a.ID, Installed: a.Version, Catalog: a.From.Catalog, Reason: a.Findings[0].Reason, State: a.Findings[0].Text,
		Findings: a.Findings, Changelog: a.Changelog, Unsaved: a.Unsaved,
		Rights: append([]update.Right{}, a.Facts.Rights...), Lacks: append([]string{}, a.Facts.Lost...), // not null in JSON
		Tags: []update.Tags{},
	}
	if a.IsOwn {
		u.Tags = append(u.Tags, a.Facts.Newer...)
	}
	if a.Facts.Refusal != nil {
		u.Log = a.Facts.Refusal.Log
	}
	if a.To != nil && update.IsAvailable(a.Findings) {
		u.Available, u.Revision, u.Catalog = a.To.Version, a.To.Revision, a.To.Catalog
		if !bytes.Equal(a.To.Edits, a.From.Edits) {
			u.Edits = string(a.To.Edits)
		}
	}
	return u
}

// Updates prints a table of apps.
func Updates(w io.Writer, list []Update) error {
	t := newTable(w, "APP", "NOW", "AVAILABLE", "FROM", "STATE")
	for _, u := range list {
		t.row("", u.ID, u.Installed, ui.Dash(u.Available), ui.Dash(u.Catalog), u.State)
	}
	return t.Flush()
}

// UpdatePlan prints what an update of an app would do.
func UpdatePlan(w io.Writer, u Update, images []string) {
	fmt.Fprintf(w, "%s: %s to %s, from %s\n", u.ID, u.Installed, u.Available, cmp.Or(u.Catalog, "the registries of its images"))
	t := newTable(w)
	for _, f := range u.Findings {
		t.row("    ", f.Reason, f.Text)
	}
	for _, r := range u.Rights {
		t.row("    ", "right", r.ID, "the app can "+r.Allows)
	}
	if u.Unsaved != "" {
		t.row("    ", "unsaved", "its data, which the release may convert: "+u.Unsaved)
	}
	if u.Edits != "" {
		t.row("    ", "edits", filepath.Join(manifests.OverlaysDir(u.ID), installed.EditedOverlay))
	}
	for _, image := range images {
		t.row("    ", "image", image)
	}
	if u.Changelog != "" {
		t.row("    ", "changes", u.Changelog)
	}
	_ = t.Flush() // of a file that can't be written, the shell says more
}

// UpdateResult prints how an update ended.
func UpdateResult(w io.Writer, r update.Result) {
	fmt.Fprintf(w, "%s: %s\n", r.App, ui.Printable(r.Text()))
	for _, line := range r.Log {
		fmt.Fprintf(w, "    %s\n", ui.Printable(line))
	}
}
