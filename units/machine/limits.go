package machine

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
)

// Limits reads the limits of the machine, and how much of each is in use, from files.
type Limits struct {
	// Root is / except in tests.
	Root  string
	Scope units.Scope
	// UID is the user who runs the containers.
	UID int
	// Volumes and Networks are the directories in which Podman keeps those. Config is the user's
	// configuration directory, empty if there is none.
	Volumes, Networks, Config string
}

// Limits returns the reader of the machine's limits.
func (b Base) Limits() Limits {
	return Limits{Root: "/", Scope: b.Scope, UID: os.Getuid(), Volumes: b.Volumes, Networks: b.Networks, Config: b.Config}
}

// Read returns the limits that can be read. It runs nothing.
func (l Limits) Read() limits.Have {
	have := l.Cheap()
	instances, watches := l.inotify()
	for limit, u := range map[units.Limit]limits.Usage{
		units.LimitInotify: {Used: instances, Max: l.number("proc/sys/fs/inotify/max_user_instances")},
		units.LimitWatches: {Used: watches, Max: l.number("proc/sys/fs/inotify/max_user_watches")},
	} {
		if u.Max > 0 {
			have[limit] = u
		}
	}
	return have
}

// Cheap is Read without the limits of inotify, whose use is known only from the descriptors of
// all processes. healthd, which may not read those, calls it often.
func (l Limits) Cheap() limits.Have {
	have := limits.Have{}
	keys, size := l.keys()
	for limit, u := range map[units.Limit]limits.Usage{
		units.LimitKeys:      keys,
		units.LimitKeyBytes:  size,
		units.LimitProcesses: l.processes(),
		units.LimitThreads:   l.threads(),
		units.LimitFiles:     l.files(),
		units.LimitLocks:     l.locks(),
		units.LimitSubnets:   l.subnets(),
	} {
		if u.Max > 0 {
			have[limit] = u
		}
	}
	return have
}

// Room is how many more containers fit each limit that is known. For inotify that is one or
// none: an instance can be opened, or not.
func (l Limits) Room() map[units.Limit]int {
	have, room := l.Cheap(), map[units.Limit]int{}
	for _, limit := range limits.All() {
		if n, known := have.Room(limit); known {
			room[limit] = n
		}
	}
	if fd, err := unix.InotifyInit1(unix.IN_CLOEXEC); err == nil {
		room[units.LimitInotify] = 1
		_ = unix.Close(fd)
	}
	return room
}

// Exists reports whether Podman has a volume or a network of that name.
func (l Limits) Exists(kind, name string) bool {
	path := filepath.Join(l.Volumes, name)
	if kind == limits.Network {
		path = filepath.Join(l.Networks, name+".json")
	}
	_, err := os.Stat(path)
	return err == nil
}

