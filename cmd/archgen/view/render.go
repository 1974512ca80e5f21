package view

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

// File is a unit file. The names of the fields are a contract.
type File struct {
	Name    string `json:"name"`
	App     string `json:"app,omitempty"`
	Content string `json:"content"`
}

// FilesJSON is unit files for JSON.
func FilesJSON(files units.Set) []File {
	list := make([]File, 0, len(files))
	for _, f := range files {
		list = append(list, File{f.Name, f.App, string(f.Content)})
	}
	return list
}

// Files prints unit files.
func Files(w io.Writer, files units.Set) error {
	var b bytes.Buffer
	for i, f := range files {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "# --- %s ---\n%s", f.Name, f.Content)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Images prints the images that unit files name, one per line.
func Images(w io.Writer, files units.Set) (images []string) {
	for _, f := range files {
		if image := f.Image(); image != "" {
			images = append(images, image)
		}
	}
	slices.Sort(images)
	images = slices.Compact(images)
	for _, image := range images {
		fmt.Fprintln(w, image)
	}
	return images
}

// Pinned prints the images that unit files name, for a reproducible image build. It fails if one is
// not pinned.
func Pinned(w io.Writer, files units.Set) error {
	isPinned := func(image string) bool { return strings.Contains(image, "@sha256:") }
	floating := slices.DeleteFunc(Images(w, files), isPinned)
	if len(floating) == 0 {
		return nil
	}
	return fmt.Errorf("%s: not pinned by digest, so another build may pull another image; write NAME@sha256:…, with the digest from `skopeo inspect --format '{{.Digest}}' docker://NAME`",
		strings.Join(floating, ", "))
}

// ChangesDocument is the changes to a directory of unit files. The names of the fields are a
// contract.
type ChangesDocument struct {
	Directory  string   `json:"directory"`
	Written    []string `json:"written"`
	Removed    []string `json:"removed"`
	MovedAside []string `json:"moved_aside"`
	Foreign    []string `json:"foreign"`
	Unreadable []string `json:"unreadable"`
	Unchanged  int      `json:"unchanged"`
}

// ChangesJSON is changes for JSON, in which no list is null.
func ChangesJSON(dir string, ch unitdir.Changes) ChangesDocument {
	list := func(names []string) []string { return append([]string{}, names...) }
	return ChangesDocument{dir, list(ch.Written), list(ch.Removed), list(ch.MovedAside), list(ch.Foreign), list(ch.Unreadable), ch.Unchanged}
}

// Changes prints how many files of a directory were changed. A run that failed may have
// changed some of them.
func Changes(w io.Writer, dir string, ch unitdir.Changes, failure error) {
	switch {
	case len(ch.Written)+len(ch.Removed) > 0:
		fmt.Fprintf(w, "%s: %d written, %d removed, %d unchanged\n", dir, len(ch.Written), len(ch.Removed), ch.Unchanged)
	case failure == nil:
		fmt.Fprintf(w, "%s: %s, nothing changed\n", dir, ui.Count(ch.Unchanged, "file"))
	}
}
