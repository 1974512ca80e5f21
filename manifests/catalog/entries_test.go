package catalog_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

const (
	page     = "app: {id: page, name: Page, version: 1.0.0, requires: [{capability: db}, {capability: tor, optional: true}], container: {image: localhost/x:1}}\n"
	newer    = "app: {id: page, name: Page, version: 2.0.0, container: {image: localhost/x:2}}\n"
	ownKnots = "app: {id: bitcoin-knots, name: K, version: '99', container: {image: localhost/x:1}}\n"
	withFile = "app: {id: page, name: Page, version: 1.0.0, container: {image: localhost/x:1, files: [{template: page.conf, target: /etc/page.conf}]}}\n"
)

// put writes files and links: a content that begins with -> is the target of a link.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		target, isLink := strings.CutPrefix(text, "->")
		write := func() error { return os.WriteFile(path, []byte(text), 0o600) }
		if isLink {
			write = func() error { return os.Symlink(target, path) }
		}
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
}

func find(t *testing.T, list []catalog.Entry, id string) catalog.Entry {
	t.Helper()
	i := slices.IndexFunc(list, func(e catalog.Entry) bool { return e.ID == id })
	if i < 0 {
		t.Fatalf("the catalog has no %s", id)
	}
	return list[i]
}

// TestLastDirectoryWins: a directory adds entries and hides those of one id that come
// before, embedded ones too.
func TestLastDirectoryWins(t *testing.T) {
	t.Parallel()
	first, last := t.TempDir(), t.TempDir()
	put(t, first, map[string]string{"page.yaml": page, "bitcoin-knots.yaml": ownKnots})
	put(t, last, map[string]string{"page.toml": "[app]\nid = 'page'\nname = 'Page'\nversion = '2.0.0'\n[app.container]\nimage = 'localhost/x:2'\n"})
	list, diags, err := catalog.Entries([]string{first, filepath.Join(first, "absent"), last})
	if err != nil || len(diags) > 0 {
		t.Fatal(diags, err)
	}
	isSorted := slices.IsSortedFunc(list, func(a, b catalog.Entry) int { return strings.Compare(a.ID, b.ID) })
	if embedded, err := catalog.Files(); err != nil || len(list) != len(embedded)+1 || !isSorted {
		t.Errorf("%d entries, sorted %v; %d are embedded; %v", len(list), isSorted, len(embedded), err)
	}
	for id, want := range map[string]string{
		"bitcoin-knots": first + " (hides that of archgen)",
		"page":          last + " (hides that of " + first + ")",
		"lnd":           "archgen",
	} {
		if got := find(t, list, id).Origin(); got != want {
			t.Errorf("%s is from %s, want %s", id, got, want)
		}
	}
	if e := find(t, list, "page"); e.Version != "2.0.0" || e.File != "page.toml" {
		t.Errorf("page is %s of %s", e.Version, e.File)
	}
	if e := find(t, list, "lnd"); len(e.Templates) == 0 {
		t.Error("lnd has no templates")
	}
}

// TestBrokenEntry: what can't be an entry is reported and hides none.
func TestBrokenEntry(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"an error":             {map[string]string{"page.yaml": "app: {id: page, colour: red}"}, `app has no key "colour"`},
		"another app's name":   {map[string]string{"page.yaml": strings.ReplaceAll(newer, "page", "other")}, "the file is called page.yaml, the app other"},
		"a link to nothing":    {map[string]string{"page.yaml": "->nowhere"}, "it can't be read: no such file or directory"},
		"a directory":          {map[string]string{"page.yaml/x": ""}, "it can't be read: it is not a regular file"},
		"no template":          {map[string]string{"page.yaml": withFile}, "its template page.files/page.conf can't be read: no such file or directory"},
		"a template elsewhere": {map[string]string{"page.yaml": withFile, "page.files/page.conf": "->/etc/hostname"}, "its template page.files/page.conf can't be read: "},
	} {
		good, dir := t.TempDir(), t.TempDir()
		put(t, good, map[string]string{"page.yaml": page})
		put(t, dir, c.files)
		list, diags, err := catalog.Entries([]string{good, dir})
		if err != nil || !slices.ContainsFunc(diags, func(d diag.Diagnostic) bool { return strings.Contains(d.Message, c.want) }) {
			t.Errorf("%s: %v, %v", what, diags, err)
		}
		hides := strings.Contains(c.want, "template") // its manifest is good
		if e := find(t, list, "page"); (e.From == dir) != hides {
			t.Errorf("%s: page is from %s", what, e.Origin())
		}
	}
}

