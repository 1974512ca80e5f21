package install

import (
	"slices"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/rights"
)

// Request is the rights that an app asks for, and its grants.
type Request struct {
	App *App
	// IsOfCatalog: the manifest is from archgen's own catalog. Such an app has the rights that
	// it asks for, except those that were revoked.
	IsOfCatalog bool

	list    []rights.Right
	granted rights.Grants
}

// Requests is the requests of the apps, with the grants of allow, and the grants of allow
// that no app needs. The grants are written with the manifests.
func (s *Staged) Requests(allow []string) (list []*Request, unused []string) {
	unused = slices.Clone(allow)
	for _, a := range s.in.Apps {
		r := s.request(a)
		missing := r.Missing()
		unused = slices.DeleteFunc(unused, func(grant string) bool { return rights.ListsAny(grant, missing) })
		r.grant(slices.DeleteFunc(missing, func(m rights.Right) bool { return !rights.Lists(allow, m.ID) }))
		list = append(list, r)
	}
	return list, unused
}

// request is the request of an app. An app of our own catalog has the rights that it asks
// for, except those that were revoked. So has an installed app without a file of grants. An app of
// another catalog has those of them that the operator lets all apps of the catalog have.
func (s *Staged) request(a *App) *Request {
	grants := s.Loaded.Grants[a.ID]
	r := &Request{
		App: a, IsOfCatalog: s.IsOfCatalog(a.ID),
		list: s.Rights[a.ID], granted: rights.Grants{App: grants.Allow, All: s.Settings.Allow},
	}
	missing := r.Missing()
	if isWritten := grants.File != ""; isWritten && a.before != nil {
		missing = rights.Without(missing, alone(a.before)) // what it lacks of those was revoked
	}
	switch {
	case r.IsOfCatalog:
		r.grant(missing)
	case a.Text == nil && s.Unrecorded[a.ID] != nil:
		r.Grant()
	default:
		r.grant(slices.DeleteFunc(missing, func(m rights.Right) bool { return !rights.Lists(a.Allow, m.ID) }))
	}
	return r
}

// Missing is the rights that are not granted.
func (r *Request) Missing() []rights.Right { return r.granted.Missing(r.list) }

// Grant grants the app the missing rights.
func (r *Request) Grant() { r.grant(r.Missing()) }

func (r *Request) grant(list []rights.Right) {
	if len(list) == 0 {
		return
	}
	r.granted.App = slices.Concat(r.granted.App, rights.GrantsFor(list))
	r.App.grants = r.granted.App
}

// Further is the rights beyond the safe set of a new app, or those that a new manifest adds.
func (r *Request) Further() []rights.Granted {
	list := rights.Beyond(r.list)
	if r.App.before != nil {
		list = rights.Without(list, alone(r.App.before))
	}
	further := make([]rights.Granted, 0, len(list))
	for _, x := range list {
		further = append(further, rights.Granted{Right: x, Granted: r.granted.OriginIn(r.list, x.ID)})
	}
	return further
}

// alone is the rights of a manifest beyond the safe set, each ID once, without regard to
// other apps.
func alone(m *manifests.Manifest) []rights.Right {
	set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
	return rights.Beyond(rights.Of(set.Apps[0]))
}
