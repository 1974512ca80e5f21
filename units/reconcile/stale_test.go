package reconcile_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// TestClientOfRestartedDatabase: a part that exits because its database restarted does not cause a
// rollback of the change of the database.
func TestClientOfRestartedDatabase(t *testing.T) {
	const db, page = "app@shop.db.service", "app@shop.service"
	restarting := units.Unit{Loaded: true, Active: units.Activating, Restarting: true, Invocation: "ended", Up: time.Hour}
	for name, tt := range map[string]struct {
		// after is the state of the page once the database is up, later the state some seconds
		// after.
		after, later units.Unit
		want         string
		starts       int
	}{
		"it is restarted": {after: restarting, want: "shop done", starts: 1},
		"at its start limit as well": {
			after: units.Unit{Loaded: true, Active: units.Failed, Invocation: "ended", Up: time.Hour}, want: "shop done", starts: 1,
		},
		"systemd is faster": {
			after: units.Unit{Loaded: true, Active: units.Deactivating, Invocation: "before", Up: time.Hour},
			later: units.Unit{Loaded: true, Active: units.Active, Digest: "1", Invocation: "after"}, want: "shop done",
		},
		"it exits after it was seen to run": {
			after: units.Unit{Loaded: true, Active: units.Active, Digest: "1", Invocation: "before", Up: time.Hour},
			later: units.Unit{Loaded: true, Active: units.Active, Digest: "1", Invocation: "after"}, want: "shop done",
		},
		"it exited after the database came up": {
			after: units.Unit{Loaded: true, Active: units.Activating, Restarting: true, Invocation: "ended"},
			want:  "shop rolled-back: " + page + " was started and is restarting: it exited right after its start; it runs with its previous files again", starts: 1,
		},
		"it was stopped meanwhile": {
			after: units.Unit{Loaded: true, Active: units.Inactive, Stopped: true, Invocation: "before", Up: time.Hour},
			want:  "shop rolled-back: " + page + " was started and is down again: it exited right after its start; it runs with its previous files again", starts: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.run(t, shop("1"))
				m.Put(db, units.Unit{Loaded: true, Active: units.Active, Digest: "1", Invocation: "1"})
				before := m.Starts(page)
				m.After = func(verb, service string) {
					if service != db || !strings.HasPrefix(verb, "restart") {
						return
					}
					m.Put(page, tt.after)
					if tt.later.Active != "" {
						time.AfterFunc(4*time.Second, func() { m.Put(page, tt.later) })
					}
				}
				r, err := reconcile.Run(t.Context(), all(shop("2")), m.Host())
				if err != nil {
					t.Fatal(err)
				}
				if got := results(r); len(got) != 1 || !strings.HasPrefix(got[0], tt.want) {
					t.Errorf("%q, want %q", got, tt.want)
				}
				if got := m.Starts(page) - before; got != tt.starts {
					t.Errorf("the page was started %d times, want %d: %v", got, tt.starts, m.Did())
				}
				time.Sleep(time.Minute) // the page may still change
			})
		})
	}
}

// shop is a page and its database, which has a version.
func shop(version string) units.App {
	a := app("shop", "1")
	file := units.File{Name: "app@shop.db.container", App: "shop", Digest: version, Content: []byte(version)}
	a.Files, a.ManifestDigest = append(a.Files, file), version
	a.Parts[0].After = []string{"app@shop.db.service"}
	a.Parts = append(a.Parts, units.Part{Service: "app@shop.db.service", File: file.Name, Digest: version, PartOf: []string{"app@shop.service"}})
	return a
}
