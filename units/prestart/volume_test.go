package prestart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

// TestEnsureDirectory: new directories get the owner and mode, existing parents keep
// theirs, and no link is followed.
func TestEnsureDirectory(t *testing.T) {
	volume, outside := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(volume, "there"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"out", "there/out"} {
		if err := os.Symlink(outside, filepath.Join(volume, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(volume, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ensure := func(path string) error { return ensureDirectory(volume, path, os.Getuid(), os.Getgid(), 0o710) }
	for range 2 {
		if err := ensure("there/a/b"); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]os.FileMode{"there": 0o755, "there/a": 0o710, "there/a/b": 0o710} {
		if info, err := os.Stat(filepath.Join(volume, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, mode)
		}
	}
	for _, path := range []string{"out", "out/x", "there/out/x", "file", "file/x"} {
		if err := ensure(path); err == nil {
			t.Errorf("%s was made", path)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("something was made outside: %v, %v", entries, err)
	}
	if err := Volume(t.Context(), []string{"keep", volume, "sub/x", "710"}, nil, nil); err != nil {
		t.Error(err)
	}
	for path, isRefused := range map[string]bool{"there": false, "file": false, "sub/x": false, "out/x": true, "file/x": true} {
		before, _ := os.Lstat(filepath.Join(volume, path))
		err := Volume(t.Context(), []string{"keep", volume, path, "700"}, nil, nil)
		after, _ := os.Lstat(filepath.Join(volume, path))
		if (err != nil) != isRefused || before != nil && before.Mode() != after.Mode() {
			t.Errorf("%s: %v; %v is now %v", path, err, before, after)
		}
	}
	if err := ensureDirectory(filepath.Join(volume, "gone"), "x", 0, 0, 0o700); err == nil {
		t.Error("a directory was made in a volume that is not there")
	}
}

func TestWaitForFile(t *testing.T) {
	volume := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		brief, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := waitForFile(brief, volume, "a/ready"); err == nil {
			t.Error("it did not wait")
		}
		time.AfterFunc(time.Minute, func() { _ = os.MkdirAll(filepath.Join(volume, "a/ready"), 0o755) })
		if err := waitForFile(t.Context(), volume, "a/ready"); err != nil {
			t.Error(err)
		}
	})
}

// TestNamespaceID: in Podman's own user namespace the user is 0. The IDs of a container are
// mapped by its user namespace.
func TestNamespaceID(t *testing.T) {
	for _, c := range []struct {
		userns   string
		id, want int
	}{
		{"", 1000, 1000},
		{"host", 5, 5},
		{"keep-id", 1000, 0},
		{"keep-id", 0, 1},
		{"keep-id", 2000, 2000},
		{"keep-id:uid=200,gid=210", 200, 0},
		{"keep-id:gid=210,uid=200", 199, 200},
	} {
		p := &Part{Recipe: units.Prestart{Podman: []string{"--userns=" + c.userns}}}
		if got, err := p.namespaceID(c.id, "uid=", 1000); err != nil || got != c.want {
			t.Errorf("%s: %d is %d, %v; want %d", c.userns, c.id, got, err, c.want)
		}
	}
	p := &Part{Recipe: units.Prestart{Podman: []string{"--userns=auto"}}}
	if _, err := p.namespaceID(0, "uid=", 1000); err == nil {
		t.Error("the ids of userns auto are unknown")
	}
}

// TestVolume: the arguments of each verb, and its result.
func TestVolume(t *testing.T) {
	const usage = "it is for archgen prepare and archgen files"
	for name, c := range map[string]struct {
		args []string // DIR is the directory of a volume with the file data, NEW that of an empty one
		want string
		// content is the files in DIR and NEW afterwards.
		content map[string]string
	}{
		"nothing":              {args: nil, want: usage},
		"an unknown verb":      {args: []string{"format", "DIR"}, want: usage},
		"a missing argument":   {args: []string{"await", "DIR"}, want: usage},
		"a volume with data":   {args: []string{"isnew", "DIR"}, want: "the volume is not new"},
		"an empty volume":      {args: []string{"isnew", "NEW"}},
		"clear a full volume":  {args: []string{"clear", "DIR"}, want: "remove DIR/_data: directory not empty"},
		"clear an empty one":   {args: []string{"clear", "NEW"}},
		"leave one":            {args: []string{"leave", "NEW"}, content: map[string]string{"DIR/_data/data": "old", "NEW/.archipelago-owner": ""}},
		"leave none":           {args: []string{"leave", "NEW/none"}},
		"place":                {args: []string{"place", "DIR", "NEW", "OWNER"}, content: map[string]string{"NEW/_data/data": "old", "NEW/.archipelago-owner": ""}},
		"place over data":      {args: []string{"place", "NEW", "DIR", "OWNER"}, want: "renaming its content into place: directory not empty"},
		"place, bad owner":     {args: []string{"place", "DIR", "NEW", "me"}, want: `strconv.Atoi: parsing "me": invalid syntax` + "\n" + `strconv.Atoi: parsing "": invalid syntax`},
		"ensure, bad owner":    {args: []string{"ensure", "DIR/_data", "a", "me", "0", "700"}, want: `strconv.Atoi: parsing "me": invalid syntax`},
		"ensure without mode":  {args: []string{"ensure", "DIR/_data", "a", "0", "0", "rwx"}, want: `strconv.ParseUint: parsing "rwx": invalid syntax`},
		"await a file":         {args: []string{"await", "DIR/_data", "data"}},
		"overwrite a file":     {args: []string{"overwrite", "DIR/_data", "data", "400"}, content: map[string]string{"DIR/_data/data": "new"}},
		"overwrite none":       {args: []string{"overwrite", "DIR/_data", "none", "400"}, want: "overwriting DIR/_data/none: no such file or directory"},
		"overwrite, what mode": {args: []string{"overwrite", "DIR/_data", "data", "999"}, want: `strconv.ParseUint: parsing "999": invalid syntax`},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir, empty := filepath.Join(root, "DIR"), filepath.Join(root, "NEW")
			if err := errors.Join(os.MkdirAll(filepath.Join(dir, dataDir), 0o755), os.MkdirAll(filepath.Join(empty, dataDir), 0o755), os.WriteFile(filepath.Join(dir, dataDir, "data"), []byte("old"), 0o600)); err != nil {
				t.Fatal(err)
			}
			replace := strings.NewReplacer("DIR", dir, "NEW", empty, "OWNER", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()))
			args := make([]string, 0, len(c.args))
			for _, a := range c.args {
				args = append(args, replace.Replace(a))
			}
			err := Volume(t.Context(), args, strings.NewReader("new"), nil)
			if got := strings.ReplaceAll(message(err), root+"/", ""); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			isUsage := c.want == usage || strings.HasPrefix(c.want, "strconv.")
			if _, got := errors.AsType[*UsageError](err); got != isUsage {
				t.Errorf("%#v; a usage error: %v", err, isUsage)
			}
			want := c.content
			if want == nil {
				want = map[string]string{"DIR/_data/data": "old"}
			}
			if d := cmp.Diff(want, content(t, root)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestLeaveAVolumeElsewhere: the directory of a volume may be a link to another disk.
func TestLeaveAVolumeElsewhere(t *testing.T) {
	disk, link := t.TempDir(), filepath.Join(t.TempDir(), "ui.data")
	if err := os.Symlink(disk, link); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := leaveVolume(link); err != nil {
			t.Fatal(err)
		}
	}
	if isNew, err := isNewVolume(link); isNew || err != nil {
		t.Errorf("new: %v, %v", isNew, err)
	}
}

// TestOverwriteWithoutContent: a file does not change if its new content can't be read.
func TestOverwriteWithoutContent(t *testing.T) {
	dir := volume(t, "data")
	broken := iotest.ErrReader(errors.New("broken pipe"))
	if got := message(Volume(t.Context(), []string{"overwrite", filepath.Join(dir, dataDir), "data", "400"}, broken, nil)); got != "reading standard input: broken pipe" {
		t.Error(got)
	}
}
