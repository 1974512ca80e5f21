package limits

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

// Each limit is low enough to hold, or too low by what the containers need.
func TestCompare(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		limit units.Limit
		have  Usage
		more  Objects
		need  int
		short bool
	}{
		{units.LimitKeys, Usage{195, 200}, Objects{Containers: 5, Volumes: 9, Networks: 9}, 200, false},
		{units.LimitKeys, Usage{195, 200}, Objects{Containers: 6}, 201, true},
		{units.LimitKeyBytes, Usage{12_751, 20_000}, Objects{Containers: 111}, 19_966, false},
		{units.LimitKeyBytes, Usage{12_751, 20_000}, Objects{Containers: 112}, 20_031, true},
		{units.LimitInotify, Usage{123, 128}, Objects{Containers: 6}, 129, true},
		{units.LimitWatches, Usage{8000, 8192}, Objects{Containers: 100}, 8000 + 100*watchesPerContainer, true},
		{units.LimitProcesses, Usage{0, 100}, Objects{Containers: 4}, 4 * tasksPerContainer, false},
		{units.LimitThreads, Usage{1, 100}, Objects{Containers: 4}, 4*tasksPerContainer + 1, true},
		{units.LimitFiles, Usage{0, 1 << 20}, Objects{Containers: 10}, 10 * filesPerContainer, false},
		{units.LimitLocks, Usage{2040, 2048}, Objects{Containers: 4, Volumes: 4, Networks: 9}, 2048, false},
		{units.LimitLocks, Usage{2040, 2048}, Objects{Containers: 4, Volumes: 5}, 2049, true},
		{units.LimitSubnets, Usage{16, 16}, Objects{Containers: 4}, 16, false},
		{units.LimitSubnets, Usage{16, 16}, Objects{Networks: 1}, 17, true},
	} {
		list := Compare(Have{tt.limit: tt.have}, tt.more, units.User)
		if len(list) != 1 || list[0].Need != tt.need || list[0].IsShort() != tt.short || len(Short(list)) != map[bool]int{true: 1}[tt.short] || (list[0].Fix() != "") != tt.short {
			t.Errorf("%s %v with %v more: %+v", tt.limit, tt.have, tt.more, list)
		}
	}
	if list := Compare(Have{}, Objects{Containers: 1 << 20}, units.User); len(list) > 0 {
		t.Errorf("limits that are unknown: %v", list)
	}
}

// A finding says what is needed and what there is, and how the limit is raised: far enough for
// twice as much, and no less far than the package does.
func TestFindings(t *testing.T) {
	t.Parallel()
	short := func(l units.Limit, have Usage, scope units.Scope) Finding {
		return Compare(Have{l: have}, Objects{Containers: 1, Networks: 1}, scope)[0]
	}
	keys := short(units.LimitKeys, Usage{200, 200}, units.User)
	if d := cmp.Diff("the apps need 201 kernel keys, but the limit is 200 (kernel.keys.maxkeys), and 200 are in use", keys.String()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff("10 of 200 in use, 11 needed", short(units.LimitKeys, Usage{10, 200}, units.User).String()); d != "" {
		t.Error(d)
	}
	for want, f := range map[string]Finding{
		`printf 'kernel.keys.maxkeys = 5000\nkernel.keys.maxbytes = 500000\n' | sudo tee /etc/sysctl.d/50-archipelago-keys.conf` + "\nsudo sysctl --system":                                                                                  keys,
		`printf 'kernel.keys.maxkeys = 12002\nkernel.keys.maxbytes = 780130\n' | sudo tee /etc/sysctl.d/50-archipelago-keys.conf` + "\nsudo sysctl --system":                                                                                 short(units.LimitKeys, Usage{6000, 6000}, units.User),
		`printf 'fs.inotify.max_user_instances = 3000\n' | sudo tee /etc/sysctl.d/50-archipelago-inotify.conf` + "\nsudo sysctl --system":                                                                                                    short(units.LimitInotify, Usage{128, 128}, units.User),
		"mkdir -p ~/.config/containers/containers.conf.d\n" + `printf '[engine]\nnum_locks = 4160\n' | tee ~/.config/containers/containers.conf.d/50-archipelago-locks.conf` + "\nsudo reboot   # Podman makes its locks at its first start": short(units.LimitLocks, Usage{2048, 2048}, units.User),
		"sudo mkdir -p /etc/containers/containers.conf.d\n" + `printf '[network]\ndefault_subnet_pools = [{base = "10.128.0.0/9", size = 24}]\n' | sudo tee /etc/containers/containers.conf.d/50-archipelago-subnets.conf`:                   short(units.LimitSubnets, Usage{16, 16}, units.System),
	} {
		if d := cmp.Diff(want, f.Fix()); d != "" {
			t.Error(d)
		}
	}
}

// Every limit says what it is.
func TestTable(t *testing.T) {
	t.Parallel()
	for _, r := range table {
		if r.limit == "" || r.what == "" || r.setting == "" || r.each == (Objects{}) || r.fix == nil || !strings.Contains(Explain(r.limit), r.what) {
			t.Errorf("%+v", r)
		}
		for _, texts := range r.phrases {
			for _, text := range texts {
				if text != strings.ToLower(text) {
					t.Errorf("%s: %q is compared with lower case", r.limit, text)
				}
			}
		}
	}
}

// The messages of Podman, crun, systemd and programs, as they were seen.
func TestOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line string
		code int
		want units.Limit
	}{
		{"Error: OCI runtime error: crun: create keyring `4be5`: Disk quota exceeded", 126, units.LimitKeys},
		{"Error: OCI runtime error: runc: runc create failed: unable to start container process: unable to join session keyring: unable to create session key: disk quota exceeded", 126, units.LimitKeys},
		{"opening the keyring: Disk quota exceeded", 1, ""}, // its own
		{"Error: allocating lock for new container: allocation failed; exceeded num_locks (2048)", 125, units.LimitLocks},
		{"Failed to allocate inotify fd: Too many open files", 1, units.LimitInotify},
		{"inotify_init1: Too many open files", 134, units.LimitInotify},
		{"inotify_add_watch: No space left on device", 1, units.LimitWatches},
		{"Error: netavark: could not find free subnet from subnet pools", 125, units.LimitSubnets},
		{"Error: fork/exec /usr/bin/conmon: resource temporarily unavailable", 125, units.LimitProcesses},
		{"fork: Resource temporarily unavailable", 1, ""}, // the container's own limit
		{"open /data/x: Too many open files in system", 1, units.LimitFiles},
		{"open /data/x: too many open files", 1, ""}, // the program's own limit
		{"Error: no such image", 125, ""},
	} {
		if have := Of([]string{"starting", tt.line, ""}, tt.code); have != tt.want {
			t.Errorf("%s (%d): %q, want %q", tt.line, tt.code, have, tt.want)
		}
	}
	const keyring = "Error: OCI runtime error: crun: create keyring `4be5`: Disk quota exceeded"
	for name, lines := range map[string][]string{"none": nil, "an earlier start": {keyring, "Error: no such image"}, "long ago": {keyring, "1", "2", "3"}} {
		if have := Of(lines, 126); have != "" {
			t.Errorf("%s: %s", name, have)
		}
	}
}

