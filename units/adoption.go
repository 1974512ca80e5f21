package units

import (
	"slices"
	"strings"
)

// ForeignContainer is a container that was there before an app, made by hand or by an
// older orchestrator, and has the name of one of the app's own.
type ForeignContainer struct {
	// ID is Podman's: the container is renamed on the way.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Ran: it ran when it was found, and has to run again where the app does not
	// serve in its place.
	Ran bool `json:"ran,omitempty"`
	// Restart is its restart policy, which it does not have while it is parked.
	Restart string `json:"restart,omitempty"`
}

// ParkedName is its name while it is parked.
func (c ForeignContainer) ParkedName() string { return c.Name + ".legacy" }

// ForeignNames names containers for a person.
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

// Foreign is what stands in the place of an app.
type Foreign struct {
	Containers []ForeignContainer
	// Notes says for a person what becomes of what the containers have.
	Notes []string
	// Err is why they can't be taken over.
	Err error
}

// Adoption is how far an app is with taking the place of containers.
type Adoption struct {
	// Containers is those that are parked, or are about to be, until the app serves
	// in their place.
	Containers []ForeignContainer `json:"containers,omitempty"`
	// Withdrawn is the manifest with which the app did not serve: the containers
	// have their place back, and the app stands back until its manifest changes or
	// a person asks.
	Withdrawn string `json:"withdrawn,omitempty"`
}

// Adoptions is what is known of them, by app. Other than of repairs it is kept
// where what is lost can't be found out again: how containers were.
type Adoptions map[string]Adoption

// Begin notes, before anything is done to them, the containers whose place an
// app is to take. One that is known already stays as it was found first.
func (a Adoptions) Begin(id string, found []ForeignContainer) {
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
	a[id] = Adoption{Containers: list}
}

// Withdraw notes that an app did not serve in the place of its containers.
func (a Adoptions) Withdraw(app App) {
	a[app.ID] = Adoption{Containers: a[app.ID].Containers, Withdrawn: app.ManifestDigest}
}

// StandsBack reports whether an app did, with this manifest or, changed, with
// an earlier one.
func (a Adoptions) StandsBack(app App) (stands, changed bool) {
	digest := a[app.ID].Withdrawn
	return digest != "", digest != app.ManifestDigest
}

// Retry forgets that an app stands back: a person has asked for it.
func (a Adoptions) Retry(id string) { a.keep(id, Adoption{Containers: a[id].Containers}) }

// End notes that the containers of an app are done with.
func (a Adoptions) End(id string) { a.keep(id, Adoption{Withdrawn: a[id].Withdrawn}) }

func (a Adoptions) keep(id string, adoption Adoption) {
	a[id] = adoption
	if len(adoption.Containers) == 0 && adoption.Withdrawn == "" {
		delete(a, id)
	}
}
