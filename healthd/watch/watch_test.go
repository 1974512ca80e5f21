package watch_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/archipelago-os/archipelago/healthd/watch"
)

// watching is a watch that has begun. It also watches a directory of the test: an event of a
// file there comes after all earlier events.
type watching struct {
	t      *testing.T
	events <-chan watch.Event
	marks  string
	marked int
}

func begin(t *testing.T, dirs ...string) *watching {
	t.Helper()
	marks := t.TempDir()
	w := &watching{t: t, marks: marks, events: watch.Watch(t.Context(), append(dirs, marks), isOverlays, func(err error) { t.Error(err) })}
	w.begins()
	return w
}

func isOverlays(path string) bool { return filepath.Dir(path) == "." && filepath.Ext(path) == ".d" }

// begins waits until everything is watched, again after a directory was replaced.
func (w *watching) begins() {
	for (<-w.events != watch.Event{}) {
	}
}

// until is the events up to now. No directory may be replaced meanwhile.
func (w *watching) until() (list []watch.Event) {
	w.t.Helper()
	w.marked++
	mark := strconv.Itoa(w.marked)
	must(w.t, os.Symlink(mark, filepath.Join(w.marks, mark))) // one event
	for e := range w.events {
		if e == (watch.Event{Dir: w.marks, Name: mark}) {
			break
		}
		list = append(list, e)
	}
	return list
}

