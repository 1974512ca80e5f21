package watch_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/healthd/watch"
)

// watching is a watch that has begun.
type watching struct {
	t      *testing.T
	events <-chan watch.Event
}

func begin(t *testing.T, dirs ...string) watching {
	t.Helper()
	w := watching{t, watch.Watch(t.Context(), dirs, func(err error) { t.Error(err) })}
	w.wants("")
	return w
}

// wants waits for an event about a directory; others may come before.
func (w watching) wants(dir string) {
	w.t.Helper()
	patience := time.After(10 * time.Second)
	for {
		select {
		case e := <-w.events:
			if e.Dir == dir {
				return
			}
		case <-patience:
			w.t.Fatalf("nothing was told of %q", dir)
		}
	}
}

// drain reads until nothing more comes for a moment.
func (w watching) drain() (list []watch.Event) {
	for {
		select {
		case e := <-w.events:
			list = append(list, e)
		case <-time.After(100 * time.Millisecond):
			return list
		}
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
			w.wants(at)
			w.drain()
		}
	}
}

// TestReplaced: a directory that is deleted, renamed, or that one above it is,
// is watched again when it is back.
func TestReplaced(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "containers/systemd/archipelago")
	w := begin(t, dir)
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"make it, one after the other", func() error {
			for _, d := range []string{"containers", "containers/systemd", "containers/systemd/archipelago"} {
				must(t, os.Mkdir(filepath.Join(top, d), 0o700))
				w.drain()
			}
			return nil
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
		w.drain()
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		must(t, os.WriteFile(filepath.Join(dir, "app@web.container"), nil, 0o600))
		w.wants(dir)
		w.drain()
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
	if list := w.drain(); len(list) > 0 {
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
	if list := w.drain(); len(list) == 0 || len(list) > 1000 {
		t.Errorf("%d events", len(list))
	}
}
