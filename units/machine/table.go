package machine

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// Table keeps the services of all apps between the passes of a daemon. A service is read again if
// systemd sent a signal about it, and after maxAge. Of its container, the control group is read each
// time unless it is watched, and the result of the health check, as well as the times of its unit's
// files.
//
// It is only for the begin of a pass over all apps, and for one goroutine: what a pass asks about
// apps that it has changed is always read.
type Table struct {
	mu    sync.Mutex
	began time.Time
	rows  map[string]*row
	// unchanged is what is known of the files of services.
	unchanged *unchanged
	// watched is the control groups whose changes are reported to Touch.
	watched map[string]string
}

// row is a service as it was read.
type row struct {
	state units.Unit
	at    time.Time
	// container is empty if none runs.
	container podman.Running
	// isFollowed: since the container was read, each change of its control group is reported.
	isFollowed bool
	// listed is its short form. isForgotten: systemd had not loaded the unit.
	listed      systemd.Listed
	isForgotten bool
}

// maxAge is shorter than the time between two resyncs of a daemon. It bounds how long a change goes
// unnoticed that leaves no trace, such as one of a file while the clock was wrong.
const maxAge = 4 * time.Minute

// observe is Observe of all services, and reads only those that may have changed.
func (t *Table) observe(ctx context.Context, s Services, names []string) (map[string]units.Unit, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	marks, isKnown, err := s.Manager.Changes(ctx)
	if err != nil {
		return nil, err
	}
	isOld := time.Since(t.began) > maxAge
	if !isKnown || isOld {
		t.rows, t.unchanged, t.began = map[string]*row{}, newUnchanged(), time.Now()
	}
	isChanged, moving := t.forget(marks), t.moving()
	isWhole := isChanged || !t.has(names) || slices.ContainsFunc(moving, isPull)
	for _, name := range moving {
		delete(t.rows, name)
	}
	switch {
	case isWhole:
		err = t.read(ctx, s, names)
	case len(moving) > 0: // one that has restarted is for hours: the others need not be listed each time
		err = t.reread(ctx, s, moving)
	}
	if err != nil {
		return nil, err
	}
	found := make(map[string]units.Unit, len(t.rows))
	var loaded []string
	for name, r := range t.rows {
		found[name] = t.now(r)
		if r.listed.LoadState == "loaded" && !r.isForgotten {
			loaded = append(loaded, name)
		}
	}
	return found, s.addReloads(ctx, found, loaded, isOld, t.unchanged)
}

// forget removes the services that may have changed, and reports whether there are any.
func (t *Table) forget(marks map[string]systemd.Mark) (isChanged bool) {
	for name, mark := range marks {
		r, isThere := t.rows[name]
		switch {
		case units.AppOf(name) == "" && !isPull(name):
		case mark == systemd.Reread && isThere && r.isForgotten: // a look at the unit causes it
		default:
			delete(t.rows, name)
			isChanged = true
		}
	}
	return isChanged
}

// moving is the services that may have changed without a signal.
func (t *Table) moving() (names []string) {
	for name, r := range t.rows {
		if !r.isAtRest() {
			names = append(names, name)
		}
	}
	return names
}

// isAtRest reports whether every change of the service causes a signal.
func (r *row) isAtRest() bool {
	switch {
	case r.state.Job != "" || r.listed.JobID != 0:
		return false
	case r.state.Restarts > 0: // systemd sends no signal when an operator resets the count
		return false
	case r.state.Active == units.Active:
		return r.container.ID != "" || r.state.Run.Exited
	}
	return r.state.Active == units.Inactive || r.state.Active == units.Failed
}

// has reports whether the table has all services. A pull unit that is not loaded has no row.
func (t *Table) has(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		_, isThere := t.rows[name]
		return !isThere && !isPull(name)
	})
}

// read reads the services that the table lacks.
func (t *Table) read(ctx context.Context, s Services, names []string) error {
	listed, forgotten, err := s.listed(ctx, names, true)
	if err != nil {
		return err
	}
	inShort := make(map[string]systemd.Listed, len(listed)+len(forgotten))
	for _, u := range slices.Concat(listed, forgotten) {
		inShort[u.Name] = u
	}
	for name, r := range t.rows {
		if inShort[name] != r.listed {
			delete(t.rows, name)
		}
	}
	isKnown := func(u systemd.Listed) bool {
		_, isThere := t.rows[u.Name]
		return isThere
	}
	return t.add(ctx, s, slices.DeleteFunc(listed, isKnown), slices.DeleteFunc(forgotten, isKnown))
}

// reread reads services that systemd has loaded.
func (t *Table) reread(ctx context.Context, s Services, names []string) error {
	listed, err := s.Manager.List(ctx, names...)
	if err != nil {
		return err
	}
	return t.add(ctx, s, listed, nil)
}

// add reads listed services into the table.
func (t *Table) add(ctx context.Context, s Services, listed, forgotten []systemd.Listed) error {
	at := time.Now()
	found, err := s.read(ctx, listed, forgotten)
	if err != nil {
		return err
	}
	for i, u := range slices.Concat(listed, forgotten) {
		if f, isThere := found[u.Name]; isThere {
			t.rows[u.Name] = &row{state: f.State, at: at, container: f.Container, listed: u, isForgotten: i >= len(listed)}
		}
	}
	return nil
}

// now is the service now.
func (t *Table) now(r *row) units.Unit {
	u := r.state
	if u.Up > 0 {
		u.Up += time.Since(r.at)
	}
	if r.container.ID == "" {
		return u
	}
	var container podman.Running
	var err error
	if r.isFollowed {
		container, err = r.container.Checked("/")
	} else {
		_, isWatched := t.watched[r.container.Payload]
		container, err = r.container.Again("/")
		r.isFollowed = isWatched && !container.Ended && !container.Paused
	}
	r.container = fill(&u, container, err)
	return u
}

// Watch records the control groups, by path with their apps, whose changes are reported to Touch from
// now on. A container that has ended or is paused is read each time all the same.
func (t *Table) Watch(groups map[string]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.rows {
		r.isFollowed = r.isFollowed && groups[r.container.Payload] != ""
	}
	t.watched = groups
}

// Touch has the services of an app read again.
func (t *Table) Touch(app string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.rows, func(name string, _ *row) bool { return units.AppOf(name) == app })
}

// clear has all services read again.
func (t *Table) clear() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.rows)
}
