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
	// Good returns the last-good files of an app, none if it was never verified to serve. It is
	// nil if no app was.
	Good func(app string) (Set, error)
	// DataFormat returns the format of an app's data, 0 if it is unknown. It is nil if no app has
	// one.
	DataFormat func(app string) (int, error)
	// IsDataSaved reports whether an update is under way that has saved the data of an app. It decides itself
	// which files the app has, and with which data. It is nil if there is none.
	IsDataSaved func(app string) (bool, error)
}

// Basis is what a pass decides from: the desired state, corrected by what earlier passes found.
type Basis struct {
	// Desired has the last-good files of apps that were rolled back or have an invalid manifest.
	// It lacks the apps of Reverted.
	Desired
	// Reverted is the apps whose adoption was reverted. If their units stayed, they would replace
	// the foreign containers again at the next boot.
	Reverted []App
	// Unfinished is the apps whose files an earlier pass changed without finishing, for example
	// because it was killed.
	Unfinished map[string]bool
	// RolledBack is the apps that have their last-good files instead of those of the manifest.
	RolledBack []string
	// Past is what earlier passes left, without what an operator's request cancels.
	Past Past
}

// BasisOf corrects a desired state by what earlier passes left. It fails if it needs last-good
// files and can't read them.
func BasisOf(want Desired, past Past) (Basis, error) {
	past.Adoptions = maps.Clone(past.Adoptions)
	if past.History == nil {
		past.History = History{}
	}
	b := Basis{Desired: want, Unfinished: map[string]bool{}, Past: past}
	b.leaveReverted()
	for id, r := range past.History {
		if r.Changed && !b.OutOfScope(id) {
			b.Unfinished[id] = true
		}
	}
	b.Past.History = past.History.withoutRequested(b.Apps)
	return b, b.keepGood()
}

// leaveReverted removes the apps whose adoption was reverted. An operator's request and a changed
// manifest retry the adoption: an operator who changes the manifest wants to know whether the app
// serves now.
func (b *Basis) leaveReverted() {
	apps := make([]App, 0, len(b.Apps))
	for _, app := range b.Apps {
		stands, changed := b.Past.Adoptions.StandsBack(app)
		isAsked := app.isStartAsked()
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

// keepGood uses the last-good files for a manifest that did not serve or is invalid. An app with
// an invalid manifest stays as it is while it is not known whether it serves with its files.
func (b *Basis) keepGood() error {
	for i, app := range b.Apps {
		if !b.Past.History.RolledBack(app) {
			continue
		}
		isSaved, err := b.Past.isDataSaved(app.ID)
		if err != nil {
			return err
		}
		if isSaved {
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
		if b.IsWanted(id) || b.Past.History[id].Changed { // it is stopped with the files that it has
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

func (p Past) isDataSaved(app string) (bool, error) {
	if p.IsDataSaved == nil {
		return false, nil
	}
	return p.IsDataSaved(app)
}

func (p Past) good(app string) (Set, error) {
	if p.Good == nil {
		return nil, nil
	}
	return p.Good(app)
}

// IsWanted reports whether the desired state has an app.
func (b Basis) IsWanted(app string) bool {
	_, ok := b.Find(app)
	return ok
}

// OutOfScope reports whether the pass must leave an app alone.
func (b Basis) OutOfScope(app string) bool {
	return !b.IsWanted(app) && (!b.Complete || slices.Contains(b.Invalid, app))
}

// IsInstalled reports whether an app has a manifest, as far as the pass knows.
func (b Basis) IsInstalled(id string) bool {
	isReverted := slices.ContainsFunc(b.Reverted, func(a App) bool { return a.ID == id })
	return isReverted || b.IsWanted(id) || b.OutOfScope(id)
}

// IsInPlace reports whether the app has replaced foreign containers and was not yet verified to
// serve.
func (b Basis) IsInPlace(id string) bool { return len(b.Past.Adoptions[id].Containers) > 0 }
