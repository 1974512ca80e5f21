package units

import (
	"cmp"
	"maps"
	"slices"
)

// Past is what earlier passes left.
type Past struct {
	History   History
	Adoptions Adoptions
	// Good returns the files with which an app was last verified to serve, none where it
	// never was. It may be nil where that is so for every app.
	Good func(app string) (Set, error)
}

// Basis is what a pass decides by: the desired state as far as earlier passes let it count.
type Basis struct {
	// Desired has the last good files for apps that were rolled back, or whose manifests are
	// invalid, and lacks the apps of Reverted.
	Desired
	// Requested is the apps as they are desired.
	Requested []App
	// Reverted is the apps that did not serve in the place of foreign containers. With
	// their units they would take that place again at the next boot.
	Reverted []App
	// Unfinished is the apps whose files an earlier pass changed that did not come to its
	// end, such as one that was killed.
	Unfinished map[string]bool
	// RolledBack is the apps that have their last good files in place of their manifest's.
	RolledBack []string
	// Past is what earlier passes left, without what a person's request makes void.
	Past Past
}

// BasisOf says what counts of a desired state. It fails where last good files count and can't
// be read.
func BasisOf(want Desired, past Past) (Basis, error) {
	past.History, past.Adoptions = maps.Clone(past.History), maps.Clone(past.Adoptions)
	if past.History == nil {
		past.History = History{}
	}
	b := Basis{Desired: want, Requested: want.Apps, Unfinished: map[string]bool{}, Past: past}
	b.leaveReverted()
	for id, r := range past.History {
		if r.Changed && !b.OutOfScope(id) {
			b.Unfinished[id] = true
		}
	}
	for _, app := range b.Apps {
		if app.Request == Start || app.Request == Restart {
			past.History.Reset(app.ID)
		}
	}
	return b, b.keepGood()
}

// leaveReverted takes apps out that did not serve in the place of foreign containers. One that
// a person asks for takes the place again, and so does one whose manifest changed: a person who
// changes it wants to know whether it serves now.
func (b *Basis) leaveReverted() {
	var apps []App
	for _, app := range b.Apps {
		stands, changed := b.Past.Adoptions.StandsBack(app)
		isAsked := app.Request == Start || app.Request == Restart
		switch {
		case !stands:
			apps = append(apps, app)
		case b.Adopts && (isAsked || changed && app.Request == "" && app.Enabled):
			app.Request = cmp.Or(app.Request, Start)
			b.Past.Adoptions.Retry(app.ID)
			apps = append(apps, app)
		default:
			b.Reverted = append(b.Reverted, app)
		}
	}
	b.Apps = apps
}

// keepGood puts the last good files in place of those of a manifest that was tried and did not
// serve, or that is invalid. While nobody knows whether an app serves with the files that it
// has, one with an invalid manifest is left as it is.
func (b *Basis) keepGood() error {
	for i, app := range b.Apps {
		if !b.Past.History.RolledBack(app) {
			continue
		}
		good, err := b.Past.good(app.ID)
		if err != nil {
			return err
		}
		if len(good) > 0 {
			b.Apps[i] = app.With(good)
			b.RolledBack = append(b.RolledBack, app.ID)
		}
	}
	for _, id := range b.Invalid {
		if b.IsWanted(id) || b.Past.History[id].Changed { // it is to be stopped as it is
			continue
		}
		good, err := b.Past.good(id)
		if err != nil {
			return err
		}
		if len(good) > 0 {
			b.Apps = append(b.Apps, AsRendered(id, good))
		}
	}
	return nil
}

func (p Past) good(app string) (Set, error) {
	if p.Good == nil {
		return nil, nil
	}
	return p.Good(app)
}

// IsWanted reports whether an app is one of those that count.
func (b Basis) IsWanted(app string) bool {
	_, ok := b.Find(app)
	return ok
}

// OutOfScope reports whether the pass is not about an app: nothing of that is touched.
func (b Basis) OutOfScope(app string) bool {
	return !b.IsWanted(app) && (!b.Complete || slices.Contains(b.Invalid, app))
}

// IsInstalled reports whether an app has a manifest, as far as the pass can tell.
func (b Basis) IsInstalled(id string) bool {
	isReverted := slices.ContainsFunc(b.Reverted, func(a App) bool { return a.ID == id })
	return isReverted || b.IsWanted(id) || b.OutOfScope(id)
}

// IsInPlace reports whether an app has the place of foreign containers, and was not verified
// to serve there.
func (b Basis) IsInPlace(id string) bool { return len(b.Past.Adoptions[id].Containers) > 0 }
