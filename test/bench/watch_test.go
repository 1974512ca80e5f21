package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestWatchPage(t *testing.T) {
	t.Parallel()
	times := func(d time.Duration) []time.Duration { return []time.Duration{d} }
	w := &watched{
		pass: &nullPass{
			lines: []*line{
				{name: "archgen apply", wall: times(30 * time.Millisecond), cpu: times(14 * time.Millisecond)},
				{name: podmanPS, wall: times(60 * time.Millisecond), cpu: times(40 * time.Millisecond)},
			},
			passes: 200, wall: times(5 * time.Millisecond), cpu: 3 * time.Millisecond, manager: 2 * time.Millisecond,
			programs: map[string]int{"quadlet": 10},
		},
		latency: []latency{{"unit file deleted → there again", times(4 * time.Millisecond)}},
		polled:  []latency{{"unit file deleted → there again", times(15 * time.Second)}},
		costs: []cost{
			{name: "nothing", over: time.Minute, whole: 30 * time.Millisecond},
			{
				name: "healthd, HTTP every 5 s", over: time.Minute, whole: 900 * time.Millisecond, own: 300 * time.Millisecond,
				sleeps: 700, rss: [2]int{10000, 11000}, anonymous: 4000, peak: 12000,
			},
		},
	}
	got := string(watchPage(&bench{apps: 30, rounds: 10, period: 30 * time.Second}, w))
	for _, want := range []string{
		"| archgen apply | 30 ms | 30 ms | 14 ms | 0.50 |",
		"own process a pass takes 5.0 ms (p90 5.0 ms), 3.0 ms of CPU time",
		"ran quadlet 10 times",
		"| unit file deleted → there again | 1 | 4.0 ms | 4.0 ms |",
		"| the loop: unit file deleted → there again | 1 | 15000 ms | 15000 ms |",
		"| nothing | 1m0s | 0.05 % | 0.000 % | 0.0 | 0.0 |",
		"| healthd, HTTP every 5 s | 1m0s | 1.50 % | 0.500 % | 0.0 | 0.0 |",
		"| healthd, HTTP every 5 s | 10.2 MB | 11.3 MB | 12.3 MB | 4.1 MB | 700 |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the page:\n%s", want, got)
		}
	}
}

func TestManyPage(t *testing.T) {
	t.Parallel()
	times := []time.Duration{4 * time.Millisecond}
	got := string(manyPage(&bench{apps: 300}, &manyApps{
		pass:    &nullPass{lines: []*line{{name: podmanPS, wall: times, cpu: times}}, passes: 200, wall: times},
		latency: []latency{{"unit file deleted → there again", times}},
		costs:   []cost{{name: "all serve", over: time.Minute, own: 60 * time.Millisecond, peak: 20000}},
		events:  soaked{events: 100_000, over: 3 * time.Minute, rss: [2]int{10000, 10000}, files: [2]int{30, 31}, threads: [2]int{9, 9}, cpu: 20 * time.Second, hasRestarted: true},
	}))
	for _, want := range []string{
		"### 300 apps", "| podman ps | 4.0 ms | 4.0 ms | 4.0 ms | 1.00 |", "a pass takes 4.0 ms",
		"| unit file deleted → there again | 1 | 4.0 ms | 4.0 ms |", "| all serve | 1m0s | 0.00 % | 0.100 % | 0.0 | 0.0 |",
		"100000 changes", "from 10.2 to 10.2 MB", "open files from 30 to 31", "restarted meanwhile",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the page:\n%s", want, got)
		}
	}
}

// TestHappenings: events of files are reported in order, with the names of the files.
func TestHappenings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	told, err := happenings(t.Context(), dir, syscall.IN_CREATE|syscall.IN_DELETE|syscall.IN_MOVED_TO)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if err := os.WriteFile(filepath.Join(dir, "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "a-longer-name")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "a-longer-name")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []happening{
		{mask: syscall.IN_CREATE, name: "a"},
		{mask: syscall.IN_MOVED_TO, name: "a-longer-name"},
		{mask: syscall.IN_DELETE, name: "a-longer-name"},
	} {
		got, err := next(t.Context(), told, func(happening) bool { return true })
		if err != nil || got.mask != want.mask || got.name != want.name || got.at.Before(before) {
			t.Errorf("%+v is told as %+v, %v", want, got, err)
		}
	}
}
