package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/units/durable"
)

// TestStamp: each change of a file gives another stamp, and what is not entered does not count.
func TestStamp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) error {
		return errors.Join(os.MkdirAll(filepath.Dir(at(name)), 0o700), os.WriteFile(at(name), []byte(text), 0o600))
	}
	stamp := func() *durable.Stamp {
		var s durable.Stamp
		s.Add(at("settings"))
		s.AddDir(at("apps"), func(within string) bool { return within == "web.d" || within == "linked.d" })
		return &s
	}
	before := stamp().String()
	for _, step := range []struct {
		name    string
		change  func() error
		differs bool
	}{
		{"nothing", func() error { return nil }, false},
		{"the directory is made", func() error { return write("apps/web.yaml", "a") }, true},
		{"the settings", func() error { return write("settings", "") }, true},
		{"a file with the same size and time", func() error {
			old := time.Unix(1, 0)
			return errors.Join(write("apps/web.yaml", "b"), os.Chtimes(at("apps/web.yaml"), old, old))
		}, true},
		{"the mode", func() error { return os.Chmod(at("apps/web.yaml"), 0o644) }, true},
		{"a file in a directory that is entered", func() error { return write("apps/web.d/env.yaml", "") }, true},
		{"its content", func() error { return write("apps/web.d/env.yaml", "x") }, true},
		{"a directory that is not entered", func() error { return os.Mkdir(at("apps/data"), 0o700) }, true},
		{"a file there", func() error { return write("apps/data/x", "") }, true}, // the directory itself has changed
		{"the content of that", func() error { return write("apps/data/x", "content") }, false},
		{"a link to a file", func() error {
			return errors.Join(write("elsewhere/db.yaml", ""), os.Symlink(at("elsewhere/db.yaml"), at("apps/db.yaml")))
		}, true},
		{"its target", func() error { return write("elsewhere/db.yaml", "x") }, true},
		{"a link to a directory", func() error { return os.Symlink(at("elsewhere"), at("apps/linked.d")) }, true},
		{"a file there", func() error { return write("elsewhere/db.yaml", "xy") }, true},
		{"a file is removed", func() error { return os.Remove(at("settings")) }, true},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		now := stamp().String()
		if (now != before) != step.differs {
			t.Errorf("%s: differs %v", step.name, !step.differs)
		}
		before = now
	}
	s := stamp()
	if s.IsSettled(time.Now()) || !s.IsSettled(time.Now().Add(time.Second)) {
		t.Error("a file that has just changed may change again")
	}
}
