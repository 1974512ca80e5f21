// Package watch owns the kernel's events of changes to files (inotify): it reports in which
// of a few directories something changed, also if a directory does not exist yet, is deleted,
// or is renamed and created again.
//
// It never reads a file and never decides what follows. An event is only a hint: if events
// are lost, it reports that anything may have changed.
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
	// arrivals is the events that may create a missing directory.
	arrivals = unix.IN_CREATE | unix.IN_MOVED_TO
)

const (
	// pause is the time until the next try if the kernel has no watches left.
	pause = time.Minute
	// breath is the least time between two setups of the watches, for example while a program
	// creates thousands of directories.
	breath = 20 * time.Millisecond
)

// Watch sends the events of directories, and of directories within them, until the context
// ends; then it closes the channel. It waits for missing directories. It calls complain, once
// for each new reason, if it can't watch everything: only regular checks find changes then.
func Watch(ctx context.Context, dirs []string, complain func(error)) <-chan Event {
	events := make(chan Event, 64)
	go func() {
		defer close(events)
		var said string
		for ctx.Err() == nil {
			wait := breath // a directory was replaced: set up the watches again
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

// watchOnce watches the current directories. It returns nil if one of them was replaced or
// created.
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
	// Changes before this point had no watch.
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
	// wanted: events in it are reported. Other directories are watched only for their own
	// removal and for awaited names.
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

// addWithin watches the directories within one, as deep as the directories of templates.
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

// addOne watches one directory if it exists.
func (w *watches) addOne(dir string, mask uint32, wanted bool, awaited string) error {
	if !wanted && awaited == "" {
		mask = ends
	}
	id, err := unix.InotifyAddWatch(w.fd, dir, mask|unix.IN_ONLYDIR|unix.IN_MASK_ADD)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EACCES):
		return nil // a watch of its parent reports its creation
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

// read reports events until a directory is replaced.
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

// take is the event to report, and whether the watches must be set up again: then the new
// watches report it.
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
	case !found.wanted, strings.HasPrefix(e.name, "."): // a temporary file, which is renamed or removed later
		return nil, false
	case e.mask&unix.IN_ISDIR != 0 && e.mask&(arrivals|unix.IN_MOVED_FROM) != 0:
		return nil, true // a directory within, as of overlays
	}
	return &Event{Dir: found.path, Name: e.name}, false
}
