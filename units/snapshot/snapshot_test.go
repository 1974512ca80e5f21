package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

const name = "web.data"

// newVolume makes a volume with the files that a container could have made, and returns the
// directory of Podman's volumes.
func newVolume(t *testing.T) (volumes string) {
	t.Helper()
	volumes = t.TempDir()
	fill(t, volumes)
	return volumes
}

func fill(t *testing.T, volumes string) {
	t.Helper()
	data := filepath.Join(volumes, name, dataDir)
	for _, dir := range []string{"sub/deep/deeper", "empty", "closed"} {
		must(t, os.MkdirAll(filepath.Join(data, dir), 0o755))
	}
	for file, text := range map[string]string{
		"plain": "old", "blank": "", "sub/inner": "within", "sub/deep/deeper/last": "end", "program": "#!", "first": "one file",
		"a\nb": "line", "-rf": "option", "\xff\xfe": "no text", "attributes": "more",
	} {
		must(t, os.WriteFile(filepath.Join(data, file), []byte(text), 0o600))
	}
	at := func(name string) string { return filepath.Join(data, name) }
	must(t, os.Symlink("../plain", at("sub/link")))
	must(t, os.Symlink("/nowhere", at("dangling")))
	must(t, os.Link(at("first"), at("sub/second")))
	must(t, os.Link(at("dangling"), at("sub/dangling-too")))
	must(t, unix.Mkfifo(at("fifo"), 0o640))
	must(t, unix.Mknod(at("socket"), unix.S_IFSOCK|0o755, 0))
	must(t, os.WriteFile(at("sparse"), []byte("begin"), 0o600))
	must(t, os.Truncate(at("sparse"), 1<<20))
	f, err := os.OpenFile(at("sparse"), os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("middle"), 1<<19)
	must(t, err)
	must(t, f.Close())
	_ = unix.Setxattr(at("attributes"), "user.colour", []byte("blue\x00"), 0) // where the file system has them
	for _, name := range []string{"system.posix_acl_access", "system.posix_acl_default"} {
		_ = unix.Setxattr(at("sub"), name, []byte(acl), 0)
	}
	for path, mode := range map[string]uint32{"plain": 0o640, "program": 0o6755, "sub/deep": 0o1777, "sub/inner": 0o444, "": 0o750} {
		must(t, unix.Chmod(at(path), mode))
	}
	if os.Getuid() == 0 { // as in Podman's user namespace, but for the device
		must(t, os.Chmod(at("closed"), 0))
		must(t, os.Lchown(at("sub/deep"), 1234, 5678))
		must(t, os.Lchown(at("dangling"), 4321, 8765))
		_ = unix.Setxattr(at("program"), "security.capability", []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0)
		_ = unix.Mknod(at("device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3)))
	}
	then := time.Unix(1e9, 123456789)
	for _, path := range []string{"plain", "sub/deep/deeper/last", "sub/deep", ""} {
		must(t, os.Chtimes(at(path), then.Add(time.Hour), then))
	}
}

// acl lets the user 1234 read.
const acl = "\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x02\x00\x04\x00\xd2\x04\x00\x00\x04\x00\x05\x00\xff\xff\xff\xff\x10\x00\x05\x00\xff\xff\xff\xff\x20\x00\x05\x00\xff\xff\xff\xff"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// described is all that a copy has to keep of the files in a directory, by their paths.
func described(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, firsts := map[string]string{}, map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		name, text := strings.TrimPrefix(path, dir), ""
		if d.Type() == fs.ModeSymlink {
			text, err = os.Readlink(path)
			must(t, err)
		}
		if d.Type().IsRegular() {
			content, err := os.ReadFile(path)
			must(t, err)
			text = string(bytes.ReplaceAll(content, make([]byte, 1024), nil))
		}
		if st.Nlink > 1 && !d.IsDir() {
			if first := firsts[st.Ino]; first != "" {
				text += " is " + first
			} else {
				firsts[st.Ino] = name
			}
		}
		size := st.Size
		if d.IsDir() {
			size = 0 // the file system's own business
		}
		files[name] = fmt.Sprintf("%o %d:%d %d bytes, changed %d.%d, device %x, %q %q",
			st.Mode, st.Uid, st.Gid, size, st.Mtim.Sec, st.Mtim.Nsec, st.Rdev, text, attributesOf(t, path))
		return nil
	})
	must(t, err)
	return files
}

