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

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// tree makes files below a new directory: path to content. A content that
// begins with "-> " makes a link, a path that ends in / a directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		target, isLink := strings.CutPrefix(content, "-> ")
		switch {
		case isLink:
			err = os.Symlink(target, path)
		case strings.HasSuffix(name, "/"):
			err = os.Mkdir(path, 0o755)
		default:
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
		"user/ant.yaml": app("ant", "users"), "etc/ant.toml": "app = 1", "usr/ant.yaml": app("ant", "vendor"),
		"etc/bull.yml": app("bull", "admin"), "usr/bull.yaml": app("bull", "vendor"),
		"usr/cow.yaml": app("cow", "vendor"), "etc/cow.toml": "-> /dev/null",
		"usr/dog.yaml":  app("dog", "vendor"),
		"user/elk.yaml": "-> ../elsewhere/elk.yaml", "elsewhere/elk.yaml": app("elk", "linked"),
		// Not manifests.
		"user/.fox.yaml": app("fox", "hidden"), "user/g.yaml.bak": app("g", "backup"), "user/README": "read me", "user/h.yaml/x": "a directory",
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
	if want := []string{"ant users", "bull admin", "dog vendor", "elk linked"}; !slices.Equal(got, want) {
		t.Errorf("loaded %q, want %q", got, want)
	}
}

