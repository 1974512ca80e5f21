package statedir

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/update"
)

// The files about updates. A file of an app is in a directory of its own kind, because an id may be any
// of the other names.
const (
	originsDir   = "origins"
	updatesDir   = "updates"
	earlierDir   = "earlier"
	journalFile  = "journal.json"
	refusedFile  = "refused.json"
	seenFile     = "seen.json"
	updatesLock  = "updates"
	updatesGrace = 100 * time.Millisecond
)

func (s Store) updates() string { return filepath.Join(s.State, updatesDir) }

// Origin returns the release that an app was installed from, nil if that is not recorded.
func (s Store) Origin(app string) (*update.Origin, error) {
	return stored[update.Origin](filepath.Join(s.State, originsDir), app+".json", "archgen install "+app+" writes it again")
}

// SaveOrigin stores the release that an app was installed from.
func (s Store) SaveOrigin(app string, o update.Origin) error {
	return save(filepath.Join(s.State, originsDir), app+".json", o)
}

// EarlierRelease returns the release that an app had before its last update, nil if there is none.
func (s Store) EarlierRelease(app string) (*update.Release, error) {
	return stored[update.Release](filepath.Join(s.updates(), earlierDir), app+".json", "without it the last update can't be undone")
}

// SaveEarlierRelease stores the release that an app had before its last update, or with nil that there
// is none.
func (s Store) SaveEarlierRelease(app string, r *update.Release) error {
	dir := filepath.Join(s.updates(), earlierDir)
	if r == nil {
		return durable.Remove(dir, app+".json")
	}
	return save(dir, app+".json", r)
}

// ForgetUpdates removes what is stored about the releases of apps that are removed.
func (s Store) ForgetUpdates(apps []string) error {
	errs := make([]error, 0, len(apps))
	for _, app := range apps {
		errs = append(errs, durable.Remove(filepath.Join(s.State, originsDir), app+".json"), s.SaveEarlierRelease(app, nil))
	}
	return errors.Join(errs...)
}

// UpdateJournal returns the update that has begun and not ended, nil without one.
func (s Store) UpdateJournal() (*update.Journal, error) {
	return stored[update.Journal](s.updates(), journalFile, "the installed manifests are whole without it: remove it, then run archgen apply")
}

// SaveUpdateJournal stores the update that has begun, or with nil that there is none.
func (s Store) SaveUpdateJournal(j *update.Journal) error {
	if j == nil {
		return durable.Remove(s.updates(), journalFile)
	}
	return save(s.updates(), journalFile, j)
}

// Refused returns the releases that were rolled back.
func (s Store) Refused() (update.Refused, error) {
	r, err := stored[update.Refused](s.updates(), refusedFile, "remove it; every release is tried again then")
	if err != nil || r == nil || *r == nil {
		return update.Refused{}, err
	}
	return *r, nil
}

// SaveRefused stores the releases that were rolled back.
func (s Store) SaveRefused(r update.Refused) error { return save(s.updates(), refusedFile, r) }

// Seen returns when this machine first saw releases. Damaged records count as none: the releases wait
// once more.
func (s Store) Seen() update.Seen {
	seen, err := stored[update.Seen](s.updates(), seenFile, "")
	if err != nil || seen == nil || *seen == nil {
		return update.Seen{}
	}
	return *seen
}

// SaveSeen stores when this machine first saw releases.
func (s Store) SaveSeen(seen update.Seen) error { return save(s.updates(), seenFile, seen) }

// LockUpdates locks out other updates until unlock is called. Its error wraps *durable.HeldError if
// another update takes too long.
func (s Store) LockUpdates(ctx context.Context) (unlock func(), err error) {
	return durable.LockDir(ctx, filepath.Join(s.Runtime, updatesLock), lockTimeout)
}

// AbandonedUpdate returns an update that no process is at work on, nil without one. Until unlock is
// called, no other process continues it.
func (s Store) AbandonedUpdate(ctx context.Context) (j *update.Journal, unlock func(), err error) {
	if j, err = s.UpdateJournal(); err != nil || j == nil {
		return nil, nil, err
	}
	unlock, err = durable.LockDir(ctx, filepath.Join(s.Runtime, updatesLock), updatesGrace)
	if _, isHeld := errors.AsType[*durable.HeldError](err); isHeld {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if j, err = s.UpdateJournal(); err != nil || j == nil { // it ended meanwhile
		unlock()
		return nil, nil, err
	}
	return j, unlock, nil
}