func attributesOf(t *testing.T, path string) (list []string) {
	t.Helper()
	buffer := make([]byte, 4096)
	n, err := unix.Llistxattr(path, buffer)
	must(t, err)
	for name := range strings.SplitSeq(string(buffer[:n]), "\x00") {
		if name != "" {
			value := make([]byte, 4096)
			n, err := unix.Lgetxattr(path, name, value)
			must(t, err)
			list = append(list, name+"="+string(value[:n]))
		}
	}
	slices.Sort(list)
	return list
}

// dirs is the directories beside the data of the volume.
func dirs(t *testing.T, volumes string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(volumes, name))
	must(t, err)
	list := make([]string, 0, len(entries))
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

// content is the content of the file plain in a directory of the volume.
func content(t *testing.T, volumes, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(volumes, name, dir, "plain"))
	must(t, err)
	return string(text)
}

// change gives the file plain another content, as the app does.
func change(t *testing.T, volumes, text string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(volumes, name, dataDir, "plain"), []byte(text), 0o600))
}

func mustSave(t *testing.T, volumes string) Record {
	t.Helper()
	r, err := save(t.Context(), calls{}, volumes, name, math.MaxInt64)
	must(t, err)
	return r
}

// TestSaveKeepsEverything: a snapshot has all that the data has, and the data has not changed.
func TestSaveKeepsEverything(t *testing.T) {
	volumes := newVolume(t)
	data, before := filepath.Join(volumes, name, dataDir), filepath.Join(volumes, name, Name)
	want := described(t, data)
	r := mustSave(t, volumes)
	if d := cmp.Diff(want, described(t, before)); d != "" {
		t.Errorf("-data +snapshot:\n%s", d)
	}
	if d := cmp.Diff(want, described(t, data)); d != "" {
		t.Errorf("-data +data afterwards:\n%s", d)
	}
	if got := dirs(t, volumes); got != dataDir+" "+Name {
		t.Errorf("there is %s", got)
	}
	var sparse, plain unix.Stat_t
	must(t, unix.Stat(filepath.Join(before, "sparse"), &sparse))
	if sparse.Blocks*512 > 1<<18 {
		t.Errorf("the holes take %d bytes", sparse.Blocks*512)
	}
	must(t, unix.Stat(filepath.Join(before, "sub/deep/deeper/last"), &plain))
	if plain.Mtim.Nsec != 123456789 {
		t.Errorf("changed at %v", plain.Mtim)
	}
	if r.Data == r.Snapshot || r.Data.Inode == 0 || r.Snapshot.Inode == 0 {
		t.Errorf("the record is %+v", r)
	}
}

// TestAccessTime: the copy has the time of the last access before it.
func TestAccessTime(t *testing.T) {
	volumes := newVolume(t)
	mustSave(t, volumes)
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(volumes, name, Name, "plain"), &st))
	if st.Atim.Sec != 1e9+3600 {
		t.Errorf("read at %v", st.Atim)
	}
}

// TestSwap: the snapshot becomes the data and the data the snapshot, once however often it is asked
// for, also after the replaced data was removed.
func TestSwap(t *testing.T) {
	volumes := newVolume(t)
	r := mustSave(t, volumes)
	change(t, volumes, "migrated")
	for range 3 {
		must(t, swap(t.Context(), calls{}, volumes, name, r))
		if got := content(t, volumes, dataDir) + " " + content(t, volumes, Name); got != "old migrated" {
			t.Fatalf("data and snapshot: %s", got)
		}
	}
	for range 2 {
		must(t, drop(t.Context(), calls{}, volumes, name))
		if got := dirs(t, volumes); got != dataDir {
			t.Fatalf("there is %s", got)
		}
	}
	must(t, swap(t.Context(), calls{}, volumes, name, r))
	if got := content(t, volumes, dataDir); got != "old" {
		t.Errorf("the data is %s", got)
	}
}

// TestInodeThatIsUsedAgain: a directory with the inode of the recorded one is not that one if it was
// created at another time.
func TestInodeThatIsUsedAgain(t *testing.T) {
	volumes := newVolume(t)
	r := mustSave(t, volumes)
	var st unix.Statx_t
	must(t, unix.Statx(unix.AT_FDCWD, filepath.Join(volumes, name, Name), 0, unix.STATX_BTIME, &st))
	if born := st.Btime.Sec*1e9 + int64(st.Btime.Nsec); r.Snapshot.Born != born {
		t.Errorf("the snapshot was created at %d, %d in the record", born, r.Snapshot.Born)
	}
	for _, id := range []*ID{&r.Data, &r.Snapshot} {
		id.Born--
		demandReason(t, swap(t.Context(), calls{}, volumes, name, r), Gone)
		demandReason(t, check(t.Context(), calls{}, volumes, name, r), Gone)
		id.Born++
	}
	must(t, swap(t.Context(), calls{}, volumes, name, r))
}

