// Package watch owns the kernel's events of changes to files (inotify): it reports in which
// of a few directories something changed, also if a directory does not exist yet, is deleted,
// or is renamed and created again.
//
// It never reads a file and never decides what follows. An event is only a hint: if events
// are lost, it reports that anything may have changed.
package watch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Event is a hint that something happened.
type Event struct {
	// Dir is a watched directory, or one within it; empty means that anything may have
	// changed.
	Dir string
	// Name is the file in it.
	Name string
}

const (
	// changes is the events of a watched directory and of its files.
	changes = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE |
		unix.IN_MODIFY | unix.IN_ATTRIB | ends
	// ends is the events after which a watch is invalid, or is for another path.
	ends = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT
	// comes is the events that may create a missing directory, make it readable, or lead a link
	// elsewhere.
	comes = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_ATTRIB
)

const (
	// retry is the time until the next try if the kernel has no instance or no watches left.
	retry = time.Minute
	// breath is the least time between two setups of the watches, for example while a program
	// creates thousands of directories.
	breath = 20 * time.Millisecond
)

// Watch sends the events of directories until the context ends; then it closes the channel.
// It waits for missing directories. It also watches the directories within them for which
// within is true, given their path below the watched one. It reports each change of the error
// for which it can't watch everything, nil when it can again: only regular checks find changes
// meanwhile.
func Watch(ctx context.Context, dirs []string, within func(path string) bool, report func(error)) <-chan Event {
	return start(ctx, &watches{kernel: theKernel, dirs: dirs, within: within, retry: retry}, report)
}

func start(ctx context.Context, w *watches, report func(error)) <-chan Event {
	events := make(chan Event, 64)
	w.events = events
	go func() {
		defer close(events)
		defer w.close()
		w.run(ctx, report)
	}()
	return events
}

// kernel is the calls that fail if the kernel has no instance or no watches left.
type kernel struct {
	open func(flags int) (fd int, err error)
	add  func(fd int, path string, mask uint32) (id int, err error)
}

var theKernel = kernel{open: unix.InotifyInit1, add: unix.InotifyAddWatch}

// instance is a new instance of inotify. The runtime's poller has its file: reading it waits
// without a thread.
func (k kernel) instance() (*os.File, int, error) {
	fd, err := k.open(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, 0, fmt.Errorf("opening an inotify instance: %w", err)
	}
	return os.NewFile(uintptr(fd), "inotify"), fd, nil
}

// watches is the watches of one instance. It keeps the instance: another program could take
// the last one while there is none.
type watches struct {
	kernel
	dirs   []string
	within func(path string) bool
	retry  time.Duration
	events chan<- Event

	file *os.File
	fd   int
	byID map[int32]watched
}

// watched is one directory that the kernel watches.
type watched struct {
	path string
	mask uint32
	// wanted: events in it are reported. Other directories are watched only for their own
	// removal and for awaited names.
	wanted bool
	// below is its path below the directory that it is within.
	below   string
	awaited map[string]bool
}

func (w *watches) close() {
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}

