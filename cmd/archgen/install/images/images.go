// Package images owns the facts about the images of this machine, and compares apps with
// them. podman image inspect gives the settings of an image, podman image mount its files;
// together that takes about a second an image.
//
// It pulls no image, runs nothing of one, and never decides what a difference means:
// manifests/imagecheck does.
package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/imagecheck"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// Reader reads the facts of images, the settings of each once.
type Reader struct {
	Podman podmancli.Runner
	Scope  units.Scope
	// read is the settings of the images that were asked for, nil for one that this
	// machine lacks.
	read map[string]*settings
}

// settings is what podman image inspect reports of an image.
type settings struct {
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

// facts is the settings in the words of the check.
func (s *settings) facts() imagecheck.Facts {
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

// Check compares the parts of an app with their images. Its notes say which images could
// not be compared.
func (r *Reader) Check(ctx context.Context, app *manifests.Resolved) (diags diag.List, notes []string, err error) {
	for i := range app.Parts {
		part := &app.Parts[i]
		image := generator.ImageOf(part)
		s, err := r.inspect(ctx, image)
		if err != nil {
			return diags, notes, err
		}
		if s == nil {
			notes = append(notes, "the image "+image+" is not on this machine and was not compared; pull it with podman pull")
			continue
		}
		facts := s.facts()
		if facts.Architecture == facts.Machine {
			found, err := r.look(ctx, image, imagecheck.Paths(app, part, facts))
			if err != nil {
				notes = append(notes, fmt.Sprintf("the files of the image were not compared: %v", err))
			} else {
				facts.Files, facts.Users, facts.Groups = found.Files, accounts(found.Passwd), groups(found.Group)
			}
		}
		diags = append(diags, imagecheck.Check(app, part, facts)...)
	}
	return diags, notes, nil
}

// CheckAll compares apps with their images. Each note names its app.
func (r *Reader) CheckAll(ctx context.Context, apps []*manifests.Resolved) (diags diag.List, notes []string, err error) {
	for _, app := range apps {
		found, more, err := r.Check(ctx, app)
		if err != nil {
			return diags, notes, err
		}
		diags = append(diags, found...)
		for _, note := range more {
			notes = append(notes, app.ID()+": "+note)
		}
	}
	return diags, notes, nil
}

// inspect reads the settings of an image, once. They are nil for one that is missing.
func (r *Reader) inspect(ctx context.Context, image string) (*settings, error) {
	if s, isRead := r.read[image]; isRead {
		return s, nil
	}
	var s *settings
	isThere, err := r.Podman.Exists(ctx, "image", image)
	if err != nil {
		return nil, err
	}
	if isThere {
		var list []settings
		if err := r.Podman.JSON(ctx, &list, "image", "inspect", "--", image); err != nil || len(list) != 1 {
			return nil, errors.Join(fmt.Errorf("podman image inspect %s returned no image", image), err)
		}
		s = &list[0]
	}
	if r.read == nil {
		r.read = map[string]*settings{}
	}
	r.read[image] = s
	return s, nil
}

// look examines the files of an image as root, or in Podman's user namespace, where their
// owners are known.
func (r *Reader) look(ctx context.Context, image string, paths []string) (found Found, err error) {
	if r.Scope == units.System {
		return Look(ctx, r.Podman, image, paths)
	}
	self, err := os.Executable()
	if err != nil {
		return found, err
	}
	if err := r.Podman.JSON(ctx, &found, append([]string{"unshare", self, "image", image}, paths...)...); err != nil {
		return found, fmt.Errorf("reading the files of the image %s: %w", image, err)
	}
	return found, nil
}
