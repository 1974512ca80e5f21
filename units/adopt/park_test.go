package adopt_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/archipelago-os/archipelago/units"
)

// patient is the app x, with a stop timeout of 90 seconds.
var patient = units.App{ID: "x", Files: units.Set{{Name: "app@x.container", App: "x", Content: []byte("[Container]\nStopTimeout=90\n")}}}

// one is a container with the id c1.
func one(name, state, restart string) container {
	return container{id: "c1", name: name, state: state, restart: restart}
}

// TestPark: the container stops within the timeout of the app, does not start at boot, and its
// name is free.
func TestPark(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		app   units.App
		there []container
		// meanwhile is called before each command.
		meanwhile func(p *podman, command string)
		old       bool
		restart   string
		done      []string
		want      []container
		fails     string
	}{
		"it runs": {
			app: patient, there: []container{one("x", "running", "")},
			done: []string{"stop --time=90 c1", "rename c1 x.legacy"},
			want: []container{one("x.legacy", "exited", "")},
		},
		"the app has no stop timeout": {
			app: units.App{ID: "x"}, there: []container{one("x", "running", "")},
			done: []string{"stop --time=30 c1", "rename c1 x.legacy"},
			want: []container{one("x.legacy", "exited", "")},
		},
		"podman-restart.service would start it": {
			app: patient, there: []container{one("x", "running", "on-failure:3")}, restart: "on-failure:3",
			done: []string{"stop --time=90 c1", "update --restart=no c1", "rename c1 x.legacy"},
			want: []container{one("x.legacy", "exited", "no")},
		},
		"Podman can't change that": {
			app: patient, there: []container{one("x", "running", "always")}, restart: "always", old: true,
			done: []string{"stop --time=90 c1", "update --restart=no c1", "rename c1 x.legacy"},
			want: []container{one("x.legacy", "exited", "always")},
		},
		"it is paused": {
			app: patient, there: []container{one("x", "paused", "")},
			done: []string{"unpause c1", "stop --time=90 c1", "rename c1 x.legacy"},
			want: []container{one("x.legacy", "exited", "")},
		},
		"it never ran": {
			app: patient, there: []container{one("x", "created", "")},
			done: []string{"stop --time=90 c1", "rename c1 x.legacy"},
			want: []container{one("x.legacy", "created", "")},
		},
		"a pass that was killed has parked it": {
			app: patient, there: []container{one("x.legacy", "exited", "")},
			done: []string{"stop --time=90 c1"},
			want: []container{one("x.legacy", "exited", "")},
		},
		"another program has started it since": {
			app: patient, there: []container{one("x.legacy", "running", "")},
			done: []string{"stop --time=90 c1"},
			want: []container{one("x.legacy", "exited", "")},
		},
		"it is removed": {app: patient},
		"another container has its name now": {
			app: patient, there: []container{{id: "c2", name: "x", state: "running"}},
			want: []container{{id: "c2", name: "x", state: "running"}},
		},
		"it is removed while it is inspected": {
			app: patient, there: []container{one("x", "running", "")},
			meanwhile: func(p *podman, command string) {
				if strings.HasPrefix(command, "inspect") {
					p.containers = nil
				}
			},
			fails: "no such container c1",
		},
		"it is removed while it stops": { // created with --rm, which a survey reports
			app: patient, there: []container{{id: "c1", name: "x", state: "running", autoRemove: true}},
			done:  []string{"stop --time=90 c1", "rename c1 x.legacy"},
			fails: "no such container",
		},
		"the parked name is taken": {
			app: patient, there: []container{one("x", "running", ""), {id: "c2", name: "x.legacy", state: "exited"}},
			done:  []string{"stop --time=90 c1", "rename c1 x.legacy"},
			want:  []container{one("x", "exited", ""), {id: "c2", name: "x.legacy", state: "exited"}},
			fails: "that name is already in use",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPodman(t, tt.there...)
			p.old = tt.old
			p.before = func(command string) error {
				if tt.meanwhile != nil {
					tt.meanwhile(p, command)
				}
				return nil
			}
			err := p.adopter().Park(t.Context(), tt.app, units.ForeignContainer{ID: "c1", Name: "x", Restart: tt.restart})
			p.has(t, tt.want, tt.done, err, tt.fails)
		})
	}
}