// TestSeeds: an app is installed with its seeds and variables; it is not without them.
// TestEqualEntries: directories with one manifest have an entry each, with their own templates. What is
// wrong with it is said of each file.
func TestEqualEntries(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		manifest    string
		wantEntries int
		wantDiags   int
	}{
		"valid":    {withFile, 2, 0},
		"an error": {strings.Replace(withFile, "id: page", "id: page, colour: red", 1), 0, 2},
	} {
		dirs := []string{t.TempDir(), t.TempDir()}
		for _, dir := range dirs {
			put(t, dir, map[string]string{"page.yaml": c.manifest, "page.files/page.conf": dir})
		}
		list, diags, err := catalog.All(dirs)
		list = slices.DeleteFunc(list, func(e catalog.Entry) bool { return e.From == catalog.Embedded })
		if err != nil || len(list) != c.wantEntries || len(diags) != c.wantDiags {
			t.Errorf("%s: %d entries, %v, %v", what, len(list), diags, err)
		}
		for i, e := range list {
			if e.From != dirs[i] || string(e.Templates["page.conf"]) != dirs[i] {
				t.Errorf("%s: entry %d is from %s, with the template %q", what, i, e.From, e.Templates["page.conf"])
			}
		}
		for i, d := range diags {
			if filepath.Dir(d.File) != dirs[i] {
				t.Errorf("%s: diagnostic %d is about %s", what, i, d.File)
			}
		}
	}
}

func TestSeeds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const withSeed = "app: {id: page, name: Page, version: 1.0.0, container: {image: x, env_files: [/etc/page, page.env], volumes: [{name: data, target: /a}]}, volumes: {data: {seed: {.: all, db: page.db}}}}\n"
	put(t, dir, map[string]string{
		"page.yaml": withSeed, "page.files/all/a/b": "\x00", "page.files/page.db": "\xff", "page.files/page.env": "A=1\n", "page.files/other": "of another version",
		"lacks/page.yaml": withSeed, "lacks/page.files/page.db": "x", "lacks/page.files/page.env": "",
	})
	e, _, diags, err := catalog.ReadEntry(filepath.Join(dir, "page.yaml"))
	want := []manifests.SeedFile{{Path: "all/a/b", Data: []byte("\x00")}, {Path: "page.db", Data: []byte("\xff")}}
	if d := cmp.Diff(want, e.Seeds); d != "" || err != nil || len(diags) > 0 {
		t.Errorf("%v, %v, -want +got:\n%s", err, diags, d)
	}
	if d := cmp.Diff(map[string][]byte{"page.env": []byte("A=1\n")}, e.Templates); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	_, _, diags, err = catalog.ReadEntry(filepath.Join(dir, "lacks/page.yaml"))
	if err != nil || len(diags) != 1 || diags[0].Message != "its seed page.files/all can't be read: no such file or directory" {
		t.Errorf("%v, %v", err, diags)
	}
}