// TestSize: it is what a snapshot copies, and leaves nothing behind.
func TestSize(t *testing.T) {
	volumes := newVolume(t)
	before := described(t, volumes)
	size, err := measure(t.Context(), calls{}, volumes, name)
	must(t, err)
	if d := cmp.Diff(before, described(t, volumes)); d != "" {
		t.Errorf("-before +after:\n%s", d)
	}
	if r := mustSave(t, volumes); r.Copied != size {
		t.Errorf("it takes %d bytes, and %d were copied", size, r.Copied)
	}
	var out bytes.Buffer
	must(t, Command(t.Context(), []string{"size", volumes, name}, &out))
	if want := fmt.Sprintln(size); out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	_, err = measure(t.Context(), calls{}, volumes, "none")
	demandReason(t, err, Gone)
}

// TestDropKeepsTheData: without a swap, the new data stays.
func TestDropKeepsTheData(t *testing.T) {
	volumes := newVolume(t)
	mustSave(t, volumes)
	change(t, volumes, "migrated")
	must(t, drop(t.Context(), calls{}, volumes, name))
	if got := dirs(t, volumes) + " " + content(t, volumes, dataDir); got != dataDir+" migrated" {
		t.Errorf("there is %s", got)
	}
}

// TestSaveReplacesASnapshot: the new one takes the name of the earlier one.
func TestSaveReplacesASnapshot(t *testing.T) {
	volumes := newVolume(t)
	first := mustSave(t, volumes)
	change(t, volumes, "newer")
	second := mustSave(t, volumes)
	if got := dirs(t, volumes) + " " + content(t, volumes, Name); got != dataDir+" "+Name+" newer" {
		t.Errorf("there is %s", got)
	}
	if first.Snapshot == second.Snapshot || first.Data != second.Data {
		t.Errorf("the records are %+v and %+v", first, second)
	}
	demandReason(t, swap(t.Context(), calls{}, volumes, name, first), Gone)
}

func demandReason(t *testing.T, err error, want Reason) {
	t.Helper()
	reason, ok := errors.AsType[*Error](err)
	if !ok || reason.Reason != want {
		t.Errorf("got %v, want the reason %s", err, want)
	}
}

// TestSwapOfAnother: what is not the recorded data or snapshot is never exchanged.
func TestSwapOfAnother(t *testing.T) {
	for what, replace := range map[string]func(dir string) error{
		"no snapshot":       func(dir string) error { return os.RemoveAll(filepath.Join(dir, Name)) },
		"another snapshot":  func(dir string) error { return again(filepath.Join(dir, Name)) },
		"a link":            func(dir string) error { return link(filepath.Join(dir, Name)) },
		"other data":        func(dir string) error { return again(filepath.Join(dir, dataDir)) },
		"no data":           func(dir string) error { return os.RemoveAll(filepath.Join(dir, dataDir)) },
		"no volume":         os.RemoveAll,
		"another volume":    func(dir string) error { return errors.Join(again(dir), os.Mkdir(filepath.Join(dir, dataDir), 0o755)) },
		"a link for volume": link,
	} {
		t.Run(what, func(t *testing.T) {
			volumes := newVolume(t)
			r := mustSave(t, volumes)
			must(t, replace(filepath.Join(volumes, name)))
			want := Gone
			if strings.HasPrefix(what, "a link") {
				want = Unsupported
			}
			demandReason(t, swap(t.Context(), calls{}, volumes, name, r), want)
		})
	}
}

// again replaces a directory with an empty one. It makes that before, so that its inode differs.
func again(dir string) error {
	return errors.Join(os.Mkdir(dir+"-new", 0o755), os.RemoveAll(dir), os.Rename(dir+"-new", dir))
}

// link moves a directory away and has a link lead to it.
func link(dir string) error {
	return errors.Join(os.Rename(dir, dir+"-elsewhere"), os.Symlink(dir+"-elsewhere", dir))
}