// read returns a file without white space around it, empty if it can't be read.
func (l Limits) read(file string) string {
	data, err := os.ReadFile(filepath.Join(l.Root, file))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// number reads a file with a number, 0 if it has none.
func (l Limits) number(file string) int { return number(l.read(file)) }

// setting reads a setting of sysctl(8), 0 if it is unknown.
func (l Limits) setting(name string) int {
	return l.number("proc/sys/" + strings.ReplaceAll(name, ".", "/"))
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// fraction reads USED/MAX.
func fraction(text string) limits.Usage {
	used, most, _ := strings.Cut(text, "/")
	return limits.Usage{Used: number(used), Max: number(most)}
}

// keys reads how many keys the user has, and their size.
func (l Limits) keys() (count, size limits.Usage) {
	uid := strconv.Itoa(l.UID) + ":"
	for line := range strings.Lines(l.read("proc/key-users")) {
		// UID: REFERENCES KEYS/INSTANTIATED KEYS/MAX BYTES/MAX
		if f := strings.Fields(line); len(f) == 5 && f[0] == uid {
			return fraction(f[3]), fraction(f[4])
		}
	}
	return limits.Usage{Max: l.number("proc/sys/kernel/keys/maxkeys")}, limits.Usage{Max: l.number("proc/sys/kernel/keys/maxbytes")}
}

// inotify counts the inotify instances and watches of the user's processes. Those of programs
// in a user's containers count for the user, too, but their descriptors can't be read.
func (l Limits) inotify() (instances, watches int) {
	processes, err := os.ReadDir(filepath.Join(l.Root, "proc"))
	if err != nil {
		return 0, 0
	}
	for _, p := range processes {
		if p.Name()[0] < '1' || p.Name()[0] > '9' {
			continue
		}
		dir := filepath.Join(l.Root, "proc", p.Name())
		if l.Scope == units.System && !isOf(dir, l.UID) {
			continue
		}
		fds, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			continue // another user's, or it has ended
		}
		for _, fd := range fds {
			if target, err := os.Readlink(filepath.Join(dir, "fd", fd.Name())); err != nil || target != "anon_inode:inotify" {
				continue
			}
			instances++
			info, err := os.ReadFile(filepath.Join(dir, "fdinfo", fd.Name()))
			if err == nil {
				watches += bytes.Count(info, []byte("\ninotify "))
			}
		}
	}
	return instances, watches
}

func isOf(dir string, uid int) bool {
	info, err := os.Stat(dir)
	return err == nil && int(info.Sys().(*syscall.Stat_t).Uid) == uid
}

// processes reads the processes and threads of a user. Services of the system have a limit
// each, which does not depend on their number.
func (l Limits) processes() limits.Usage {
	if l.Scope == units.System {
		return limits.Usage{}
	}
	slice := "sys/fs/cgroup/user.slice/user-" + strconv.Itoa(l.UID) + ".slice"
	u := limits.Usage{Used: l.number(slice + "/pids.current")}
	for _, most := range []int{l.number(slice + "/pids.max"), l.number(slice + "/user@" + strconv.Itoa(l.UID) + ".service/pids.max"), l.processLimit()} {
		if most > 0 && (u.Max == 0 || most < u.Max) {
			u.Max = most
		}
	}
	if u.Used == 0 { // no pids controller
		return limits.Usage{}
	}
	return u
}

// processLimit is the limit of processes of this process, 0 if there is none.
func (l Limits) processLimit() int {
	for line := range strings.Lines(l.read("proc/self/limits")) {
		if rest, ok := strings.CutPrefix(line, "Max processes"); ok {
			return number(strings.Fields(rest)[0])
		}
	}
	return 0
}

// threads reads the processes and threads of the machine.
func (l Limits) threads() limits.Usage {
	f := strings.Fields(l.read("proc/loadavg")) // LOAD LOAD LOAD RUNNING/ALL PID
	if len(f) < 4 {
		return limits.Usage{}
	}
	return limits.Usage{Used: fraction(f[3]).Max, Max: min(l.number("proc/sys/kernel/threads-max"), l.number("proc/sys/kernel/pid_max"))}
}

// files reads the open files of the machine.
func (l Limits) files() limits.Usage {
	f := strings.Fields(l.read("proc/sys/fs/file-nr")) // USED UNUSED MAX
	if len(f) != 3 || number(f[2]) == math.MaxInt64 {  // systemd's default
		return limits.Usage{}
	}
	return limits.Usage{Used: number(f[0]), Max: number(f[2])}
}

// locks reads the locks of Podman: each container, pod and volume has one. There are none to
// read before Podman's first start, or if it is configured to lock files.
func (l Limits) locks() limits.Usage {
	name := "libpod_rootless_lock_" + strconv.Itoa(l.UID)
	if l.Scope == units.System {
		name = "libpod_lock"
	}
	data, err := os.ReadFile(filepath.Join(l.Root, "dev/shm", name))
	if err != nil {
		return limits.Usage{}
	}
	return lockUsage(data)
}

const (
	// locksMagic begins Podman's segment of locks, and locksInGroup is how many share a bitmap.
	locksMagic   = 0x87D1
	locksInGroup = 32
)

// mutexSizes is the size of a pthread_mutex_t, by architecture.
var mutexSizes = []int{40, 48, 24}

// lockUsage reads Podman's segment of locks (libpod/lock/shm/shm_lock.h): a magic number, a
// mutex, the numbers of groups and of locks, and the groups, each with a bitmap of the locks
// in use. The size of the segment tells that of a mutex.
func lockUsage(data []byte) limits.Usage {
	for _, mutex := range mutexSizes {
		head, group := 8+mutex+8, 8+locksInGroup*mutex
		if len(data) < head || binary.NativeEndian.Uint16(data) != locksMagic {
			return limits.Usage{}
		}
		groups, locks := int(binary.NativeEndian.Uint32(data[8+mutex:])), int(binary.NativeEndian.Uint32(data[12+mutex:]))
		if locks != groups*locksInGroup || len(data) != head+groups*group {
			continue
		}
		u := limits.Usage{Max: locks}
		for at := head; at < len(data); at += group {
			u.Used += bits.OnesCount32(binary.NativeEndian.Uint32(data[at:]))
		}
		return u
	}
	return limits.Usage{}
}
