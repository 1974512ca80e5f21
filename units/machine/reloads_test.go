package machine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// TestTouched: systemd is asked about the units with a file that was touched since it read them, and
// about all if that can't be told.
func TestTouched(t *testing.T) {
	t.Parallel()
	names := []string{"app@a.service", "app@b.service", "app@c-1.service", "app@hand.service"}
	const source, generated, own, shipped = "containers", "run/generator", "config", "usr"
	for name, c := range map[string]struct {
		touch string // a file, or "-" and one to remove
		when  func(*systemd.Loading)
		want  []string
	}{
		"nothing":              {},
		"Quadlet file":         {touch: source + "/app@a.container", want: names[:1]},
		"removed Quadlet file": {touch: "-" + source + "/app@a.container", want: []string{names[0], names[1], names[3]}},
		// A file may have been removed there, so the shipped ones may be used only now.
		"Quadlet file of another":    {touch: source + "/app@new.container", want: []string{names[1], names[3]}},
		"shipped file that is used":  {touch: "usr-containers/app@b.container", want: names[1:2]},
		"shipped file that is not":   {touch: "usr-containers/app@a.container"},
		"own file in its place":      {touch: source + "/app@b.container", want: []string{names[1], names[3]}},
		"generated unit":             {touch: generated + "/app@a.service", want: names[:1]},
		"unit of an operator":        {touch: shipped + "/app@hand.service", want: names[3:]},
		"drop-in":                    {touch: shipped + "/app@a.service.d/10-x.conf", want: names[:1]},
		"new drop-in in a directory": {touch: shipped + "/app@a.service.d/20-x.conf", want: names[:1]},
		"removed drop-in":            {touch: "-" + shipped + "/app@a.service.d/10-x.conf", want: names[:1]},
		"drop-in of a prefix":        {touch: shipped + "/app@c-.service.d/10-x.conf", want: names},
		"drop-in of all apps":        {touch: shipped + "/app@.service.d/10-x.conf", want: names},
		"drop-in of all services":    {touch: shipped + "/service.d/10-x.conf", want: names},
		"drop-in of no app":          {touch: shipped + "/dbus.service.d/10-x.conf"},
		"first drop-in of a unit":    {touch: own + "/app@a.service.d/10-x.conf", want: names[:1]},
		"unit of another program":    {touch: own + "/new.service"},
		"transient unit":             {touch: "run/transient/run-1.timer"},
		"the time is unknown":        {when: func(l *systemd.Loading) { l.At = time.Time{} }, want: names},
		"the clock was set back":     {when: func(l *systemd.Loading) { l.At = l.At.Add(time.Hour) }, want: names},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			at := func(path string) string { return filepath.Join(root, path) }
			write := func(path string) {
				t.Helper()
				if err := os.MkdirAll(filepath.Dir(at(path)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(at(path), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for _, path := range []string{
				source + "/app@a.container", source + "/app@c-1.container", "usr-containers/app@a.container", "usr-containers/app@b.container", "usr-containers/app@hand.container",
				shipped + "/app@a.service.d/10-x.conf", shipped + "/app@c-.service.d/10-x.conf", shipped + "/app@.service.d/10-x.conf", shipped + "/service.d/10-x.conf", shipped + "/dbus.service.d/10-x.conf",
				shipped + "/app@hand.service", own + "/other.service", "run/transient/run-0.timer",
			} {
				write(path)
			}
			l := loaded(t, at("mark"), at(source), at(own), at(shipped), at("usr-containers"))
			l.Path = []string{at("run/transient"), at("absent"), at(own), at(generated), at(shipped)}
			for _, name := range names[:3] {
				write(generated + "/" + name)
			}
			if c.when != nil {
				c.when(&l)
			}
			loaded(t, at("mark"), at(generated))
			switch {
			case c.touch == "":
			case c.touch[0] == '-':
				if err := os.Remove(at(c.touch[1:])); err != nil {
					t.Fatal(err)
				}
			default:
				write(c.touch)
				chtime(t, at(c.touch))
			}
			found := newTouched(l, []string{at(source), at("usr-containers")}, newUnchanged())
			t.Cleanup(found.close)
			if isMoved := strings.HasPrefix(c.touch, own+"/"); found.moved.IsZero() == isMoved {
				t.Errorf("drop-ins may have been removed at %v, want %v", found.moved, isMoved)
			}
			got := found.of(names)
			if d := cmp.Diff(c.want, got); d != "" && len(c.want)+len(got) > 0 {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestTouchedWithoutAChange: of a file that systemd has found unchanged since it was touched, only a later
// change counts.
func TestTouchedWithoutAChange(t *testing.T) {
	t.Parallel()
	const name = "app@a.service"
	for _, path := range []string{"containers/app@a.container", "run/generator/app@a.service", "config/app@a.service.d/10-x.conf"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			at := func(path string) string { return filepath.Join(root, path) }
			for _, path := range []string{"containers/app@a.container", "run/generator/app@a.service", "config/app@a.service.d/10-x.conf"} {
				if err := errors.Join(os.MkdirAll(filepath.Dir(at(path)), 0o755), os.WriteFile(at(path), nil, 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			l := loaded(t, at("mark"), at("containers"), at("config"))
			l.Path = []string{at("config"), at("run/generator")}
			loaded(t, at("mark"), at("run/generator"))
			known := newUnchanged()
			find := func() []string {
				found := newTouched(l, []string{at("containers")}, known)
				defer found.close()
				return found.of([]string{name})
			}
			for range 2 {
				if got := find(); len(got) > 0 {
					t.Fatalf("untouched: %v", got)
				}
				chtime(t, at(path))
				if got := find(); len(got) != 1 {
					t.Fatalf("touched: %v", got)
				}
				known.until[name] = loaded(t, at("mark"), root).At
			}
			known.keep([]string{name}, map[string]bool{name: true}, l.At)
			if got := find(); len(got) != 1 {
				t.Errorf("systemd needs a reload, and is not asked: %v", got)
			}
		})
	}
}

// TestUnchangedForgets what it knows if the clock is set back.
func TestUnchangedForgets(t *testing.T) {
	t.Parallel()
	u := newUnchanged()
	u.check()
	u.keep([]string{"app@a.service", "app@b.service"}, map[string]bool{"app@b.service": true}, time.Now())
	u.check()
	if u.until["app@a.service"].IsZero() || !u.until["app@b.service"].IsZero() {
		t.Errorf("it knows %v", u.until)
	}
	u.clock += time.Hour
	u.check()
	if len(u.until) > 0 {
		t.Errorf("after the clock was set back it knows %v", u.until)
	}
}

// chtime changes the change time of a file that exists, whose content stays empty.
func chtime(t *testing.T, path string) {
	t.Helper()
	if err := os.Chtimes(path, time.Time{}, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// loaded is a reload that begins after the last change of all files in directories, and before any
// later change. Change times have the resolution of the kernel's clock.
func loaded(t *testing.T, mark string, dirs ...string) systemd.Loading {
	t.Helper()
	var last time.Time
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			at, statErr := changedAt(path)
			if at.After(last) {
				last = at
			}
			return errors.Join(err, statErr)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for {
		if err := os.WriteFile(mark, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		at, err := changedAt(mark)
		if err != nil {
			t.Fatal(err)
		}
		if at.After(last) {
			var now unix.Timespec
			if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
				t.Fatal(err)
			}
			return systemd.Loading{At: at, Monotonic: time.Duration(now.Nano()) - time.Since(at)}
		}
	}
}

// TestRemovedDropIns: a drop-in that was removed with its directory is found where systemd has it.
func TestRemovedDropIns(t *testing.T) {
	fake := systemdtest.New(t)
	dir := t.TempDir()
	fake.Set(systemd.Unit{Name: "app@a.service", DropInPaths: []string{dir + "/gone.conf"}}, systemd.Unit{Name: "app@b.service", DropInPaths: []string{dir}}, systemd.Unit{Name: "app@c.service"})
	found := touched{moved: time.Now(), known: newUnchanged(), named: map[string]bool{"app@c.service": true}}
	err := found.lookForDropIns(t.Context(), fake.Connect(), []string{"app@a.service", "app@b.service", "app@c.service"})
	want := map[string]bool{"app@a.service": true, "app@b.service": false, "app@c.service": true}
	if d := cmp.Diff(want, found.named); d != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, d)
	}
}

// TestFewUnitsAreAskedAbout without a look at their files.
func TestFewUnitsAreAskedAbout(t *testing.T) {
	fake := systemdtest.New(t)
	fake.Load(systemd.Loading{At: time.Now(), Monotonic: 1})
	s := Services{Manager: fake.Connect(), Sources: []string{t.TempDir()}}
	for _, names := range [][]string{{"app@a.service"}, {"app@a.service", "app@b.service", "app@c.service", "app@d.service"}} {
		for _, name := range names {
			fake.Set(systemd.Unit{Name: name, NeedDaemonReload: name == "app@a.service"})
		}
		need, err := s.needReload(t.Context(), names, false, newUnchanged())
		if d := cmp.Diff(map[string]bool{"app@a.service": true}, need); d != "" || err != nil {
			t.Errorf("%v: %v, -want +got:\n%s", names, err, d)
		}
	}
}
