package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// scarce is a kernel with no instance or no watch left for some.
type scarce struct {
	instances, opened atomic.Int32 // those left, those that were opened
	full              atomic.Bool  // no watch is left for a path that ends in "b"
}

func (s *scarce) kernel() kernel {
	return kernel{
		open: func(flags int) (int, error) {
			if s.instances.Add(-1) < 0 {
				return 0, unix.EMFILE
			}
			s.opened.Add(1)
			return unix.InotifyInit1(flags)
		},
		add: func(fd int, path string, mask uint32) (int, error) {
			if s.full.Load() && strings.HasSuffix(path, "b") {
				return -1, unix.ENOSPC
			}
			return unix.InotifyAddWatch(fd, path, mask)
		},
	}
}

// lacking is a watch by such a kernel.
type lacking struct {
	t       *testing.T
	events  <-chan Event
	reports chan error
}

func (s *scarce) watch(t *testing.T, dirs ...string) lacking {
	t.Helper()
	l := lacking{t: t, reports: make(chan error, 9)}
	w := &watches{kernel: s.kernel(), dirs: dirs, within: func(string) bool { return false }, retry: time.Millisecond}
	l.events = start(t.Context(), w, func(err error) { l.reports <- err })
	return l
}

func (l lacking) reported(want error) {
	l.t.Helper()
	if err := <-l.reports; !errors.Is(err, want) {
		l.t.Errorf("reported %v, want %v", err, want)
	}
}

// heard writes a file until that is told.
func (l lacking) heard(dir string) {
	l.t.Helper()
	for wrote := false; ; {
		e := <-l.events
		if e.Dir == dir && wrote {
			return
		}
		if e != (Event{}) {
			continue
		}
		wrote = true
		if err := os.WriteFile(filepath.Join(dir, "web.yaml"), nil, 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
}

// Without an instance nothing is told but the error, once. When there is one, the watch begins.
func TestNoInstanceLeft(t *testing.T) {
	t.Parallel()
	var s scarce
	l := s.watch(t, t.TempDir())
	l.reported(unix.EMFILE)
	for s.instances.Load() > -5 { // it tries again
		time.Sleep(time.Millisecond)
	}
	select {
	case e := <-l.events:
		t.Errorf("told of %+v", e)
	case err := <-l.reports:
		t.Errorf("reported %v again", err)
	default:
	}
	s.instances.Store(1)
	l.reported(nil)
	if e := <-l.events; e != (Event{}) {
		t.Errorf("told of %+v before that anything may have changed", e)
	}
}

// Without a watch for a directory the others are watched, and that one when there is one.
func TestNoWatchLeft(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	a, b := filepath.Join(top, "a"), filepath.Join(top, "b")
	for _, dir := range []string{a, b} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var s scarce
	s.instances.Store(1)
	s.full.Store(true)
	l := s.watch(t, b, a)
	l.reported(unix.ENOSPC)
	l.heard(a)
	s.full.Store(false)
	l.reported(nil)
	l.heard(b)
}

// The instance stays the same, whatever is replaced.
func TestOneInstance(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "apps")
	var s scarce
	s.instances.Store(1)
	l := s.watch(t, dir)
	for i := range 5 {
		<-l.events
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
			t.Fatal(i, err)
		}
	}
	l.heard(dir)
	if n := s.opened.Load(); n != 1 {
		t.Errorf("%d instances were opened", n)
	}
}

// Events that were lost may have been about directories.
func TestOverflow(t *testing.T) {
	t.Parallel()
	w := &watches{}
	if told, isReplaced := w.take(raw{mask: unix.IN_Q_OVERFLOW}); told != nil || !isReplaced {
		t.Errorf("told %v, replaced %v", told, isReplaced)
	}
}

// A group without a watch is an error, unless it is gone, and is watched later.
func TestNoWatchForGroups(t *testing.T) {
	t.Parallel()
	files := newGroups(t, "a")
	g := NewGroups(t.Context(), files.root)
	var s scarce
	g.kernel = s.kernel()
	g.add = func(fd int, path string, mask uint32) (int, error) {
		if s.full.Load() {
			return -1, unix.ENOSPC
		}
		return unix.InotifyAddWatch(fd, path, mask)
	}
	groups := map[string]string{"a": "A", "gone": "B"}
	if err := g.Follow(groups); !errors.Is(err, unix.EMFILE) {
		t.Errorf("without an instance: %v", err)
	}
	s.instances.Store(1)
	s.full.Store(true)
	if err := g.Follow(groups); !errors.Is(err, unix.ENOSPC) || !strings.Contains(fmt.Sprint(err), "containers of ") {
		t.Errorf("without a watch: %v", err)
	}
	s.full.Store(false)
	if err := g.Follow(groups); err != nil {
		t.Error(err)
	}
	files.write("a", "populated 0\nfrozen 0\n")
	if app := <-g.Events(); app != "A" {
		t.Errorf("told of %s", app)
	}
}
