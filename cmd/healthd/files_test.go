package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/watch"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// TestEachFileIsWatched: healthd hears of each file that the compiler reads, in each
// directory of manifests, and compiles again. So it does when the directory of the file is
// created later, replaced, or a link.
func TestEachFileIsWatched(t *testing.T) {
	t.Parallel()
	for name, isImage := range map[string]bool{"a user's": false, "those of both scopes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			source := compile.Source{Scope: units.User, Ask: func() string { return "5.4.2" }, Generator: "test", Ungranted: true, Getenv: func(name string) string {
				return map[string]string{"HOME": top}[name]
			}}
			if isImage { // its paths are those of a machine, below its root
				source.Root = top
			}
			dirs, err := source.Paths().Apps()
			if err != nil {
				t.Fatal(err)
			}
			for _, dir := range dirs {
				if strings.HasPrefix(dir, top) {
					newListener(t, source, dir).all()
				}
			}
		})
	}
}

// listener hears of the files of an app in one directory of manifests.
type listener struct {
	t        *testing.T
	dir      string
	events   <-chan watch.Event
	compiler healthd.Compiler
	before   units.Desired
}

func newListener(t *testing.T, source compile.Source, dir string) *listener {
	t.Helper()
	events, failures := watchFiles(t.Context(), watched(source, []string{dir}, filepath.Join(dir, "units")))
	go func() {
		for err := range failures {
			t.Error(err)
		}
	}()
	return &listener{t: t, dir: dir, events: events, compiler: healthd.Compiler{Source: source, Diagnose: func(diag.List) {}}}
}

func (l *listener) all() {
	manifest := "app: {id: web, name: Web, version: 1.0.0, container: {image: localhost/web:1, health: {disable: true}, files: [{template: web.conf, target: /web.conf}], volumes: [{name: data, target: /data}]}, volumes: {data: {seed: {.: seed}}}}\n"
	l.write("web.files/web.conf", "first", true) // before there is a manifest
	l.write("web.files/seed/a/b", "first", false)
	l.write("web.yaml", manifest, true)
	l.write("web.files/web.conf", "second", true)
	l.write("web.files/seed/a/b", "second", true)
	l.write("web.files/seed/c/d/e", "first", true)
	l.write("web.d/over.yaml", "app: {name: Overlaid}", true)
	l.write("web.d/over.yaml", "app: {name: Changed}", true)
	l.write("web.d/files/web.conf", "third", true)
	l.write("web.d/files/web.conf", "fourth", true)
	l.write("web.d/grants.toml", "allow = []\n", false)

	// The directories are removed, and exist again.
	l.must(os.RemoveAll(l.at("web.d")))
	l.heard("web.files/web.conf")
	l.write("web.d/files/web.conf", "fifth", true)
	// They are replaced by others that were elsewhere.
	l.must(os.Rename(l.at("web.d"), l.at("old")))
	l.must(os.MkdirAll(l.at("../other/files"), 0o700))
	l.must(os.Rename(l.at("../other"), l.at("web.d")))
	l.write("web.d/files/web.conf", "sixth", true)
	l.write("web.d/over.yaml", "app: {name: Other}", true)
	// They are links.
	l.must(os.Rename(l.at("web.d"), l.at("../elsewhere")))
	l.must(os.Symlink("../elsewhere", l.at("web.d")))
	l.write("web.d/files/web.conf", "seventh", true)
	l.write("web.d/over.yaml", "app: {name: Linked}", true)
	l.must(os.RemoveAll(l.dir))
}

func (l *listener) at(path string) string { return filepath.Join(l.dir, path) }

func (l *listener) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// write writes a file. That is heard, and changes the desired state if the file counts.
func (l *listener) write(path, text string, counts bool) {
	l.t.Helper()
	l.must(errors.Join(os.MkdirAll(filepath.Dir(l.at(path)), 0o700), os.WriteFile(l.at(path), []byte(text), 0o600)))
	want, err := l.compiler.Desired()
	l.must(err)
	if counts == cmp.Equal(l.before, want) {
		l.t.Errorf("%s in %s: changes the desired state: %v", path, l.dir, !counts)
	}
	l.before = want
	l.heard(path)
}

// heard touches a file until that is heard: while the watches are set up again, only the end
// of the setup is told.
func (l *listener) heard(path string) {
	l.t.Helper()
	deadline := time.After(20 * time.Second)
	for isNew := true; ; {
		if isNew {
			now := time.Now()
			l.must(os.Chtimes(l.at(path), now, now))
		}
		select {
		case e := <-l.events:
			if e == (watch.Event{Dir: filepath.Dir(l.at(path)), Name: filepath.Base(path)}) {
				return
			}
			isNew = e == watch.Event{}
		case <-deadline:
			l.t.Fatalf("%s is not watched", l.at(path))
		}
	}
}

// A change of the watch becomes the status of healthd's service, once.
func TestWatchPublisher(t *testing.T) {
	t.Parallel()
	var said []string
	publish := watchPublisher(func(state string) { said = append(said, state) })
	full := healthd.Watch{Errno: 24, Error: "opening an inotify instance:\ntoo many open files"}
	for _, w := range []healthd.Watch{{}, full, full, {}, {}} {
		publish(w)
	}
	want := []string{"STATUS=opening an inotify instance: too many open files\nERRNO=24", "STATUS=\nERRNO=0"}
	if d := cmp.Diff(want, said); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
