// Package imagecheck compares a manifest with the facts about its image: ports, volumes, user,
// programs, directories and architecture.
//
// It is pure: it reads no image and runs nothing. The caller supplies the facts, and an unknown
// fact is never an error.
package imagecheck

import (
	"path"
	"slices"
	"strings"
)

// Facts is what is known of an image. The zero value of a field means unknown,
// except where the comment says otherwise.
type Facts struct {
	// Architecture is the image's, Machine that of the machine that runs it, in Go's
	// words: amd64, arm64.
	Architecture, Machine string
	// User is the image's USER; empty means root.
	User string
	// Ports is the image's EXPOSE.
	Ports []Port
	// Volumes is the image's VOLUME.
	Volumes []string
	// Entrypoint and Command are the image's ENTRYPOINT and CMD.
	Entrypoint, Command []string
	// Env is the image's environment.
	Env map[string]string
	// WorkingDir is the directory that the program starts in.
	WorkingDir string
	// Files is what is known of paths of the image. A path that is not among them is
	// unknown; one that the image does not have is in it as Missing.
	Files map[string]File
	// Users and Groups are the image's /etc/passwd and /etc/group; nil means unknown.
	Users  map[string]Account
	Groups map[string]int
	// Writes is directories that the program is known to write to.
	Writes []string
}

// Port is a port that an image exposes.
type Port struct {
	Number   int
	Protocol string
}

// Account is a user of the image.
type Account struct{ UID, GID int }

// File is what a path of an image is, after its links were followed.
type File struct {
	Missing   bool
	Directory bool
	// Mode is the permission bits.
	Mode     uint32
	UID, GID int
}

// defaultPath is the PATH of a container whose image sets none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// candidates is the paths at which a program is looked for.
func candidates(program, searchPath, workingDir string) (list []string) {
	switch {
	case program == "":
		return nil
	case path.IsAbs(program):
		return []string{path.Clean(program)}
	case strings.Contains(program, "/"):
		return []string{path.Join("/", workingDir, program)}
	}
	for dir := range strings.SplitSeq(searchPath, ":") {
		if path.IsAbs(dir) {
			list = append(list, path.Join(dir, program))
		}
	}
	return list
}

// covers reports whether one of the directories is, or holds, a path.
func covers(dirs []string, p string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool {
		return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
	})
}
