package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/imagecheck"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// Found is what Look finds in an image.
type Found struct {
	Files         map[string]imagecheck.File
	Passwd, Group string
}

// accounts reads /etc/passwd; it is nil if the image has none.
func accounts(text string) map[string]imagecheck.Account {
	return records(text, 4, func(fields []string) (a imagecheck.Account, err error) {
		if a.UID, err = strconv.Atoi(fields[2]); err == nil {
			a.GID, err = strconv.Atoi(fields[3])
		}
		return a, err
	})
}

// groups reads /etc/group.
func groups(text string) map[string]int {
	return records(text, 3, func(fields []string) (int, error) { return strconv.Atoi(fields[2]) })
}

// records is the lines of a file by their first field. It omits lines that have fewer fields
// than least or can't be parsed.
func records[V any](text string, least int, parse func(fields []string) (V, error)) (list map[string]V) {
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(fields) < least {
			continue
		}
		if v, err := parse(fields); err == nil {
			if list == nil {
				list = map[string]V{}
			}
			list[fields[0]] = v
		}
	}
	return list
}

// Look mounts an image read-only and examines some of its paths.
func Look(ctx context.Context, podman podmancli.Runner, image string, paths []string) (found Found, err error) {
	out, err := podman.Output(ctx, "image", "mount", "--", image)
	if err != nil {
		return found, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), podmancli.RemoveTime)
		defer cancel()
		err = errors.Join(err, podman.Run(ctx, "image", "unmount", "--", image))
	}()
	return lookInto(strings.TrimSpace(string(out)), paths)
}

func lookInto(root string, paths []string) (Found, error) {
	found := Found{Files: map[string]imagecheck.File{}}
	for _, p := range paths {
		f, err := fileOf(root, p)
		if err != nil {
			return found, err
		}
		found.Files[p] = f
	}
	found.Passwd, found.Group = textOf(root, "/etc/passwd"), textOf(root, "/etc/group")
	return found, nil
}

func fileOf(root, p string) (f imagecheck.File, err error) {
	place, err := resolveIn(root, p)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return imagecheck.File{Missing: true}, nil
	}
	if err != nil {
		return f, err
	}
	info, err := os.Lstat(place)
	if err != nil {
		return f, err
	}
	f.Directory, f.Mode = info.IsDir(), uint32(info.Mode().Perm())
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.UID, f.GID = int(st.Uid), int(st.Gid)
	}
	return f, nil
}

// textOf is the content of a file of an image, or empty if there is no such file.
func textOf(root, p string) string {
	place, err := resolveIn(root, p)
	if err != nil {
		return ""
	}
	text, _ := manifests.ReadFile(place) // which is bounded, and reads regular files only
	return string(text)
}

// resolveIn follows the links of a path as a program in the image does: a link to
// /usr/bin stays within.
func resolveIn(root, p string) (string, error) {
	const mostLinks = 40
	done, rest, links := "/", strings.Split(path.Clean("/"+p), "/"), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, name)
		info, err := os.Lstat(filepath.Join(root, next))
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		target, err := os.Readlink(filepath.Join(root, next))
		if links++; err != nil || links > mostLinks {
			return "", errors.Join(err, fmt.Errorf("%s: %w", p, fs.ErrNotExist))
		}
		if path.IsAbs(target) {
			done = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return filepath.Join(root, done), nil
}
