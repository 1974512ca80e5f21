package compile_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units"
)

const (
	page = "app: {id: page, name: P, version: 1.0.0, container: {image: 'localhost/x:1', ports: ['0.0.0.0:8080:80']}}\n"
	more = "app: {id: page, name: P, version: 1.0.0, container: {image: 'localhost/x:1', ports: ['0.0.0.0:8080:80'], privileged: true}}\n"
)

// grants writes what is granted to an app.
func (h *home) grants(id string, list ...string) {
	h.t.Helper()
	h.lay(id+".d/grants.toml", string(manifests.Grants{Allow: list}.Text()))
}

// lay writes a file below the directory of apps.
func (h *home) lay(name, text string) {
	h.t.Helper()
	path := filepath.Join(h.dir, "archipelago/apps", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// verdict is the reason why each installed app is not rendered, "" for one that is.
func (h *home) verdict() map[string]units.Reason {
	h.t.Helper()
	k, want, err := h.source().Installed()
	if err != nil || k.Result == nil {
		h.t.Fatal(err, k.Diags)
	}
	isGone := func(f units.File) bool { return !slices.Contains(want.Invalid, f.App) }
	h.files = slices.Concat(slices.DeleteFunc(h.files, isGone), want.Files())
	list := want.Refused()
	for _, app := range want.Apps {
		list[app.ID] = ""
		if app.Unrecorded != nil {
			list[app.ID] = units.ReasonGrantsUnrecorded
			name := filepath.Join(filepath.Base(app.Unrecorded.Dir), app.Unrecorded.Name)
			h.lay(name, string(app.Unrecorded.Content))
		}
	}
	return list
}

func (h *home) is(id string, want units.Reason) {
	h.t.Helper()
	if d := cmp.Diff(map[string]units.Reason{id: want}, h.verdict()); d != "" {
		h.t.Errorf("-want +have:\n%s", d)
	}
}

// TestGrants: an app with a right that is not granted stays as it is. One that was rendered
// with a right that is revoked is removed.
func TestGrants(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("page", page)
	h.is("page", units.ReasonNotGranted)
	h.grants("page", "listen:0.0.0.0:8080/tcp")
	h.is("page", "")
	h.write("page", more)
	h.is("page", units.ReasonInvalidManifest)
	h.grants("page", "listen", "privileged")
	h.is("page", "")
	h.write("page", page) // and what was granted for the one before is granted still
	h.is("page", "")
	h.grants("page")
	h.is("page", units.ReasonNotGranted)
	h.is("page", units.ReasonNotGranted) // and stays removed
	h.grants("page", "listen")
	h.is("page", "")
	// The grants are unknown: no right is revoked for that.
	h.lay("page.d/grants.toml", "allow = [")
	h.is("page", units.ReasonInvalidManifest)
	// What an overlay asks for is the operator's word.
	h.grants("page")
	h.lay("page.d/ports.yaml", "app: {container: {ports: ['0.0.0.0:8081:80']}}")
	h.is("page", "")
}

// TestRightsOfBefore: an app that a version without grants has rendered keeps what it has,
// once.
func TestRightsOfBefore(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("page", page)
	h.grants("page", "listen")
	h.is("page", "")
	if err := os.RemoveAll(filepath.Join(h.dir, "archipelago/apps/page.d")); err != nil {
		t.Fatal(err)
	}
	h.is("page", units.ReasonNotGranted) // this version has rendered it
	h.grants("page", "listen")
	h.is("page", "")
	for i, f := range h.files {
		lines := slices.DeleteFunc(strings.Split(string(f.Content), "\n"), func(l string) bool { return strings.HasPrefix(l, "Rights=") })
		h.files[i].Content = []byte(strings.Join(lines, "\n"))
	}
	if err := os.RemoveAll(filepath.Join(h.dir, "archipelago/apps/page.d")); err != nil {
		t.Fatal(err)
	}
	h.is("page", units.ReasonGrantsUnrecorded)
	h.is("page", "")
	h.write("page", more)
	h.is("page", units.ReasonInvalidManifest)
	// A unit file that is lost says nothing of any version.
	if err := os.RemoveAll(filepath.Join(h.dir, "archipelago/apps/page.d")); err != nil {
		t.Fatal(err)
	}
	h.files = slices.DeleteFunc(h.files, func(f units.File) bool { return f.Name == "app@page.container" })
	h.is("page", units.ReasonInvalidManifest)
}

// TestRightsOfCatalog: an app of the embedded catalog has the rights that it asks for, as long
// as it is unchanged.
func TestRightsOfCatalog(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	const id = "bitcoin-knots"
	text, err := catalog.Manifest(id)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: id + ".yaml", Data: text}})
	names := m.Document.App.TemplateNames()
	install := func() {
		h.write(id, string(text))
		for _, name := range names {
			template, err := catalog.Template(id, name)
			if err != nil {
				t.Fatal(err)
			}
			h.lay(id+".files/"+name, string(template))
		}
		if err := os.RemoveAll(filepath.Join(h.dir, "archipelago/apps", id+".d")); err != nil {
			t.Fatal(err)
		}
		h.files = nil
	}
	install()
	h.is(id, units.ReasonGrantsUnrecorded)
	h.is(id, "")
	install()
	h.lay(id+".d/files/"+names[0], "# the operator's\n")
	h.is(id, units.ReasonGrantsUnrecorded)
	install()
	h.lay(id+".files/"+names[0], "# from another source\n")
	h.is(id, units.ReasonNotGranted)
	install()
	h.write(id, string(text)+"# a word more\n")
	h.is(id, units.ReasonNotGranted)
}

// TestCorpus: of manifests with a trait each, one is refused exactly where it asks for
// something beyond the safe set, and as soon as any of its rights is not granted.
func TestCorpus(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../manifests/rights/testdata/*.txtar")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d cases: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range a.Files {
				if f.Name != "rights" {
					h.lay(f.Name, string(f.Data))
				}
			}
			needed := h.needed()
			if isRefused := len(needed) > 0; isRefused != h.lacks() {
				t.Fatalf("it needs %v, and lacks one: %v", needed, !isRefused)
			}
			h.grants("x", needed...)
			if h.lacks() {
				t.Errorf("everything is granted, and it lacks a right of %v", needed)
			}
			for i := range needed {
				h.grants("x", slices.Delete(slices.Clone(needed), i, i+1)...)
				if !h.lacks() {
					t.Errorf("without %s it lacks none", needed[i])
				}
			}
		})
	}
}

// needed is what x has to be granted.
func (h *home) needed() []string {
	h.t.Helper()
	k, _, err := h.source().Installed()
	if err != nil {
		h.t.Fatal(err)
	}
	return rights.GrantsFor(rights.Needed(k.Rights["x"]))
}

// lacks reports whether x is refused for a right, and nothing of it is rendered.
func (h *home) lacks() bool {
	h.t.Helper()
	k, want, err := h.source().Installed()
	if err != nil {
		h.t.Fatal(err)
	}
	isLack := func(d diag.Diagnostic) bool { return d.Code == diag.NotGranted && d.Severity == diag.Error }
	lacks := slices.ContainsFunc(k.Diags, isLack)
	if _, isRendered := want.Find("x"); lacks && isRendered {
		h.t.Error("it lacks a right, and is rendered")
	}
	return lacks
}
