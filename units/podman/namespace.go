package podman

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// IDRange is a range of IDs of a user namespace, and the IDs outside that they stand for.
type IDRange struct {
	Container int `json:"containerID"`
	Host      int `json:"hostID"`
	Size      int `json:"size"`
}

// HostID converts an ID in a user namespace to the one outside. Without ranges, they are the same.
func HostID(id int, ranges []IDRange) (int, error) {
	for _, r := range ranges {
		if id >= r.Container && id < r.Container+r.Size {
			return r.Host + id - r.Container, nil
		}
	}
	if len(ranges) > 0 {
		return 0, fmt.Errorf("ID %d is outside of the container's user namespace", id)
	}
	return id, nil
}

// RootlessIDs reads the user namespace in which Podman runs the containers of this user. pidFile has
// the process that keeps it open (libpod/tmp/pause.pid in the user's runtime directory). The error wraps
// fs.ErrNotExist if there is none, as before the first container after a boot: Podman makes one with
// NextIDs.
func RootlessIDs(pidFile string) (uids, gids []IDRange, err error) {
	pid, err := read(pidFile)
	if err != nil {
		return nil, nil, unclear(err)
	}
	dir := filepath.Join("/proc", strings.TrimSpace(string(pid)))
	uids, err = idRanges(filepath.Join(dir, "uid_map"))
	if err == nil {
		gids, err = idRanges(filepath.Join(dir, "gid_map"))
	}
	// Another process may have got the ID of one that has ended.
	if root, outside := HostID(0, uids); err == nil && (outside != nil || root != os.Getuid()) {
		err = fmt.Errorf("process %s is not in the user namespace of Podman: %w", dir, ErrUnclear)
	}
	return uids, gids, err
}

// idRanges reads a file of user_namespaces(7).
func idRanges(file string) (list []IDRange, err error) {
	text, err := read(file)
	if err != nil {
		return nil, unclear(err)
	}
	for line := range strings.Lines(string(text)) {
		var r IDRange
		if _, err := fmt.Sscan(line, &r.Container, &r.Host, &r.Size); err != nil {
			return nil, unclear(err)
		}
		list = append(list, r)
	}
	return list, nil
}

// NextIDs returns the user namespace that Podman makes for a user who has none yet: the user is its root,
// and its other IDs are the subordinate ones. root is the root directory of the machine.
func NextIDs(root, user string, uid, gid int) (uids, gids []IDRange, err error) {
	if AreSubIDsAssigned(root) {
		return nil, nil, fmt.Errorf("a service assigns the subordinate IDs of %s: %w", user, ErrUnclear)
	}
	uids = SubIDs(filepath.Join(root, SubUIDs), user, uid)
	gids = SubIDs(filepath.Join(root, SubGIDs), user, uid)
	if len(uids) == 0 || len(gids) == 0 {
		return nil, nil, fmt.Errorf("%s has no subordinate IDs: %w", user, ErrUnclear)
	}
	own := func(id int) IDRange { return IDRange{Host: id, Size: 1} }
	return slices.Insert(uids, 0, own(uid)), slices.Insert(gids, 0, own(gid)), nil
}

// The files with the subordinate IDs of users, below the root directory.
const (
	SubUIDs = "etc/subuid"
	SubGIDs = "etc/subgid"
)

// SubIDs returns the ranges that a file in the format of subuid(5) gives a user, who is there with the name
// or the number. In a user namespace they come after root, the lowest first (createIDMap in
// containers/storage). Lines with errors are left out.
func SubIDs(file, user string, uid int) (list []IDRange) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != user && f[0] != strconv.Itoa(uid) {
			continue
		}
		start, errStart := strconv.Atoi(f[1])
		size, errSize := strconv.Atoi(f[2])
		if errors.Join(errStart, errSize) == nil {
			list = append(list, IDRange{Host: start, Size: size})
		}
	}
	slices.SortStableFunc(list, func(a, b IDRange) int { return cmp.Compare(a.Host, b.Host) })
	next := 1
	for i := range list {
		list[i].Container = next
		next += list[i].Size
	}
	return list
}

// AreSubIDsAssigned reports whether a service that nsswitch.conf names assigns the subordinate IDs, and
// not the files.
func AreSubIDsAssigned(root string) bool {
	text, err := os.ReadFile(filepath.Join(root, "etc/nsswitch.conf"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if source, ok := strings.CutPrefix(strings.TrimSpace(line), "subid:"); ok {
			return strings.TrimSpace(source) != "files"
		}
	}
	return false
}