// values compares containers.
var values = cmp.Options{cmp.AllowUnexported(container{}), cmpopts.EquateEmpty()}

// has compares the containers of Podman and the commands that it got with the expected ones.
func (p *podman) has(t *testing.T, want []container, done []string, err error, fails string) {
	t.Helper()
	if (err != nil) != (fails != "") || !strings.HasSuffix(errorText(err), fails) {
		t.Errorf("the error is %v, want %q", err, fails)
	}
	if d := cmp.Diff(done, p.done); d != "" {
		t.Errorf("done, -want +got:\n%s", d)
	}
	if d := cmp.Diff(want, p.containers, values); d != "" {
		t.Errorf("Podman has, -want +got:\n%s", d)
	}
}

// TestUnpark: the container has its name, restart policy and state again.
func TestUnpark(t *testing.T) {
	t.Parallel()
	ours := func(state string) container {
		return container{id: "c2", name: "x", state: state, labels: map[string]string{AppLabel: "x"}}
	}
	removal := "rm --force --ignore c2"
	for name, tt := range map[string]struct {
		there []container
		had   units.ForeignContainer // before it was parked
		old   bool
		done  []string
		want  []container
		fails string
	}{
		"it ran": {
			there: []container{one("x.legacy", "exited", "")}, had: units.ForeignContainer{Ran: true},
			done: []string{"rename c1 x", "start c1"},
			want: []container{one("x", "running", "")},
		},
		"it did not run": {
			there: []container{one("x.legacy", "exited", "")},
			done:  []string{"rename c1 x"},
			want:  []container{one("x", "exited", "")},
		},
		"it started at boot": {
			there: []container{one("x.legacy", "exited", "no")}, had: units.ForeignContainer{Ran: true, Restart: "on-failure:3"},
			done: []string{"rename c1 x", "update --restart=on-failure:3 c1", "start c1"},
			want: []container{one("x", "running", "on-failure:3")},
		},
		"Podman could not prevent that": {
			there: []container{one("x.legacy", "exited", "always")}, had: units.ForeignContainer{Ran: true, Restart: "always"}, old: true,
			done: []string{"rename c1 x", "update --restart=always c1", "start c1"},
			want: []container{one("x", "running", "always")},
		},
		"it was stopped and never parked": {
			there: []container{one("x", "exited", "")}, had: units.ForeignContainer{Ran: true},
			done: []string{"start c1"},
			want: []container{one("x", "running", "")},
		},
		"it was never touched": {
			there: []container{one("x", "running", "")}, had: units.ForeignContainer{Ran: true},
			want: []container{one("x", "running", "")},
		},
		"the app's container has exited and was not removed": {
			there: []container{one("x.legacy", "exited", ""), ours("exited")}, had: units.ForeignContainer{Ran: true},
			done: []string{removal, "rename c1 x", "start c1"},
			want: []container{one("x", "running", "")},
		},
		"the app's container hangs": {
			there: []container{one("x.legacy", "exited", ""), ours("running")}, had: units.ForeignContainer{Ran: true},
			done: []string{removal, "rename c1 x", "start c1"},
			want: []container{one("x", "running", "")},
		},
		"only the app's own container has its name, not one of another part": {
			there: []container{
				one("x.legacy", "exited", ""), ours("exited"),
				{id: "c3", name: "x.db", state: "running", labels: map[string]string{AppLabel: "x"}},
			},
			done: []string{removal, "rename c1 x"},
			want: []container{one("x", "exited", ""), {id: "c3", name: "x.db", state: "running", labels: map[string]string{AppLabel: "x"}}},
		},
		"another foreign container has its name": {
			there: []container{one("x.legacy", "exited", ""), {id: "c2", name: "x", state: "running"}}, had: units.ForeignContainer{Ran: true},
			done:  []string{"rename c1 x"},
			want:  []container{one("x.legacy", "exited", ""), {id: "c2", name: "x", state: "running"}},
			fails: "that name is already in use",
		},
		"it is removed": {fails: "the container x does not exist any more: another program removed it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPodman(t, tt.there...)
			p.old = tt.old
			tt.had.ID, tt.had.Name = "c1", "x"
			err := p.adopter().Unpark(t.Context(), tt.had)
			p.has(t, tt.want, tt.done, err, tt.fails)
		})
	}
}

