package units_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

// The parts of an explorer: a page in front of an API, which uses a database.
const (
	page, api, db = "app@explorer.service", "app@explorer.api.service", "app@explorer.db.service"
)

// explorer is the app with changed parts, in the order of their names.
func explorer(change func(part *units.Part)) units.App {
	app := units.App{ID: "explorer", Enabled: true, ManifestDigest: "m1", Parts: []units.Part{
		{Service: page, After: []string{api}}, {Service: api, After: []string{db}}, {Service: db},
	}}
	for i := range app.Parts {
		app.Parts[i].File, app.Parts[i].Digest = app.Parts[i].Service, "new"
		change(&app.Parts[i])
	}
	return app
}

// TestPartsInOrder: a part restarts after the parts that it is ordered after, for any reason, and
// only the parts that must restart do.
func TestPartsInOrder(t *testing.T) {
	asIs := func(*units.Part) {}
	partOfPage := func(p *units.Part) {
		if p.Service != page {
			p.PartOf = []string{page}
		}
	}
	configured := func(p *units.Part) { p.Config = "new" }
	wasUp := func(p *units.Part) { p.Config, p.WasUp = "new", true }
	runs := func(config string) units.Unit {
		return unit(func(u *units.Unit) { u.Config = config })
	}
	starting := func(config string) units.Unit {
		return units.Unit{Loaded: true, Active: units.Activating, Digest: "new", Config: config}
	}
	old := unit(func(u *units.Unit) { u.Digest = "old" })
	crashing := units.Unit{Loaded: true, Active: units.Activating, Restarting: true}
	startedAgain := starting("new")
	startedAgain.Restarts = 1
	atItsLimit := units.Unit{Loaded: true, Active: units.Failed}
	hasEnded := units.Unit{Loaded: true, Active: units.Inactive, Stopped: true}
	for name, tt := range map[string]struct {
		change        func(*units.Part)
		rotating      bool
		page, api, db units.Unit
		want          []string
	}{
		"the password of all changed": {configured, false, runs("old"), runs("old"), runs("old"), []string{
			"restart " + db + " config-differs alone", "restart " + api + " config-differs alone", "restart " + page + " config-differs alone",
		}},
		"the page has none": {configured, false, runs("new"), runs("old"), runs("old"), []string{
			"restart " + db + " config-differs alone", "restart " + api + " config-differs alone",
		}},
		"the images of all changed": {asIs, false, old, old, old, []string{
			"restart " + db + " digest-differs", "restart " + api + " digest-differs", "restart " + page + " digest-differs",
		}},
		"the images of all changed, and a restart of main includes the others": {partOfPage, false, old, old, old, []string{
			"restart " + page + " digest-differs",
		}},
		"a restart of main includes a failed one": {partOfPage, false, old, well, atItsLimit, []string{
			"reset-failed " + db + " failed", "restart " + page + " digest-differs",
		}},
		"the database is starting with the new password": {configured, false, runs("new"), runs("old"), starting("new"), []string{
			"leave " + db + " starting", "leave " + api + " dependency-starting",
		}},
		"a part waits for one that is itself waiting": {configured, false, runs("old"), runs("old"), starting("new"), []string{
			"leave " + db + " starting", "leave " + api + " dependency-starting", "leave " + page + " dependency-starting",
		}},
		"the database is stopping": {configured, false, runs("new"), runs("old"), units.Unit{Loaded: true, Active: units.Deactivating}, []string{
			"leave " + db + " stopping", "leave " + api + " dependency-starting",
		}},
		"rotating: start limits are not used up": {wasUp, true, runs("new"), runs("old"), runs("old"), []string{
			"reset-failed " + db + " config-differs", "restart " + db + " config-differs alone",
			"reset-failed " + api + " config-differs", "restart " + api + " config-differs alone",
		}},
		"rotating: the server refused it, and it is restarted by systemd": {wasUp, true, runs("new"), crashing, runs("old"), []string{
			"reset-failed " + db + " config-differs", "restart " + db + " config-differs alone",
			"reset-failed " + api + " restarted-by-systemd", "restart " + api + " restarted-by-systemd alone",
		}},
		"rotating: it is at its start limit, the page ended without an error": {wasUp, true, hasEnded, atItsLimit, runs("new"), []string{
			"reset-failed " + api + " failed", "restart " + api + " failed alone",
			"reset-failed " + page + " failed", "restart " + page + " failed alone",
		}},
		"rotating: the database does not start": {wasUp, true, runs("new"), runs("new"), atItsLimit, []string{
			"reset-failed " + db + " failed", "restart " + db + " failed alone",
		}},
		"rotating: it starts with a value that the server refuses": {wasUp, true, runs("new"), starting("old"), runs("old"), []string{
			"reset-failed " + db + " config-differs", "restart " + db + " config-differs alone",
			"reset-failed " + api + " config-differs", "restart " + api + " config-differs alone",
		}},
		"rotating: the database is starting with the old password": {wasUp, true, crashing, crashing, starting("new"), []string{
			"leave " + db + " starting", "leave " + api + " dependency-starting", "leave " + page + " dependency-starting",
		}},
		"rotating: systemd starts it again, with the new password already": {wasUp, true, runs("new"), runs("new"), startedAgain, []string{
			"reset-failed " + db + " restarted-by-systemd", "restart " + db + " restarted-by-systemd alone",
		}},
		"rotating: it was stopped before": {configured, true, runs("new"), hasEnded, runs("new"), []string{
			"leave " + api + " stopped-by-operator",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			app := explorer(tt.change)
			app.Rotating = tt.rotating
			have := units.Observed{Units: map[string]units.Unit{page: tt.page, api: tt.api, db: tt.db}}
			plan := decide(units.Desired{Apps: []units.App{app}}, have, nil, now)
			got := lines(plan)
			for i, a := range plan.Actions() {
				if a.Alone {
					got[i] += " alone"
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestNotAlone: companions restart with their app, and parts that share a network namespace with
// the part that owns it.
func TestNotAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		change     func(*units.Part)
		companions []string
		want       map[string]bool
	}{
		"nothing depends on it":  {func(p *units.Part) { p.Config = "new" }, nil, map[string]bool{page: true, api: true, db: true}},
		"a companion of the app": {func(p *units.Part) { p.Config = "new" }, []string{"ui"}, map[string]bool{page: false, api: true, db: true}},
		"the network of the API": {func(p *units.Part) { p.Config, p.Lends = "new", p.Service == api }, nil, map[string]bool{page: true, api: false, db: true}},
	} {
		t.Run(name, func(t *testing.T) {
			app := explorer(tt.change)
			app.Companions = tt.companions
			got := map[string]bool{}
			for _, a := range decide(units.Desired{Apps: []units.App{app}}, units.Observed{Units: map[string]units.Unit{page: well, api: well, db: well}}, nil, now).Steps {
				got[a.Target] = a.Alone
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestStale: a part that does not serve is restarted if a part that it is ordered after came up
// later.
func TestStale(t *testing.T) {
	app := explorer(func(*units.Part) {})
	up := func(d time.Duration) units.Unit { return unit(func(u *units.Unit) { u.Up = d }) }
	ended := func(u units.Unit) units.Unit { u.Up = time.Hour; return u }
	restarted := []string{"reset-failed " + page + " dependency-restarted", "restart " + page + " dependency-restarted"}
	for name, tt := range map[string]struct {
		service       string
		page, api, db units.Unit
		want          []string
	}{
		"the API was restarted":           {page, up(time.Hour), up(time.Second), up(time.Hour), []string{"restart " + page + " dependency-restarted"}},
		"the database was":                {page, up(time.Hour), up(time.Hour), up(time.Second), []string{"restart " + page + " dependency-restarted"}},
		"it was restarted itself":         {page, up(time.Second), up(time.Minute), up(time.Hour), nil},
		"nothing was":                     {page, up(time.Hour), up(time.Hour), up(time.Hour), nil},
		"only what comes after it was":    {db, up(time.Second), up(time.Hour), up(time.Hour), nil},
		"the API is down":                 {page, up(time.Hour), units.Unit{Active: units.Failed}, up(2 * time.Hour), nil},
		"its start time is unknown":       {page, well, up(time.Second), up(time.Hour), nil},
		"it exits without the API":        {page, ended(units.Unit{Loaded: true, Active: units.Activating, Restarting: true}), up(time.Second), up(time.Hour), restarted},
		"and has reached its start limit": {page, ended(units.Unit{Loaded: true, Active: units.Failed}), up(time.Second), up(time.Hour), restarted},
		"it exited by itself":             {page, ended(units.Unit{Loaded: true, Active: units.Activating, Restarting: true}), up(2 * time.Hour), up(2 * time.Hour), nil},
	} {
		t.Run(name, func(t *testing.T) {
			found := map[string]units.Unit{page: tt.page, api: tt.api, db: tt.db}
			part, isStale := app.Stale(tt.service, found)
			if isStale != (tt.want != nil) {
				t.Errorf("it is stale: %v", isStale)
			}
			if !isStale {
				return
			}
			if d := cmp.Diff(tt.want, lines(decide(units.Desired{Apps: []units.App{part}}, units.Observed{Units: found}, nil, now))); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestPartsAsRendered: the order of parts is read from the files of an earlier rendering, too.
func TestPartsAsRendered(t *testing.T) {
	files := units.Set{
		{Name: "app@x.api.container", App: "x", Content: []byte("[Unit]\nPartOf=app@x.service\nAfter=app@x.db.service\nAfter=app@node.service\n[Container]\nNetwork=container:x.vpn\n")},
		{Name: "app@x.container", App: "x", Content: []byte("[Unit]\nAfter=app@x.api.service\n[Container]\nNetwork=archipelago-private.x.network:alias=main\n")},
		{Name: "app@x.db.container", App: "x", Content: []byte("[Unit]\nPartOf=app@x.service\n")},
		{Name: "app@x.vpn.container", App: "x", Content: []byte("[Unit]\nPartOf=app@x.service\n")},
	}
	app := units.AsRendered("x", files)
	order := make([]string, 0, len(app.Parts))
	for _, p := range app.PartsInOrder() {
		order = append(order, p.Service)
		if isMain := p.Service == "app@x.service"; isMain != (len(p.PartOf) == 0) {
			t.Errorf("%s is PartOf %v", p.Service, p.PartOf)
		}
		if p.Lends != (p.Service == "app@x.vpn.service") {
			t.Errorf("%s lends its network: %v", p.Service, p.Lends)
		}
	}
	if d := cmp.Diff([]string{"app@x.db.service", "app@x.api.service", "app@x.service", "app@x.vpn.service"}, order); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