// TestSaveRefuses: there is a snapshot of nothing but the data of a volume.
func TestSaveRefuses(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(dir string) error
		want  Reason
	}{
		"no volume":              {os.RemoveAll, Gone},
		"no data":                {func(dir string) error { return os.RemoveAll(filepath.Join(dir, dataDir)) }, Gone},
		"a link for the volume":  {link, Unsupported},
		"a link for the data":    {func(dir string) error { return link(filepath.Join(dir, dataDir)) }, Unsupported},
		"a file for the data":    {func(dir string) error { return fileAt(filepath.Join(dir, dataDir)) }, Unsupported},
		"a link for the partial": {func(dir string) error { return os.Symlink("/", filepath.Join(dir, partialDir)) }, Unsupported},
		"a file for the result":  {func(dir string) error { return fileAt(filepath.Join(dir, Name)) }, Unsupported},
	} {
		t.Run(what, func(t *testing.T) {
			volumes := newVolume(t)
			must(t, c.spoil(filepath.Join(volumes, name)))
			_, err := save(t.Context(), calls{}, volumes, name, math.MaxInt64)
			demandReason(t, err, c.want)
		})
	}
}

func fileAt(path string) error {
	return errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600))
}

// without makes the file system one that shares no data, or not that of some files.
func without(errno error) calls {
	return calls{fail: func(call, _ string) error {
		if call == "clone" {
			return errno
		}
		return nil
	}}
}

// TestLimit: data that can't be shared is copied up to the limit, and the error beyond it says how
// much there is. Holes do not count, nor the second name of a file.
func TestLimit(t *testing.T) {
	for what, errno := range map[string]error{"a file system without reflink": unix.EOPNOTSUPP, "files that can't be shared": unix.EINVAL} {
		t.Run(what, func(t *testing.T) {
			volumes := newVolume(t)
			must(t, os.WriteFile(filepath.Join(volumes, name, dataDir, "large"), make([]byte, 1<<20), 0o600))
			_, err := save(t.Context(), without(errno), volumes, name, 1<<20)
			demandReason(t, err, TooLarge)
			if err == nil || !strings.Contains(err.Error(), "and the limit is 1 MiB") {
				t.Error(err)
			}
			if got := dirs(t, volumes); got != dataDir {
				t.Errorf("there is %s", got)
			}
			r, err := save(t.Context(), without(errno), volumes, name, 2<<20)
			if err != nil || r.Copied < 1<<20 || r.Copied > 2<<20 {
				t.Errorf("copied %d, %v", r.Copied, err)
			}
		})
	}
}

// TestRoom: a copy that does not fit is not begun.
func TestRoom(t *testing.T) {
	volumes := newVolume(t)
	root, err := os.Open(volumes)
	must(t, err)
	defer root.Close()
	c := copier{root: root, most: math.MaxInt64}
	demandReason(t, c.demandRoom(1<<60), NoRoom)
	must(t, c.demandRoom(1))
}

// on calls what changes the volume, before the first call of a kind for a file.
func on(call, file string, do func()) calls {
	return calls{fail: func(made, path string) error {
		if do != nil && made == call && filepath.Base(path) == file {
			now := do
			do = nil
			now()
		}
		return nil
	}}
}

// TestDataInUse: data that changes during the copy makes no snapshot.
func TestDataInUse(t *testing.T) {
	for what, c := range map[string]struct {
		call, file string
		do         func(data string) error
	}{
		"a file vanishes before it is found":  {"stat", "plain", func(data string) error { return os.Remove(filepath.Join(data, "plain")) }},
		"a file vanishes before it is opened": {"open", "plain", func(data string) error { return os.Remove(filepath.Join(data, "plain")) }},
		"a file is replaced":                  {"open", "plain", func(data string) error { return replaced(filepath.Join(data, "plain")) }},
		"a file grows":                        {"truncate", "plain", func(data string) error { return os.WriteFile(filepath.Join(data, "plain"), []byte("longer"), 0) }},
		"a file is cut":                       {"read", "plain", func(data string) error { return os.Truncate(filepath.Join(data, "plain"), 0) }},
		"a file gets another mode":            {"create", "plain", func(data string) error { return os.Chmod(filepath.Join(data, "plain"), 0o600) }},
		"a file appears":                      {"stat", "plain", func(data string) error { return os.WriteFile(filepath.Join(data, "new"), nil, 0o600) }},
		"a directory vanishes":                {"open", "empty", func(data string) error { return os.Remove(filepath.Join(data, "empty")) }},
	} {
		t.Run(what, func(t *testing.T) {
			volumes := newVolume(t)
			hook := on(c.call, c.file, func() { must(t, c.do(filepath.Join(volumes, name, dataDir))) })
			calls := calls{fail: func(call, path string) error {
				_ = hook.fail(call, path)
				return without(unix.EOPNOTSUPP).fail(call, path)
			}}
			_, err := save(t.Context(), calls, volumes, name, math.MaxInt64)
			demandReason(t, err, InUse)
			if got := dirs(t, volumes); got != dataDir {
				t.Errorf("there is %s", got)
			}
		})
	}
}