// TestRemove: a container is removed by its id, and only if it is down.
func TestRemove(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		there, want []container
		fails       string
	}{
		"it is parked":                   {there: []container{one("x.legacy", "exited", "")}},
		"it is removed":                  {},
		"another container has its name": {there: []container{{id: "c2", name: "x", state: "exited"}}, want: []container{{id: "c2", name: "x", state: "exited"}}},
		"another program has started it": {
			there: []container{one("x.legacy", "running", "")}, want: []container{one("x.legacy", "running", "")},
			fails: "cannot remove a container that runs without force",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPodman(t, tt.there...)
			err := p.adopter().Remove(t.Context(), units.ForeignContainer{ID: "c1", Name: "x"})
			p.has(t, tt.want, []string{"rm --ignore c1"}, err, tt.fails)
		})
	}
}

// TestPodmanFailsHalfWay: whichever command fails, or is the last before archgen is killed, a
// second attempt finishes, and the container can be restored.
func TestPodmanFailsHalfWay(t *testing.T) {
	t.Parallel()
	before := map[string]container{
		"it runs":      one("x", "running", "always"),
		"it is paused": one("x", "paused", "on-failure:3"),
		"it is down":   one("x", "exited", ""),
	}
	for name, c := range before {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			had := units.ForeignContainer{ID: c.id, Name: c.name, Ran: c.state != "exited", Restart: c.restart}
			back, away := c, c
			if had.Ran {
				back.state = "running" // one that was paused, too
			}
			away.name, away.state = "x.legacy", "exited"
			if had.Restart != "" {
				away.restart = "no"
			}
			ended := container{id: "c2", name: "x", state: "exited", labels: map[string]string{AppLabel: "x"}}
			park := func(p *podman) error { return p.adopter().Park(t.Context(), patient, had) }
			unpark := func(p *podman) error { return p.adopter().Unpark(t.Context(), had) }
			halfWay(t, "park, and again", []container{c}, park, park, away)
			halfWay(t, "park, and unpark", []container{c}, park, unpark, back)
			halfWay(t, "unpark, and again", []container{away, ended}, unpark, unpark, back)
		})
	}
}

// halfWay lets one command after the other of do fail, calls then after each failure, and compares
// the containers.
func halfWay(t *testing.T, what string, there []container, do, then func(*podman) error, want container) {
	t.Helper()
	for failing := 1; ; failing++ {
		p, commands := newPodman(t, slices.Clone(there)...), 0
		p.before = func(string) error {
			if commands++; commands == failing {
				return said("the disk is gone")
			}
			return nil
		}
		err := do(p)
		if commands < failing {
			if failing < 4 || err != nil {
				t.Errorf("%s: without a failure there are %d commands and %v", what, commands, err)
			}
			return
		}
		p.before = nil
		if err := then(p); err != nil {
			t.Errorf("%s: after a failure at command %d: %v", what, failing, err)
		}
		if d := cmp.Diff([]container{want}, p.containers, values); d != "" {
			t.Errorf("%s: after a failure at command %d, -want +got:\n%s", what, failing, d)
		}
	}
}

// TestUnparkAPart: the dot in the name of a part is no wildcard.
func TestUnparkAPart(t *testing.T) {
	t.Parallel()
	other := container{id: "c2", name: "x-db", state: "running", labels: map[string]string{AppLabel: "x-db"}}
	p := newPodman(t, one("x.db.legacy", "exited", ""), other)
	err := p.adopter().Unpark(t.Context(), units.ForeignContainer{ID: "c1", Name: "x.db"})
	p.has(t, []container{one("x.db", "exited", ""), other}, []string{"rename c1 x.db"}, err, "")
}
