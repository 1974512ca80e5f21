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

// happening is an event of a file, and the time when the kernel reported it.
type happening struct {
	mask uint32
	name string
	at   time.Time
}

// happenings reports the events of a directory's files until the context ends.
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

// timed is an event with the time when it was received.
type timed[T any] struct {
	event T
	at    time.Time
}

// stamped adds the time to each event, however late it is read.
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

// forget discards the events so far.
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

// next returns the next event that is wanted.
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
