package unitdir

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

// Anything that has the name of a file and can't be one of ours is moved aside; the file is
// written, and the target of a link is not touched.
func TestSyncMovesIrregularFilesAside(t *testing.T) {
	t.Parallel()
	want := unit("app@a.container", "a", "1")
	cases := map[string]struct {
		place func(path, outside string) error
		mode  fs.FileMode
	}{
		"link":                {place: func(p, o string) error { return os.Symlink(o, p) }, mode: fs.ModeSymlink},
		"link to itself":      {place: func(p, _ string) error { return os.Symlink(filepath.Base(p), p) }, mode: fs.ModeSymlink},
		"dangling link":       {place: func(p, o string) error { return os.Symlink(o+"-gone", p) }, mode: fs.ModeSymlink},
		"link to /dev/null":   {place: func(p, _ string) error { return os.Symlink(os.DevNull, p) }, mode: fs.ModeSymlink},
		"FIFO":                {place: func(p, _ string) error { return syscall.Mkfifo(p, 0o644) }, mode: fs.ModeNamedPipe},
		"empty directory":     {place: func(p, _ string) error { return os.Mkdir(p, 0o755) }, mode: fs.ModeDir},
		"full directory":      {place: func(p, _ string) error { return os.MkdirAll(p+"/sub/dir", 0o755) }, mode: fs.ModeDir},
		"socket":              {place: listen, mode: fs.ModeSocket},
		"device":              {place: device, mode: fs.ModeDevice | fs.ModeCharDevice},
		"binary junk":         {place: func(p, _ string) error { return os.WriteFile(p, []byte("\x7fELF\x00\x01\xff\n[x]"), 0o644) }},
		"UTF-16 by an editor": {place: func(p, _ string) error { return os.WriteFile(p, []byte("\xff\xfe[\x00U\x00"), 0o644) }},
	}
	if device(filepath.Join(t.TempDir(), "device"), "") != nil {
		delete(cases, "device")
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, err := os.MkdirTemp("", "ud") //nolint:usetesting // a socket's path has to be short
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(root) })
			dir, outside := filepath.Join(root, "d"), filepath.Join(root, "outside")
			put(t, outside, string(unit("app@a.container", "a", "outside").Content), 0o644)
			mustSync(t, dir)
			if err := os.MkdirAll(filepath.Join(dir, "app@a.container.aside-1"), 0o755); err != nil {
				t.Fatal(err) // the first name is in use
			}
			if err := c.place(filepath.Join(dir, want.Name), outside); err != nil {
				t.Fatal(err)
			}
			before := states(t, outside)
			ch := mustSync(t, dir, want)
			aside := want.Name + ".aside-2"
			if d := cmp.Diff(Changes{Written: []string{want.Name}, MovedAside: []string{aside}}, ch); d != "" {
				t.Error(d)
			}
			if got := content(t, filepath.Join(dir, want.Name)); got != string(want.Content) {
				t.Errorf("content: %q", got)
			}
			if info, err := os.Lstat(filepath.Join(dir, aside)); err != nil || info.Mode().Type() != c.mode {
				t.Errorf("moved aside: %v, %v", info, err)
			}
			if d := cmp.Diff(before, states(t, outside)); d != "" {
				t.Errorf("the target of the link: %s", d)
			}
			if d := cmp.Diff(Changes{Unchanged: 1}, mustSync(t, dir, want)); d != "" {
				t.Errorf("second run: %s", d)
			}
		})
	}
}

// device makes a device node: /dev/null, or without privileges that of a whiteout, which all file
// systems but overlays let any user make.
func device(path, _ string) error {
	err := syscall.Mknod(path, syscall.S_IFCHR|0o666, 1<<8|3)
	if errors.Is(err, fs.ErrPermission) {
		err = syscall.Mknod(path, syscall.S_IFCHR|0o666, 0)
	}
	return err
}

func listen(path, _ string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	return l.Close()
}

