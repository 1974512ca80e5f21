package manifests_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// tree makes files below a new directory: path to content. A content that
// begins with "-> " makes a link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// app is a manifest whose name says where it came from.
func app(id, name string) string {
	return fmt.Sprintf("app: {id: %s, name: %s, version: 1.0.0, container: {image: x}}\n", id, name)
}

// The first directory that has an app wins, whatever the encoding; a link to
// /dev/null masks it in those behind.
func TestFirstDirectoryWins(t *testing.T) {
	root := tree(t, map[string]string{
		"user/a.yaml": app("a", "users"), "etc/a.toml": "app = 1", "usr/a.yaml": app("a", "vendor"),
		"etc/b.yml": app("b", "admin"), "usr/b.yaml": app("b", "vendor"),
		"usr/c.yaml": app("c", "vendor"), "etc/c.toml": "-> /dev/null",
		"usr/d.yaml":  app("d", "vendor"),
		"user/e.yaml": "-> ../elsewhere/e.yaml", "elsewhere/e.yaml": app("e", "linked"),
		// Not manifests.
		"user/.f.yaml": app("f", "hidden"), "user/g.yaml.bak": app("g", "backup"), "user/README": "read me", "user/h.yaml/x": "a directory",
	})
	var l manifests.Loaded
	diags := l.LoadDirs([]string{filepath.Join(root, "user"), filepath.Join(root, "etc"), filepath.Join(root, "missing"), filepath.Join(root, "usr")})
	if len(diags) > 0 {
		t.Error(diags)
	}
	got := make([]string, 0, len(l.Manifests))
	for _, m := range l.Manifests {
		got = append(got, m.Document.App.ID+" "+m.Document.App.Name)
	}
	if want := []string{"a users", "b admin", "d vendor", "e linked"}; !slices.Equal(got, want) {
		t.Errorf("loaded %q, want %q", got, want)
	}
}

// Overlays come from all directories, in the order of their names; of one name
// the first directory's.
func TestOverlaysOfAllDirectories(t *testing.T) {
	overlay := func(k, v string) string { return "app: {container: {env: {" + k + ": " + v + "}}}\n" }
	root := tree(t, map[string]string{
		"usr/a.yaml":        app("a", "vendor"),
		"etc/a.d/10.yaml":   overlay("A", "etc10"),
		"etc/a.d/20.yaml":   overlay("B", "etc20"),
		"etc/a.d/50.yaml":   overlay("D", "masked"),
		"user/a.d/20.yaml":  overlay("B", "user20"),
		"user/a.d/30.toml":  "app.container.env.A = 'user30'\n",
		"user/a.d/40.txt":   "no overlay",
		"user/a.d/50.yaml":  "-> /dev/null",
		"user/b.d/10.yaml":  "app: of none",
		"etc/a.d/.15.yaml":  overlay("A", "hidden"),
		"user/a.d/x.yaml/y": "a directory",
	})
	var l manifests.Loaded
	diags := l.LoadDirs([]string{filepath.Join(root, "user"), filepath.Join(root, "etc"), filepath.Join(root, "usr")})
	if len(diags) > 0 || len(l.Manifests) != 1 {
		t.Fatalf("%d manifests, %v", len(l.Manifests), diags)
	}
	want := manifests.Env{{Name: "A", Value: "user30"}, {Name: "B", Value: "user20"}}
	if got := l.Manifests[0].Document.App.Container.Env; !slices.Equal(got, want) {
		t.Errorf("env is %v, want %v", got, want)
	}
	for _, name := range []string{"usr/a.yaml", "etc/a.d/10.yaml", "user/a.d/30.toml"} {
		if l.Sources[filepath.Join(root, name)] == nil {
			t.Errorf("no source of %s for excerpts", name)
		}
	}
}

// Two files of one app in a directory are both loaded, so that Resolve can say
// so: neither is silently the right one.
func TestTwoFilesOfOneApp(t *testing.T) {
	root := tree(t, map[string]string{"a.yaml": app("a", "one"), "a.toml": "[app]\nid = 'a'\nname = 'two'\nversion = '1'\ncontainer.image = 'x'\n"})
	var l manifests.Loaded
	if diags := l.LoadDirs([]string{root}); len(diags) > 0 || len(l.Manifests) != 2 {
		t.Fatalf("%d manifests, %v", len(l.Manifests), diags)
	}
	_, diags := manifests.Resolve(l.Manifests, manifests.DefaultSettings())
	if len(diags) != 1 || diags[0].Code != diag.IDClash {
		t.Errorf("%v, want one id-clash", diags)
	}
}

