// Package reconcile owns the one operation that changes the running apps. Run observes the machine
// and carries out the plan that units.Decide makes: it acquires images and secrets, records
// grants, stops, writes, starts app by app, verifies, and commits a generation. It reports an app
// as started only after it verified that the app serves.
//
// It never decides which actions are needed or why, and never changes a plan. It reacts to the
// outcome of the actions: an app that does not serve after a change returns to its previous files.
// It uses the machine only through the Host of its caller.
package reconcile

import (
	"context"
	"time"

	"github.com/archipelago-os/archipelago/units"
)

// Host is the machine as a pass needs it.
type Host struct {
	Files    Files
	Services Services
	Store    Store
	// Health is the health of a running service. It does not block if a prober asks continuously.
	// Ask probes the service once, now, and returns its answer if it does not serve.
	Health, Ask func(ctx context.Context, file units.File, p units.Part, u units.Unit) (units.Health, string)
	// Ran reports whether an app was seen running with its desired files at the end of an earlier
	// pass. It may be left out: then no app was.
	Ran func(app units.App) bool
	// Foreign adopts foreign containers, for which it needs Podman. A host without Podman has
	// RefuseForeign. If it is left out, a pass does not look for foreign containers.
	Foreign ForeignContainers
	// Config compares configurations. It may be left out if no app has one.
	Config Config
	// Record writes a file in a directory, which it creates if needed. It may be left out if no app
	// is Unrecorded.
	Record func(dir, name string, content []byte) error
	// Supply acquires what an app lacks. It is called for several apps at a time. Work that takes
	// longer than a pass may take continues in the background, and Supply returns units.ErrPending
	// until it is finished. It may be left out: then a start pulls images.
	Supply func(ctx context.Context, app units.App, lack units.Prerequisites) error
	// Now returns the time.
	Now func() time.Time
	// StabilizationTime is how long a started app has to stay up before it counts as started: a
	// program that exits seconds after its start did not start.
	StabilizationTime time.Duration
	// WaitTimeout is how long a pass waits for one app. The start continues without it.
	WaitTimeout time.Duration
	// Detach: the pass ends for an app when the app serves. A later pass verifies that it stays up
	// for StabilizationTime, and rolls it back otherwise.
	Detach bool
	// Preempt returns a channel that is closed when an app other than the given one, "" for none,
	// has to be checked. A pass that waits for a start or verifies an app then leaves that to the
	// next one. It may be left out: then nothing preempts a pass.
	Preempt func(app string) <-chan struct{}
	// Hinted returns a channel that receives when a service of an app may have changed. A pass that
	// watches a started app then observes it, and does not watch an app further that has exited. It may
	// be left out: then a pass observes the app at the end of that time only.
	Hinted func(app string) <-chan struct{}
	// Losses waits until unit files may have been lost, and returns them. It returns none once ctx
	// has ended. It may be left out: then a pass restores lost files only when it begins.
	Losses func(ctx context.Context) []Loss
	// Progress is called before and after every action. It may be left out.
	Progress func(Event)
	// Limit returns the limit of the machine on which the last start of a service failed, and Room
	// how many more containers fit each limit. They may be left out: then no limit is known.
	Limit func(service string, u units.Unit) units.Limit
	Room  func() map[units.Limit]int
	// Starts is called with the apps of which a pass starts a service that is down, before it acts,
	// and with the services as they are. It may be left out.
	Starts func(apps []units.App, found map[string]units.Unit)
	// Create creates the networks and volumes of apps of which a pass starts a service that is down. It
	// may be left out, and leave out any: the units of the others create them.
	Create func(ctx context.Context, apps []units.App)
}

// Files is the owner of the unit files.
type Files interface {
	// Look returns the files that are not as they should be, and the content of all files of ours.
	Look(want units.Set) (found map[string]units.FoundFile, ours units.Set, err error)
	// Lost returns the wanted files that are missing, as far as that can be seen without a lock.
	Lost(want units.Set) units.Set
	// Restore writes the wanted files. It looks at no others.
	Restore(want units.Set) error
	// Sync writes the wanted files, and removes those of ours that owns selects; nil selects none.
	Sync(want units.Set, owns func(units.Ownership) bool) error
}

// Services is the owner of systemd. Its errors say what failed and how to fix it.
type Services interface {
	// Observe returns the named services, and with others all services of apps that systemd knows.
	// Health is set if Podman checks it. A unit that acquires what an app lacks is included while
	// systemd knows it.
	Observe(ctx context.Context, services []string, others bool) (map[string]units.Unit, error)
	// HasUnits reports of which of the named services systemd has a unit. It costs less than Observe.
	HasUnits(ctx context.Context, services []string) (map[string]bool, error)
	Reload(ctx context.Context) error
	// Start, Restart and Stop wait for the job. Its failure is an error.
	Start(ctx context.Context, service string) error
	// RestartAlone restarts only the service, Restart also the units that are PartOf= it.
	Restart(ctx context.Context, service string) error
	RestartAlone(ctx context.Context, service string) error
	Stop(ctx context.Context, service string) error
	// ReloadService makes a service read its configuration files again, and waits for the job. It
	// does nothing if the service is down: its next start reads them.
	ReloadService(ctx context.Context, service string) error
	ResetFailed(ctx context.Context, service string) error
	// Recreate is Restart, but removes the container by force. ReloadNetwork sets up the network
	// of all containers again.
	Recreate(ctx context.Context, service string) error
	ReloadNetwork(ctx context.Context) error
	// Log returns the last lines that a service wrote.
	Log(ctx context.Context, service string, lines int) []string
	// GeneratorLog returns the messages of Podman's generator about a file since then, or, if
	// there are none, about files that keep it from reading this one.
	GeneratorLog(ctx context.Context, file string, since time.Time) []string
}

// Store stores what outlives a pass.
type Store interface {
	// Lock keeps other passes out until unlock is called. It waits up to a timeout; its error
	// names the holder.
	Lock(ctx context.Context) (unlock func(), err error)
	History() (units.History, error)
	SaveHistory(units.History) error
	// Adoptions returns the adoptions of foreign containers.
	Adoptions() (units.Adoptions, error)
	SaveAdoptions(units.Adoptions) error
	// Good returns the files of the newest generation: the last-good files of each app that is
	// still installed.
	Good() (units.Set, error)
	// DataFormat returns the format of an app's data, 0 if it is unknown.
	DataFormat(app string) (int, error)
	// IsDataSaved reports whether an update is under way that has saved the data of an app.
	IsDataSaved(app string) (bool, error)
	// Commit stores a generation of verified files, with its reason.
	Commit(set units.Set, reason string) error
}

// Event is the begin or the end of an action.
type Event struct {
	units.Action
	// Ended is false before the action is carried out. Err is why it failed.
	Ended bool
	Err   error
	// Detail is what the action waits for, while it runs.
	Detail string
	// Watched is not zero when the app serves: for so long the pass still watches whether it
	// stays up. Such an event has no action.
	Watched time.Duration
}