// replaced replaces a file.
func replaced(path string) error {
	return errors.Join(os.WriteFile(path+"-new", []byte("new"), 0o600), os.Rename(path+"-new", path))
}

// TestCancel: a run that is cancelled leaves nothing.
func TestCancel(t *testing.T) {
	volumes := newVolume(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := save(ctx, on("create", "plain", cancel), volumes, name, math.MaxInt64)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := dirs(t, volumes); got != dataDir {
		t.Errorf("there is %s", got)
	}
}

// TestLock: two runs at once take turns, and one that waits can be cancelled.
func TestLock(t *testing.T) {
	volumes := newVolume(t)
	other, err := openVolume(t.Context(), calls{}, volumes, name)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	waits := 0
	c := calls{fail: func(call, _ string) error {
		if call == "flock" {
			if waits++; waits == 3 {
				cancel()
			}
		}
		return nil
	}}
	if _, err := save(ctx, c, volumes, name, math.MaxInt64); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "waiting for another archgen") {
		t.Error(err)
	}
	c.fail = func(call, _ string) error {
		if call == "flock" {
			if waits++; waits == 6 {
				other.dir.Close()
			}
		}
		return nil
	}
	if _, err := save(t.Context(), c, volumes, name, math.MaxInt64); err != nil {
		t.Error(err)
	}
}

// TestArguments: the command has no other input.
func TestArguments(t *testing.T) {
	volumes := newVolume(t)
	r, err := json.Marshal(mustSave(t, volumes))
	must(t, err)
	for _, args := range []string{
		"", "save", "format VOLUMES NAME", "save VOLUMES NAME", "save VOLUMES NAME much", "save VOLUMES .. 1", "save VOLUMES NAME/_data 1", "save VOLUMES . 1",
		"save volumes NAME 1", "check VOLUMES NAME", "check VOLUMES NAME {}", "swap VOLUMES NAME {}", "swap VOLUMES NAME x", "swap VOLUMES NAME/.. RECORD", "drop VOLUMES", "drop VOLUMES -x", "drop VOLUMES NAME NAME",
	} {
		fields := strings.Fields(strings.NewReplacer("VOLUMES", volumes, "NAME", name, "RECORD", string(r)).Replace(args))
		var out strings.Builder
		if err := Command(t.Context(), fields, &out); !errors.Is(err, ErrUsage) || out.Len() > 0 {
			t.Errorf("%s: %v, %s", args, err, out.String())
		}
	}
	if got := dirs(t, volumes); got != dataDir+" "+Name {
		t.Errorf("there is %s", got)
	}
}

// fakePodman is a Podman whose user namespace is this process.
type fakePodman struct {
	t *testing.T
	// inspect is what podman volume inspect prints; VOLUMES is the directory of the volumes.
	inspect string
	volumes string
	calls   []string
}

func (f *fakePodman) run(ctx context.Context, call podmancli.Call) error {
	f.calls = append(f.calls, strings.Join(call.Args[:2], " "))
	switch call.Args[0] + " " + call.Args[1] {
	case "volume inspect":
		if f.inspect == "" {
			return &podmancli.Error{Args: call.Args, Err: errors.New("exit status 125"), Said: "Error: no such volume"}
		}
		fmt.Fprint(call.Stdout, strings.ReplaceAll(f.inspect, "VOLUMES", f.volumes))
		return nil
	case "volume exists":
		return &podmancli.Error{Args: call.Args, Err: exec.CommandContext(ctx, "false").Run()}
	}
	self, err := os.Executable()
	must(f.t, err)
	if !slices.Equal(call.Args[:3], []string{"unshare", self, "volume"}) {
		f.t.Errorf("podman %q is not expected", call.Args)
	}
	f.calls[len(f.calls)-1] = "unshare " + call.Args[3]
	if err := Command(ctx, call.Args[3:], call.Stdout); err != nil {
		return &podmancli.Error{Args: call.Args, Err: errors.New("exit status 1"), Said: "archgen: " + err.Error()}
	}
	return nil
}

