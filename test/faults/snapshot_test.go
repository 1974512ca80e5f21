//go:build linux && (amd64 || arm64)

package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/archipelago-os/archipelago/units/snapshot"
)

// volumeVerb is a verb of archgen volume that a fault interrupts, on a volume whose data was saved
// with the text "old" and is "new" since.
type volumeVerb struct {
	name string
	// done is the texts of the data and of the snapshot afterwards.
	done [2]string
}

var volumeVerbs = []volumeVerb{
	{"save", [2]string{"new", "new"}},
	{"swap", [2]string{"old", "new"}},
	{"drop", [2]string{"new", ""}},
}

const volumeName = "web.data"

// savedVolume makes the volume, and returns the arguments of the verb.
func (v volumeVerb) savedVolume(t *testing.T, volumes string) []string {
	t.Helper()
	data := filepath.Join(volumes, volumeName, "_data")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(data, "sub"), 0o750),
		os.WriteFile(filepath.Join(data, "text"), []byte("old"), 0o600),
		os.WriteFile(filepath.Join(data, "sub/other"), []byte("other"), 0o640),
		os.Link(filepath.Join(data, "sub/other"), filepath.Join(data, "again")),
		os.Symlink("sub", filepath.Join(data, "link")),
	); err != nil {
		t.Fatal(err)
	}
	var record bytes.Buffer
	if err := snapshot.Command(t.Context(), []string{"save", volumes, volumeName, "1000000"}, &record); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "text"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{v.name, volumes, volumeName}
	switch v.name {
	case "save":
		args = append(args, "1000000")
	case "swap":
		args = append(args, strings.TrimSpace(record.String()))
	}
	return args
}

// texts is the texts of the data and of the snapshot, each of which is complete or absent.
func texts(volumes string) (found [2]string, err error) {
	for i, dir := range []string{"_data", snapshot.Name} {
		files := map[string]string{}
		at := filepath.Join(volumes, volumeName, dir)
		walked := filepath.WalkDir(at, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if d.Type() == fs.ModeSymlink {
				text, err = nil, nil
			}
			files[strings.TrimPrefix(path, at)] = string(text)
			return err
		})
		if errors.Is(walked, fs.ErrNotExist) && len(files) == 0 {
			continue
		}
		found[i] = files["/text"]
		want := map[string]string{"/text": found[i], "/sub/other": "other", "/again": "other", "/link": ""}
		if walked != nil || !maps.Equal(files, want) || found[i] == "" {
			return found, fmt.Errorf("%s is not complete: %v, %w", dir, files, walked)
		}
	}
	return found, nil
}

// attempt runs the verb with one fault and reports whether the fault was reached.
func (v volumeVerb) attempt(t *testing.T, f Fault) bool {
	t.Helper()
	volumes, err := os.MkdirTemp(memory(), "volumes") //nolint:usetesting // fsync costs nothing there
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(volumes) }()
	args := v.savedVolume(t, volumes)
	before := [2]string{"new", "old"}
	r, err := Run(Command{Args: append([]string{filepath.Join(programs, "archgen"), "volume"}, args...), Env: []string{"HOME=" + volumes}, Below: volumes}, f)
	if err != nil {
		t.Fatal(err)
	}
	found, err := texts(volumes)
	errs := []error{err}
	hasNoSnapshot := v.name == "drop" && found == v.done // under another name, or removed
	switch {
	case r.Exit == 0 && found != v.done, r.Exit != 0 && found != before && found != v.done && !hasNoSnapshot:
		errs = append(errs, fmt.Errorf("data and snapshot are %q", found))
	case r.Exit == -1 && (!r.Hit || f.Errno != 0):
		errs = append(errs, errors.New("another process killed it"))
	case r.Exit > 0 && !explains(r.Output):
		errs = append(errs, errors.New("the error names no path"))
	}
	errs = append(errs, v.recovers(t, volumes, args))
	if err := errors.Join(errs...); err != nil {
		at := Call{}
		if r.Hit {
			at = r.Calls[f.At-1]
		}
		t.Errorf("fault %d (%v) at %v: %v\nexit %d: %s", f.At, f.Errno, at, err, r.Exit, r.Output)
	}
	return r.Hit
}

// recovers runs the verb again, which completes the work and leaves nothing else.
func (v volumeVerb) recovers(t *testing.T, volumes string, args []string) error {
	t.Helper()
	var out bytes.Buffer
	if err := snapshot.Command(t.Context(), args, &out); err != nil {
		return fmt.Errorf("the next run: %w", err)
	}
	if found, err := texts(volumes); err != nil || found != v.done {
		return fmt.Errorf("after the next run, data and snapshot are %q, %w", found, err)
	}
	if v.name == "save" && json.Unmarshal(out.Bytes(), &snapshot.Record{}) != nil {
		return fmt.Errorf("the record is %s", out.String())
	}
	entries, err := os.ReadDir(filepath.Join(volumes, volumeName))
	for _, e := range entries {
		if e.Name() != "_data" && e.Name() != snapshot.Name {
			err = errors.Join(err, fmt.Errorf("the next run leaves %s", e.Name()))
		}
	}
	return err
}

func TestASnapshotSurvivesAFaultAtAnyCall(t *testing.T) { //nolint:paralleltest // other sweeps use both cores
	if err := build(); err != nil {
		t.Fatal(err)
	}
	for _, v := range volumeVerbs {
		for _, kind := range []struct {
			errno syscall.Errno
			every int
		}{{0, 1}, {syscall.EIO, 1}, {syscall.ENOSPC, 4}} {
			t.Run(fmt.Sprintf("%s, %v", v.name, kind.errno), func(t *testing.T) {
				at := 1
				for ; v.attempt(t, Fault{at, kind.errno}); at += step(kind.every) {
					if t.Failed() {
						return
					}
				}
				t.Logf("%d calls", at-1)
			})
		}
	}
}