// run sets up the watches, and again after a directory was replaced, until the context ends.
func (w *watches) run(ctx context.Context, report func(error)) {
	said := error(nil)
	tell := func(err error) {
		if fmt.Sprint(err) != fmt.Sprint(said) && ctx.Err() == nil {
			said = err
			report(err)
		}
	}
	for isNew := true; ctx.Err() == nil; {
		err := w.setUp()
		tell(err)
		if w.file == nil {
			pause(ctx, w.retry)
			continue
		}
		// Changes before this point had no watch.
		if (isNew || err == nil) && !w.send(ctx, Event{}) {
			return
		}
		if isNew, err = w.read(ctx, err != nil); err != nil {
			w.close()
			tell(err)
			pause(ctx, w.retry)
		}
		pause(ctx, breath)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (w *watches) send(ctx context.Context, e Event) bool {
	select {
	case w.events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// setUp watches the current directories, as many as it can, and no others.
func (w *watches) setUp() (failure error) {
	if w.file == nil {
		if w.file, w.fd, failure = w.instance(); failure != nil {
			return failure
		}
	}
	before := w.byID
	w.byID = map[int32]watched{}
	for _, dir := range w.dirs {
		failure = cmp.Or(failure, w.addPath(dir), w.addWithin(dir, ""))
	}
	for id := range before {
		if _, isWatched := w.byID[id]; !isWatched {
			_, _ = unix.InotifyRmWatch(w.fd, uint32(id)) // the kernel may have removed it
		}
	}
	return failure
}

// addPath watches a directory and those above it. A directory that is missing, unreadable, or
// a link is awaited in the one above it.
func (w *watches) addPath(dir string) (failure error) {
	next := watched{path: dir, mask: changes, wanted: true}
	for {
		isWatched, err := w.add(next)
		failure = cmp.Or(failure, err)
		at := next.path
		if at == filepath.Dir(at) {
			return failure
		}
		next = watched{path: filepath.Dir(at), mask: ends}
		if !isWatched || isLink(at) {
			next.mask |= comes
			next.awaited = map[string]bool{filepath.Base(at): true}
		}
	}
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

// addWithin watches the directories within one, and links to directories.
func (w *watches) addWithin(dir, below string) (failure error) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		path, below := filepath.Join(dir, e.Name()), filepath.Join(below, e.Name())
		if e.Type().IsRegular() || !w.within(below) {
			continue
		}
		isWatched, err := w.add(watched{path: path, mask: changes, wanted: true, below: below})
		if failure = cmp.Or(failure, err); isWatched {
			failure = cmp.Or(failure, w.addWithin(path, below))
		}
	}
	return failure
}

// add watches one directory. It reports false if there is none that can be read.
func (w *watches) add(d watched) (isWatched bool, err error) {
	id, err := w.kernel.add(w.fd, d.path, d.mask|unix.IN_ONLYDIR)
	if found, isKnown := w.byID[int32(id)]; err == nil && isKnown { // also for another purpose
		d = found.with(d)
		id, err = w.kernel.add(w.fd, d.path, d.mask|unix.IN_ONLYDIR)
	}
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EACCES), errors.Is(err, unix.ELOOP):
		return false, nil // a watch of its parent reports a change of that
	case err != nil:
		return true, fmt.Errorf("watching %s: %w", d.path, err)
	}
	w.byID[int32(id)] = d
	return true, nil
}

// with is a directory that is watched for two purposes.
func (d watched) with(other watched) watched {
	if other.wanted {
		d.path, d.wanted, d.below = other.path, true, other.below
	}
	d.mask |= other.mask
	names := map[string]bool{}
	maps.Copy(names, d.awaited)
	maps.Copy(names, other.awaited)
	d.awaited = names
	return d
}

// read reports events until a directory was replaced, or until it is time to try again.
func (w *watches) read(ctx context.Context, again bool) (isReplaced bool, err error) {
	until := time.Time{}
	if again {
		until = time.Now().Add(w.retry)
	}
	file := w.file // close may run before the function of the context does
	if err := file.SetReadDeadline(until); err != nil {
		return false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Now()) }) // this ends the read
	defer stop()
	buffer := make([]byte, 64<<10)
	for {
		n, err := file.Read(buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("reading events of files: %w", err)
		}
		if w.tell(ctx, parse(buffer[:n])) {
			return true, nil
		}
	}
}

// tell reports events, and whether the watches must be set up again.
func (w *watches) tell(ctx context.Context, list []raw) (isReplaced bool) {
	last := Event{Dir: "-"}
	for _, e := range list {
		told, isNew := w.take(e)
		isReplaced = isReplaced || isNew
		if told == nil || *told == last { // a write is many events
			continue
		}
		last = *told
		if !w.send(ctx, last) {
			return isReplaced
		}
	}
	return isReplaced
}

// raw is an event of the kernel.
type raw struct {
	id   int32
	mask uint32
	name string
}

func parse(data []byte) []raw {
	var list []raw
	for len(data) >= unix.SizeofInotifyEvent {
		e := (*unix.InotifyEvent)(unsafe.Pointer(&data[0]))
		end := unix.SizeofInotifyEvent + int(e.Len)
		if end > len(data) {
			break
		}
		name, _, _ := bytes.Cut(data[unix.SizeofInotifyEvent:end], []byte{0})
		list = append(list, raw{e.Wd, e.Mask, string(name)})
		data = data[end:]
	}
	return list
}

// take is the event to report, and whether the watches must be set up again: the end of that
// reports all changes.
func (w *watches) take(e raw) (told *Event, isReplaced bool) {
	if e.mask&unix.IN_Q_OVERFLOW != 0 {
		return nil, true // the lost events may be about directories
	}
	found, isKnown := w.byID[e.id]
	switch {
	case !isKnown:
		return nil, false
	case e.mask&ends != 0:
		return nil, true
	case found.awaited[e.name] && e.mask&comes != 0:
		return nil, true
	case !found.wanted, strings.HasPrefix(e.name, "."): // a temporary file, which is renamed or removed later
		return nil, false
	case e.mask&(comes|unix.IN_MOVED_FROM) != 0 && w.within(filepath.Join(found.below, e.name)) && w.mayBeDirectory(e, found.path):
		return nil, true
	}
	return &Event{Dir: found.path, Name: e.name}, false
}

// mayBeDirectory reports whether an event is about a directory, or about a link, which may lead to
// one. Of a link that was moved away only its watch is left.
func (w *watches) mayBeDirectory(e raw, dir string) bool {
	path := filepath.Join(dir, e.name)
	if e.mask&unix.IN_ISDIR != 0 || isLink(path) {
		return true
	}
	for _, known := range w.byID {
		if known.path == path {
			return true
		}
	}
	return false
}
