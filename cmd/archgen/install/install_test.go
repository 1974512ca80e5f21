package install_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/manifests/catalog"
)

// manifest is that of an app without much.
func manifest(id, more string) string {
	return fmt.Sprintf("app: {id: %s, name: X, version: 1.0.0, container: {image: 'localhost/%[1]s:1', ports: [{name: web, container: 80}]}%s}\n", id, more)
}

const (
	asksPage = ", requires: [{capability: page}]"
	isPage   = ", provides: [{capability: page, port: web}]"
)

// TestChoose: an app brings its companions, and what it requires where the catalog leaves no
// choice. A replaced one takes its companions with it.
func TestChoose(t *testing.T) {
	t.Parallel()
	shelf := map[string]string{
		"gate":    manifest("gate", asksPage+", companions: [gate-ui]"),
		"gate-ui": manifest("gate-ui", ", companion_of: [gate]"),
		"page":    manifest("page", isPage), "leaf": manifest("leaf", isPage),
		"door": manifest("door", ""), "lone": manifest("lone", ", requires: [{capability: moon}]"),
	}
	for what, c := range map[string]struct {
		catalog, installed, replaced, args []string
		apps, gone, notes                  []string
		err                                string
	}{
		"a companion, and the one provider": {
			catalog: []string{"gate", "gate-ui", "page"}, args: []string{"gate"},
			apps: []string{"gate", "gate-ui", "page"}, notes: []string{"gate requires page: installing page as well"},
		},
		"a provider that is installed": {
			catalog: []string{"gate", "page"}, installed: []string{"leaf"}, args: []string{"gate", "gate"}, apps: []string{"gate"},
		},
		"a provider that is chosen": {
			catalog: []string{"gate", "page", "leaf"}, args: []string{"gate", "leaf"}, apps: []string{"gate", "leaf"},
		},
		"several providers": {
			catalog: []string{"gate", "leaf", "page"}, args: []string{"gate"},
			err: "gate requires page, which several apps of the catalog provide: install one of leaf, page first",
		},
		"no provider": {
			catalog: []string{"lone"}, args: []string{"lone"}, err: "lone requires moon, which no app provides, neither an installed one nor one of the catalog",
		},
		"a provider that goes": {
			catalog: []string{"gate", "page"}, installed: []string{"leaf"}, replaced: []string{"leaf"}, args: []string{"gate"},
			apps: []string{"gate", "page"}, gone: []string{"leaf"}, notes: []string{"gate requires page: installing page as well"},
		},
		"a companion that goes": {
			catalog: []string{"door"}, installed: []string{"gate", "gate-ui", "page"}, replaced: []string{"gate"}, args: []string{"door"},
			apps: []string{"door"}, gone: []string{"gate", "gate-ui"}, notes: []string{"gate-ui is removed with gate"},
		},
		"a companion that stays": {
			catalog: []string{"door", "gate-ui"}, installed: []string{"gate", "gate-ui", "page"}, replaced: []string{"gate"}, args: []string{"door", "gate-ui"},
			apps: []string{"door", "gate-ui"}, gone: []string{"gate"},
		},
		"an installed app": {installed: []string{"door"}, args: []string{"door"}, apps: []string{"door"}},
		"no app":           {args: []string{"door"}, err: `no catalog has an app "door"; see archgen catalog, or give the file of a manifest`},
		"none to replace":  {replaced: []string{"door"}, err: `can't replace "door": no such app is installed; see archgen status`},
	} {
		w := newWorld(t)
		for _, id := range c.installed {
			w.put(map[string]string{id + ".yaml": shelf[id]})
		}
		entries := make([]catalog.Entry, 0, len(c.catalog))
		for _, id := range c.catalog {
			entries = append(entries, w.of(catalog.Own, id, shelf[id]))
		}
		in, err := choose(w, entries, c.replaced, c.args)
		if err != nil || c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: %v, want %s", what, err, c.err)
			}
			continue
		}
		want, have := [][]string{c.apps, c.gone, c.notes}, [][]string{in.IDs(), in.Replaced(), in.Notes}
		if fmt.Sprint(want) != fmt.Sprint(have) {
			t.Errorf("%s: -want +got:\n%s", what, cmp.Diff(want, have))
		}
	}
}

// of is an app of a catalog.
func (w *world) of(name, id, text string) catalog.Entry {
	w.t.Helper()
	e := w.entry(id+".yaml", text)
	e.Catalog = name
	return e
}

