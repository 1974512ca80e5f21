package machine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// few is how many units systemd is asked about without a look at their files.
const few = 3

// needReload returns the services of which a file changed since systemd read it. Only systemd
// knows, and for each unit it searches fifteen directories for drop-ins. So it is asked only about
// units with a file that was touched since it began to read the units, or about all. A file that was
// touched without a change has systemd asked once, if known is kept.
func (s Services) needReload(ctx context.Context, names []string, all bool, known *unchanged) (map[string]bool, error) {
	if !all && len(names) <= few || len(s.Sources) == 0 {
		return s.Manager.NeedReload(ctx, names...)
	}
	began, asked := time.Now(), names
	known.check()
	if !all {
		l, err := s.Manager.Loading(ctx)
		if err != nil {
			return nil, err
		}
		t := newTouched(l, s.Sources, known)
		defer t.close()
		if err := t.lookForDropIns(ctx, s.Manager, names); err != nil {
			return nil, err
		}
		asked = t.of(names)
	}
	need, err := s.Manager.NeedReload(ctx, asked...)
	if err == nil {
		known.keep(names, need, began)
	}
	return need, err
}

// unchanged is until when no file of a service has changed since systemd read it.
type unchanged struct {
	until map[string]time.Time
	// clock is the difference of the clocks of the system: if it becomes smaller, times tell nothing.
	clock time.Duration
}

func newUnchanged() *unchanged { return &unchanged{until: map[string]time.Time{}} }

// check forgets everything if the clock was set back.
func (u *unchanged) check() {
	now, err := clocks()
	if err != nil || now < u.clock-step {
		clear(u.until)
	}
	u.clock = now
}

// keep keeps what was found about services from a moment on.
func (u *unchanged) keep(names []string, need map[string]bool, began time.Time) {
	for _, name := range names {
		delete(u.until, name)
		if !need[name] {
			u.until[name] = began.Add(-step) // change times are up to 10 ms late
		}
	}
}

// touched is the files that were touched since systemd began to read its units. The kernel sets the
// change time of a file at every change of its content, its name or its times, and that of a
// directory when a name in it is added or removed. It sets a time that has passed by up to 10 ms;
// systemd reads no file so soon after it has begun, because it runs generators first.
type touched struct {
	since   time.Time
	known   *unchanged
	sources []int
	// isAny: each unit may have changed. moved is when drop-ins may have been removed last, zero if not
	// since. named is the units of which a file was touched, and elsewhere those with a file outside of
	// generated, the directories of generators.
	isAny     bool
	moved     time.Time
	named     map[string]bool
	elsewhere map[string]bool
	generated []generated
}

// generated is the directory of a generator, and when it had changed before it was opened.
type generated struct {
	fd int
	at time.Time
}

// openDir opens a directory for looks at the files in it.
func openDir(path string) (fd int, err error) {
	return unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// close closes the directories.
func (t *touched) close() {
	for _, fd := range t.sources {
		_ = unix.Close(fd)
	}
	for _, dir := range t.generated {
		_ = unix.Close(dir.fd)
	}
}

// step is a change of the clock that matters.
const step = 50 * time.Millisecond

func newTouched(l systemd.Loading, sources []string, known *unchanged) *touched {
	t := &touched{since: l.At, known: known, named: map[string]bool{}, elsewhere: map[string]bool{}}
	for _, dir := range sources {
		if fd, err := openDir(dir); err == nil {
			t.sources = append(t.sources, fd)
		}
	}
	t.isAny = l.At.IsZero() || isSetBack(l)
	for _, dir := range l.Path {
		if t.isAny {
			break
		}
		t.search(dir)
	}
	return t
}

// isSetBack reports whether the clock was set back since: change times tell nothing then.
func isSetBack(l systemd.Loading) bool {
	now, err := clocks()
	before := time.Duration(l.At.UnixNano()) - l.Monotonic
	return err != nil || now < before-step
}

// clocks is how much the clock is ahead of the monotonic one.
func clocks() (time.Duration, error) {
	var monotonic unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic); err != nil {
		return 0, err
	}
	return time.Duration(time.Now().UnixNano() - monotonic.Nano()), nil
}

