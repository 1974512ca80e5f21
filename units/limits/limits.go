// Package limits owns the table of the limits of a machine that many containers reach: what
// each container takes of them, how Podman's messages name them, and the command that raises
// them.
//
// It compares what is needed with what there is. It never reads the machine: units/machine
// does, and hands over the numbers.
package limits

import (
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units"
)

// Objects is what containers are made of.
type Objects struct{ Containers, Volumes, Networks int }

// Usage is how much of a limit is in use, and the limit.
type Usage struct{ Used, Max int }

// Room is how much of the limit is left.
func (u Usage) Room() int { return max(0, u.Max-u.Used) }

// Have is the limits of a machine as far as they are known.
type Have map[units.Limit]Usage

// row is what is known about a limit.
type row struct {
	limit units.Limit
	// what is what the limit counts. setting is where it is set.
	what, setting string
	// each is how much one object takes.
	each Objects
	// phrases are the messages about it: a line that has all texts of one of them, in any case.
	// byPodman: only Podman writes them. Otherwise a program in the container may, too.
	phrases  [][]string
	byPodman bool
	// alike is another limit with the same messages.
	alike units.Limit
	// fix is the commands that raise the limit for a need.
	fix func(need int, scope units.Scope) string
}

// The values of the package's sysctl.d file.
const (
	packageKeys      = 5000
	packageKeyBytes  = 500_000
	packageInstances = 3000
)

// keyBytes is the size of the key of a container: its name, the id of the container, and a
// terminator.
const keyBytes = 65

// What the processes of a container take, its monitor and port forwarder included.
const (
	tasksPerContainer   = 25
	filesPerContainer   = 100
	watchesPerContainer = 8
)

// table is all limits.
var table = []row{
	{
		limit: units.LimitKeys, what: "kernel keys", setting: "kernel.keys.maxkeys", each: Objects{Containers: 1},
		phrases: [][]string{{"keyring", "disk quota exceeded"}, {"session key", "disk quota exceeded"}}, byPodman: true, alike: units.LimitKeyBytes,
		fix: func(need int, _ units.Scope) string {
			return sysctl("keys", setting{"kernel.keys.maxkeys", max(packageKeys, 2*need)}, setting{"kernel.keys.maxbytes", max(packageKeyBytes, 2*need*keyBytes)})
		},
	},
	{
		limit: units.LimitKeyBytes, what: "bytes of kernel keys", setting: "kernel.keys.maxbytes", each: Objects{Containers: keyBytes},
		fix: func(need int, _ units.Scope) string {
			return sysctl("key-bytes", setting{"kernel.keys.maxbytes", max(packageKeyBytes, 2*need)})
		},
	},
	{
		limit: units.LimitInotify, what: "inotify instances", setting: "fs.inotify.max_user_instances", each: Objects{Containers: 1},
		phrases: [][]string{{"inotify", "too many open files"}},
		fix: func(need int, _ units.Scope) string {
			return sysctl("inotify", setting{"fs.inotify.max_user_instances", max(packageInstances, 2*need)})
		},
	},
	{
		limit: units.LimitWatches, what: "inotify watches", setting: "fs.inotify.max_user_watches", each: Objects{Containers: watchesPerContainer},
		phrases: [][]string{{"inotify", "no space left on device"}},
		fix: func(need int, _ units.Scope) string {
			return sysctl("watches", setting{"fs.inotify.max_user_watches", 2 * need})
		},
	},
	{
		limit: units.LimitProcesses, what: "processes and threads of the user", setting: "TasksMax= of user-UID.slice", each: Objects{Containers: tasksPerContainer},
		phrases: [][]string{
			{"clone", "resource temporarily unavailable"},
			{"fork", "resource temporarily unavailable"},
			{"failed to create new os thread"},
		}, byPodman: true, alike: units.LimitThreads,
		fix: func(need int, _ units.Scope) string {
			return "sudo mkdir -p /etc/systemd/system/user-.slice.d\n" +
				fmt.Sprintf(`printf '[Slice]\nTasksMax=%d\n' | sudo tee /etc/systemd/system/user-.slice.d/50-archipelago-tasks.conf`, 2*need) + "\n" +
				"sudo systemctl daemon-reload"
		},
	},
	{
		limit: units.LimitThreads, what: "processes and threads of the machine", setting: "kernel.threads-max, kernel.pid_max", each: Objects{Containers: tasksPerContainer},
		fix: func(need int, _ units.Scope) string {
			return sysctl("threads", setting{"kernel.threads-max", 2 * need}, setting{"kernel.pid_max", 2 * need})
		},
	},
	{
		limit: units.LimitFiles, what: "open files of all users", setting: "fs.file-max", each: Objects{Containers: filesPerContainer},
		phrases: [][]string{{"too many open files in system"}},
		fix:     func(need int, _ units.Scope) string { return sysctl("files", setting{"fs.file-max", 2 * need}) },
	},
	{
		limit: units.LimitLocks, what: "Podman's locks", setting: "num_locks in containers.conf", each: Objects{Containers: 1, Volumes: 1},
		phrases: [][]string{{"exceeded num_locks"}}, byPodman: true,
		fix: func(need int, scope units.Scope) string {
			return containersConf("locks", fmt.Sprintf(`[engine]\nnum_locks = %d\n`, 2*roundUp(need)), scope) + "\nsudo reboot   # Podman makes its locks at its first start"
		},
	},
	{
		limit: units.LimitSubnets, what: "subnets for networks", setting: "default_subnet_pools in containers.conf", each: Objects{Networks: 1},
		phrases: [][]string{{"could not find free subnet"}}, byPodman: true,
		fix: func(_ int, scope units.Scope) string {
			return containersConf("subnets", `[network]\ndefault_subnet_pools = [{base = "10.128.0.0/9", size = 24}]\n`, scope)
		},
	},
}

