package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"

	"github.com/archipelago-os/archipelago/units/durable"
)

func unit(name, app, body string) units.File {
	return units.File{Name: name, App: app, Digest: "0a", Content: []byte("[Unit]\nDescription=" + body + "\n")}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func store(t *testing.T) Store {
	t.Helper()
	dir := t.TempDir()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	return Store{State: filepath.Join(dir, "state"), Runtime: filepath.Join(dir, "run"), Now: func() time.Time { return at }}
}

// TestGenerations: the last ten different sets, newest first, and the last-good files of
// each app.
func TestGenerations(t *testing.T) {
	s := store(t)
	if list, err := s.Generations(); err != nil || len(list) != 0 {
		t.Errorf("before the first: %v, %v", list, err)
	}
	other := unit("app@other.container", "other", "as ever")
	for n := range 12 {
		set := units.Set{unit("app@a.container", "a", fmt.Sprint("version ", n)), other}
		for range 2 { // an equal set makes no new generation
			if err := s.Commit(set, fmt.Sprint("write a ", n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	list, err := s.Generations()
	if err != nil {
		t.Fatal(err)
	}
	numbers := make([]int, 0, len(list))
	for _, g := range list {
		numbers = append(numbers, g.Number)
	}
	if d := cmp.Diff([]int{12, 11, 10, 9, 8, 7, 6, 5, 4, 3}, numbers); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	want := Generation{
		Number: 12, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Reason: "write a 11",
		Files: units.Set{unit("app@a.container", "a", "version 11"), other},
	}
	if d := cmp.Diff(want, list[0]); d != "" {
		t.Errorf("newest: -want +got:\n%s", d)
	}
	if err := s.Commit(units.Set{unit("app@a.container", "a", "version 99")}, "remove other"); err != nil {
		t.Fatal(err)
	}
	got, err := s.Good()
	if d := cmp.Diff(units.Set{unit("app@a.container", "a", "version 99")}, got); err != nil || d != "" {
		t.Errorf("Good: %v, -want +got:\n%s", err, d)
	}
}

// TestDamagedGenerationIsLeftOut: a damaged file hides no other generation.
func TestDamagedGenerationIsLeftOut(t *testing.T) {
	s := store(t)
	for _, v := range []string{"1", "2"} {
		if err := s.Commit(units.Set{unit("app@a.container", "a", v)}, v); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(s.State, "generations/000002.json"), "{")
	put(t, filepath.Join(s.State, "generations/notes.txt"), "mine")
	if list, err := s.Generations(); err != nil || len(list) != 1 || list[0].Number != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if err := s.Commit(units.Set{unit("app@a.container", "a", "3")}, "3"); err != nil {
		t.Fatal(err)
	}
	if list, _ := s.Generations(); len(list) != 2 || list[0].Number != 3 {
		t.Errorf("after the next: %v", list)
	}
}

func TestHistoryIsKept(t *testing.T) {
	s := store(t)
	h, err := s.History()
	if err != nil || len(h) != 0 {
		t.Errorf("before the first: %v, %v", h, err)
	}
	h["lnd"] = units.Record{ManifestDigest: "m", Tries: 2, Last: s.Now(), RolledBack: true, Pending: map[string]string{"app@lnd.service": "i"}}
	if err := s.SaveHistory(h); err != nil {
		t.Fatal(err)
	}
	got, err := s.History()
	if d := cmp.Diff(h, got); err != nil || d != "" {
		t.Errorf("%v, -want +got:\n%s", err, d)
	}
	for _, junk := range []string{"", "{", "null", "[]"} {
		put(t, filepath.Join(s.State, "history.json"), junk)
		if got, err := s.History(); err != nil || got == nil || len(got) != 0 {
			t.Errorf("of %q: %v, %v", junk, got, err)
		}
	}
}

// TestLockNamesItsHolder: the lock names its holder, and is free again afterwards.
func TestLockNamesItsHolder(t *testing.T) {
	s := store(t)
	s.LockTimeout = 20 * time.Millisecond
	unlock, err := s.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Lock(t.Context())
	if held, ok := errors.AsType[*durable.HeldError](err); !ok || held.Process != os.Getpid() {
		t.Errorf("error %v, want one that names process %d", err, os.Getpid())
	}
	unlock()
	unlock, err = s.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
