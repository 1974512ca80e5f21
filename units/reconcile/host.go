// Package reconcile owns the one operation that changes what runs. Run observes the
// machine and carries out the plan that units.Decide makes: it acquires images and secrets,
// records grants, stops, writes, starts app by app, verifies, and commits a generation. It
// says of an app that it was started only after it was seen to serve.
//
// It never decides what is done or why, and never changes a plan. It reacts to how an app
// fares: one that does not serve after a change gets its earlier files back. It touches the
// machine only through the Host that its caller hands it.
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
	// Health is how a running service was found to be, at once where somebody
	// asks it all the time. Ask asks it now, once, and returns what it said where
	// it does not serve.
	Health, Ask func(ctx context.Context, file units.File, p units.Part, u units.Unit) (units.Health, string)
	// Ran reports whether an app was seen running with the files that it should have,
	// at the end of an earlier pass. Where it is nil, nobody knows of any.
	Ran func(app units.App) bool
	// Foreign takes containers over that were there before us, for which it needs
	// Podman. Where it is nil, an app is not started that has the name of one of
	// ForeignNames, which is asked before a start and may be nil as well.
	Foreign      ForeignContainers
	ForeignNames func() ([]string, error)
	// Config compares configurations. Where it is nil, no app has one.
	Config Config
	// Record gives a file of a directory its content, and makes the directory if needed. It
	// may be nil where no app has anything Unrecorded.
	Record func(dir, name string, content []byte) error
	// Supply gets what an app lacks, for several apps at a time. What takes longer
	// than a pass should goes on without it, and is units.ErrPending until it is
	// there. It may be nil: images come with a start then.
	Supply func(ctx context.Context, app units.App, lack units.Prerequisites) error
	// Now is the time.
	Now func() time.Time
	// StabilizationTime is how long a started app has to stay up before it counts as
	// started: a program that dies seconds after its start did not start.
	StabilizationTime time.Duration
	// WaitTimeout is how long a pass waits for one app. Starting goes on without it.
	WaitTimeout time.Duration
	// Preempt returns what is closed when others are to be looked at than the app, "" for
	// none, that the pass does something to: a pass that waits for an app to start, or to
	// see whether it serves, leaves that to the next one then. It may be nil.
	Preempt func(app string) <-chan struct{}
	// Progress is told of every action before it is done and after. It may be nil.
	Progress func(Event)
}

// Files is the owner of the unit files.
type Files interface {
	// Look says which files are not as they should be, and what all files that are
	// ours are like.
	Look(want units.Set) (found map[string]units.FoundFile, ours units.Set, err error)
	// Lost is those of which nothing is left, as far as that can be seen.
	Lost(want units.Set) units.Set
	// Sync makes them so, and removes those that owns selects; nil selects none.
	Sync(want units.Set, owns func(units.Ownership) bool) error
}

// Services is the owner of systemd. Its errors say what failed and how to mend it.
type Services interface {
	// Observe tells of the named services, and with others of all services of
	// apps that systemd knows. Health is filled in where Podman checks it. Of a unit
	// that gets what an app lacks it tells while systemd knows it.
	Observe(ctx context.Context, services []string, others bool) (map[string]units.Unit, error)
	Reload(ctx context.Context) error
	// Start, Restart and Stop wait for the job. An error is one of the job, too.
	Start(ctx context.Context, service string) error
	// RestartAlone restarts nothing beside the service, Restart also what is PartOf= it.
	Restart(ctx context.Context, service string) error
	RestartAlone(ctx context.Context, service string) error
	Stop(ctx context.Context, service string) error
	// ReloadService has a service read its configuration files again, and waits for the
	// job. It does nothing where the service is not up: its next start reads them.
	ReloadService(ctx context.Context, service string) error
	ResetFailed(ctx context.Context, service string) error
	// Recreate is Restart by way of removing the container by force. ReloadNetwork
	// sets up the network of all containers anew.
	Recreate(ctx context.Context, service string) error
	ReloadNetwork(ctx context.Context) error
	// Log is the last lines that a service wrote.
	Log(ctx context.Context, service string, lines int) []string
	// GeneratorLog is what Podman's generator complained about a file of since then,
	// or, where that is nothing, about others that keep it from reading this one.
	GeneratorLog(ctx context.Context, file string, since time.Time) []string
}

// Store keeps what outlives a pass.
type Store interface {
	// Lock keeps other passes out until unlock is called. It waits for a while;
	// its error names the holder.
	Lock(ctx context.Context) (unlock func(), err error)
	History() (units.History, error)
	SaveHistory(units.History) error
	// Adoptions is which containers make way for apps, or have their place back.
	Adoptions() (units.Adoptions, error)
	SaveAdoptions(units.Adoptions) error
	// Good is the files of the newest generation: of each app those with which it was
	// last verified to serve, none of one that was removed.
	Good() (units.Set, error)
	// Commit keeps a set whose apps were verified, and why it came to be.
	Commit(set units.Set, reason string) error
}

// Event is an action that begins or has ended.
type Event struct {
	units.Action
	// Ended is false before the action is done. Err is why it failed.
	Ended bool
	Err   error
	// Detail is what is waited for, while it goes on.
	Detail string
}
