package unitdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"

	"github.com/archipelago-os/archipelago/units/durable"
)

// unit is a file as the generator renders it: a header, a body, the ownership section.
func unit(name, app, body string) units.File {
	text := header + " from " + app + ".yaml.\n[Unit]\nDescription=" + body + "\n\n[X-Archipelago]\nApp=" + app + "\nDigest=0a\n"
	return units.File{Name: name, App: app, Digest: "0a", Content: []byte(text)}
}

func all(units.Ownership) bool { return true }

func mustSync(t *testing.T, dir string, want ...units.File) Changes {
	t.Helper()
	ch, err := Sync(dir, want, all)
	if err != nil {
		t.Fatalf("Sync: %v", err)
	}
	return ch
}

// put writes a file without Sync, as an operator or a broken disk does.
func put(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// states is everything that a write would change: of each path its type, mode, owner, inode, size,
// links, and times of change.
func states(t *testing.T, root string) map[string]string {
	t.Helper()
	list := map[string]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		list[path] = fmt.Sprint(st.Mode, st.Uid, st.Ino, st.Size, st.Nlink, st.Mtim, st.Ctim)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, e := range entries {
		if e.Name() != lockName {
			list = append(list, e.Name())
		}
	}
	return list
}

func TestSyncMakesTheDirectoryHoldTheSet(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "containers/systemd/archipelago")
	lnd, volume, old := unit("app@lnd.container", "lnd", "1"), unit("app@lnd.volume", "lnd", "1"), unit("app@old.container", "old", "1")
	ch := mustSync(t, dir, lnd, volume, old)
	if d := cmp.Diff(Changes{Written: []string{lnd.Name, volume.Name, old.Name}}, ch); d != "" {
		t.Error(d)
	}
	for path, mode := range map[string]fs.FileMode{dir: 0o755, filepath.Dir(dir): 0o755, filepath.Join(dir, lnd.Name): 0o644} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want mode %v", path, info.Mode(), err, mode)
		}
	}

	lnd2 := unit("app@lnd.container", "lnd", "2")
	ch = mustSync(t, dir, lnd2, volume)
	if d := cmp.Diff(Changes{Written: []string{lnd.Name}, Removed: []string{old.Name}, Unchanged: 1}, ch); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{lnd.Name, volume.Name}, names(t, dir)); d != "" {
		t.Error(d)
	}
	if got := content(t, filepath.Join(dir, lnd.Name)); got != string(lnd2.Content) {
		t.Errorf("content: %q", got)
	}
}

func TestSyncWritesNothingWhereNothingChanged(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if ch := mustSync(t, filepath.Join(root, "not/there")); !cmp.Equal(ch, Changes{}) {
		t.Errorf("%+v", ch)
	}
	if list := names(t, root); len(list) > 0 {
		t.Errorf("an empty set made %v", list)
	}
	dir := filepath.Join(root, "archipelago")
	a, b := unit("app@a.container", "a", "1"), unit("app@b.volume", "b", "1")
	mustSync(t, dir, a, b)
	put(t, filepath.Join(dir, "hand.container"), "[Container]\nImage=x\n", 0o600)
	before := states(t, root)
	if d := cmp.Diff(Changes{Unchanged: 2}, mustSync(t, dir, a, b)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(before, states(t, root)); d != "" {
		t.Errorf("a run without changes wrote: %s", d)
	}
}

func TestSyncRemovesOnlyWhatItMay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b, c := unit("app@a.container", "a", "1"), unit("app@b.container", "b", "1"), unit("app@c.container", "c", "1")
	mustSync(t, dir, a, b, c)
	put(t, filepath.Join(dir, "app@hand.container"), "# App=b\n[Container]\nImage=x\n", 0o644)
	put(t, filepath.Join(dir, "notes"), string(b.Content), 0o644)
	dropin := filepath.Join(dir, "app@b.container.d")
	if err := os.Mkdir(dropin, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dropin, "10-mine.conf"), string(b.Content), 0o644)

	ch, err := Sync(dir, units.Set{a}, func(m units.Ownership) bool { return m.App == "b" })
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Changes{Removed: []string{b.Name}, Unchanged: 1}, ch); d != "" {
		t.Error(d)
	}
	if ch, err = Sync(dir, units.Set{a}, nil); err != nil || len(ch.Removed) > 0 {
		t.Errorf("without owns: %+v, %v", ch, err)
	}
	if d := cmp.Diff([]string{a.Name, "app@b.container.d", c.Name, "app@hand.container", "notes"}, names(t, dir)); d != "" {
		t.Error(d)
	}
	if got := content(t, filepath.Join(dropin, "10-mine.conf")); got != string(b.Content) {
		t.Errorf("drop-in: %q", got)
	}
}