// Overlays come from all directories, in the order of their names; of one name
// the first directory's.
func TestOverlaysOfAllDirectories(t *testing.T) {
	overlay := func(k, v string) string { return "app: {container: {env: {" + k + ": " + v + "}}}\n" }
	root := tree(t, map[string]string{
		"usr/ant.yaml":        app("ant", "vendor"),
		"etc/ant.d/10.yaml":   overlay("A", "etc10"),
		"etc/ant.d/20.yaml":   overlay("B", "etc20"),
		"etc/ant.d/50.yaml":   overlay("D", "masked"),
		"user/ant.d/20.yaml":  overlay("B", "user20"),
		"user/ant.d/30.toml":  "app.container.env.A = 'user30'\n",
		"user/ant.d/40.txt":   "no overlay",
		"user/ant.d/50.yaml":  "-> /dev/null",
		"user/bull.d/10.yaml": "app: of none",
		"etc/ant.d/.15.yaml":  overlay("A", "hidden"),
		"user/ant.d/x.yaml/y": "a directory",
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
	for _, name := range []string{"usr/ant.yaml", "etc/ant.d/10.yaml", "user/ant.d/30.toml"} {
		if l.Sources[filepath.Join(root, name)] == nil {
			t.Errorf("no source of %s for excerpts", name)
		}
	}
}

// Two files of one app in a directory are both loaded, so that Resolve can say
// so: neither is silently the right one.
func TestTwoFilesOfOneApp(t *testing.T) {
	root := tree(t, map[string]string{"ant.yaml": app("ant", "one"), "ant.toml": "[app]\nid = 'ant'\nname = 'two'\nversion = '1'\ncontainer.image = 'x'\n"})
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
	text := app("ant", "ant")
	text += "#" + strings.Repeat(" ", manifests.MaxFileSize-len(text)-1)
	for extra, code := range map[string]diag.Code{"": "", "#": diag.TooLarge} {
		root := tree(t, map[string]string{"ant.yaml": text + extra})
		var l manifests.Loaded
		diags := l.LoadFile(filepath.Join(root, "ant.yaml"))
		if got := codes(diags); strings.Join(got, " ") != string(code) {
			t.Errorf("%d bytes: %v, want %q", len(text+extra), diags, code)
		}
	}
}

// Positions and paths of an image below a root are those of the machine that
// will run it.
func TestRootIsTakenOffPaths(t *testing.T) {
	root := tree(t, map[string]string{"etc/archipelago/apps/ant.yaml": app("ant", "ant")})
	for _, given := range []string{root, root + "/", root + "/etc/.."} {
		l := manifests.Loaded{Root: given}
		if diags := l.LoadFile(filepath.Join(root, "etc/archipelago/apps/ant.yaml")); len(diags) > 0 {
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

// TestSeeds: what a seed is made of, and what is refused.
func TestSeeds(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", manifests.MaxSeed/2+1)
	many := map[string]string{}
	for n := range manifests.MaxSeedFiles {
		many[fmt.Sprintf("x.files/a/%d", n)] = ""
	}
	for name, tt := range map[string]struct {
		files map[string]string
		seed  string
		want  map[string]string
		err   string
	}{
		"a file, byte for byte":          {files: map[string]string{"x.files/a": "\x00\xff\r\n"}, seed: "{b: a}", want: map[string]string{"b": "\x00\xff\r\n"}},
		"a folder":                       {files: map[string]string{"x.files/a/b/c": "1", "x.files/a/d": "2"}, seed: "{.: a}", want: map[string]string{"b/c": "1", "d": "2"}},
		"a folder in a folder":           {files: map[string]string{"x.files/a/b": "1"}, seed: "{c/d: a}", want: map[string]string{"c/d/b": "1"}},
		"a folder with one file in it":   {files: map[string]string{"x.files/a/a": "1"}, seed: "{.: a}", want: map[string]string{"a": "1"}},
		"a longer path takes precedence": {files: map[string]string{"x.files/a/b/c": "1", "x.files/c": "2"}, seed: "{b/c: c, .: a}", want: map[string]string{"b/c": "2"}},
		"the operator's, as a whole":     {files: map[string]string{"x.files/a/b": "1", "x.d/files/a/c": "2"}, seed: "{.: a}", want: map[string]string{"c": "2"}},
		"an empty folder":                {files: map[string]string{"x.files/a/": ""}, seed: "{.: a}", err: "the seed a can't be read: the folder holds no file"},
		"a link":                         {files: map[string]string{"x.files/a": "-> b", "x.files/b": "1"}, seed: "{a: a}", err: "the seed a can't be read: it is a link"},
		"a link in a folder":             {files: map[string]string{"x.files/a/l": "-> ../../home/key"}, seed: "{.: a}", err: "the seed a can't be read: a/l: it is a link"},
		"a link to a folder":             {files: map[string]string{"x.files/a": "-> ../home"}, seed: "{.: a}", err: "the seed a can't be read: it is a link"},
		"a link in place of ID.files":    {files: map[string]string{"x.files": "-> home"}, seed: "{a: key}", err: "the seed key can't be read: it is a link"},
		"a link that the operator made":  {files: map[string]string{"x.d/files/a": "-> ../../home/key"}, seed: "{a: a}", err: "the seed a can't be read: it is a link"},
		"nothing":                        {seed: "{a: a}", err: "there is no file or folder a"},
		"too many bytes":                 {files: map[string]string{"x.files/a/1": large, "x.files/a/2": large}, seed: "{.: a}", err: "the seeds of an app may have 4194304 bytes in 1000 files together"},
		"too many bytes in two volumes":  {files: map[string]string{"x.files/a": large}, seed: "{a: a}}, more: {seed: {a: a}", err: "the seeds of an app may have 4194304 bytes"},
		"too many files":                 {files: many, seed: "{.: a}", err: "the seeds of an app may have 4194304 bytes in 1000 files together"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"home/key": "the key of the user"}
			files["x.yaml"] = "app: {id: x, name: X, version: 1.0.0, container: {image: x, volumes: [{name: data, target: /a}, {name: more, target: /b}]}, volumes: {data: {seed: " + tt.seed + "}}}\n"
			maps.Copy(files, tt.files)
			var l manifests.Loaded
			diags := l.LoadDirs([]string{tree(t, files)})
			if tt.err != "" {
				if len(diags) != 1 || !strings.HasPrefix(diags[0].Message, tt.err) || diags[0].Line != 1 || diags[0].Column < 100 {
					t.Errorf("got %v, want %s", diags, tt.err)
				}
				return
			}
			got := map[string]string{}
			for _, f := range l.Manifests[0].Seeds["data"] {
				got[f.Path] = string(f.Data)
			}
			if d := cmp.Diff(tt.want, got); d != "" || len(diags) > 0 {
				t.Errorf("%v, -want +got:\n%s", diags, d)
			}
		})
	}
}

// TestSeedOfPrograms: the owner's executable bit is all that is kept of a mode. It changes the
// digest of the manifest, as the content does.
func TestSeedOfPrograms(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"x.yaml":      "app: {id: x, name: X, version: 1.0.0, container: {image: x, volumes: [{name: data, target: /a}]}, volumes: {data: {seed: {run: run}}}}\n",
		"x.files/run": "#!/bin/sh\n",
	})
	digests := map[string]bool{}
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o700: true} {
		if err := os.Chmod(filepath.Join(dir, "x.files/run"), mode); err != nil {
			t.Fatal(err)
		}
		var l manifests.Loaded
		if diags := l.LoadDirs([]string{dir}); len(diags) > 0 {
			t.Fatal(diags)
		}
		if got := l.Manifests[0].Seeds["data"][0].IsExecutable; got != want {
			t.Errorf("%o: executable %v", mode, got)
		}
		digests[l.Manifests[0].Digest] = true
	}
	if len(digests) != 2 {
		t.Error("the digest of the manifest stays")
	}
}
