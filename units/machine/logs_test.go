package machine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/paths"
)

func TestLogs(t *testing.T) {
	t.Parallel()
	l := Logs{Scope: units.System, Services: []string{"app@web.service", "app@web.db.service"}, Lines: "all", Since: "yesterday", Follow: true}
	want := []string{"--no-hostname", "--lines=all", "--follow", "--since=yesterday"}
	want = append(want, LogMatches(units.System, "app@web.service")...)
	want = append(append(want, "+"), LogMatches(units.System, "app@web.db.service")...)
	if d := cmp.Diff(want, l.Arguments()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	l = Logs{Scope: units.User, Lines: "5"}
	if d := cmp.Diff([]string{"--no-hostname", "--lines=5", "--user"}, l.Arguments()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestLogged lists the units of apps among those in the journal. The log of an app is also that of
// its unit files, and it may have none yet.
func TestLogged(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	program := func(script string) {
		if err := os.WriteFile(filepath.Join(bin, "journalctl"), []byte("#!/bin/sh\n"+script), 0o755); err != nil { //nolint:gosec // it has to be executable
			t.Fatal(err)
		}
	}
	program(`case $* in "--quiet --user --field=_SYSTEMD_USER_UNIT") printf '%s\n' app@web.service init.scope ;; *) echo app@root.service ;; esac`)
	for scope, want := range map[units.Scope][]string{units.User: {"app@web.service"}, units.System: {"app@root.service"}} {
		if d := cmp.Diff(want, Logged(t.Context(), scope)); d != "" {
			t.Errorf("%v: -want +got:\n%s", scope, d)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app@web.db.container"), []byte("[Container]\nImage=x\n[X-Archipelago]\nApp=web\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := Base{Scope: units.User, Paths: paths.Paths{Units: dir}}
	for app, want := range map[string][]string{"web": {"app@web.db.service", "app@web.service"}, "other": {"app@other.service"}, "none": nil} {
		if d := cmp.Diff(want, b.LoggedServices(t.Context(), app, []string{"web", "other"}), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: -want +got:\n%s", app, d)
		}
	}
	program("exit 1")
	if list := Logged(t.Context(), units.User); list != nil {
		t.Errorf("%q", list)
	}
}
