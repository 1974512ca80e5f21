package snapshot

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// fault is what happens to call number at: it fails, and so do the calls after it if the process is
// killed there.
type fault struct {
	at     int
	errno  error
	isKill bool

	made int
	last string
}

func (f *fault) calls() calls {
	return calls{fail: func(call, path string) error {
		f.made++
		if f.made == f.at || f.isKill && f.made > f.at {
			if f.made == f.at {
				f.last = call + " " + filepath.Base(path)
			}
			return f.errno
		}
		return nil
	}}
}

var faults = map[string]fault{
	"the disk is full":      {errno: unix.ENOSPC},
	"the disk has an error": {errno: unix.EIO},
	"a call is refused":     {errno: unix.EACCES},
	"a kill":                {errno: unix.EIO, isKill: true},
}

// everyCall runs a test for a fault of each call that a run makes.
func everyCall(t *testing.T, test func(t *testing.T, f *fault)) {
	t.Helper()
	for what, kind := range faults {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for at := 1; ; at++ {
				f := kind
				f.at = at
				test(t, &f)
				if f.made < at {
					t.Logf("%d calls", f.made)
					return
				}
				if t.Failed() {
					t.Fatalf("call %d: %s", at, f.last)
				}
			}
		})
	}
}

// small makes a volume with a file of each kind that is copied by calls of its own, in memory if
// there is a file system for that: nothing waits for a disk there.
func small(t *testing.T) (volumes string) {
	t.Helper()
	memory := "/dev/shm"
	if unix.Access(memory, unix.W_OK) != nil {
		memory = ""
	}
	volumes, err := os.MkdirTemp(memory, "volumes") //nolint:usetesting // it is in memory
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(volumes)) })
	fill(t, volumes)
	for _, path := range []string{"sub", "empty", "closed", "a\nb", "-rf", "\xff\xfe", "program", "blank", "socket", "device"} {
		must(t, os.RemoveAll(filepath.Join(volumes, name, dataDir, path)))
	}
	return volumes
}

// TestSaveAtEveryFault: whatever call fails, the data stays as it is, an earlier snapshot or the new
// one is there, complete, and the next run takes one and leaves nothing else.
func TestSaveAtEveryFault(t *testing.T) {
	t.Parallel()
	everyCall(t, func(t *testing.T, f *fault) {
		t.Helper()
		volumes := small(t)
		data, before := filepath.Join(volumes, name, dataDir), filepath.Join(volumes, name, Name)
		mustSave(t, volumes)
		earlier := described(t, before)
		change(t, volumes, "newer")
		want := described(t, data)
		_, err := save(t.Context(), f.calls(), volumes, name, math.MaxInt64)
		if d := cmp.Diff(want, described(t, data)); d != "" {
			t.Errorf("the data changed, -before +now:\n%s", d)
		}
		found := described(t, before)
		if err == nil && !cmp.Equal(want, found) || err != nil && !cmp.Equal(want, found) && !cmp.Equal(earlier, found) {
			t.Errorf("%v, and the snapshot is %s", err, cmp.Diff(want, found))
		}
		if err != nil && !strings.Contains(err.Error(), volumes) {
			t.Errorf("the error names no file: %v", err)
		}
		r := mustSave(t, volumes)
		if d := cmp.Diff(want, described(t, before)); d != "" || dirs(t, volumes) != dataDir+" "+Name {
			t.Errorf("the next run: %s, -data +snapshot:\n%s", dirs(t, volumes), d)
		}
		must(t, swap(t.Context(), calls{}, volumes, name, r))
	})
}

// TestSwapAtEveryFault: whatever call fails, data and snapshot are both there, and the next run
// completes the swap.
func TestSwapAtEveryFault(t *testing.T) {
	t.Parallel()
	everyCall(t, func(t *testing.T, f *fault) {
		t.Helper()
		volumes := small(t)
		r := mustSave(t, volumes)
		change(t, volumes, "migrated")
		err := swap(t.Context(), f.calls(), volumes, name, r)
		got := content(t, volumes, dataDir) + " " + content(t, volumes, Name)
		if got != "old migrated" && (err == nil || got != "migrated old") {
			t.Errorf("%v: data and snapshot: %s", err, got)
		}
		must(t, swap(t.Context(), calls{}, volumes, name, r))
		if got := content(t, volumes, dataDir) + " " + content(t, volumes, Name); got != "old migrated" {
			t.Errorf("the next run: data and snapshot: %s", got)
		}
	})
}

// TestDropAtEveryFault: whatever call fails, the data stays and a snapshot is complete or has no
// name, and the next run removes it.
func TestDropAtEveryFault(t *testing.T) {
	t.Parallel()
	everyCall(t, func(t *testing.T, f *fault) {
		t.Helper()
		volumes := small(t)
		mustSave(t, volumes)
		before := filepath.Join(volumes, name, Name)
		whole := described(t, before)
		err := drop(t.Context(), f.calls(), volumes, name)
		has := strings.Contains(dirs(t, volumes), Name)
		if has && !cmp.Equal(whole, described(t, before)) || has && err == nil {
			t.Errorf("%v: a part of the snapshot is there", err)
		}
		must(t, drop(t.Context(), calls{}, volumes, name))
		if got := fmt.Sprint(dirs(t, volumes), " ", content(t, volumes, dataDir)); got != dataDir+" old" {
			t.Errorf("the next run: there is %s", got)
		}
	})
}
