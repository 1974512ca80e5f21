package durable

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

// lockPause is the longest pause between two attempts to get a lock.
const lockPause = 100 * time.Millisecond

// Lock is the right to write to the directory. The kernel releases it when its holder dies, so it
// is never stale and never has to be broken.
type Lock struct {
	dir  *Directory
	file *os.File
}

// LockName is the usual name of a lock in a directory of its own.
const LockName = "lock"

// LockDir creates a directory and holds the lock in it until unlock is called. Its error wraps
// *HeldError if another process holds the lock until the timeout.
func LockDir(ctx context.Context, dir string, timeout time.Duration) (unlock func(), err error) {
	return LockFile(ctx, dir, LockName, timeout)
}

// LockFile is LockDir for a directory with several locks: name is one of them.
func LockFile(ctx context.Context, dir, name string, timeout time.Duration) (unlock func(), err error) {
	d, err := Make(dir)
	if err != nil {
		return nil, err
	}
	l, err := d.Lock(ctx, name, timeout)
	if err != nil {
		d.Close()
		return nil, err
	}
	return func() {
		l.Unlock()
		d.Close()
	}, nil
}

// Lock waits for the lock of a name until a timeout.
func (d *Directory) Lock(ctx context.Context, name string, timeout time.Duration) (*Lock, error) {
	fd, err := d.open(name, syscall.O_RDWR|syscall.O_CREAT, 0o600)
	if err != nil {
		return nil, Failed("opening the lock", d.At(name), err)
	}
	l := &Lock{d, os.NewFile(uintptr(fd), d.At(name))}
	err = l.wait(ctx, timeout)
	if err == nil {
		err = l.Check()
	}
	if err != nil {
		l.Unlock()
		return nil, err
	}
	return l, nil
}

// Unlock releases the lock.
func (l *Lock) Unlock() { l.file.Close() }

// HeldError says that another run holds a lock.
type HeldError struct {
	Path string
	// Process is the id of the holder, 0 if unknown.
	Process int
	Waited  time.Duration
}

func (e *HeldError) Error() string {
	holder := ""
	if e.Process != 0 {
		holder = fmt.Sprintf(" (process %d)", e.Process)
	}
	return fmt.Sprintf("another run%s has held %s for %v: wait for it to finish, or stop it", holder, e.Path, e.Waited)
}

func (l *Lock) wait(ctx context.Context, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, lockPause) {
		err := retry(func() error { return syscall.Flock(int(l.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) })
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return Failed("locking", l.file.Name(), err)
		case time.Now().After(deadline):
			return &HeldError{Path: l.file.Name(), Process: l.holder(), Waited: timeout}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", l.file.Name(), context.Cause(ctx))
		}
	}
}

// Check verifies that other processes still find the locked file: the directory may have been
// deleted or renamed, and then writing to it is useless.
func (l *Lock) Check() error {
	locked, err := l.file.Stat()
	if err != nil {
		return Failed("checking", l.file.Name(), err)
	}
	if !locked.Mode().IsRegular() {
		return Failed("locking", l.file.Name(), ErrNotRegular)
	}
	found, err := os.Lstat(l.file.Name())
	if err == nil && os.SameFile(locked, found) {
		return nil
	}
	if err != nil && !IsAbsent(err) {
		return Failed("checking", l.file.Name(), err)
	}
	return fmt.Errorf("%s was deleted or replaced while it was being written: run the command again", l.dir.path)
}

// holder is the process that holds the lock, 0 if unknown.
func (l *Lock) holder() int {
	info, err := l.file.Stat()
	if err != nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	table, _ := os.ReadFile("/proc/locks") // without it the message lacks the process id
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
