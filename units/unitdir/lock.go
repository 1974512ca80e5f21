package unitdir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lockName is a file of its own and not the directory: everybody who may read
// the directory could lock it for ever.
const lockName = ".archgen.lock"

// lockPatience is how long another run may take, where nothing else is said.
var lockPatience = 30 * time.Second

// lockPause is the longest time between two tries to get it.
const lockPause = 100 * time.Millisecond

// lock is the right to write to the directory. The kernel takes it back when
// its holder dies, so it is never stale, and nobody steals it.
type lock struct {
	dir  *directory
	file *os.File
}

// lock waits for the lock as long as patience allows.
func (d *directory) lock(ctx context.Context, name string, patience time.Duration) (*lock, error) {
	fd, err := d.open(name, syscall.O_RDWR|syscall.O_CREAT, 0o600)
	if err != nil {
		return nil, failed("opening the lock", d.at(name), err)
	}
	l := &lock{d, os.NewFile(uintptr(fd), d.at(name))}
	err = l.wait(ctx, patience)
	if err == nil {
		err = l.check()
	}
	if err != nil {
		l.unlock()
		return nil, err
	}
	return l, nil
}

func (l *lock) unlock() { l.file.Close() }

// HeldError says that another run holds a lock.
type HeldError struct {
	Path string
	// Process is the holder's id, 0 where the kernel does not tell.
	Process int
	Waited  time.Duration
}

func (e *HeldError) Error() string {
	holder := ""
	if e.Process != 0 {
		holder = fmt.Sprintf(" (process %d)", e.Process)
	}
	return fmt.Sprintf("another run%s has held %s for %v: wait for it to end, or end it", holder, e.Path, e.Waited)
}

func (l *lock) wait(ctx context.Context, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, lockPause) {
		err := retry(func() error { return syscall.Flock(int(l.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) })
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return failed("locking", l.file.Name(), err)
		case time.Now().After(deadline):
			return &HeldError{Path: l.file.Name(), Process: l.holder(), Waited: patience}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", l.file.Name(), context.Cause(ctx))
		}
	}
}

// check makes sure that the locked file is still the one that others find: the
// directory may have been deleted or renamed, and then writing to it is no use.
func (l *lock) check() error {
	locked, err := l.file.Stat()
	if err != nil {
		return failed("looking at", l.file.Name(), err)
	}
	if !locked.Mode().IsRegular() {
		return failed("locking", l.file.Name(), errNotAFile)
	}
	found, err := os.Lstat(l.file.Name())
	if err == nil && os.SameFile(locked, found) {
		return nil
	}
	if err != nil && !isAbsent(err) {
		return failed("looking at", l.file.Name(), err)
	}
	return fmt.Errorf("%s was deleted or replaced while it was written to: run it again", l.dir.path)
}

// holder is the process that has the lock, 0 where the kernel does not tell.
func (l *lock) holder() int {
	info, err := l.file.Stat()
	if err != nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	table, _ := os.ReadFile("/proc/locks") // without it the message has no number
	for line := range bytes.Lines(table) {
		// 1: FLOCK  ADVISORY  WRITE 4711 fe:01:1234 0 EOF
		f := strings.Fields(string(line))
		if len(f) > 5 && f[1] == "FLOCK" && strings.HasSuffix(f[5], fmt.Sprintf(":%d", st.Ino)) {
			pid, _ := strconv.Atoi(f[4])
			return pid
		}
	}
	return 0
}