// TestOtherCatalogs: the catalog of a third party brings what its own apps need, and nothing else.
// It replaces no installed app unasked.
func TestOtherCatalogs(t *testing.T) {
	t.Parallel()
	const far = "nodes"
	gate, ui := manifest("gate", asksPage+", companions: [gate-ui]"), manifest("gate-ui", ", companion_of: [gate]")
	type app struct{ catalog, id, text string }
	for what, c := range map[string]struct {
		list      []app
		installed map[string]string
		args      []string
		stale     bool
		want, err string
	}{
		"companion and provider of one catalog": {
			list: []app{{far, "gate", gate}, {far, "gate-ui", ui}, {far, "page", manifest("page", isPage)}}, args: []string{"gate"}, want: "nodes/gate nodes/gate-ui nodes/page",
		},
		"a provider of archgen's": {
			list: []app{{far, "gate", gate}, {catalog.Own, "page", manifest("page", isPage)}}, args: []string{"gate"}, want: "nodes/gate archipelago/page",
		},
		"a provider of both": {
			list: []app{{far, "gate", gate}, {far, "page", manifest("page", isPage)}, {catalog.Own, "page", manifest("page", isPage)}}, args: []string{"gate"},
			err: "install one of nodes/page, page first",
		},
		"a provider of a third party": {
			list: []app{{catalog.Own, "gate", gate}, {far, "page", manifest("page", isPage)}}, args: []string{"gate"}, err: "gate requires page, which no app provides",
		},
		"a companion of a third party": {
			list: []app{{"other", "gate", manifest("gate", ", companions: [gate-ui]")}, {far, "gate-ui", ui}}, args: []string{"gate"}, want: "other/gate",
		},
		"a companion with the id of an installed app": {
			list:      []app{{far, "gate", manifest("gate", ", companions: [gate-ui]")}, {far, "gate-ui", ui}},
			installed: map[string]string{"gate-ui": manifest("gate-ui", "")}, args: []string{"gate"}, want: "nodes/gate",
		},
		"a provider with the id of an installed app": {
			list:      []app{{far, "gate", manifest("gate", asksPage)}, {far, "page", manifest("page", isPage)}},
			installed: map[string]string{"page": manifest("page", "")}, args: []string{"gate"}, err: "gate requires page, which no app provides",
		},
		"one id in two catalogs": {
			list: []app{{far, "page", manifest("page", "")}, {catalog.Own, "page", manifest("page", "")}}, args: []string{"page"}, err: "several catalogs have an app page: name one of nodes/page, archipelago/page",
		},
		"the one that is named": {
			list: []app{{far, "page", manifest("page", "")}, {catalog.Own, "page", manifest("page", "")}}, args: []string{"nodes/page"}, want: "nodes/page",
		},
		"of a stale catalog":             {list: []app{{"stale", "page", manifest("page", "")}}, args: []string{"page"}, err: "page can't be installed: its catalog stale has expired"},
		"of one although it is stale":    {list: []app{{"stale", "page", manifest("page", "")}}, args: []string{"page"}, stale: true, want: "stale/page"},
		"one that is withdrawn":          {list: []app{{"withdrawn", "page", manifest("page", "")}}, args: []string{"page"}, stale: true, err: "has withdrawn it: it loses data"},
		"a provider that is withdrawn":   {list: []app{{"withdrawn", "gate", manifest("gate", asksPage)}, {"withdrawn", "page", manifest("page", isPage)}}, args: []string{"gate"}, err: "has withdrawn it"},
		"an installed app of no catalog": {installed: map[string]string{"page": manifest("page", "")}, args: []string{"page"}, want: "/page"},
		"an installed app by a catalog":  {installed: map[string]string{"page": manifest("page", "")}, args: []string{"nodes/page"}, err: `no catalog has an app "nodes/page"`},
	} {
		w := newWorld(t)
		for id, text := range c.installed {
			w.put(map[string]string{id + ".yaml": text})
		}
		entries := make([]catalog.Entry, 0, len(c.list))
		for _, a := range c.list {
			e := w.of(a.catalog, a.id, a.text)
			e.IsStale = a.catalog == "stale"
			if a.catalog == "withdrawn" {
				e.Withdrawn = "it loses data"
			}
			entries = append(entries, e)
		}
		in, err := install.New(w.dir(), entries, nil)
		if err != nil {
			t.Fatal(err)
		}
		in.AllowStale = c.stale
		for _, arg := range c.args {
			err = errors.Join(err, in.Choose(arg))
		}
		if err == nil {
			err = in.Complete()
		}
		if c.err != "" || err != nil {
			if err == nil || c.err == "" || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", what, err, c.err)
			}
			continue
		}
		got := make([]string, 0, len(in.Apps))
		for _, a := range in.Apps {
			got = append(got, a.Ref())
		}
		if d := cmp.Diff(c.want, strings.Join(got, " ")); d != "" {
			t.Errorf("%s: -want +got:\n%s", what, d)
		}
	}
}

