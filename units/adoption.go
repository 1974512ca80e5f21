package units

import (
	"slices"
	"strings"
)

// ForeignContainer is a container that archgen did not make, from before the app was installed,
// and that has the name of one of the app's containers.
type ForeignContainer struct {
	// ID is Podman's id. The name changes during an adoption.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Ran: it ran when archgen found it, and is started again if the app does not serve.
	Ran bool `json:"ran,omitempty"`
	// Restart is its restart policy, which is switched off while it is parked.
	Restart string `json:"restart,omitempty"`
}

// ParkedName is its name while it is parked.
func (c ForeignContainer) ParkedName() string { return c.Name + ".legacy" }

// ParkAction parks the container for an app, RemoveAction removes it once the app serves, and
// UnparkAction restores it if the app does not.
func (c ForeignContainer) ParkAction(app string) Action {
	return Action{App: app, Kind: Adopt, Target: c.Name, Reason: ReasonLegacy}
}

// RemoveAction is described at ParkAction.
func (c ForeignContainer) RemoveAction(app string) Action {
	return Action{App: app, Kind: Remove, Target: c.ParkedName(), Reason: ReasonAdopted}
}

// UnparkAction is described at ParkAction.
func (c ForeignContainer) UnparkAction(app string) Action {
	return Action{App: app, Kind: Restore, Target: c.Name, Reason: ReasonRolledBack}
}

// ForeignNames lists containers in a message.
func ForeignNames(list []ForeignContainer) string {
	all := make([]string, 0, len(list))
	for _, c := range list {
		all = append(all, c.Name)
	}
	if len(all) == 1 {
		return "the container " + all[0]
	}
	return "the containers " + strings.Join(all, ", ")
}

// Foreign is the foreign containers that have the names of an app's containers.
type Foreign struct {
	Containers []ForeignContainer
	// Notes tells the operator what an adoption does with the mounts of the containers.
	Notes []string
	// Err is why archgen can't adopt them.
	Err error
}

// Adoption is the state of the adoption of an app's foreign containers.
type Adoption struct {
	// Containers is those that are parked or about to be. They are removed once the app serves.
	Containers []ForeignContainer `json:"containers,omitempty"`
	// Withdrawn is the digest of the manifest with which the app did not serve. Its containers are
	// restored, and the app is skipped until its manifest changes or an operator requests it.
	Withdrawn string `json:"withdrawn,omitempty"`
}

// Adoptions is the adoptions by app. They are stored durably, because the original state of a
// container can't be found out again.
type Adoptions map[string]Adoption

// Begin records the containers that an app is about to replace, before anything is done to them.
func (a Adoptions) Begin(id string, found []ForeignContainer) {
	a[id] = Adoption{Containers: a.with(id, found)}
}

// with is the containers of an app with those that were found. A container that is recorded already
// keeps its first record.
func (a Adoptions) with(id string, found []ForeignContainer) []ForeignContainer {
	list := slices.Clone(a[id].Containers)
	for _, c := range found {
		i := slices.IndexFunc(list, func(o ForeignContainer) bool { return o.Name == c.Name })
		switch {
		case i < 0:
			list = append(list, c)
		case list[i].ID != c.ID:
			list[i] = c
		}
	}
	return list
}

// Withdraw records that an app did not serve when it replaced its foreign containers.
func (a Adoptions) Withdraw(app App) {
	a[app.ID] = Adoption{Containers: a[app.ID].Containers, Withdrawn: app.ManifestDigest}
}

// StandsBack reports whether the adoption of an app was reverted, and whether its manifest changed
// since.
func (a Adoptions) StandsBack(app App) (stands, changed bool) {
	digest := a[app.ID].Withdrawn
	return digest != "", digest != app.ManifestDigest
}

// Retry lets an app adopt again: an operator requests it.
func (a Adoptions) Retry(id string) { a.keep(id, Adoption{Containers: a[id].Containers}) }

// End records that the containers of an app are removed or restored.
func (a Adoptions) End(id string) { a.keep(id, Adoption{Withdrawn: a[id].Withdrawn}) }

func (a Adoptions) keep(id string, adoption Adoption) {
	a[id] = adoption
	if len(adoption.Containers) == 0 && adoption.Withdrawn == "" {
		delete(a, id)
	}
}
