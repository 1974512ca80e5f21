package compile

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units"
)

// rights records what the apps ask for, and reports what is not granted.
func (k *Compiled) rights(s Source) (diags diag.List) {
	if k.Rights == nil {
		k.Rights = map[string][]rights.Right{}
	}
	k.Unrecorded = map[string][]string{}
	for _, app := range k.Set.Apps {
		id, list := manifests.AppOf(app.File), rights.Of(app)
		k.Rights[id] = list
		missing := k.GrantsOf(id).Missing(list)
		switch {
		case len(missing) == 0:
		case k.isGrantedUnasked(app):
			k.Unrecorded[id] = rights.GrantsFor(rights.Needed(list))
		default:
			for _, r := range missing {
				diags = append(diags, app.Diag(diag.Error, diag.NotGranted, r.Path, k.howToGrant(s, id, r),
					"%s asks for a right that is not granted: to %s", app.ID(), r.Allows))
			}
		}
	}
	return diags
}

// howToGrant is what an operator does to grant a right.
func (k *Compiled) howToGrant(s Source, id string, r rights.Right) string {
	options := ""
	switch {
	case s.Root != "":
		options = "--root " + ShellWord(s.Root) + " "
	case k.byPath:
		return "list " + r.Grant() + " in " + filepath.Join(manifests.OverlaysDir(id), manifests.GrantsFile) + " beside the manifest"
	case s.Scope == units.System:
		options = "--system "
	}
	return "archgen grant " + options + id + " " + ShellWord(r.Grant())
}

// GrantsOf is what the operator grants an app.
func (k *Compiled) GrantsOf(id string) rights.Grants {
	return rights.Grants{App: slices.Concat(k.Loaded.Grants[id].Allow, k.Unrecorded[id]), All: k.Settings.Allow}
}

// isGrantedUnasked reports whether an app without a grants.toml has the rights that it asks
// for. That is an app of the embedded catalog, unchanged, or one that was rendered by a
// version without grants.
func (k *Compiled) isGrantedUnasked(app *manifests.Resolved) bool {
	id := manifests.AppOf(app.File)
	if k.Loaded.Grants[id].File != "" {
		return false
	}
	return k.there[id].isOlder || k.IsOfCatalog(app.ID())
}

// IsOfCatalog reports whether an app is that of the catalog that comes with archgen: the
// manifest and its templates, word for word. What an operator lays over them does not count.
func (k *Compiled) IsOfCatalog(id string) bool {
	app := k.Set.App(id)
	if app == nil {
		return false
	}
	text, err := catalog.Manifest(id)
	if err != nil || !bytes.Equal(text, k.Loaded.Sources[app.File]) {
		return false
	}
	for name, template := range app.Templates {
		isLaidOver := strings.HasSuffix(filepath.Dir(template.Name), "/"+manifests.OverlayFilesDir(id))
		if text, err := catalog.Template(id, name); !isLaidOver && (err != nil || !bytes.Equal(text, template.Data)) {
			return false
		}
	}
	return true
}

// UnrecordedOf is the grants.toml that a pass has to write for an app, or nil.
func (k *Compiled) UnrecordedOf(id, dir string) *units.Unrecorded {
	list := k.Unrecorded[id]
	if list == nil {
		return nil
	}
	return &units.Unrecorded{
		Dir: filepath.Join(dir, manifests.OverlaysDir(id)), Name: manifests.GrantsFile, Content: manifests.Grants{Allow: list}.Text(),
	}
}

// ungranted lists the apps that can't be compiled and whose units must not exist: those
// rendered with a right that was revoked, and those that lack a right and were never rendered.
// An app whose grants.toml has errors is not listed: its grants are unknown.
func (s Source) ungranted(k *Compiled, kept []string) (list []string, err error) {
	if len(kept) == 0 || s.Rendered == nil {
		return nil, nil
	}
	if err := s.survey(k); err != nil {
		return nil, err
	}
	for _, id := range kept {
		granted, there := k.Loaded.Grants[id], k.there[id]
		isGone := func(right string) bool {
			return !rights.Lists(granted.Allow, right) && !rights.Lists(k.Settings.Allow, right)
		}
		isNew := !there.Rendered && k.lacksRight(id)
		if !granted.Broken && (isNew || slices.ContainsFunc(there.rights, isGone)) {
			list = append(list, id)
		}
	}
	return list, nil
}

// lacksRight reports whether an app was refused for a right.
func (k *Compiled) lacksRight(id string) bool {
	return slices.ContainsFunc(k.Diags, func(d diag.Diagnostic) bool { return d.Code == diag.NotGranted && manifests.AppOf(d.File) == id })
}

// rightsIn is what an app has by grants as its unit file says, and whether the file is of a
// version that says nothing. A list that can't be read was damaged, and proves no right.
func rightsIn(f units.File) (list []string, isOlder bool) {
	mark, _ := units.ReadOwnership(f.Content)
	if mark.Rights == "" {
		return nil, true
	}
	if json.Unmarshal([]byte(mark.Rights), &list) != nil {
		return nil, false
	}
	return list, false
}

// ShellWord is a text as one word of a shell.
func ShellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./-_", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