// Objects that exist are not needed once more.
func TestMissing(t *testing.T) {
	t.Parallel()
	file := func(name, key, value string) units.File {
		return units.File{Name: name, App: "a", Content: []byte(key + "=" + value + "\n")}
	}
	app := units.App{
		ID:    "a",
		Parts: []units.Part{{Service: "app@a.service"}, {Service: "app@a.db.service", File: "app@a.db.container"}, {Service: "app@a.job.service"}, {Service: "app@a.again.service"}},
		Files: units.Set{file("app@a.db.container", "Volume=archipelago-a.data.volume:/data\nVolume", "/scratch"), file("archipelago-a.data.volume", "VolumeName", "a.data"), file("archipelago-a.db.volume", "VolumeName", "a.db"), file("archipelago-private.a.network", "NetworkName", "private.a")},
	}
	shared := units.Set{file("archipelago-shared.rpc.network", "NetworkName", "shared.rpc")}
	found := map[string]units.Unit{"app@a.service": {Active: units.Active}, "app@a.db.service": {Active: units.Activating, Restarting: true}, "app@a.job.service": {Active: units.Activating}, "app@a.again.service": {Active: units.Activating, Restarts: 1}}
	exists := func(kind, name string) bool {
		return slices.Contains([]string{"volume a.data", "network shared.rpc"}, kind+" "+name)
	}
	if d := cmp.Diff(Objects{Containers: 2, Volumes: 2, Networks: 1}, Missing([]units.App{app}, shared, found, exists)); d != "" {
		t.Errorf("-want +have:\n%s", d)
	}
}

func TestRoom(t *testing.T) {
	t.Parallel()
	have := Have{
		units.LimitKeys: {198, 200}, units.LimitKeyBytes: {20_100, 20_000}, units.LimitSubnets: {0, 9}, units.LimitThreads: {0, 50}, units.LimitInotify: {126, 128},
	}
	for l, want := range map[units.Limit]int{units.LimitKeys: 0, units.LimitKeyBytes: 0, units.LimitProcesses: 2, units.LimitThreads: 2, units.LimitInotify: 2} {
		if n, known := have.Room(l); n != want || !known {
			t.Errorf("%s: room for %d, %v", l, n, known)
		}
	}
	for _, l := range []units.Limit{units.LimitLocks, units.LimitSubnets} { // unknown; no container takes one
		if n, known := have.Room(l); known {
			t.Errorf("%s: room for %d", l, n)
		}
	}
}

// The package's file has the values of the table.
func TestPackage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../packaging/sysctl.d/10-archipelago.conf")
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]int{"kernel.keys.maxkeys": packageKeys, "kernel.keys.maxbytes": packageKeyBytes, "fs.inotify.max_user_instances": packageInstances} {
		if line := fmt.Sprintf("\n%s = %d\n", key, value); !strings.Contains(string(text), line) {
			t.Errorf("no line %q", line)
		}
	}
}
