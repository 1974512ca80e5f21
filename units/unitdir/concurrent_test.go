package unitdir

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/units"

	"github.com/archipelago-os/archipelago/units/durable"
)

// rounds and dirVariable make the test binary a second process that writes to the same directory.
const (
	rounds      = 50
	dirVariable = "UNITDIR_TEST_DIR"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirVariable); dir != "" {
		if err := writeOften(dir, "process"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func generation(text string) units.Set {
	return units.Set{unit("app@a.container", "a", text), unit("app@a.volume", "a", text), unit("app@b.container", "b", text)}
}

func writeOften(dir, who string) error {
	for i := range rounds {
		set := generation(fmt.Sprintf("%s %d", who, i))
		if ch, err := Sync(dir, set, all); err != nil || len(ch.Written)+ch.Unchanged != len(set) {
			return fmt.Errorf("%s, round %d: %+v, %w", who, i, ch, err)
		}
	}
	return nil
}

// Runs take turns: none fails, none removes another's temporary files as leftovers, and in the end
// the set is that of one run and not a mixture.
func TestConcurrentRunsTakeTurns(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "archipelago")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := writeOften(dir, fmt.Sprintf("goroutine %d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // the test itself
			cmd.Env = append(os.Environ(), dirVariable+"="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	_, generationOf, _ := strings.Cut(content(t, filepath.Join(dir, "app@a.volume")), "Description=")
	for _, f := range []string{"app@a.container"} {
		if _, other, _ := strings.Cut(content(t, filepath.Join(dir, f)), "Description="); other != generationOf {
			t.Errorf("%s is of another run: %q, %q", f, other, generationOf)
		}
	}
	if list := names(t, dir); len(list) != 3 {
		t.Errorf("left over: %v", list)
	}
}

// The message names the holder. This test changes lockTimeout, so it does not run in parallel.
func TestAHeldLockTimesOut(t *testing.T) { //nolint:paralleltest // see above
	dir := t.TempDir()
	mustSync(t, dir, unit("app@a.container", "a", "1"))
	f, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	defer func(d time.Duration) { lockTimeout = d }(lockTimeout)
	lockTimeout = 20 * time.Millisecond
	_, err = Sync(dir, generation("2"), all)
	want := fmt.Sprintf("another run (process %d) has held %s for 20ms", os.Getpid(), f.Name())
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v; want %s", err, want)
	}
	mustSync(t, dir, unit("app@a.container", "a", "1")) // nothing to do, so no lock
}

// All users may read the directory, but not open the lock: a user who can't write can't keep
// others from writing.
func TestTheLockIsItsOwners(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustSync(t, dir, generation("1")...)
	if info, err := os.Stat(filepath.Join(dir, lockName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestADeletedDirectoryIsNoticed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "archipelago")
	mustSync(t, dir, generation("1")...)
	d, err := durable.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	l, err := d.Lock(t.Context(), lockName, lockTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	if err := os.Rename(dir, dir+"-old"); err != nil {
		t.Fatal(err)
	}
	if err := l.Check(); err == nil || !strings.Contains(err.Error(), "was deleted or replaced") {
		t.Error(err)
	}
}
