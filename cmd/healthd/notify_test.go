package main

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"
)

func TestTell(t *testing.T) {
	notify("READY=1") // there is no socket

	for name, address := range map[string]string{
		"a socket":              filepath.Join(t.TempDir(), "notify"),
		"a socket without file": "@archipelago-test-notify",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			t.Setenv("NOTIFY_SOCKET", address)
			notify("WATCHDOG=1")
			text := make([]byte, 100)
			n, err := c.Read(text)
			if got := string(text[:n]); err != nil || got != "WATCHDOG=1" {
				t.Errorf("heard %q, %v", got, err)
			}
		})
	}
}

func TestBeat(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	defer end()
	start := time.Now() // a tick may come before this test continues
	ticks, err := watchdogTicks(ctx, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-ticks
	}
	if took := time.Since(start); took < 3*time.Millisecond {
		t.Errorf("three beats of a millisecond each took %v", took)
	}
}
