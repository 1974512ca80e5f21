package update

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// of is a release with a template a, and a seed s of some files.
func of(template string, seed ...Seed) Release {
	r := Release{File: "web.yaml", Manifest: []byte("m"), Templates: map[string][]byte{"a": []byte(template)}, Seeds: seed}
	r.Digest = r.Sum()
	return r
}

// TestCarry: what was edited beside the manifest stays where the release does not change it. Otherwise
// it is a conflict.
func TestCarry(t *testing.T) {
	t.Parallel()
	one, two, mine := Seed{Path: "s/x", Data: []byte("1")}, Seed{Path: "s/x", Data: []byte("2")}, Seed{Path: "s/x", Data: []byte("mine")}
	more := Seed{Path: "s/y", Data: []byte("more")}
	for what, c := range map[string]struct {
		base, installed, to, want Release
		conflicts                 []string
	}{
		"nothing was edited":               {of("1", one), of("1", one), of("2", two), of("2", two), nil},
		"a template":                       {of("1", one), of("mine", one), of("1", two), of("mine", two), nil},
		"the same as in the release":       {of("1", one), of("2", two), of("2", two), of("2", two), nil},
		"a template that it changes":       {of("1", one), of("mine", one), of("2", one), of("2", one), []string{"a"}},
		"a file of a seed":                 {of("1", one), of("1", mine), of("2", one), of("2", mine), nil},
		"a further file of a seed":         {of("1", one), of("1", one, more), of("2", one), of("2", one, more), nil},
		"a file less":                      {of("1", one, more), of("1", one), of("2", more, one), of("2", one), nil},
		"a seed that it changes":           {of("1", one), of("1", mine), of("2", two), of("2"), []string{"s"}},
		"a seed that it has no more":       {of("1", one), of("1", mine), of("2"), of("2"), nil},
		"a file that is executable":        {of("1", one), of("1", Seed{Path: "s/x", IsExecutable: true, Data: []byte("1")}), of("2", one), of("2", Seed{Path: "s/x", IsExecutable: true, Data: []byte("1")}), nil},
		"a seed that was moved away":       {of("1", one), of("1"), of("2", two), of("2", two), nil},
		"a template that was moved away":   {of("1", one), Release{File: "web.yaml", Manifest: []byte("m"), Seeds: []Seed{one}}, of("2", one), of("2", one), nil},
		"a template that it adds, as here": {Release{File: "web.yaml", Manifest: []byte("m")}, of("2"), of("2"), of("2"), nil},
		"a template that it adds":          {Release{File: "web.yaml", Manifest: []byte("m")}, of("mine"), of("2"), of("2"), []string{"a"}},
	} {
		got, conflicts := Carry(c.installed.Of(c.base), c.to)
		if !slices.Equal(conflicts, c.conflicts) {
			t.Errorf("%s: conflicts %q", what, conflicts)
			continue
		}
		if len(conflicts) > 0 {
			continue
		}
		if got.Sum() != c.want.Sum() {
			t.Errorf("%s: -want +got:\n%s", what, cmp.Diff(c.want, got))
		}
		if got.AsReleased().Sum() != c.to.Sum() || got.Digest != c.to.Digest || (got.Base == nil) != (got.Sum() == c.to.Sum()) {
			t.Errorf("%s: the release is %+v", what, got.AsReleased())
		}
	}
}

// TestOf: an installed release knows the one that it was, unless nothing of it was edited.
func TestOf(t *testing.T) {
	t.Parallel()
	base := release("1")
	base.Catalog, base.Revision, base.Edits = "archgen", 7, []byte("as it was left")
	now := release("1")
	now.Edits = []byte("o")
	if got := now.Of(base); got.Base != nil || got.Revision != 7 || string(got.Edits) != "o" {
		t.Errorf("unedited: %+v", got)
	}
	now.Manifest = []byte("mine")
	got := now.Of(base)
	if got.Base == nil || got.Revision != 7 || got.Base.Edits != nil || got.Sum() != now.Sum() || got.AsReleased().Sum() != base.Sum() {
		t.Errorf("edited: %+v", got)
	}
}

// TestChanged: a release changes what it has with another content, or alone.
func TestChanged(t *testing.T) {
	t.Parallel()
	seed := Seed{Path: "s/x", Data: []byte("1")}
	for what, c := range map[string]struct {
		was, is Release
		want    []string
	}{
		"nothing":          {of("1", seed), of("1", seed), nil},
		"a template":       {of("1", seed), of("2", seed), []string{"a"}},
		"a seed":           {of("1", seed), of("1", seed, Seed{Path: "s/y"}), []string{"s"}},
		"they are new":     {Release{}, of("1", seed), []string{"a", "s"}},
		"they are no more": {of("1", seed), Release{}, nil},
	} {
		if got := Changed(c.was, c.is); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", what, got)
		}
	}
}

// TestIsUntouched: nothing was edited since an update if all is as the update has left it.
func TestIsUntouched(t *testing.T) {
	t.Parallel()
	left := release("2")
	e := Earlier{Release: release("1"), Left: left.Sum(), LeftEdits: []byte("e")}
	left.Edits = []byte("e")
	edited := left
	edited.Manifest = []byte("mine")
	overlay := left
	overlay.Edits = nil
	older := Earlier{Release: release("1")}
	for what, got := range map[string]bool{
		"untouched": e.IsUntouched(left), "a manifest": !e.IsUntouched(edited), "an overlay": !e.IsUntouched(overlay),
		"of an earlier archgen": older.IsUntouched(overlay), "edited, of an earlier archgen": !older.IsUntouched(edited.Of(release("2"))),
	} {
		if !got {
			t.Error(what)
		}
	}
}