func choose(w *world, entries []catalog.Entry, replaced, args []string) (*install.Installation, error) {
	in, err := install.New(w.dir(), entries, replaced)
	if err != nil {
		return nil, err
	}
	for _, arg := range args {
		if err := in.Choose(arg); err != nil {
			return nil, err
		}
	}
	return in, in.Complete()
}

// TestWrite: the new apps replace the old ones, or nothing is changed. Apps that stay must
// compile if they did before, and an app whose files differ is named.
func TestWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(map[string]string{
		"leaf.yaml": manifest("leaf", isPage), "gate.yaml": manifest("gate", asksPage), "gate.d/grants.toml": "allow = [\"use\"]\n",
		"broken.yaml": "app: {id: broken, colour: red}", "door.yaml": manifest("door", ""),
	})
	_, before := w.compiled()
	in := w.install([]string{"leaf"}, w.entry("page.yaml", strings.Replace(manifest("page", isPage), "container: 80", "container: 81", 1)))
	if !in.Apps[0].IsNew() {
		t.Error("page is not new")
	}
	if d := cmp.Diff([]string{"page", "door", "gate"}, in.MustCompile(before)); d != "" {
		t.Errorf("what has to have no errors: -want +got:\n%s", d)
	}
	undo, err := in.Write()
	if err != nil {
		t.Fatal(err)
	}
	_, after := w.compiled()
	if d := cmp.Diff([]string{"gate"}, in.Rerendered(before, after)); d != "" {
		t.Errorf("what is rendered in another way: -want +got:\n%s", d)
	}
	if w.has("leaf.yaml") != "" || w.has("page.yaml") == "" {
		t.Error("leaf is not replaced")
	}
	if err := undo(); err != nil || w.has("leaf.yaml") == "" || w.has("page.yaml") != "" {
		t.Errorf("it is not undone: %v", err)
	}
	if d := cmp.Diff([]string{"door"}, w.install(nil, w.entry("door.yaml", manifest("door", ""))).MustCompile(before)); d != "" {
		t.Errorf("where none goes: -want +got:\n%s", d)
	}
}

// TestStage: the chosen apps are compiled beside those that stay, and the directory in
// which they were is removed.
func TestStage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(map[string]string{"leaf.yaml": manifest("leaf", isPage), "page.d/mine.yaml": "app: {version: 2.0.0}\n"})
	s := w.stage(w.install([]string{"leaf"}, w.entry("page.yaml", manifest("page", isPage))))
	if len(s.Set.Apps) != 1 || s.Set.Apps[0].Document.App.Version != "2.0.0" || s.Diags.HasErrors() {
		t.Errorf("%d apps, %v", len(s.Set.Apps), s.Diags)
	}
	staged := filepath.Dir(s.Set.Apps[0].File)
	s.Remove()
	if _, err := os.Stat(staged); err == nil {
		t.Errorf("%s is left", staged)
	}
}

// TestHints: the notices of new apps, and the secrets of manifests that are installed now.
func TestHints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(map[string]string{"old.yaml": manifest("old", ", notices: [It is old.]"), "here.yaml": manifest("here", ", notices: [It is here.]")})
	secrets := ", secrets: [{name: first, description: The first password, generate: {}, show: true}, {name: other, generate: {}}, {name: key, generate: {}, show: true}]"
	in := w.install(nil, w.entry("web.yaml", manifest("web", ", notices: [It has no login.]"+secrets)), w.entry("old.yaml", manifest("old", ", notices: [It is old.]"+secrets)))
	if err := in.Choose("here"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"web: It has no login."}, in.Notices()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	want := []string{
		"The first password: archgen secret show web.first", "key: archgen secret show web.key",
		"The first password: archgen secret show old.first", "key: archgen secret show old.key",
	}
	if d := cmp.Diff(want, in.SecretHints()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
