package statedir

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
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
	trialsDir    = "trials"
	keptDir      = "snapshots"
	journalFile  = "journal.json"
	refusedFile  = "refused.json"
	seenFile     = "seen.json"
	tagsFile     = "tags.json"
	updatesLock  = "updates"
	updatesGrace = 100 * time.Millisecond
)

func (s Store) updates() string { return filepath.Join(s.State, updatesDir) }

// Origin returns the release that an app was installed from, nil if that is not recorded.
//
// One that was recorded by an earlier archgen has no files.
func (s Store) Origin(app string) (*update.Release, error) {
	return stored[update.Release](filepath.Join(s.State, originsDir), app+".json", "archgen install "+app+" writes it again")
}

// Origins returns the apps whose origins are recorded.
func (s Store) Origins() (apps map[string]bool, err error) {
	names, err := durable.Names(filepath.Join(s.State, originsDir))
	apps = make(map[string]bool, len(names))
	for _, name := range names {
		apps[strings.TrimSuffix(name, ".json")] = true
	}
	return apps, err
}

// SaveOrigin stores the release that an app was installed from.
func (s Store) SaveOrigin(app string, r update.Release) error {
	return save(filepath.Join(s.State, originsDir), app+".json", r)
}

// EarlierRelease returns the release that an app had before its last update, nil if there is none.
func (s Store) EarlierRelease(app string) (*update.Earlier, error) {
	return stored[update.Earlier](filepath.Join(s.updates(), earlierDir), app+".json", "without it the last update can't be undone")
}

// SaveEarlierRelease stores the release that an app had before its last update, or with nil that there
// is none.
func (s Store) SaveEarlierRelease(app string, r *update.Earlier) error {
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
		errs = append(errs, durable.Remove(filepath.Join(s.State, originsDir), app+".json"), s.SaveEarlierRelease(app, nil), s.EndTrial(app))
	}
	return errors.Join(errs...)
}

// UpdateJournal returns the update that has begun and not ended, nil without one.
func (s Store) UpdateJournal() (*update.Journal, error) {
	return stored[update.Journal](s.updates(), journalFile, "the installed manifests are whole without it: remove it, then run archgen apply")
}

// IsDataSaved reports whether an update is under way that has saved the data of an app.
func (s Store) IsDataSaved(app string) (bool, error) {
	j, err := s.UpdateJournal()
	return j != nil && j.App == app && len(j.Saved) > 0, err
}

// SaveUpdateJournal stores the update that has begun, or with nil that there is none.
func (s Store) SaveUpdateJournal(j *update.Journal) error {
	if j == nil {
		return durable.Remove(s.updates(), journalFile)
	}
	return save(s.updates(), journalFile, j)
}

// Trials returns the updates whose releases are on trial, by app.
func (s Store) Trials() ([]*update.Journal, error) {
	list, err := allStored[update.Journal](s.trials(), trialMend)
	return slices.DeleteFunc(list, func(j *update.Journal) bool { return j.Trial == nil }), err
}

// trialMend is what to do about a damaged record of a trial.
const trialMend = "remove it to end the trial"

// TrialEnds returns when the trials of releases end, by app.
func (s Store) TrialEnds() (map[string]time.Time, error) {
	list, err := s.Trials()
	ends := make(map[string]time.Time, len(list))
	for _, j := range list {
		ends[j.App] = j.Trial.Until
	}
	return ends, err
}

// Trial returns the update of an app whose release is on trial, nil without one.
func (s Store) Trial(app string) (*update.Journal, error) {
	j, err := stored[update.Journal](s.trials(), app+".json", trialMend)
	if err == nil && j != nil && j.Trial == nil {
		j = nil
	}
	return j, err
}

// SaveTrial stores an update whose release is on trial.
func (s Store) SaveTrial(j *update.Journal) error { return save(s.trials(), j.App+".json", j) }

// EndTrial removes what SaveTrial stored.
func (s Store) EndTrial(app string) error { return durable.Remove(s.trials(), app+".json") }

func (s Store) trials() string { return filepath.Join(s.updates(), trialsDir) }

// KeptSnapshots returns the snapshots of updates that ended well, by app.
func (s Store) KeptSnapshots() ([]*update.Kept, error) {
	return allStored[update.Kept](s.kept(), keptMend)
}

// keptMend is what to do about a damaged record of snapshots.
const keptMend = "remove it; the snapshots stay until the next update that saves the data"

// KeptSnapshot returns the snapshots of the last update of an app, nil without any.
func (s Store) KeptSnapshot(app string) (*update.Kept, error) {
	return stored[update.Kept](s.kept(), app+".json", keptMend)
}

// SaveKeptSnapshot stores that the snapshots of an update are kept.
func (s Store) SaveKeptSnapshot(k update.Kept) error { return save(s.kept(), k.App+".json", k) }

// ForgetKeptSnapshot removes what SaveKeptSnapshot stored.
func (s Store) ForgetKeptSnapshot(app string) error { return durable.Remove(s.kept(), app+".json") }

func (s Store) kept() string { return filepath.Join(s.updates(), keptDir) }

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

// Tags returns what registries said last of images, by the images without their digests. A damaged record
// counts as none: it decides nothing.
func (s Store) Tags() map[string]update.Tags {
	tags, err := stored[map[string]update.Tags](s.updates(), tagsFile, "")
	if err != nil || tags == nil || *tags == nil {
		return map[string]update.Tags{}
	}
	return *tags
}

// SaveTags stores what registries said of images.
func (s Store) SaveTags(tags map[string]update.Tags) error { return save(s.updates(), tagsFile, tags) }

// LockUpdates locks out other updates until unlock is called. Its error wraps *durable.HeldError if
// another update takes too long.
func (s Store) LockUpdates(ctx context.Context) (unlock func(), err error) {
	return durable.LockDir(ctx, filepath.Join(s.Runtime, updatesLock), lockTimeout)
}

// LockIdleUpdates locks out other updates until unlock is called. It returns nil at once if there is
// nothing to continue, neither an update that has begun nor a release on trial nor snapshots, or another
// process is at work on them.
func (s Store) LockIdleUpdates(ctx context.Context) (unlock func(), err error) {
	j, err := s.UpdateJournal()
	if err != nil {
		return nil, err
	}
	trials, err := durable.Names(s.trials())
	if err != nil {
		return nil, err
	}
	if kept, err := durable.Names(s.kept()); err != nil || j == nil && len(trials)+len(kept) == 0 {
		return nil, err
	}
	unlock, err = durable.LockDir(ctx, filepath.Join(s.Runtime, updatesLock), updatesGrace)
	if _, isHeld := errors.AsType[*durable.HeldError](err); isHeld {
		return nil, nil
	}
	return unlock, err
}