// What can't be read is reported and never waited for; the rest is loaded.
func TestUnreadableFiles(t *testing.T) {
	root := tree(t, map[string]string{
		"good.yaml": app("good", "good"), "dangling.yaml": "-> nowhere", "loop.yaml": "-> loop.yaml", "directory.yaml": "-> .",
		"good.d/1.yaml": "-> /nowhere",
	})
	if err := syscall.Mkfifo(filepath.Join(root, "fifo.toml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(root, "zero.yaml")); err != nil {
		t.Fatal(err)
	}
	var l manifests.Loaded
	diags := l.LoadDirs([]string{root, filepath.Join(root, "good.yaml")})
	files := make([]string, 0, len(diags))
	for _, d := range diags {
		if d.Code != diag.Unreadable || d.Message == "" {
			t.Errorf("%v, want unreadable", d)
		}
		rel, _ := filepath.Rel(root, d.File)
		files = append(files, rel)
	}
	slices.Sort(files)
	want := []string{"dangling.yaml", "directory.yaml", "fifo.toml", "good.d/1.yaml", "good.yaml", "good.yaml/good.d", "loop.yaml", "zero.yaml"}
	if !slices.Equal(slices.Compact(files), want) {
		t.Errorf("unreadable are %q, want %q", files, want)
	}
	if len(l.Manifests) != 1 {
		t.Errorf("%d manifests, want the good one", len(l.Manifests))
	}
	_, diags = manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "x.json", Data: []byte("{}")}})
	if len(diags) != 1 || diags[0].Code != diag.Unreadable {
		t.Errorf("x.json: %v, want unreadable", diags)
	}
}

// A file of exactly the largest size is read, one byte more is not.
func TestLargeFiles(t *testing.T) {
	text := app("a", "a")
	text += "#" + strings.Repeat(" ", manifests.MaxFileSize-len(text)-1)
	for extra, code := range map[string]diag.Code{"": "", "#": diag.TooLarge} {
		root := tree(t, map[string]string{"a.yaml": text + extra})
		var l manifests.Loaded
		diags := l.LoadFile(filepath.Join(root, "a.yaml"))
		if got := codes(diags); strings.Join(got, " ") != string(code) {
			t.Errorf("%d bytes: %v, want %q", len(text+extra), diags, code)
		}
	}
}

// Positions and paths of an image below a root are those of the machine that
// will run it.
func TestRootIsTakenOffPaths(t *testing.T) {
	root := tree(t, map[string]string{"etc/archipelago/apps/a.yaml": app("a", "a")})
	for _, given := range []string{root, root + "/", root + "/etc/.."} {
		l := manifests.Loaded{Root: given}
		if diags := l.LoadFile(filepath.Join(root, "etc/archipelago/apps/a.yaml")); len(diags) > 0 {
			t.Fatal(diags)
		}
		if got := l.Manifests[0].Dir; got != "/etc/archipelago/apps" {
			t.Errorf("below %s the directory is %s", given, got)
		}
	}
}

func codes(l diag.List) []string {
	list := make([]string, 0, len(l))
	for _, d := range l {
		list = append(list, string(d.Code))
	}
	return list
}

// TestTemplatesBehindLinks: the templates of a manifest come from its own directory. In an
// overlay, which is the operator's, a link is what it is elsewhere.
func TestTemplatesBehindLinks(t *testing.T) {
	t.Parallel()
	const key = "the key of the user"
	for name, tt := range map[string]struct {
		files map[string]string
		read  bool
	}{
		"a file":                         {map[string]string{"x.files/a.conf": "text"}, true},
		"a link to a file elsewhere":     {map[string]string{"x.files/a.conf": "-> ../home/key"}, false},
		"a link by an absolute path":     {map[string]string{"x.files/a.conf": "-> /proc/self/environ"}, false},
		"a link to a file beside it":     {map[string]string{"x.files/a.conf": "-> b.conf", "x.files/b.conf": "text"}, false},
		"a link in place of the folder":  {map[string]string{"x.files": "-> home", "home/a.conf": key}, false},
		"a link that the operator made":  {map[string]string{"x.d/files/a.conf": "-> ../../home/key"}, true},
		"a folder that the operator has": {map[string]string{"x.d/files": "-> ../home", "home/a.conf": "text"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"home/key": key}
			files["x.yaml"] = "app: {id: x, name: X, version: 1.0.0, container: {image: x, files: [{template: a.conf, target: /a}]}}\n"
			maps.Copy(files, tt.files)
			var l manifests.Loaded
			diags := l.LoadDirs([]string{tree(t, files)})
			if tt.read != (len(diags) == 0) || len(l.Manifests) != 1 {
				t.Fatal(diags)
			}
			if _, isRead := l.Manifests[0].Templates["a.conf"]; isRead != tt.read {
				t.Errorf("it is read: %v", isRead)
			}
			for _, d := range diags {
				if d.Code != diag.Unreadable || strings.Contains(d.Message, key) {
					t.Error(d)
				}
			}
		})
	}
}