// TestReadEntry: a manifest of no catalog is read with the templates beside it.
func TestReadEntry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"page.yaml": withFile, "page.files/page.conf": "listen=1\n", "page.files/other": "of another version",
		"lacks/page.yaml": withFile, "broken/page.yaml": "app: {",
		"needs/page.yaml": page,
	})
	e, source, diags, err := catalog.ReadEntry(filepath.Join(dir, "page.yaml"))
	if err != nil || len(diags) > 0 || string(source) != withFile {
		t.Fatal(diags, err)
	}
	if d := cmp.Diff(map[string][]byte{"page.conf": []byte("listen=1\n")}, e.Templates); d != "" || e.File != "page.yaml" || string(e.Text) != withFile {
		t.Errorf("%s: -want +got:\n%s", e.File, d)
	}
	put(t, dir, map[string]string{"copy/page.yaml": withFile, "copy/page.files/page.conf": "listen=2\n"})
	known := e
	e, _, _, err = catalog.ReadEntry(filepath.Join(dir, "copy/page.yaml"), known)
	if err != nil || e.Manifest != known.Manifest || string(e.Templates["page.conf"]) != "listen=2\n" || string(known.Templates["page.conf"]) != "listen=1\n" {
		t.Errorf("a known manifest: parsed again %v, %q, %v", e.Manifest != known.Manifest, e.Templates, err)
	}
	e, _, _, err = catalog.ReadEntry(filepath.Join(dir, "needs/page.yaml"), known)
	if d := cmp.Diff([][]string{{"db", "tor"}, {"db"}}, [][]string{e.Requires, e.Needs}); d != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, d)
	}
	for _, name := range []string{"lacks/page.yaml", "broken/page.yaml"} {
		if _, _, diags, err := catalog.ReadEntry(filepath.Join(dir, name), known); err != nil || !diags.HasErrors() {
			t.Errorf("%s: %v, %v", name, diags, err)
		}
	}
	absent := filepath.Join(dir, "absent.yaml")
	if _, _, _, err := catalog.ReadEntry(absent); !errors.Is(err, fs.ErrNotExist) || err.Error() != absent+" can't be read: no such file or directory" {
		t.Errorf("an absent file: %v", err)
	}
}

// TestRemotes: catalogs from sources hide nothing, and one of several has to be named.
func TestRemotes(t *testing.T) {
	t.Parallel()
	nodes, apps, own := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, nodes, map[string]string{"page.yaml": page, "bitcoin-knots.yaml": ownKnots, "catalog.toml": "format = 1\n"})
	put(t, apps, map[string]string{"page.yaml": newer})
	put(t, own, map[string]string{"catalog.toml": "format = 1\n"})
	list, diags, err := catalog.Entries([]string{own},
		catalog.Remote{Name: "nodes", Dir: nodes, IsStale: true, Allow: []string{"use"}},
		catalog.Remote{Name: "apps", Dir: apps, Withdrawn: map[string]string{"page": "it loses data"}})
	if err != nil || len(diags) > 0 {
		t.Fatal(diags, err)
	}
	for ref, want := range map[string]string{
		"nodes/page": "nodes (stale) 1.0.0 [use]", "apps/page": "apps (withdrawn) 2.0.0 []", "lnd": "archgen",
		"nodes/bitcoin-knots": "nodes (stale) 99 [use]", "archipelago/bitcoin-knots": "archgen",
		"page":          "several catalogs have an app page: name one of nodes/page, apps/page",
		"bitcoin-knots": "several catalogs have an app bitcoin-knots: name one of archipelago/bitcoin-knots, nodes/bitcoin-knots",
		"none":          "no catalog has the app", "apps/lnd": "no catalog has the app", "archipelago/page": "no catalog has the app",
	} {
		e, err := catalog.Find(list, ref)
		got := e.Origin()
		switch {
		case err != nil:
			got = err.Error()
		case e.Catalog != catalog.Own:
			got = fmt.Sprint(e.Origin(), " ", e.Version, " ", e.Allow)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
	for arg, want := range map[string]bool{"nodes/web": true, "web": false, "./web": false, "nodes/web.yaml": false, "a/b/c": false, "/web": false, "Nodes/web": false} {
		if got := catalog.IsRef(arg); got != want {
			t.Errorf("%s names an app of a catalog: %v", arg, got)
		}
	}
}

// TestAll: an entry that a later directory hides is listed, before the one that hides it.
func TestAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, map[string]string{"bitcoin-knots.yaml": ownKnots, "page.yaml": page})
	all, diags, err := catalog.All([]string{dir})
	if err != nil || len(diags) > 0 {
		t.Fatal(diags, err)
	}
	var from []string
	for _, e := range all {
		if e.ID == "bitcoin-knots" {
			from = append(from, e.From)
		}
	}
	if d := cmp.Diff([]string{catalog.Embedded, dir}, from); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	entries, _, err := catalog.Entries([]string{dir})
	if err != nil || len(all) != len(entries)+1 {
		t.Errorf("%v, %d entries of %d", err, len(entries), len(all))
	}
}

// TestEveryEntryHasARevision: without one, archgen updates can't tell which of two releases is newer.
func TestEveryEntryHasARevision(t *testing.T) {
	t.Parallel()
	entries, _, err := catalog.Entries(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Revision == 0 {
			t.Errorf("%s has no app.revision", e.ID)
		}
	}
}
