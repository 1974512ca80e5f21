package installed_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/paths"
)

// tree is the files below a directory by their path. A content that begins with -> is the
// target of a link; a path that ends in / is an empty directory.
type tree map[string]string

// put writes a tree.
func put(t *testing.T, dir string, files tree) {
	t.Helper()
	for path, text := range files {
		target, isLink := strings.CutPrefix(text, "->")
		isDirectory := strings.HasSuffix(path, "/")
		path := filepath.Join(dir, path)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case isDirectory:
			err = os.Mkdir(path, 0o755)
		case isLink:
			err = os.Symlink(target, path)
		default:
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// read reads a tree.
func read(t *testing.T, dir string) tree {
	t.Helper()
	files := tree{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		switch {
		case err != nil:
		case d.Type() == fs.ModeSymlink:
			var target string
			target, err = os.Readlink(path)
			files[name] = "->" + target
		case !d.IsDir():
			var text []byte
			text, err = os.ReadFile(path)
			files[name] = string(text)
		default:
			var entries []fs.DirEntry
			if entries, err = os.ReadDir(path); len(entries) == 0 {
				files[name+"/"] = ""
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func expect(t *testing.T, what, dir string, want tree) {
	t.Helper()
	if d := cmp.Diff(want, read(t, dir)); d != "" {
		t.Errorf("%s: -want +got:\n%s", what, d)
	}
}

// traces is what changes when anything in a directory is written, in vain too.
func traces(t *testing.T, dir string) map[string]string {
	t.Helper()
	list := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			st := info.Sys().(*syscall.Stat_t)
			list[path] = fmt.Sprint(st.Ino, st.Ctim)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// machine is the directories of a user: an own one, and one that an image ships.
func machine(t *testing.T, own, shipped tree) (dir installed.Directory, ownPath, shippedPath string) {
	t.Helper()
	root := t.TempDir()
	ownPath, shippedPath = filepath.Join(root, "own"), filepath.Join(root, "shipped")
	if err := errors.Join(os.Mkdir(ownPath, 0o755), os.Mkdir(shippedPath, 0o755)); err != nil {
		t.Fatal(err)
	}
	put(t, ownPath, own)
	put(t, shippedPath, shipped)
	return installed.Over(ownPath, shippedPath), ownPath, shippedPath
}

// granted is a file of grants.
func granted(rights ...string) string { return string(manifests.Grants{Allow: rights}.Text()) }

// with is a tree with further files; those whose content is "-" are gone.
func (files tree) with(other tree) tree {
	list := maps.Clone(files)
	for path, text := range other {
		list[path] = text
		if text == "-" {
			delete(list, path)
		}
	}
	return list
}

// web and db are two apps, and what is there once they are installed.
var (
	web = installed.App{
		ID: "web", File: "web.yaml", Manifest: []byte("web 1"),
		Templates: map[string][]byte{"a.conf": []byte("a 1"), "b.conf": []byte("b 1")}, Grants: []string{"onion", "listen"},
	}
	db     = installed.App{ID: "db", File: "db.toml", Manifest: []byte("db 1")}
	webbed = tree{"web.yaml": "web 1", "web.files/a.conf": "a 1", "web.files/b.conf": "b 1", "web.d/grants.toml": granted("listen", "onion")}
	both   = webbed.with(tree{"db.toml": "db 1"})
)

// wiki is an app with seeds: a folder, a program and a file.
var (
	wiki = installed.App{ID: "wiki", File: "wiki.yaml", Manifest: []byte("wiki 1"), Seeds: []manifests.SeedFile{
		{Path: "pages/a/first", Data: []byte("\x00")}, {Path: "pages/run", IsExecutable: true, Data: []byte("r")}, {Path: "wiki.db", Data: []byte("\xff")},
	}}
	seeded = tree{"wiki.yaml": "wiki 1", "wiki.files/pages/a/first": "\x00", "wiki.files/pages/run": "r", "wiki.files/wiki.db": "\xff"}
)

func TestInstall(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		before tree
		apps   []installed.App
		after  tree
	}{
		"new apps":                        {nil, []installed.App{web, db}, both},
		"the same apps":                   {both, []installed.App{web, db}, both},
		"another version":                 {tree{"web.yaml": "web 0", "web.files/a.conf": "a 0"}, []installed.App{web}, webbed},
		"a template that is used no more": {webbed.with(tree{"web.files/old": "o"}), []installed.App{web}, webbed.with(tree{"web.files/old": "o"})},
		"overlays stay":                   {tree{"web.d/mine.yaml": "m", "web.d/files/a.conf": "mine"}, []installed.App{web}, webbed.with(tree{"web.d/mine.yaml": "m", "web.d/files/a.conf": "mine"})},
		"grants stay where none are named": {
			tree{"db.d/grants.toml": granted("use")}, []installed.App{db}, tree{"db.toml": "db 1", "db.d/grants.toml": granted("use")},
		},
		"an app of the image takes grants only": {nil, []installed.App{{ID: "web", Grants: []string{"use"}}}, tree{"web.d/grants.toml": granted("use")}},
		"an app that is only started":           {both, []installed.App{{ID: "web"}}, both},
		"replacing a mask":                      {tree{"db.toml": "->/dev/null"}, []installed.App{db}, tree{"db.toml": "db 1"}},
		"replacing a link":                      {tree{"db.toml": "->kept", "kept": "db 0"}, []installed.App{db}, tree{"db.toml": "db 1", "kept": "db 0"}},
		"replacing a link to nothing":           {tree{"db.toml": "->nowhere"}, []installed.App{db}, tree{"db.toml": "db 1"}},
		"a link to the same manifest stays":     {tree{"db.toml": "->kept", "kept": "db 1"}, []installed.App{db}, tree{"db.toml": "->kept", "kept": "db 1"}},
		"nothing":                               {webbed, nil, webbed},
		"seeds":                                 {nil, []installed.App{wiki}, seeded},
		"what a folder held before": {
			seeded.with(tree{"wiki.files/pages/old": "o", "wiki.files/pages/b/c/old": "o", "wiki.files/pages/link": "->/etc", "wiki.files/old/x": "o"}),
			[]installed.App{wiki},
			seeded.with(tree{"wiki.files/old/x": "o"}),
		},
		"a folder that was a file, and a file that was a folder": {tree{"wiki.files/pages": "p", "wiki.files/wiki.db/a/b": "d"}, []installed.App{wiki}, seeded},
		"a seed that was not executable":                         {seeded.with(tree{"wiki.yaml": "wiki 0"}), []installed.App{wiki}, seeded},
	} {
		dir, path, _ := machine(t, c.before, nil)
		undo, err := dir.Install(c.apps...)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		expect(t, what, path, c.after)

		was := traces(t, path)
		if _, err := dir.Install(c.apps...); err != nil {
			t.Errorf("%s, again: %v", what, err)
		}
		if d := cmp.Diff(was, traces(t, path)); d != "" {
			t.Errorf("%s: installing again wrote something, -before +after:\n%s", what, d)
		}

		if err := undo(); err != nil {
			t.Errorf("%s, undone: %v", what, err)
		}
		expect(t, what+", undone", path, tree{}.with(c.before))
	}
}

// TestExecutableSeed: a program can be run also if it was installed before and could not.
func TestExecutableSeed(t *testing.T) {
	t.Parallel()
	for what, before := range map[string]tree{"new": nil, "the same content": seeded} {
		dir, path, _ := machine(t, before, nil)
		undo, err := dir.Install(wiki)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]bool{"pages/run": true, "pages/a/first": false} {
			if info, err := os.Stat(filepath.Join(path, "wiki.files", name)); err != nil || info.Mode()&0o111 == 0o111 != want {
				t.Errorf("%s: %s: %v, %v", what, name, info, err)
			}
		}
		if err := undo(); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(filepath.Join(path, "wiki.files/pages/run")); err == nil && info.Mode() != 0o600 && info.Mode() != 0o644 {
			t.Errorf("%s, undone: %v", what, info.Mode())
		}
	}
}

// TestInTheWay: if the last file can't be written, none of the others remains.
func TestInTheWay(t *testing.T) {
	t.Parallel()
	const move = "move it away"
	for what, c := range map[string]struct {
		before tree
		want   string
	}{
		"a directory instead of the manifest":   {tree{"web.yaml/": ""}, "own/web.yaml: not a regular file; " + move},
		"a directory instead of a template":     {tree{"web.files/b.conf/": ""}, "own/web.files/b.conf: not a regular file"},
		"a directory instead of the grants":     {tree{"web.d/grants.toml/": ""}, "own/web.d/grants.toml: not a regular file"},
		"a link instead of the templates":       {tree{"web.files": "->elsewhere", "elsewhere/x": ""}, "own/web.files is a link, but a directory is needed"},
		"a link instead of the overlays":        {tree{"web.d": "->elsewhere", "elsewhere/x": ""}, "own/web.d is a link, but a directory is needed"},
		"a file instead of the templates":       {tree{"web.files": "x"}, "own/web.files"},
		"a directory instead of a written file": {tree{".archgen-web.yaml.tmp/": ""}, "it is a directory: " + move},
	} {
		dir, path, _ := machine(t, c.before, nil)
		if _, err := dir.Install(db, web); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
		expect(t, what, path, c.before)
	}
}

// TestSeedsInTheWay: seeds are written through no link.
func TestSeedsInTheWay(t *testing.T) {
	t.Parallel()
	before := tree{"wiki.files": "->elsewhere", "elsewhere/x": ""}
	dir, path, _ := machine(t, before, nil)
	if _, err := dir.Install(wiki); err == nil || !strings.Contains(err.Error(), "own/wiki.files is a link, but a directory is needed") {
		t.Error(err)
	}
	expect(t, "a link instead of ID.files", path, before)
}

// TestUnwritable: no user can write to /proc, not even root.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	dir := installed.At("/proc/archipelago")
	if _, err := dir.Install(web); err == nil || !strings.Contains(err.Error(), "/proc/archipelago") {
		t.Errorf("installing: %v", err)
	}
	if err := dir.SetEnabled("web", true); err == nil {
		t.Error("an overlay was written")
	}
	if err := dir.Remove("web"); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
}

// shippedApps is what an image brings, and ours an own app with everything that it can have.
var (
	shippedApps = tree{"lamp.yaml": "lamp", "lamp.files/x": "x", "web.yaml": "web 0"}
	ours        = both.with(tree{
		"wiki.yaml": "wiki 0", "wiki.files/pages/old": "o", "wiki.files/wiki.db/a": "o",
		"web.d/mine.yaml": "m", "web.files/link": "->/etc/hostname", "web.files/old": "o",
		"lamp.d/grants.toml": granted("use"), "db.d/mine.yaml": "m",
	})
)

func TestRemove(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		before tree
		ids    []string
		after  tree
	}{
		"its manifest, templates and grants": {both, []string{"web"}, tree{"db.toml": "db 1"}},
		"its overlays stay": {ours, []string{"web", "db", "wiki"}, tree{
			"web.d/mine.yaml": "m", "db.d/mine.yaml": "m", "lamp.d/grants.toml": granted("use"),
		}},
		"one of the image is masked":                  {tree{"lamp.d/grants.toml": granted("use")}, []string{"lamp"}, tree{"lamp.yaml": "->/dev/null"}},
		"one that is masked stays so":                 {tree{"lamp.yaml": "->/dev/null"}, []string{"lamp"}, tree{"lamp.yaml": "->/dev/null"}},
		"a manifest that is unreadable":               {tree{"web.yaml": "{{{", "db.toml": "->nowhere"}, []string{"web", "db"}, tree{}},
		"of two manifests the one that is read last":  {tree{"web.yaml": "1", "web.toml": "2"}, []string{"web"}, tree{"web.toml": "2"}},
		"a link instead of the templates":             {tree{"db.toml": "db 1", "db.files": "->/etc"}, []string{"db"}, tree{}},
		"templates without a manifest":                {tree{"gone.files/x": "x", "gone.d/grants.toml": ""}, []string{"gone"}, tree{}},
		"an app that is not there":                    {webbed, []string{"other"}, webbed},
		"a name that is no id, of a file with errors": {tree{"Bad_Name.yaml": "x"}, []string{"Bad_Name"}, tree{}},
	} {
		dir, path, shipped := machine(t, c.before, shippedApps)
		undo, err := dir.Replace(c.ids)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		expect(t, what, path, c.after)
		if err := undo(); err != nil {
			t.Errorf("%s, undone: %v", what, err)
		}
		expect(t, what+", undone", path, c.before)

		if err := dir.Remove(c.ids...); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		expect(t, what, path, c.after)
		expect(t, what+": what the image ships", shipped, shippedApps)
	}
}

// TestReplace: one app goes and another comes, and back.
func TestReplace(t *testing.T) {
	t.Parallel()
	dir, path, _ := machine(t, webbed, shippedApps)
	undo, err := dir.Replace([]string{"web", "lamp"}, db)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "replaced", path, tree{"db.toml": "db 1", "lamp.yaml": "->/dev/null"})
	if err := undo(); err != nil {
		t.Error(err)
	}
	expect(t, "undone", path, webbed)
	if _, err := dir.Replace([]string{"web"}, installed.App{ID: "web", File: "web.toml", Manifest: []byte("2")}); err != nil {
		t.Error(err)
	}
	expect(t, "replaced by itself", path, tree{"web.toml": "2"})
}

// TestEveryChangeFails: whichever file can't be written, as on a full disk, nothing of the
// installation stays, and the error says why once.
func TestEveryChangeFails(t *testing.T) {
	t.Parallel()
	before := ours.with(tree{"db.toml": "db 0"})
	for n := 0; ; n++ {
		dir, path, shipped := machine(t, before, shippedApps)
		changes := 0
		failing := dir.Watched(func(path string) error {
			changes++
			if changes == n+1 {
				return durable.Failed("writing", path, syscall.ENOSPC)
			}
			return nil
		})
		undo, err := failing.Replace([]string{"web", "lamp"}, db, wiki, installed.App{ID: "new", File: "new.yaml", Manifest: []byte("new"), Templates: web.Templates, Grants: web.Grants})
		if changes <= n {
			if n < 10 || err != nil || undo == nil {
				t.Errorf("there were %d changes, and %v", n, err)
			}
			return
		}
		if !errors.Is(err, syscall.ENOSPC) || strings.Count(err.Error(), "\n") > 0 || undo != nil {
			t.Errorf("change %d: %v", n, err)
		}
		expect(t, fmt.Sprintf("after change %d failed", n), path, before)
		expect(t, "what the image ships", shipped, shippedApps)
	}
}

// TestDiskStaysFull: undoing writes nothing, so that it works where there is no space left.
func TestDiskStaysFull(t *testing.T) {
	t.Parallel()
	for n := range 5 {
		dir, path, _ := machine(t, nil, nil)
		written := 0
		full := dir.Watched(func(path string) error {
			if _, err := os.Lstat(path); err == nil { // it is removed
				return nil
			}
			if written++; written > n {
				return durable.Failed("writing", path, syscall.ENOSPC)
			}
			return nil
		})
		if _, err := full.Install(web, db); !errors.Is(err, syscall.ENOSPC) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("full after %d files: %v", n, err)
		}
		expect(t, fmt.Sprintf("full after %d files", n), path, tree{})
	}
}

// TestOrder: healthd may look at any time. An app has its templates and grants before its
// manifest, and loses them after it, also when that is undone.
func TestOrder(t *testing.T) {
	t.Parallel()
	dir, path, _ := machine(t, nil, nil)
	var order []string
	watched := dir.Watched(func(file string) error {
		name, err := filepath.Rel(path, file)
		order = append(order, name)
		return err
	})
	inOrder := func(what string, want ...string) {
		t.Helper()
		if d := cmp.Diff(want, order); d != "" {
			t.Errorf("%s: -want +got:\n%s", what, d)
		}
		order = nil
	}
	undo, err := watched.Install(web)
	inOrder("installed", "web.d/grants.toml", "web.files/a.conf", "web.files/b.conf", "web.yaml")
	err = errors.Join(err, undo())
	inOrder("undone", "web.yaml", "web.files/b.conf", "web.files/a.conf", "web.d/grants.toml")
	put(t, path, webbed)
	undo, removed := watched.Replace([]string{"web"})
	inOrder("removed", "web.yaml", "web.files", "web.d/grants.toml")
	err = errors.Join(err, removed, undo())
	inOrder("undone", "web.d/grants.toml", "web.files/b.conf", "web.files/a.conf", "web.yaml")
	if err != nil {
		t.Error(err)
	}
}

// TestUndoFails: what can't be undone is said beside the cause, and the rest is undone.
func TestUndoFails(t *testing.T) {
	t.Parallel()
	dir, path, _ := machine(t, webbed.with(tree{"db.toml": "db 0", "db.files/": ""}), nil)
	if err := syscall.Mkfifo(filepath.Join(path, "db.files/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	undo, err := dir.Replace([]string{"db", "web"})
	if err != nil {
		t.Fatal(err)
	}
	if err := undo(); err == nil || !strings.Contains(err.Error(), "db.files/pipe can't be restored: ") {
		t.Errorf("undone: %v", err)
	}
	expect(t, "undone as far as it can be", path, webbed.with(tree{"db.toml": "db 0"}))
}

// TestFiles: which file is the manifest of an app.
func TestFiles(t *testing.T) {
	t.Parallel()
	dir, path, shipped := machine(t,
		tree{
			"web.yaml": "1", "masked.yaml": "->/dev/null", "broken.yml": "{{{", "lost.toml": "->nowhere",
			".hidden.yaml": "", "directory.yaml/": "", "text.txt": "", "web.d/overlay.yaml": "", "web.files/template.yaml": "",
		},
		tree{"web.toml": "0", "masked.yaml": "0", "lamp.yaml": "0"},
	)
	want := map[string]string{
		"web": path + "/web.yaml", "broken": path + "/broken.yml", "lost": path + "/lost.toml", "lamp": shipped + "/lamp.yaml",
	}
	if d := cmp.Diff(want, dir.Files()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if files := installed.At(filepath.Join(path, "absent")).Files(); len(files) > 0 {
		t.Errorf("a directory that is absent has %v", files)
	}
}

func TestOverlays(t *testing.T) {
	t.Parallel()
	dir, path, _ := machine(t, tree{"web.yaml": "1"}, shippedApps)
	steps := []struct {
		what     string
		do       func() error
		want     tree
		overlays bool
	}{
		{"granted", func() error { return dir.SetGrants("web", []string{"use", "onion", "use"}) }, tree{"web.d/grants.toml": granted("onion", "use")}, false},
		{"revoked", func() error { return dir.SetGrants("web", nil) }, tree{"web.d/grants.toml": granted()}, false},
		{"disabled", func() error { return dir.SetEnabled("web", false) }, tree{"web.d/90-enabled.yaml": "# Written by archgen enable and disable.\napp: {enabled: false}\n"}, true},
		{"enabled", func() error { return dir.SetEnabled("web", true) }, tree{"web.d/90-enabled.yaml": "# Written by archgen enable and disable.\napp: {enabled: true}\n"}, true},
		{"held", func() error { return dir.Hold("web", "", "") }, tree{"web.d/hold.yaml": "# Written by archgen hold. archgen unhold removes it.\napp: {update: {hold: {}}}\n"}, true},
		{
			"held for a while", func() error { return dir.Hold("web", "2027-01-31", `guards: "none"`) },
			tree{"web.d/hold.yaml": "# Written by archgen hold. archgen unhold removes it.\napp: {update: {hold: {until: \"2027-01-31\", why: \"guards: \\\"none\\\"\"}}}\n"},
			true,
		},
		{"not held", func() error { return dir.Unhold("web") }, tree{"web.d/hold.yaml": "-"}, true},
		{"not held, again", func() error { return dir.Unhold("web") }, tree{}, true},
		{"edited", func() error { return dir.SetEdits("web", []byte("e")) }, tree{"web.d/00-edited.yaml": "e"}, true},
		{"not edited any more", func() error { return dir.SetEdits("web", nil) }, tree{"web.d/00-edited.yaml": "-"}, true},
		{"pinned", func() error { return dir.SetPin("web", []byte("p")) }, tree{"web.d/00-pin.yaml": "p"}, true},
		{"not pinned any more", func() error { return dir.SetPin("web", nil) }, tree{"web.d/00-pin.yaml": "-"}, true},
		{"adopted", func() error { return dir.WriteOverlay("web", "50-adopted.yaml", []byte("a")) }, tree{"web.d/50-adopted.yaml": "a"}, true},
		{"removed", func() error { return dir.Remove("web") }, tree{"web.yaml": "-", "web.d/grants.toml": "-"}, true},
		{"purged", func() error { return dir.RemoveOverlays("web") }, tree{"web.d/90-enabled.yaml": "-", "web.d/50-adopted.yaml": "-"}, false},
		{"an app of the image disabled", func() error { return dir.SetEnabled("lamp", false) }, tree{"lamp.d/90-enabled.yaml": "# Written by archgen enable and disable.\napp: {enabled: false}\n"}, false},
	}
	have := tree{"web.yaml": "1"}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Errorf("%s: %v", s.what, err)
		}
		have = have.with(s.want)
		expect(t, s.what, path, have)
		want := ""
		if s.overlays {
			want = filepath.Join(path, "web.d")
		}
		if got := dir.Overlays("web"); got != want {
			t.Errorf("%s: its overlays are in %q, want %q", s.what, got, want)
		}
	}
}

// TestFind: an app is not installed only if that can be told.
func TestFind(t *testing.T) {
	t.Parallel()
	dir, path, _ := machine(t, tree{"web.yaml": "1"}, nil)
	if file, err := dir.Find("web"); file != filepath.Join(path, "web.yaml") || err != nil {
		t.Errorf("%q, %v", file, err)
	}
	if file, err := dir.Find("other"); file != "" || err != nil {
		t.Errorf("another app: %q, %v", file, err)
	}
	absent := installed.At(filepath.Join(path, "absent"))
	if _, err := absent.Find("web"); err == nil || err.Error() != "looking for the manifest of web: "+absent.Path()+" does not exist" {
		t.Errorf("without the directory: %v", err)
	}
	unreadable := installed.At(filepath.Join(path, "web.yaml"))
	if _, err := unreadable.Find("web"); err == nil || !strings.Contains(err.Error(), "it can't be read: ") {
		t.Errorf("a file: %v", err)
	}
}

// TestEdits: what was edited is read as it was written.
func TestEdits(t *testing.T) {
	t.Parallel()
	dir, path, _ := machine(t, tree{"web.yaml": "1"}, nil)
	if text, err := dir.Edits("web"); text != nil || err != nil {
		t.Errorf("before: %q, %v", text, err)
	}
	if err := dir.SetEdits("web", []byte("e")); err != nil {
		t.Fatal(err)
	}
	if text, err := dir.Edits("web"); string(text) != "e" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.MkdirAll(filepath.Join(path, "other.d", installed.EditedOverlay), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Edits("other"); err == nil || !strings.Contains(err.Error(), "other.d/00-edited.yaml can't be read: ") {
		t.Errorf("a directory: %v", err)
	}
}

// TestPin: images that were taken for a manifest go with its text, and are restored if another one can't be
// installed.
func TestPin(t *testing.T) {
	t.Parallel()
	dir, path, _ := machine(t, tree{"web.yaml": "1"}, nil)
	if err := dir.SetPin("web", []byte("p")); err != nil {
		t.Fatal(err)
	}
	install := func(text string) (undo func() error) {
		t.Helper()
		undo, err := dir.Install(installed.App{ID: "web", File: "web.yaml", Manifest: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		return undo
	}
	install("1")
	if text, err := dir.Pin("web"); string(text) != "p" || err != nil {
		t.Errorf("the same manifest: %q, %v", text, err)
	}
	undo := install("2")
	if text, err := dir.Pin("web"); text != nil || err != nil {
		t.Errorf("another manifest: %q, %v", text, err)
	}
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	expect(t, "undone", path, tree{"web.yaml": "1", "web.d/00-pin.yaml": "p"})
}

// TestRecord: a file is written where the compiler says that it is missing, and nowhere else.
func TestRecord(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "apps")
	if err := installed.Record(filepath.Join(dir, "web.d"), manifests.GrantsFile, []byte(granted("use:bitcoin-rpc"))); err != nil {
		t.Fatal(err)
	}
	want := tree{"web.d/grants.toml": granted("use:bitcoin-rpc")}
	expect(t, "recorded", dir, want)
	for _, odd := range []struct{ overlays, name string }{{"web", "grants.toml"}, {".d", "grants.toml"}, {"web.d", "../grants.toml"}} {
		if err := installed.Record(filepath.Join(dir, odd.overlays), odd.name, nil); err == nil {
			t.Errorf("%s/%s was written", odd.overlays, odd.name)
		}
	}
	expect(t, "after what is refused", dir, want)
}

// TestNamesStayInside: no id and no name of a file leads out of the directory.
func TestNamesStayInside(t *testing.T) {
	t.Parallel()
	dir, path, _ := machine(t, tree{"web.yaml": "1"}, nil)
	outside := read(t, filepath.Dir(path))
	for _, name := range []string{"", ".", "..", "../web", "/etc/web", "web/../../x", "a/b"} {
		_, asID := dir.Install(installed.App{ID: name, File: "x.yaml", Manifest: []byte("x"), Grants: []string{"use"}})
		_, asFile := dir.Install(installed.App{ID: "web", File: name + ".yaml", Manifest: []byte("x")})
		_, asTemplate := dir.Install(installed.App{ID: "web", File: "web.yaml", Manifest: []byte("x"), Templates: map[string][]byte{name: nil}})
		for what, err := range map[string]error{
			"installing the id": asID, "installing the file": asFile, "installing the template": asTemplate, "removing": dir.Remove(name),
			"enabling": dir.SetEnabled(name, true), "granting": dir.SetGrants(name, nil), "holding": dir.Hold(name, "", ""), "unholding": dir.Unhold(name), "edits": dir.SetEdits(name, nil), "a pin": dir.SetPin(name, nil), "an overlay of it": dir.WriteOverlay(name, "x.yaml", nil),
			"an overlay called so": dir.WriteOverlay("web", name, nil), "removing its overlays": dir.RemoveOverlays(name),
		} {
			if err == nil {
				t.Errorf("%s %q succeeded", what, name)
			}
		}
	}
	for _, file := range []string{"other.yaml", "web.txt", "web", "../web.yaml", "web.d/web.yaml"} {
		if _, err := dir.Install(installed.App{ID: "web", File: file, Manifest: []byte("x")}); err == nil {
			t.Errorf("%s became the manifest of web", file)
		}
	}
	expect(t, "the directory and all around it", filepath.Dir(path), outside)
}

// TestImage: in a system image nothing is written through a link that leads out of it.
func TestImage(t *testing.T) {
	t.Parallel()
	machine, image := t.TempDir(), t.TempDir()
	dir, err := installed.Of(paths.Env{Scope: units.System, Root: image})
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.SetGrants("web", []string{"use"}); err != nil || dir.Path() != filepath.Join(image, "etc/archipelago/apps") {
		t.Errorf("%s: %v", dir.Path(), err)
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(image, "etc")), os.Symlink(machine, filepath.Join(image, "etc"))); err != nil {
		t.Fatal(err)
	}
	if err := dir.SetGrants("web", []string{"use"}); err == nil || !strings.Contains(err.Error(), "a link on its path leads out of "+image) {
		t.Errorf("through a link: %v", err)
	}
	expect(t, "the machine", machine, tree{})
	if len(dir.Paths()) != 2 {
		t.Errorf("manifests are read from %v", dir.Paths())
	}
}
