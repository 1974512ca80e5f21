package install

import (
	"slices"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/rights"
)

// Request is what an app asks for and has.
type Request struct {
	App *App
	// IsOfCatalog: the manifest is that of archgen's own catalog, which has what it asks
	// for, except what was revoked.
	IsOfCatalog bool

	list    []rights.Right
	granted rights.Grants
}

// Requests is what the apps ask for, with what allow grants them, and those of allow that
// no app needs. The grants are written with the manifests.
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

// request is what an app asks for and has. An app of our own catalog has what it asks for,
// except what was revoked. So has an installed app whose rights no file records yet.
func (s *Staged) request(a *App) *Request {
	grants := s.Loaded.Grants[a.ID]
	r := &Request{
		App: a, IsOfCatalog: s.IsOfCatalog(a.ID),
		list: s.Rights[a.ID], granted: rights.Grants{App: grants.Allow, All: s.Settings.Allow},
	}
	switch isWritten := grants.File != ""; {
	case r.IsOfCatalog && isWritten && a.before != nil:
		r.grant(rights.Without(r.Missing(), alone(a.before)))
	case r.IsOfCatalog, a.Text == nil && s.Unrecorded[a.ID] != nil:
		r.Grant()
	}
	return r
}

// Missing is the rights that nobody has granted.
func (r *Request) Missing() []rights.Right { return r.granted.Missing(r.list) }

// Grant grants the app what is missing.
func (r *Request) Grant() { r.grant(r.Missing()) }

func (r *Request) grant(list []rights.Right) {
	if len(list) == 0 {
		return
	}
	r.granted.App = slices.Concat(r.granted.App, rights.GrantsFor(list))
	r.App.grants = r.granted.App
}

// Further is what the app can do beyond the safe set: one that is new, or what a new
// manifest adds.
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

// alone is the rights of a manifest beyond the safe set, each ID once, whatever else is
// installed.
func alone(m *manifests.Manifest) []rights.Right {
	set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
	return rights.Beyond(rights.Of(set.Apps[0]))
}
