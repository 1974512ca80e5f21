package machine

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
)

// tree is a machine with these files below its root, and what each of its processes has open.
func tree(t *testing.T, scope units.Scope, files map[string]string) Limits {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, isLink := strings.CutPrefix(text, "-> "); isLink {
			if err := os.Symlink(target, file); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Limits{Root: root, Scope: scope, UID: 1000, Volumes: filepath.Join(root, "storage/volumes"), Networks: filepath.Join(root, "storage/networks"), Config: filepath.Join(root, "config")}
}

func TestLimitsOfAUser(t *testing.T) {
	t.Parallel()
	l := tree(t, units.User, map[string]string{
		"proc/key-users":                         "    0:    98 97/97 88/1000000 1778/25000000\n 1000:   203 203/203 199/200 12751/20000\n",
		"proc/sys/fs/inotify/max_user_instances": "128\n", "proc/sys/fs/inotify/max_user_watches": "8192\n",
		"proc/7/fd/0": "-> /dev/null", "proc/7/fd/3": "-> anon_inode:inotify", "proc/7/fd/4": "-> anon_inode:inotify",
		"proc/7/fdinfo/3": "pos:\t0\nflags:\t02004000\ninotify wd:2 ino:1\ninotify wd:1 ino:2\n", "proc/self/fd/9": "-> anon_inode:inotify",
		"sys/fs/cgroup/user.slice/user-1000.slice/pids.current": "900\n", "sys/fs/cgroup/user.slice/user-1000.slice/pids.max": "10000\n",
		"sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/pids.max": "max\n",
		"proc/self/limits": "Limit                     Soft Limit           Hard Limit           Units\nMax processes             7600                 7600                 processes\n",
		"proc/loadavg":     "0.10 0.20 0.30 2/1200 4711\n", "proc/sys/kernel/threads-max": "30000\n", "proc/sys/kernel/pid_max": "32768\n",
		"proc/sys/fs/file-nr":                          "4000\t0\t100000\n",
		"dev/shm/libpod_rootless_lock_1000":            string(segment(40, 64, 3, 30)),
		"storage/networks/podman.json":                 `{"subnets":[{"subnet":"10.88.0.0/16"}]}`,
		"storage/networks/private.a.json":              `{"subnets":[{"subnet":"10.89.0.0/24"}]}`,
		"storage/volumes/a.data/_data/x":               "",
		"etc/containers/containers.conf.d/pool.conf":   "[network]\ndefault_subnet_pools = [{base = \"10.89.0.0/16\", size = 24}]\n",
		"config/containers/containers.conf.d/not.conf": "[engine]\nnum_locks = 99\n",
	})
	want := limits.Have{
		units.LimitKeys: {Used: 199, Max: 200}, units.LimitKeyBytes: {Used: 12751, Max: 20000},
		units.LimitInotify: {Used: 2, Max: 128}, units.LimitWatches: {Used: 2, Max: 8192},
		units.LimitProcesses: {Used: 900, Max: 7600}, units.LimitThreads: {Used: 1200, Max: 30000},
		units.LimitFiles: {Used: 4000, Max: 100000}, units.LimitLocks: {Used: 33, Max: 2048}, units.LimitSubnets: {Used: 1, Max: 256},
	}
	if d := cmp.Diff(want, l.Read()); d != "" {
		t.Errorf("-want +have:\n%s", d)
	}
	room := l.Room()
	if room[units.LimitKeys] != 1 || room[units.LimitLocks] != 2015 {
		t.Errorf("room: %v", room)
	}
	for kind, names := range map[string][2]string{limits.Volume: {"a.data", "b.data"}, limits.Network: {"private.a", "private.b"}} {
		if !l.Exists(kind, names[0]) || l.Exists(kind, names[1]) {
			t.Errorf("%s: %v, %v", kind, l.Exists(kind, names[0]), l.Exists(kind, names[1]))
		}
	}
}

// A limit that can't be read is unknown, not zero.
func TestLimitsThatAreUnknown(t *testing.T) {
	t.Parallel()
	if d := cmp.Diff(limits.Have{units.LimitSubnets: {Max: 42752}}, tree(t, units.System, nil).Read()); d != "" {
		t.Errorf("-want +have:\n%s", d)
	}
}

// segment is Podman's segment of locks, of which some are in use in each of two groups.
func segment(mutex, groups, first, last int) []byte {
	data := make([]byte, 8+mutex+8+groups*(8+32*mutex))
	binary.NativeEndian.PutUint16(data, locksMagic)
	binary.NativeEndian.PutUint32(data[8+mutex:], uint32(groups))
	binary.NativeEndian.PutUint32(data[12+mutex:], uint32(32*groups))
	head, group := 8+mutex+8, 8+32*mutex
	binary.NativeEndian.PutUint32(data[head:], 1<<first-1)
	binary.NativeEndian.PutUint32(data[head+(groups-1)*group:], 1<<last-1)
	return data
}

func TestLocksOfPodman(t *testing.T) {
	t.Parallel()
	for _, mutex := range mutexSizes {
		if d := cmp.Diff(limits.Usage{Used: 37, Max: 2048}, lockUsage(segment(mutex, 64, 32, 5))); d != "" {
			t.Errorf("a mutex of %d bytes: -want +have:\n%s", mutex, d)
		}
	}
	damaged := segment(40, 64, 1, 1)
	for name, data := range map[string][]byte{"empty": nil, "cut short": damaged[:100], "longer": append(damaged, 0), "another magic": make([]byte, len(damaged))} {
		if u := lockUsage(data); u != (limits.Usage{}) {
			t.Errorf("%s: %v", name, u)
		}
	}
}