func TestSyncRefusesForeignFiles(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a unit":             "[Container]\nImage=x\n",
		"comments only":      "# switched off by me\n# Image=x\n",
		"mark in a comment":  "# [X-Archipelago]\n[Container]\nImage=x\n",
		"one word":           "todo",
		"beyond the maximum": "[Container]\n" + strings.Repeat("#\n", maxFile),
	} {
		dir := t.TempDir()
		a, b := unit("app@a.container", "a", "1"), unit("app@b.container", "b", "1")
		put(t, filepath.Join(dir, a.Name), text, 0o644)
		before := states(t, dir)
		ch, err := Sync(dir, units.Set{a, b}, all)
		foreign, ok := errors.AsType[*ForeignError](err)
		if !ok || !slices.Equal(foreign.Names, []string{a.Name}) || !slices.Equal(ch.Foreign, foreign.Names) {
			t.Errorf("%s: %+v, %v", name, ch, err)
			continue
		}
		if msg := err.Error(); !strings.HasPrefix(msg, filepath.Join(dir, a.Name)+" was not written by archgen; move it away") {
			t.Errorf("%s: %s", name, msg)
		}
		if d := cmp.Diff(before, states(t, dir)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	two := &ForeignError{"/d", []string{"a", "b"}}
	if got := two.Error(); !strings.HasPrefix(got, "2 files in /d were not written by archgen (a, b); move them") {
		t.Error(got)
	}
}

// TestStuckFile: an error that says nothing about other files is an ImmutableFileError.
func TestStuckFile(t *testing.T) {
	t.Parallel()
	dir, err := durable.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	p := &plan{dir: dir}
	for errno, want := range map[syscall.Errno]string{
		syscall.EPERM: "a", syscall.EBUSY: "a", syscall.EROFS: "", syscall.EACCES: "", syscall.ENOSPC: "", syscall.EIO: "",
	} {
		err := p.stuck("removing", "a", errno)
		file := ""
		if stuck, ok := errors.AsType[*units.ImmutableFileError](err); ok {
			file = stuck.File
		}
		if file != want || !errors.Is(err, errno) {
			t.Errorf("%v: the file is %q, want %q; %v", errno, file, want, err)
		}
	}
}

func TestSyncRefusesASetItCouldNotMaintain(t *testing.T) {
	t.Parallel()
	a := unit("app@a.container", "a", "1")
	renamed := func(name string) units.File { f := a; f.Name = name; return f }
	for want, set := range map[string]units.Set{
		"is no valid name":  {renamed("../a.container")},
		"is no valid name ": {renamed("a.service")},
		"is no valid  name": {renamed(".a.container")},
		"twice":             {a, a},
		"no section":        {{Name: "a.container", Content: []byte("[Container]\n")}},
		"the maximum is":    {{Name: "a.container", Content: append(slices.Clone(a.Content), make([]byte, maxFile)...)}},
	} {
		_, err := Sync(filepath.Join(t.TempDir(), "d"), set, all)
		if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(strings.TrimSpace(want), "  ", " ")) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestSyncErrorsNameThePathAndTheFix(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(root string) (dir string, err error)
		want    string
	}{
		"a file above": {func(r string) (string, error) {
			return r + "/f/x/archipelago", os.WriteFile(r+"/f", nil, 0o644)
		}, "ROOT/f is a file, but a directory is needed (not a directory): move it away"},
		"a file": {func(r string) (string, error) {
			return r + "/f", os.WriteFile(r+"/f", nil, 0o644)
		}, "ROOT/f is a file, but a directory is needed"},
		"a FIFO":          {func(r string) (string, error) { return r + "/f", syscall.Mkfifo(r+"/f", 0o644) }, "ROOT/f is a FIFO, but"},
		"a link":          {func(r string) (string, error) { return r + "/l", os.Symlink(r, r+"/l") }, "ROOT/l is a link, but"},
		"a link, slashed": {func(r string) (string, error) { return r + "/l/", os.Symlink(r, r+"/l") }, "ROOT/l is a link, but"},
		"a dangling parent": {func(r string) (string, error) {
			return r + "/l/archipelago", os.Symlink(r+"/gone", r+"/l")
		}, "ROOT/l is a broken link"},
		"a looping parent": {func(r string) (string, error) {
			return r + "/l/archipelago", os.Symlink("l", r+"/l")
		}, "ROOT/l is a broken link"},
		"a lock that is a link": {func(r string) (string, error) {
			return r, os.Symlink("/etc/passwd", r+"/"+lockName)
		}, "opening the lock ROOT/.archgen.lock: too many levels of symbolic links; it is a link"},
		"a lock that is a FIFO": {func(r string) (string, error) {
			return r, syscall.Mkfifo(r+"/"+lockName, 0o600)
		}, "locking ROOT/.archgen.lock: not a regular file; move it away"},
		"no name": {func(string) (string, error) { return "", nil }, "is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			dir, err := c.prepare(root)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Sync(dir, units.Set{unit("app@a.container", "a", "1")}, all)
			if want := strings.ReplaceAll(c.want, "ROOT", root); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v; want …%s…", err, want)
			}
		})
	}
}

