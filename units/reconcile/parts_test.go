package reconcile_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

const (
	pageService = "app@explorer.service"
	apiService  = "app@explorer.api.service"
	dbService   = "app@explorer.db.service"
)

// explorer is an app of three parts: a page in front of an API, which uses a database. The
// configuration of the API and of the database holds the password.
func explorer() units.App {
	const version = "1"
	a := units.App{ID: "explorer", Enabled: true, ManifestDigest: version}
	for _, p := range []units.Part{{Service: pageService, After: []string{apiService}}, {Service: apiService, After: []string{dbService}}, {Service: dbService}} {
		p.File, p.Digest = strings.TrimSuffix(p.Service, ".service")+".container", version
		a.Files = append(a.Files, units.File{Name: p.File, App: a.ID, Digest: version, Content: []byte(version)})
		if p.Service != pageService {
			a.Files = append(a.Files, units.File{Name: units.PrestartName(p.Service), App: a.ID, Content: []byte("[Recipe]\nSecret=\"x\"\n")})
		}
		a.Parts = append(a.Parts, p)
	}
	a.Files.Sort()
	return a
}

// explorers is a machine with the explorer, whose password can change.
type explorers struct {
	*machine
	mu       sync.Mutex
	password string
	started  map[string]string // by service and start
	// refuses: the API exits when it starts with this password.
	refuses string
	// stale: the page has kept an outdated address of the API.
	stale bool
}

func newExplorers() *explorers {
	m := &explorers{machine: newMachine(), password: "a", started: map[string]string{}}
	m.Install(explorer())
	m.Behavior = func(service, digest string) string {
		if service == apiService && m.password == m.refuses {
			return "fails"
		}
		return digest
	}
	m.After = func(verb, service string) {
		if strings.HasPrefix(verb, "restart") {
			m.stale = service == apiService || m.stale && service != pageService
		}
	}
	m.keep()
	return m
}

// keep records with which password each running service was started.
func (m *explorers) keep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, service := range []string{apiService, dbService} {
		if start := service + m.Unit(service).Invocation; m.started[start] == "" {
			m.started[start] = m.password
		}
	}
}

func (m *explorers) host() reconcile.Host {
	host := m.Host()
	host.Config = func(service string, _ []byte) (want, have units.ConfigDigests, err error) {
		m.keep()
		m.mu.Lock()
		defer m.mu.Unlock()
		return units.ConfigDigests{Config: m.password}, units.ConfigDigests{Config: m.started[service+m.Unit(service).Invocation]}, nil
	}
	host.Ask = func(_ context.Context, _ units.File, p units.Part, _ units.Unit) (units.Health, string) {
		if p.Service == pageService && m.stale {
			return units.Failing, "502"
		}
		return units.Serving, ""
	}
	host.Health = host.Ask
	return host
}

func (m *explorers) pass(t *testing.T, app units.App) reconcile.Report {
	t.Helper()
	r, err := reconcile.Run(t.Context(), all(app), m.host())
	if err != nil {
		t.Fatal(err)
	}
	m.keep()
	return r
}

// rotating is the app while its password is rotated; all of it was up.
func rotating() units.App {
	app := explorer()
	app.Rotating = true
	for i := range app.Parts {
		app.Parts[i].WasUp = true
	}
	return app
}

// TestServerBeforeClients: a new password restarts the database, then the API, then the page,
// which has an outdated address of the API and does not answer.
func TestServerBeforeClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newExplorers()
		m.password = "b"
		r := m.pass(t, explorer())
		equal(t, "done", []string{"restart " + dbService + " 1", "restart " + apiService + " 1", "restart " + pageService + " 1"}, m.Did())
		equal(t, "results", []string{"explorer done"}, results(r))
		equal(t, "reasons", []string{"config-differs", "config-differs", "dependency-restarted"}, reasons(r))
		if r := m.pass(t, explorer()); r.Changed() {
			t.Errorf("again: %v", r.Actions)
		}
	})
}

// TestRefusedPassword: a part that fails with the new password ends the pass. It gets the old one
// after the database has it.
func TestRefusedPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newExplorers()
		m.password, m.refuses = "b", "b"
		r := m.pass(t, rotating())
		equal(t, "results", []string{"explorer not-serving: restarting " + apiService + `: the job ended with "failed"`}, results(r))
		m.Effects, m.password = nil, "a"
		r = m.pass(t, rotating())
		equal(t, "done", []string{
			"reset-failed " + dbService, "restart " + dbService + " 1", "reset-failed " + apiService, "restart " + apiService + " 1",
			"reset-failed " + pageService, "restart " + pageService + " 1",
		}, m.Did())
		equal(t, "results", []string{"explorer done"}, results(r))
	})
}

// TestSlowServer: what the pass has no time for, the next one does once the database is up.
func TestSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newExplorers()
		m.password, m.StartTakes[dbService] = "b", time.Minute
		host := m.host()
		host.WaitTimeout = 20 * time.Second
		r, err := reconcile.Await(t.Context(), some(rotating()), host, 10*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "done", []string{
			"reset-failed " + dbService, "restart " + dbService + " 1", "reset-failed " + apiService, "restart " + apiService + " 1",
			"reset-failed " + pageService, "restart " + pageService + " 1",
		}, m.Did())
		equal(t, "results", []string{"explorer done"}, results(r))
	})
}

// TestPartsThatStop: the job that stops the main service ends before its parts have stopped. An app is
// stopped once all of it is, and starts only then: systemd counts tries to start a part that is stopping.
func TestPartsThatStop(t *testing.T) {
	const takes = 3 * time.Second
	stopping := func(m *explorers) {
		m.Set(dbService, func(u *units.Unit) { u.Active = units.Deactivating })
		time.AfterFunc(takes, func() { m.Set(dbService, func(u *units.Unit) { u.Active = units.Inactive }) })
	}
	asked := func(kind units.Kind) units.App {
		app := explorer()
		app.Request = kind
		return app
	}
	t.Run("stop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newExplorers()
			m.After = func(string, string) { stopping(m) }
			began := time.Now()
			r := m.pass(t, asked(units.Stop))
			equal(t, "results", []string{"explorer done"}, results(r))
			if took := time.Since(began); took < takes {
				t.Errorf("the pass ended after %v, and the database stops for %v", took, takes)
			}
		})
	})
	for _, kind := range []units.Kind{units.Start, units.Restart} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newExplorers()
				m.StopByHand(pageService)
				stopping(m)
				began := time.Now()
				m.After = func(verb, service string) {
					if waited := time.Since(began); service == pageService && waited < takes {
						t.Errorf("%s %s after %v, and the database stops for %v", verb, service, waited, takes)
					}
				}
				r := m.pass(t, asked(kind))
				equal(t, "results", []string{"explorer done"}, results(r))
			})
		})
	}
}