const local = `[{"Name":"web.data","Driver":"local","Mountpoint":"VOLUMES/web.data/_data","Options":{"o":"uid=1000,gid=1000"}}]`

// TestVolumes: what callers use, for a user in Podman's user namespace and for the system directly.
func TestVolumes(t *testing.T) {
	for scope, want := range map[units.Scope]string{
		units.User:   "volume inspect, unshare size, unshare save, unshare check, unshare swap, unshare drop",
		units.System: "volume inspect",
	} {
		volumes := newVolume(t)
		podman := &fakePodman{t: t, inspect: local, volumes: volumes}
		v := Volumes{Scope: scope, Dir: volumes, Podman: podman.run}
		_, err := v.Size(t.Context(), name)
		must(t, err)
		r, err := v.Save(t.Context(), name, math.MaxInt64)
		must(t, err)
		change(t, volumes, "migrated")
		must(t, v.CheckSnapshot(t.Context(), name, r))
		must(t, v.Swap(t.Context(), name, r))
		if got := content(t, volumes, dataDir); got != "old" {
			t.Errorf("the data is %s", got)
		}
		must(t, v.Drop(t.Context(), name))
		if got := strings.Join(podman.calls, ", "); got != want || dirs(t, volumes) != dataDir {
			t.Errorf("Podman was asked for %s, there is %s", got, dirs(t, volumes))
		}
	}
}

// TestReasonsFromTheNamespace: a reason arrives, and so does any other error.
func TestReasonsFromTheNamespace(t *testing.T) {
	volumes := newVolume(t)
	podman := &fakePodman{t: t, inspect: local, volumes: volumes}
	v := Volumes{Scope: units.User, Dir: volumes, Podman: podman.run}
	must(t, os.WriteFile(filepath.Join(volumes, name, dataDir, "large"), make([]byte, 1<<20), 0o600))
	_, err := v.Save(t.Context(), name, -1)
	if _, isReason := errors.AsType[*Error](err); !isReason && err != nil {
		t.Error(err)
	}
	must(t, os.RemoveAll(filepath.Join(volumes, name, dataDir)))
	_, err = v.Save(t.Context(), name, 0)
	demandReason(t, err, Gone)
	const want = "saving the volume web.data: there is no "
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Error(err)
	}
	if err := v.Swap(t.Context(), "-x", Record{Data: ID{Inode: 1}, Snapshot: ID{Inode: 2}}); err == nil || !strings.Contains(err.Error(), ErrUsage.Error()) {
		t.Error(err)
	}
}

// TestBlock: the block of a volume is a file beside its data. A volume that does not exist is not made for it.
func TestBlock(t *testing.T) {
	t.Parallel()
	v := Volumes{Dir: newVolume(t)}
	block := filepath.Join(v.Dir, name, units.VolumeBlock)
	for range 2 {
		must(t, v.BlockStarts(name))
		if _, err := os.Stat(block); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		must(t, v.AllowStarts(name))
		if _, err := os.Stat(block); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
	must(t, v.BlockStarts("gone"))
	must(t, v.AllowStarts("gone"))
	if _, err := os.Stat(filepath.Join(v.Dir, "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestVolumesThatAreNoDirectory: there is no snapshot of data that is elsewhere, whatever is in the
// directory.
func TestVolumesThatAreNoDirectory(t *testing.T) {
	for inspect, want := range map[string]Reason{
		"": Gone,
		`[{"Driver":"local","Mountpoint":"VOLUMES/web.data/_data","Options":{"device":"/dev/sdb1","type":"ext4"}}]`: Unsupported,
		`[{"Driver":"local","Mountpoint":"VOLUMES/web.data/_data","Options":{"type":"tmpfs"}}]`:                     Unsupported,
		`[{"Driver":"image","Mountpoint":"VOLUMES/web.data/_data","Options":{}}]`:                                   Unsupported,
		`[{"Driver":"local","Mountpoint":"/elsewhere/web.data/_data","Options":{}}]`:                                Unsupported,
	} {
		volumes := newVolume(t)
		podman := &fakePodman{t: t, inspect: inspect, volumes: volumes}
		v := Volumes{Scope: units.User, Dir: volumes, Podman: podman.run}
		demandReason(t, v.Check(t.Context(), name), want)
		_, err := v.Size(t.Context(), name)
		demandReason(t, err, want)
	}
}