// Parents may be links: operators keep ~/.config on another disk.
func TestSyncFollowsLinksAboveTheDirectory(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := errors.Join(os.Mkdir(root+"/real", 0o755), os.Symlink("real", root+"/link")); err != nil {
		t.Fatal(err)
	}
	a := unit("app@a.container", "a", "1")
	mustSync(t, root+"/link/systemd/archipelago", a)
	if got := content(t, root+"/real/systemd/archipelago/"+a.Name); got != string(a.Content) {
		t.Error(got)
	}
}

// A directory that can't be written to: its mode stops all users but root.
func TestSyncIntoAReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := unit("app@a.container", "a", "1")
	mustSync(t, dir, a)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	_, err := Sync(dir, units.Set{a, unit("app@b.container", "b", "1")}, all)
	if os.Geteuid() == 0 {
		if err != nil {
			t.Errorf("root: %v", err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "must belong to the user") {
		t.Errorf("error: %v", err)
	}
	if got := content(t, filepath.Join(dir, a.Name)); got != string(a.Content) {
		t.Error(got)
	}
}

func TestSyncRemovesTemporaryFilesOfAKilledRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := unit("app@a.container", "a", "1")
	mustSync(t, dir, a)
	for _, name := range []string{".archgen-1-2.tmp", unsyncedName} {
		put(t, filepath.Join(dir, name), "half", 0o644)
		put(t, filepath.Join(dir, "notes.tmp"), "mine", 0o644)
		if d := cmp.Diff(Changes{Unchanged: 1}, mustSync(t, dir, a)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{a.Name, "notes.tmp"}, names(t, dir)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestReadListsOurFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	if list, err := Read(dir); err != nil || list != nil {
		t.Errorf("no directory: %v, %v", list, err)
	}
	a, b := unit("app@a.container", "a", "1"), unit("app@b.volume", "b", "1")
	mustSync(t, dir, b, a)
	put(t, filepath.Join(dir, "hand.container"), "[Container]\n", 0o644)
	put(t, filepath.Join(dir, "copy.txt"), string(a.Content), 0o644)
	got, err := Read(dir)
	want := []Entry{{a, units.Ownership{App: "a", Digest: "0a"}}, {b, units.Ownership{App: "b", Digest: "0a"}}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if _, err := Read(filepath.Join(dir, a.Name)); err == nil {
		t.Error("a file was read as a directory")
	}
}

func TestSyncIsNotSlowedByOtherFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustSync(t, dir, unit("app@a.container", "a", "1"))
	for i := range 10_000 {
		put(t, filepath.Join(dir, fmt.Sprintf("other-%d.conf", i)), "x", 0o644)
	}
	d, err := durable.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p, err := compare(d, listAll, nil, all, nil)
	if err != nil || len(p.remove) != 1 {
		t.Errorf("%v, %v", p.remove, err)
	}
	// It counts and does not measure time: none of the 10,000 was read.
	if cap(p.buf) > 1024 || len(p.entries) != 10_002 {
		t.Errorf("room for %d bytes, %d names", cap(p.buf), len(p.entries))
	}
}

func many(generation string) units.Set {
	set := make(units.Set, 2_000)
	for i := range set {
		app := fmt.Sprintf("app-%04d", i)
		set[i] = unit("app@"+app+".container", app, generation+strings.Repeat("\nDocumentation=https://example.org/x", 30))
	}
	return set
}

func BenchmarkSyncCold(b *testing.B) {
	set := many("1")
	for i := 0; b.Loop(); i++ {
		if _, err := Sync(filepath.Join(b.TempDir(), fmt.Sprint(i)), set, all); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSyncUnchanged(b *testing.B) {
	set, dir := many("1"), b.TempDir()
	if _, err := Sync(dir, set, all); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ch, err := Sync(dir, set, all); err != nil || ch.Unchanged != len(set) {
			b.Fatal(ch, err)
		}
	}
}

// TestRestore: a lost file is written again, and nothing else changes. What has its name is treated as by
// Sync.
func TestRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := unit("app@a.container", "a", "1"), unit("app@b.container", "b", "1")
	mustSync(t, dir, a, b)
	put(t, filepath.Join(dir, b.Name), "[Container]\n# changed\n", 0o644)
	before := states(t, dir)
	if ch, err := Restore(dir, units.Set{a}); err != nil || ch.Unchanged != 1 || !cmp.Equal(before, states(t, dir)) {
		t.Errorf("nothing is lost: %+v, %v", ch, err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Remove(filepath.Join(dir, a.Name)))
	ch, err := Restore(dir, units.Set{a})
	if d := cmp.Diff(Changes{Written: []string{a.Name}}, ch); d != "" || err != nil || content(t, filepath.Join(dir, a.Name)) != string(a.Content) {
		t.Errorf("%v, -want +got:\n%s", err, d)
	}
	_, err = Restore(dir, units.Set{b})
	if foreign, ok := errors.AsType[*ForeignError](err); !ok || !slices.Equal(foreign.Names, []string{b.Name}) {
		t.Errorf("a foreign file: %v", err)
	}
	// Neither is what was moved aside before replaced.
	must(os.Remove(filepath.Join(dir, a.Name)))
	must(os.Mkdir(filepath.Join(dir, a.Name), 0o755))
	put(t, filepath.Join(dir, a.Name+".aside-1"), "kept", 0o644)
	ch, err = Restore(dir, units.Set{a})
	if d := cmp.Diff(Changes{Written: []string{a.Name}, MovedAside: []string{a.Name + ".aside-2"}}, ch); d != "" || err != nil {
		t.Errorf("a directory: %v, -want +got:\n%s", err, d)
	}
	if got := content(t, filepath.Join(dir, a.Name+".aside-1")); got != "kept" {
		t.Errorf("what was moved aside before is %q", got)
	}
}
