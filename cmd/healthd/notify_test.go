package main

import (
	"net"
	"path/filepath"
	"testing"
)

func TestTell(t *testing.T) {
	tell("READY=1") // nobody listens

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
			tell("WATCHDOG=1")
			text := make([]byte, 100)
			n, err := c.Read(text)
			if got := string(text[:n]); err != nil || got != "WATCHDOG=1" {
				t.Errorf("heard %q, %v", got, err)
			}
		})
	}
}
