package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Groups reports control groups whose processes have all ended, long before systemd receives
// it from a container's monitor, and control groups that are frozen. If the kernel has no
// watches left, systemd and the probes find out later.
type Groups struct {
	kernel
	root   string
	events chan string
	end    context.Context

	mu sync.Mutex
	// file is a file of the runtime's poller: reading it waits without a thread.
	file *os.File
	fd   int
	// byID is the watched groups, by the kernel's number of the watch.
	byID map[int32]group
}

// group is a control group and its app.
type group struct{ path, name string }

const (
	// moment is how long a group must be frozen before it is reported: its runtime may freeze
	// it briefly for a change.
	moment = time.Second
	// state is the file of a group that the kernel updates.
	state = "cgroup.events"
)

// NewGroups watches no group yet. root is the mount point of control groups. It ends with
// the context.
func NewGroups(ctx context.Context, root string) *Groups {
	g := &Groups{kernel: theKernel, root: root, events: make(chan string), end: ctx, byID: map[int32]group{}}
	context.AfterFunc(ctx, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.file != nil {
			g.file.Close()
		}
	})
	return g
}

// Events is the names of groups with an event.
func (g *Groups) Events() <-chan string { return g.events }

// Follow watches exactly these groups, by path below the root, and those that exist. It is an
// error if the kernel has no watch left for one.
func (g *Groups) Follow(names map[string]string) (failure error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.end.Err() != nil {
		return nil
	}
	if err := g.ready(); err != nil {
		return err
	}
	fresh := maps.Clone(names)
	for id, known := range g.byID {
		if fresh[known.path] == known.name {
			delete(fresh, known.path)
			continue
		}
		delete(g.byID, id)
		_, _ = unix.InotifyRmWatch(g.fd, uint32(id)) // the kernel may have removed it
	}
	for path, name := range fresh {
		switch id, err := g.add(g.fd, filepath.Join(g.root, path, state), unix.IN_MODIFY); {
		case err == nil:
			g.byID[int32(id)] = group{path, name}
		case errors.Is(err, unix.ENOSPC):
			failure = fmt.Errorf("watching the containers of %s: %w", name, err)
		}
	}
	return failure
}

// ready opens the instance of inotify.
func (g *Groups) ready() (err error) {
	if g.file != nil {
		return nil
	}
	if g.file, g.fd, err = g.instance(); err == nil {
		go g.read(g.file)
	}
	return err
}

func (g *Groups) read(file *os.File) {
	buffer := make([]byte, 4<<10)
	for {
		n, err := file.Read(buffer)
		if err != nil {
			return // the end
		}
		for _, e := range parse(buffer[:n]) {
			if at, ok := g.take(e); ok {
				g.look(at)
			}
		}
	}
}

// take returns the group that an event is about.
func (g *Groups) take(e raw) (group, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.byID[e.id]
	if e.mask&unix.IN_IGNORED != 0 {
		delete(g.byID, e.id)
		return group{}, false
	}
	return at, ok
}

// look reports a group whose processes have ended, and a group that stays frozen.
func (g *Groups) look(at group) {
	switch text := g.state(at); {
	case bytes.Contains(text, []byte("populated 0")):
		g.tell(at)
	case bytes.Contains(text, []byte("frozen 1")):
		time.AfterFunc(moment, func() {
			if bytes.Contains(g.state(at), []byte("frozen 1")) {
				g.tell(at)
			}
		})
	}
}

// state is the state of a group; it is empty if the group no longer exists.
func (g *Groups) state(at group) []byte {
	text, _ := os.ReadFile(filepath.Join(g.root, at.path, state))
	return text
}

func (g *Groups) tell(at group) {
	select {
	case g.events <- at.name:
	case <-g.end.Done():
	}
}
