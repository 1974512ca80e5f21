package manifests

import (
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// Edits returns how a person edited an installed manifest, as the text of an overlay in YAML: with
// the overlay, the manifest base means the same as edited. Each of the two may be YAML or TOML. The
// overlay is empty if they mean the same. It has none of their comments, and no edits of the files
// beside the manifest.
//
// The overlays of edited are those of earlier edits, made of an earlier base. The result replaces
// them.
//
// It is an error if a file can't be read, or if an overlay can't express an edit. There is no overlay
// then.
func Edits(base Source, edited Input) (overlay []byte, diags diag.List) {
	r := &syntax.Reader{}
	from, to := base.read(r), edited.tree(r)
	if r.Diags.HasErrors() {
		return nil, r.Diags
	}
	sameContainers(from, to)
	over, diags := syntax.Edits(from, to)
	if over == nil || diags.HasErrors() {
		return nil, diags
	}
	overlay = syntax.Printer{Spread: Spread}.Print(over)
	if reason := differs(Input{Manifest: base, Overlays: []Source{{Name: "overlay.yaml", Data: overlay}}}, edited); reason != "" {
		return nil, diag.List{{
			Code: diag.TooLarge, File: edited.Manifest.Name, Message: "its differences from " + base.Name + " can't be written as an overlay: " + reason,
		}}
	}
	return overlay, nil
}

// differs says why one manifest does not mean the same as another. It is empty if it does.
func differs(a, b Input) string {
	r := &syntax.Reader{}
	from, to := a.tree(r), b.tree(r)
	if len(r.Diags) > 0 {
		return r.Diags[0].Message
	}
	sameContainers(from, to)
	if !syntax.Same(from, to) {
		return "it would mean something else"
	}
	return ""
}

// Hidden returns what an overlay hides of the changes from one version of a manifest to the next:
// the keys by which it decides values in which the versions differ, with their positions in the
// overlay.
func Hidden(overlay, before, after Source) (keys []syntax.HiddenKey, diags diag.List) {
	r := &syntax.Reader{}
	over, was, is := overlay.read(r), before.read(r), after.read(r)
	if r.Diags.HasErrors() {
		return nil, r.Diags
	}
	sameContainers(over, was, is)
	return syntax.Hidden(over, was, is), nil
}