// Under a name that is not wanted such things stay, and neither Sync nor Read waits for them.
func TestIrregularFilesWithOtherNamesStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := unit("app@a.container", "a", "1")
	target := filepath.Join(t.TempDir(), "marked")
	put(t, target, string(unit("app@z.container", "z", "1").Content), 0o644)
	for _, err := range []error{
		syscall.Mkfifo(filepath.Join(dir, "f.container"), 0o644),
		syscall.Mkfifo(filepath.Join(dir, ".archgen-f.tmp"), 0o644),
		os.Mkdir(filepath.Join(dir, "d.volume"), 0o755),
		os.Mkdir(filepath.Join(dir, ".archgen-d.tmp"), 0o755),
		os.Mkdir(filepath.Join(dir, unsyncedName), 0o755),
		os.Symlink(target, filepath.Join(dir, "l.container")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	before := names(t, dir)
	mustSync(t, dir, want)
	if d := cmp.Diff(Changes{Unchanged: 1}, mustSync(t, dir, want)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(append(slices.Clone(before[:3]), append([]string{want.Name}, before[3:]...)...), names(t, dir)); d != "" {
		t.Error(d)
	}
	entries, err := Read(dir)
	if err != nil || len(entries) != 1 || entries[0].Name != want.Name {
		t.Errorf("Read: %v, %v", entries, err)
	}
}

func TestSyncRestoresDamagedFiles(t *testing.T) {
	t.Parallel()
	want := unit("app@a.container", "a", "1")
	whole := string(want.Content)
	type damage struct {
		content string
		mode    fs.FileMode
	}
	cases := map[string]damage{
		"edited":            {strings.ReplaceAll(whole, "Description=1", "Description=2"), 0o644},
		"grown":             {whole + "\n[Service]\nRestart=no\n", 0o644},
		"CRLF":              {strings.ReplaceAll(whole, "\n", "\r\n"), 0o644},
		"byte order mark":   {"\ufeff" + whole, 0o644},
		"zeros":             {strings.Repeat("\x00", len(whole)), 0o644},
		"white space":       {" \n\t\n", 0o644},
		"bytes in the body": {strings.Replace(whole, "Description=1", "Description=\x00\xff", 1), 0o644},
		"another app's":     {string(unit("x", "other", "1").Content), 0o644},
		"only its owner":    {whole, 0o600},
		"writable for all":  {whole, 0o666},
		"huge":              {whole + strings.Repeat("#\n", maxFile), 0o644},
	}
	for n := range len(whole) {
		cases[fmt.Sprintf("cut to %d", n)] = damage{whole[:n], 0o644}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, want.Name)
	for name, c := range cases {
		put(t, path, c.content, c.mode)
		if d := cmp.Diff(Changes{Written: []string{want.Name}}, mustSync(t, dir, want)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o644 || content(t, path) != whole {
			t.Errorf("%s: not restored: %v", name, err)
		}
	}
	if d := cmp.Diff([]string{want.Name}, names(t, dir)); d != "" {
		t.Error(d)
	}
}

// Root reads a file of mode 0 and recognizes it as ours. Other users move it aside, so that
// nothing is lost, and write a new one.
func TestSyncRestoresAnUnreadableFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := unit("app@a.container", "a", "1")
	put(t, filepath.Join(dir, want.Name), string(want.Content), 0)
	expected := Changes{Written: []string{want.Name}}
	if f, err := os.Open(filepath.Join(dir, want.Name)); err == nil {
		f.Close()
	} else {
		expected.MovedAside = []string{want.Name + ".aside-1"}
	}
	if d := cmp.Diff(expected, mustSync(t, dir, want)); d != "" {
		t.Error(d)
	}
	if got := content(t, filepath.Join(dir, want.Name)); got != string(want.Content) {
		t.Errorf("content: %q", got)
	}
}

// An unreadable file that is not wanted may be a container of ours that needs the volume to be
// removed.
func TestSyncRemovesNothingBesideAnUnreadableFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, container, volume := unit("app@a.container", "a", "1"), unit("app@x.container", "x", "1"), unit("x.volume", "x", "1")
	mustSync(t, dir, container, volume)
	hidden := filepath.Join(dir, container.Name)
	if err := os.Chmod(hidden, 0); err != nil {
		t.Fatal(err)
	}
	_, readErr := os.ReadFile(hidden)
	ch, err := Sync(dir, units.Set{a}, all)
	if readErr == nil { // root reads everything
		if err != nil || len(ch.Removed) != 2 {
			t.Errorf("root: %+v, %v", ch, err)
		}
		return
	}
	if d := cmp.Diff(Changes{Written: []string{a.Name}, Unreadable: []string{container.Name}}, ch); d != "" {
		t.Error(d)
	}
	if err == nil || !strings.Contains(err.Error(), hidden) {
		t.Errorf("error: %v", err)
	}
	if _, err := Sync(dir, units.Set{a}, nil); err != nil {
		t.Errorf("a run that may remove nothing need not read it: %v", err)
	}
}

func TestSyncLeavesTheOtherNameOfAHardLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(t.TempDir(), "other")
	old, want := unit("app@a.container", "a", "1"), unit("app@a.container", "a", "2")
	put(t, other, string(old.Content), 0o640)
	if err := os.Link(other, filepath.Join(dir, want.Name)); err != nil {
		t.Fatal(err)
	}
	mustSync(t, dir, want)
	if got := content(t, other); got != string(old.Content) {
		t.Errorf("the other name holds %q", got)
	}
	if info, err := os.Stat(other); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the other name: %v, %v", info.Mode(), err)
	}
}

// A file is not lost if anything has its name: Look examines that.
func TestLost(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	a, b, c := unit("app@a.container", "a", "1"), unit("app@b.container", "b", "1"), unit("app@c.container", "c", "1")
	want := units.Set{a, b, c}
	if d := cmp.Diff(want, Lost(dir, want)); d != "" {
		t.Errorf("with no directory: %s", d)
	}
	mustSync(t, dir, want...)
	if lost := Lost(dir, want); len(lost) > 0 {
		t.Errorf("with all files there: %v", lost)
	}
	for _, f := range want {
		if err := os.Remove(filepath.Join(dir, f.Name)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(dir, a.Name), "", 0)
	if err := os.Symlink("nowhere", filepath.Join(dir, b.Name)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(units.Set{c}, Lost(dir, want)); d != "" {
		t.Error(d)
	}
	if lost := Lost(filepath.Join(dir, a.Name), want); lost != nil {
		t.Errorf("with a file in the directory's place: %v", lost)
	}
}
