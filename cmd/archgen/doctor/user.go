package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman"
)

func checkRuntimeDir(_ context.Context, e *Env) Result {
	const fix = "log in as that user: ssh USER@localhost, or: sudo machinectl shell USER@"
	dir := e.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return problem(fix, "XDG_RUNTIME_DIR is not set, as after su or sudo: systemd and Podman can't find the user's sockets")
	}
	info, err := os.Stat(dir)
	if err != nil {
		return problem("sudo loginctl enable-linger "+e.User, "XDG_RUNTIME_DIR: %v", err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	switch {
	case !info.IsDir():
		return problem(fix, "XDG_RUNTIME_DIR=%s is not a directory", dir)
	case int(owner) != e.UID:
		return problem(fix, "XDG_RUNTIME_DIR=%s belongs to the user %d, but this user is %d", dir, owner, e.UID)
	case info.Mode().Perm()&0o077 != 0:
		return warn("chmod 700 "+dir, "XDG_RUNTIME_DIR=%s is accessible to other users (%v)", dir, info.Mode().Perm())
	}
	return fine("%s", dir)
}

func checkLingering(_ context.Context, e *Env) Result {
	_, err := os.Stat(filepath.Join(e.Root, "var/lib/systemd/linger", e.User))
	if err != nil {
		return problem("loginctl enable-linger", "%s does not linger: apps start when the user logs in, and stop when the last session ends", e.User)
	}
	return fine("apps start at boot")
}

// freeIDs is the first of the ids that are added: useradd gives a new user the lowest range that
// is free.
const freeIDs = 10_000_000

// enoughIDs is how many ids an image may use: 65534 is usually the highest user, the
// unprivileged one.
const enoughIDs = 65536

func checkSubIDs(_ context.Context, e *Env) Result {
	if _, err := e.LookPath("newuidmap"); err != nil {
		return problem("sudo apt install uidmap   # or: sudo dnf install shadow-utils-subid", "newuidmap is not installed, so containers have only one user")
	}
	var apps []units.App
	if a, err := e.Apps(); err == nil { // another check reports the error
		apps = a.Want.Apps
	}
	return e.subIDs(idsOfAuto(apps))
}

// idsOfAuto is how many ids the containers need that have a range of ids each (userns: auto).
func idsOfAuto(apps []units.App) (n int) {
	for _, app := range apps {
		for _, f := range app.Files {
			option, isAuto := strings.CutPrefix(f.Value("UserNS"), "auto")
			if !isAuto {
				continue
			}
			size := leastIDs
			for o := range strings.SplitSeq(strings.TrimPrefix(option, ":"), ",") {
				if text, ok := strings.CutPrefix(o, "size="); ok {
					size, _ = strconv.Atoi(text) // Podman refuses any other text
				}
			}
			n += size
		}
	}
	return n
}

// leastIDs is the least that Podman gives a container with userns: auto.
const leastIDs = 1024

// subIDs judges the ranges of ids. auto is how many the containers with userns: auto need.
func (e *Env) subIDs(auto int) Result {
	if podman.AreSubIDsAssigned(e.Root) {
		return fine("a service that /etc/nsswitch.conf names assigns them")
	}
	fix := "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " + e.User + " && podman system migrate"
	for _, file := range []string{podman.SubUIDs, podman.SubGIDs} {
		n := e.countIDs(file)
		switch {
		case n == 0:
			return problem(fix, "/%s has no range for %s, so images with more than one user don't run", file, e.User)
		case n < enoughIDs:
			return warn(fix, "/%s has only %d ids for %s; images may use %d", file, n, e.User, enoughIDs)
		case n < auto:
			more := fmt.Sprintf("%d-%d", freeIDs, freeIDs+auto-1)
			return problem("sudo usermod --add-subuids "+more+" --add-subgids "+more+" "+e.User+" && podman system migrate",
				"the containers with userns: auto need %d ids, but /%s has %d for %s", auto, file, n, e.User)
		}
	}
	return fine("%d of users, %d of groups", e.countIDs(podman.SubUIDs), e.countIDs(podman.SubGIDs))
}

func (e *Env) countIDs(file string) (n int) {
	for _, r := range podman.SubIDs(filepath.Join(e.Root, file), e.User, e.UID) {
		n += r.Size
	}
	return n
}
