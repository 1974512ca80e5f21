package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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

// enoughIDs is how many ids an image may use: 65534 is usually the highest user, the
// unprivileged one.
const enoughIDs = 65536

func checkSubIDs(_ context.Context, e *Env) Result {
	if _, err := e.LookPath("newuidmap"); err != nil {
		return problem("sudo apt install uidmap   # or: sudo dnf install shadow-utils-subid", "newuidmap is not installed, so containers have only one user")
	}
	return e.subIDs()
}

func (e *Env) subIDs() Result {
	if nss, err := os.ReadFile(filepath.Join(e.Root, "etc/nsswitch.conf")); err == nil && !idsFromFiles(string(nss)) {
		return fine("a service that /etc/nsswitch.conf names assigns them")
	}
	fix := "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " + e.User + " && podman system migrate"
	for _, file := range []string{"etc/subuid", "etc/subgid"} {
		n := e.countIDs(file)
		switch {
		case n == 0:
			return problem(fix, "/%s has no range for %s, so images with more than one user don't run", file, e.User)
		case n < enoughIDs:
			return warn(fix, "/%s has only %d ids for %s; images may use %d", file, n, e.User, enoughIDs)
		}
	}
	return fine("%d of users, %d of groups", e.countIDs("etc/subuid"), e.countIDs("etc/subgid"))
}

// idsFromFiles reports whether ranges of ids are read from /etc/subuid and /etc/subgid.
func idsFromFiles(nsswitch string) bool {
	for line := range strings.Lines(nsswitch) {
		if source, ok := strings.CutPrefix(strings.TrimSpace(line), "subid:"); ok {
			return strings.TrimSpace(source) == "files"
		}
	}
	return true
}

func (e *Env) countIDs(file string) (n int) {
	data, err := os.ReadFile(filepath.Join(e.Root, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != e.User && f[0] != e.uidText() {
			continue
		}
		if count, err := strconv.Atoi(f[2]); err == nil {
			n += count
		}
	}
	return n
}
