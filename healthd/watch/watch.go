// Package watch owns the kernel's word of changes to files (inotify): it tells
// which of a few directories something happened in, also when a directory does
// not exist yet, is deleted, or is renamed away and made anew.
//
// It never reads a file and never decides what follows. What it tells is a hint:
// events may be lost, and then it says that anything may have changed.
package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Event is a hint that something happened.
type Event struct {
	// Dir is the directory that was asked for, or one within it; empty means that
	// anything may have changed.
	Dir string
	// Name is the file in it.
	Name string
}

const (
	// changes is what may happen to a directory that is watched, and to its files.
	changes = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE |
		unix.IN_MODIFY | unix.IN_ATTRIB | ends
	// ends is what ends the watch of a directory, or makes it one of another place.
	ends = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT
	// arrivals is what may bring a directory about that is missing.
	arrivals = unix.IN_CREATE | unix.IN_MOVED_TO
)

const (
	// pause is how long a kernel that has no watches left is left alone.
	pause = time.Minute
	// breath is the least time between two beginnings, as when somebody makes
	// thousands of directories.
	breath = 20 * time.Millisecond
)

// Watch tells of what happens in directories, and in directories within them,
// until the context ends; then it closes the channel. A missing directory is
// waited for. complain is told, once for each new reason, why not everything can
// be watched: nothing but a regular look is left then.
func Watch(ctx context.Context, dirs []string, complain func(error)) <-chan Event {
	events := make(chan Event, 64)
	go func() {
		defer close(events)
		var said string
		for ctx.Err() == nil {
			wait := breath // where something was replaced, begin anew
			if err := watchOnce(ctx, dirs, events); err != nil && ctx.Err() == nil {
				wait = pause
				if said != err.Error() {
					said = err.Error()
					complain(err)
				}
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
	}()
	return events
}

// watchOnce watches the directories as they are now. It returns nil when one of
// them was replaced or has appeared.
func watchOnce(ctx context.Context, dirs []string, events chan<- Event) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watching files: %w; see /proc/sys/fs/inotify/max_user_instances", err)
	}
	// A file of the runtime's poller: reading it waits without a thread.
	file := os.NewFile(uintptr(fd), "inotify")
	defer file.Close()
	stop := context.AfterFunc(ctx, func() { file.Close() })
	defer stop()
	w := &watches{fd: fd, byID: map[int32]*watched{}}
	for _, dir := range dirs {
		if err := w.add(dir); err != nil {
			return err
		}
	}
	// What happened until now was seen by nobody.
	if !send(ctx, events, Event{}) {
		return nil
	}
	return w.read(ctx, file, events)
}

func send(ctx context.Context, events chan<- Event, e Event) bool {
	select {
	case events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// watched is one directory that the kernel watches.
type watched struct {
	path string
	// wanted: what happens in it is told. Other directories are watched for what
	// happens to themselves and for awaited names.
	wanted  bool
	awaited map[string]bool
}

type watches struct {
	fd   int
	byID map[int32]*watched
}

// add watches a directory, those within it, and those above it.
func (w *watches) add(dir string) error {
	if err := w.addOne(dir, changes, true, ""); err != nil {
		return err
	}
	missing := ""
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err != nil {
			missing = filepath.Base(at)
		} else if at != dir {
			if err := w.addOne(at, ends|arrivals, false, missing); err != nil {
				return err
			}
			missing = ""
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	return w.addWithin(dir, 2)
}

// addWithin watches the directories within one, as deep as templates lie.
func (w *watches) addWithin(dir string, depth int) error {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() || depth == 0 {
			continue
		}
		inner := filepath.Join(dir, e.Name())
		if err := w.addOne(inner, changes, true, ""); err != nil {
			return err
		}
		if err := w.addWithin(inner, depth-1); err != nil {
			return err
		}
	}
	return nil
}

// addOne watches one directory if it is there.
func (w *watches) addOne(dir string, mask uint32, wanted bool, awaited string) error {
	if !wanted && awaited == "" {
		mask = ends
	}
	id, err := unix.InotifyAddWatch(w.fd, dir, mask|unix.IN_ONLYDIR|unix.IN_MASK_ADD)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EACCES):
		return nil // its appearance is waited for
	case err != nil:
		return fmt.Errorf("watching %s: %w; see /proc/sys/fs/inotify/max_user_watches", dir, err)
	}
	found := w.byID[int32(id)]
	if found == nil {
		found = &watched{path: dir, awaited: map[string]bool{}}
		w.byID[int32(id)] = found
	}
	if wanted {
		found.wanted, found.path = true, dir
	}
	if awaited != "" {
		found.awaited[awaited] = true
	}
	return nil
}

// read tells of events until a directory is replaced.
func (w *watches) read(ctx context.Context, file *os.File, events chan<- Event) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := file.Read(buffer)
		if err != nil { // also at the end of the context
			return fmt.Errorf("reading events of files: %w", err)
		}
		replaced := false
		last := Event{Dir: "-"}
		for _, e := range parse(buffer[:n]) {
			told, isNew := w.take(e)
			replaced = replaced || isNew
			if told == nil || *told == last { // a write is many events
				continue
			}
			last = *told
			if !send(ctx, events, last) {
				return nil
			}
		}
		if replaced {
			return nil
		}
	}
}

// raw is an event as the kernel tells it.
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

// take says what an event is to be told as, and whether the watches have to be
// set anew: then the next ones tell it.
func (w *watches) take(e raw) (told *Event, replaced bool) {
	if e.mask&unix.IN_Q_OVERFLOW != 0 {
		return &Event{}, false
	}
	found := w.byID[e.id]
	switch {
	case found == nil:
		return nil, false
	case e.mask&ends != 0:
		return nil, true
	case found.awaited[e.name] && e.mask&arrivals != 0:
		return nil, true
	case !found.wanted, strings.HasPrefix(e.name, "."): // a temporary file, which is renamed or forgotten
		return nil, false
	case e.mask&unix.IN_ISDIR != 0 && e.mask&(arrivals|unix.IN_MOVED_FROM) != 0:
		return nil, true // a directory within, as of overlays
	}
	return &Event{Dir: found.path, Name: e.name}, false
}