// search looks for units and drop-ins of apps in a directory of unit files.
func (t *touched) search(dir string) {
	at, err := changedAt(dir)
	switch base := filepath.Base(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		t.isAny = true
		return
	case strings.HasPrefix(base, "generator"):
		// systemd empties it when a reload begins, and generators write into it only then.
		if fd, err := openDir(dir); err == nil {
			t.generated = append(t.generated, generated{fd, at})
		}
		return
	case base != "transient" && !at.Before(t.since) && at.After(t.moved): // scopes and timers of Podman come and go there
		t.moved = at
	}
	entries, err := os.ReadDir(dir)
	t.isAny = t.isAny || err != nil
	for _, e := range entries {
		name, isDropIn := strings.CutSuffix(e.Name(), ".d")
		switch isOfApp := strings.HasPrefix(name, appUnits); {
		case isDropIn && (isOfApp || name == "service"):
			t.dropIns(filepath.Join(dir, e.Name()), name)
		case isOfApp:
			t.elsewhere[name] = true
			t.named[name] = t.named[name] || isNew(filepath.Join(dir, name), t.sinceOf(name))
		}
	}
}

// lookForDropIns finds units of which a drop-in was removed with its directory.
func (t *touched) lookForDropIns(ctx context.Context, m *systemd.Manager, names []string) error {
	if t.isAny || t.moved.IsZero() {
		return nil
	}
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return t.moved.Before(t.sinceOf(name)) })
	list, err := m.DropIns(ctx, names...)
	isGone := func(path string) bool {
		_, err := os.Lstat(path)
		return err != nil
	}
	for i, paths := range list {
		t.named[names[i]] = t.named[names[i]] || slices.ContainsFunc(paths, isGone)
	}
	return err
}

// appUnits begins the names of the services of apps, of their template, and of their prefixes.
const appUnits = "app@"

// dropIns looks at the drop-ins of a unit, or of all units with a prefix.
func (t *touched) dropIns(dir, unit string) {
	isOne := units.AppOf(unit) != "" && !strings.HasSuffix(unit, "-.service")
	since := t.since
	if isOne {
		since = t.sinceOf(unit)
	}
	entries, err := os.ReadDir(dir)
	isTouched := err != nil || isNew(dir, since) || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return isNew(filepath.Join(dir, e.Name()), since) })
	t.named[unit] = t.named[unit] || isTouched
	t.isAny = t.isAny || isTouched && !isOne
}

// sinceOf is from when on a change of a file of a service matters.
func (t *touched) sinceOf(name string) time.Time {
	if until := t.known.until[name]; until.After(t.since) {
		return until
	}
	return t.since
}

// isNew reports whether a file was touched since.
func isNew(path string, since time.Time) bool {
	at, err := changedAt(path)
	return err != nil || !at.Before(since)
}

// of returns the services of which a file may have been touched.
func (t *touched) of(names []string) []string {
	if t.isAny {
		return names
	}
	var list []string
	for _, name := range names {
		if t.named[name] || t.isGeneratedAnew(name) || t.isSourceTouched(name) {
			list = append(list, name)
		}
	}
	return list
}

// isGeneratedAnew reports whether the unit that a generator made was touched after the reload, or
// there is none.
func (t *touched) isGeneratedAnew(name string) bool {
	for _, dir := range t.generated {
		at, err := changedIn(dir.fd, name)
		if err == nil {
			return at.After(dir.at) && !at.Before(t.known.until[name])
		}
	}
	return !t.elsewhere[name]
}

// isSourceTouched reports whether the Quadlet file of a service was touched. Podman takes the first
// one that exists.
func (t *touched) isSourceTouched(name string) bool {
	file := units.ContainerFile(units.ContainerOf(name))
	for _, dir := range t.sources {
		at, err := changedIn(dir, file)
		if err == nil {
			return !at.Before(t.sinceOf(name))
		}
		if at, err = changedIn(dir, "."); err == nil && !at.Before(t.sinceOf(name)) {
			return true // it may have been removed there
		}
	}
	return true
}

// changedAt is when a file was changed, or the file that it links to.
func changedAt(path string) (time.Time, error) { return changedIn(unix.AT_FDCWD, path) }

// changedIn is changedAt for a name in an open directory, which takes half the time.
func changedIn(dir int, name string) (time.Time, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return time.Time{}, err
	}
	latest := time.Unix(st.Ctim.Unix())
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return latest, nil
	}
	if err := unix.Fstatat(dir, name, &st, 0); err != nil {
		return latest, err
	}
	if at := time.Unix(st.Ctim.Unix()); at.After(latest) {
		latest = at
	}
	return latest, nil
}