// tells writes a file until the write is reported: while the watches are set up again, only
// the end of the setup reports a change.
func (w *watching) tells(dir, name string) {
	w.t.Helper()
	for begins := true; begins; {
		must(w.t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		e := <-w.events
		for e != (watch.Event{}) && e != (watch.Event{Dir: dir, Name: name}) {
			e = <-w.events
		}
		begins = e == watch.Event{}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestChanges: whatever happens to a file is told, of the directory it is in.
func TestChanges(t *testing.T) {
	dir := t.TempDir()
	within := filepath.Join(dir, "web.d")
	must(t, os.Mkdir(within, 0o700))
	w := begin(t, dir)
	for _, at := range []string{dir, within} {
		file := filepath.Join(at, "web.yaml")
		for _, step := range []struct {
			name string
			do   func() error
		}{
			{"create", func() error { return os.WriteFile(file, []byte("a"), 0o600) }},
			{"write", func() error { return os.WriteFile(file, []byte("b"), 0o600) }},
			{"truncate", func() error { return os.Truncate(file, 0) }},
			{"change the mode", func() error { return os.Chmod(file, 0o400) }},
			{"rename away", func() error { return os.Rename(file, file+"~") }},
			{"rename into place", func() error { return os.Rename(file+"~", file) }},
			{"delete", func() error { return os.Remove(file) }},
			{"link", func() error { return os.Symlink("/dev/null", file) }},
			{"unlink", func() error { return os.Remove(file) }},
			{"make a FIFO", func() error { return syscall.Mkfifo(file, 0o600) }},
			{"remove the FIFO", func() error { return os.Remove(file) }},
		} {
			t.Log(step.name)
			must(t, step.do())
			if list := w.until(); !slices.ContainsFunc(list, func(e watch.Event) bool { return e.Dir == at }) {
				t.Errorf("told of %v, want %s", list, at)
			}
		}
	}
}

// TestReplaced: a directory that is deleted, renamed, or that one above it is,
// is watched again when it is back.
func TestReplaced(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "containers/systemd/archipelago")
	w := begin(t, dir)
	for i, step := range []struct {
		name string
		do   func() error
	}{
		{"make it, one after the other", func() error {
			for _, d := range []string{"containers", "containers/systemd"} {
				must(t, os.Mkdir(filepath.Join(top, d), 0o700))
				w.begins()
			}
			return os.Mkdir(dir, 0o700)
		}},
		{"remove it", func() error { return os.RemoveAll(dir) }},
		{"make it again", func() error { return os.Mkdir(dir, 0o700) }},
		{"rename it", func() error { return os.Rename(dir, dir+"-old") }},
		{"make another", func() error { return os.Mkdir(dir, 0o700) }},
		{"rename one above", func() error { return os.Rename(filepath.Join(top, "containers"), filepath.Join(top, "old")) }},
		{"make all at once", func() error { return os.MkdirAll(dir, 0o700) }},
		{"remove all", func() error { return os.RemoveAll(filepath.Join(top, "containers")) }},
		{"make all again", func() error { return os.MkdirAll(dir, 0o700) }},
	} {
		t.Log(step.name)
		must(t, step.do())
		w.begins()
		if _, err := os.Stat(dir); err == nil {
			w.tells(dir, fmt.Sprintf("app@web%d.container", i))
		}
	}
}

// TestLinks: what a link leads to is watched, also after the link leads elsewhere.
func TestLinks(t *testing.T) {
	top := t.TempDir()
	at := func(path string) string { return filepath.Join(top, path) }
	link := func(target, path string) func() error {
		return func() error {
			return errors.Join(os.Symlink(at(target), at("new")), os.Rename(at("new"), at(path)))
		}
	}
	for _, dir := range []string{"first/web.d", "second/web.d", "third", "fourth"} {
		must(t, os.MkdirAll(at(dir), 0o700))
	}
	must(t, link("first", "apps")())
	w := begin(t, at("apps"))
	for i, step := range []struct {
		name string
		do   func() error
	}{
		{"a link", func() error { return nil }},
		{"a link elsewhere", link("second", "apps")},
		{"a link within", link("third", "apps/api.d")},
		{"a link within leads elsewhere", link("fourth", "apps/api.d")},
		{"its target is replaced", func() error { return errors.Join(os.Rename(at("fourth"), at("old")), os.Mkdir(at("fourth"), 0o700)) }},
		{"a directory becomes readable", func() error {
			return errors.Join(os.Mkdir(at("apps/shut.d"), 0), os.Chmod(at("apps/shut.d"), 0o700))
		}},
	} {
		t.Log(step.name)
		must(t, step.do())
		dirs, err := filepath.Glob(at("apps/*.d"))
		must(t, err)
		for _, dir := range append(dirs, at("apps")) {
			w.tells(dir, fmt.Sprintf("%d.yaml", i))
		}
	}
}

// TestOnlyOverlays: a directory that holds nothing of an app is not watched.
func TestOnlyOverlays(t *testing.T) {
	dir := t.TempDir()
	for _, within := range []string{"catalog", "web.d/more", "web.d/files"} {
		must(t, os.MkdirAll(filepath.Join(dir, within), 0o700))
	}
	w := begin(t, dir)
	for _, file := range []string{"catalog/web.yaml", "web.d/more/web.yaml", "web.d/files/web.yaml"} {
		must(t, os.WriteFile(filepath.Join(dir, file), nil, 0o600))
	}
	if list := w.until(); len(list) > 0 {
		t.Errorf("told of %v", list)
	}
}

// TestQuiet: what is not asked for is not told, as files beside a directory, the
// temporary files of writers, and what only reads.
func TestQuiet(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "apps")
	must(t, os.Mkdir(dir, 0o700))
	file := filepath.Join(dir, "web.yaml")
	must(t, os.WriteFile(file, []byte("a"), 0o600))
	w := begin(t, dir)
	must(t, os.WriteFile(filepath.Join(top, "other"), nil, 0o600))
	must(t, os.Mkdir(filepath.Join(top, "others"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, ".web.yaml.swp"), nil, 0o600))
	_, err := os.ReadFile(file)
	must(t, err)
	_, err = os.ReadDir(dir)
	must(t, err)
	if list := w.until(); len(list) > 0 {
		t.Errorf("told of %v", list)
	}
}

// TestBurst: a thousand changes are told as few events, and none of the last
// file is lost.
func TestBurst(t *testing.T) {
	dir := t.TempDir()
	w := begin(t, dir)
	file := filepath.Join(dir, "web.yaml")
	for range 1000 {
		must(t, os.WriteFile(file, []byte("x"), 0o600))
	}
	if list := w.until(); len(list) == 0 || len(list) > 1000 {
		t.Errorf("%d events", len(list))
	}
}
