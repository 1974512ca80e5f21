package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/imagecheck"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// imageReader reads the facts of images that this machine has. It runs nothing of
// them: podman image inspect gives the settings, and podman image mount the files.
// Together that takes about a second an image.
type imageReader struct {
	podman podmancli.Runner
	scope  units.Scope
	// settings is what inspect said of the images that were asked for, nil for one that
	// this machine lacks.
	settings map[string]*imageSettings
}

// imageSettings is what podman image inspect tells of an image.
type imageSettings struct {
	Architecture string
	Config       struct {
		User         string
		ExposedPorts map[string]any
		Volumes      map[string]any
		Entrypoint   []string
		Cmd          []string
		Env          []string
		WorkingDir   string
	}
}

// facts is the image's settings in the words of the check.
func (s *imageSettings) facts() imagecheck.Facts {
	f := imagecheck.Facts{
		Architecture: s.Architecture, Machine: runtime.GOARCH, User: s.Config.User, WorkingDir: s.Config.WorkingDir,
		Volumes: slices.Sorted(maps.Keys(s.Config.Volumes)), Entrypoint: s.Config.Entrypoint, Command: s.Config.Cmd, Env: map[string]string{},
	}
	for _, name := range slices.Sorted(maps.Keys(s.Config.ExposedPorts)) {
		number, protocol, _ := strings.Cut(name, "/")
		if n, err := strconv.Atoi(number); err == nil {
			f.Ports = append(f.Ports, imagecheck.Port{Number: n, Protocol: cmp.Or(protocol, "tcp")})
		}
	}
	for _, v := range s.Config.Env {
		name, value, _ := strings.Cut(v, "=")
		f.Env[name] = value
	}
	return f
}

// inspect reads the settings of an image, once. They are nil for one that is missing.
func (r *imageReader) inspect(ctx context.Context, image string) (*imageSettings, error) {
	if s, isRead := r.settings[image]; isRead {
		return s, nil
	}
	var s *imageSettings
	isThere, err := r.podman.Exists(ctx, "image", image)
	if err != nil {
		return nil, err
	}
	if isThere {
		var list []imageSettings
		if err := r.podman.JSON(ctx, &list, "image", "inspect", "--", image); err != nil || len(list) != 1 {
			return nil, errors.Join(fmt.Errorf("podman image inspect %s gave no image", image), err)
		}
		s = &list[0]
	}
	if r.settings == nil {
		r.settings = map[string]*imageSettings{}
	}
	r.settings[image] = s
	return s, nil
}

// check compares the parts of an app with their images. Its notes say which images
// could not be compared.
func (r *imageReader) check(ctx context.Context, app *manifests.Resolved) (diags diag.List, notes []string, err error) {
	for i := range app.Parts {
		part := &app.Parts[i]
		image := generator.ImageOf(app, part)
		s, err := r.inspect(ctx, image)
		if err != nil {
			return diags, notes, err
		}
		if s == nil {
			notes = append(notes, "the image "+image+" is not on this machine and was not compared; podman pull gets it")
			continue
		}
		facts := s.facts()
		if facts.Architecture == facts.Machine {
			if err := r.look(ctx, image, imagecheck.Paths(app, part, facts), &facts); err != nil {
				notes = append(notes, fmt.Sprintf("the files of the image were not compared: %v", err))
			}
		}
		diags = append(diags, imagecheck.Check(app, part, facts)...)
	}
	return diags, notes, nil
}

// imageFiles is what a look into an image finds.
type imageFiles struct {
	Files         map[string]imagecheck.File
	Passwd, Group string
}

// look adds the files of an image to its facts.
func (r *imageReader) look(ctx context.Context, image string, paths []string, facts *imagecheck.Facts) error {
	var found imageFiles
	if r.scope == units.System {
		var err error
		if found, err = lookIntoImage(ctx, r.podman, image, paths); err != nil {
			return err
		}
	} else {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		if err := r.podman.JSON(ctx, &found, append([]string{"unshare", self, "image", image}, paths...)...); err != nil {
			return fmt.Errorf("looking into the image %s: %w", image, err)
		}
	}
	facts.Files = found.Files
	facts.Users, facts.Groups = accounts(found.Passwd), groups(found.Group)
	return nil
}

// accounts reads /etc/passwd, nil where the image has none.
func accounts(text string) map[string]imagecheck.Account {
	var list map[string]imagecheck.Account
	for fields := range records(text, 4) {
		uid, errUID := strconv.Atoi(fields[2])
		gid, errGID := strconv.Atoi(fields[3])
		if errUID == nil && errGID == nil {
			if list == nil {
				list = map[string]imagecheck.Account{}
			}
			list[fields[0]] = imagecheck.Account{UID: uid, GID: gid}
		}
	}
	return list
}

// groups reads /etc/group.
func groups(text string) map[string]int {
	var list map[string]int
	for fields := range records(text, 3) {
		if gid, err := strconv.Atoi(fields[2]); err == nil {
			if list == nil {
				list = map[string]int{}
			}
			list[fields[0]] = gid
		}
	}
	return list
}

// records yields the lines that have at least so many fields.
func records(text string, least int) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
			if fields := strings.Split(s.Text(), ":"); len(fields) >= least && !yield(fields) {
				return
			}
		}
	}
}

// imageCommand is for check and install, which run it in Podman's user namespace.
func (c *cli) imageCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "image IMAGE [PATH…]",
		Hidden:  true,
		Short:   "Tell what an image has at paths, as JSON",
		Example: `  podman unshare archgen image localhost/app:1 /bin/sh`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name an image")}
			}
			ctx, stop := interruptible()
			defer stop()
			found, err := lookIntoImage(ctx, c.podman, args[0], args[1:])
			if err != nil {
				return err
			}
			return json.NewEncoder(c.stdout).Encode(found)
		},
	}
}

// lookIntoImage mounts an image, read-only, and looks at paths of it.
func lookIntoImage(ctx context.Context, podman podmancli.Runner, image string, paths []string) (found imageFiles, err error) {
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

func lookInto(root string, paths []string) (imageFiles, error) {
	found := imageFiles{Files: map[string]imagecheck.File{}}
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

// textOf is the content of a file of an image, empty where it has none.
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
