package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"time"
)

// happening is something that was done to a file, and when we were told.
type happening struct {
	mask uint32
	name string
	at   time.Time
}

// happenings tells what happens to the files of a directory until the context ends.
func happenings(ctx context.Context, dir string, mask uint32) (<-chan happening, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	file := os.NewFile(uintptr(fd), "inotify")
	if _, err := syscall.InotifyAddWatch(fd, dir, mask); err != nil {
		file.Close()
		return nil, fmt.Errorf("watching %s: %w", dir, err)
	}
	context.AfterFunc(ctx, func() { file.Close() })
	told := make(chan happening, 4096)
	go func() {
		defer close(told)
		buffer := make([]byte, 64<<10)
		for {
			n, err := file.Read(buffer)
			at := time.Now()
			if err != nil {
				return
			}
			for rest := buffer[:n]; len(rest) >= syscall.SizeofInotifyEvent; {
				end := syscall.SizeofInotifyEvent + binary.NativeEndian.Uint32(rest[12:])
				name := string(bytes.TrimRight(rest[syscall.SizeofInotifyEvent:end], "\x00"))
				told <- happening{binary.NativeEndian.Uint32(rest[4:]), name, at}
				rest = rest[end:]
			}
		}
	}()
	return told, nil
}

// timed is an event and when it was told.
type timed[T any] struct {
	event T
	at    time.Time
}

// stamped says when each event was told, however late it is read.
func stamped[T any](events <-chan T) <-chan timed[T] {
	out := make(chan timed[T], 4096)
	go func() {
		defer close(out)
		for e := range events {
			out <- timed[T]{e, time.Now()}
		}
	}()
	return out
}

// forget takes what was told so far.
func forget[T any](told <-chan T) (n int) {
	for {
		select {
		case _, ok := <-told:
			if !ok {
				return n
			}
			n++
		default:
			return n
		}
	}
}

// next is the next thing told that is wanted.
func next[T any](ctx context.Context, told <-chan T, wanted func(T) bool) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		select {
		case e, ok := <-told:
			if !ok {
				return e, os.ErrClosed
			}
			if wanted(e) {
				return e, nil
			}
		case <-ctx.Done():
			var none T
			return none, context.Cause(ctx)
		}
	}
}