// All is every limit, in the order of the table.
func All() []units.Limit {
	list := make([]units.Limit, 0, len(table))
	for _, r := range table {
		list = append(list, r.limit)
	}
	return list
}

func rowOf(l units.Limit) row {
	i := slices.IndexFunc(table, func(r row) bool { return r.limit == l })
	if i < 0 {
		return row{}
	}
	return table[i]
}

// Explain says which limit it is.
func Explain(l units.Limit) string {
	r := rowOf(l)
	return "the limit of " + r.what + " is reached (" + r.setting + ")"
}

// Finding is the comparison of one limit.
type Finding struct {
	Limit units.Limit
	Usage
	// Need is what will be in use.
	Need int
	row  row
	// scope is whose containers they are.
	scope units.Scope
}

// Compare compares the limits that are known with what will be in use, once some objects
// exist, too.
func Compare(have Have, more Objects, scope units.Scope) []Finding {
	var list []Finding
	for _, r := range table {
		u, known := have[r.limit]
		if !known {
			continue
		}
		need := u.Used + r.each.Containers*more.Containers + r.each.Volumes*more.Volumes + r.each.Networks*more.Networks
		list = append(list, Finding{Limit: r.limit, Usage: u, Need: need, row: r, scope: scope})
	}
	return list
}

// Short is the findings of limits that are too low.
func Short(list []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(list), func(f Finding) bool { return !f.IsShort() })
}

// IsShort reports whether the limit is too low.
func (f Finding) IsShort() bool { return f.Need > f.Max }

// String says what is needed and what there is.
func (f Finding) String() string {
	if !f.IsShort() {
		return fmt.Sprintf("%d of %d in use, %d needed", f.Used, f.Max, f.Need)
	}
	return fmt.Sprintf("the apps need %d %s, but the limit is %d (%s), and %d are in use", f.Need, f.row.what, f.Max, f.row.setting, f.Used)
}

// Fix is the commands that raise the limit, empty if it is high enough.
func (f Finding) Fix() string {
	if !f.IsShort() {
		return ""
	}
	return f.row.fix(f.Need, f.scope)
}

// Room is how many more containers fit the limits that have the messages of one, and false if
// none of them is known.
func (h Have) Room(l units.Limit) (room int, known bool) {
	r := rowOf(l)
	for _, r := range []row{r, rowOf(r.alike)} {
		u, isKnown := h[r.limit]
		if !isKnown || r.each.Containers == 0 {
			continue
		}
		n := u.Room() / r.each.Containers
		if !known || n < room {
			room, known = n, true
		}
	}
	return room, known
}

// Of is the limit that the last lines of a service name, empty if none does. exitCode is that
// of its main process. Podman's own errors have 125 to 127; with any other code the lines may
// be those of a program with limits of its own.
func Of(lines []string, exitCode int) units.Limit {
	isPodman := exitCode >= 125 && exitCode <= 127
	for _, line := range slices.Backward(lines[max(0, len(lines)-lastLines):]) {
		line = strings.ToLower(line)
		for _, r := range table {
			if (isPodman || !r.byPodman) && slices.ContainsFunc(r.phrases, func(texts []string) bool { return hasAll(line, texts) }) {
				return r.limit
			}
		}
		if strings.HasPrefix(line, "error: ") { // the lines above are those of earlier starts
			break
		}
	}
	return ""
}

// lastLines is how many lines a program may write after the one about a limit.
const lastLines = 3

func hasAll(line string, texts []string) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) })
}
