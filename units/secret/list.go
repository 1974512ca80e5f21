package secret

import (
	"cmp"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// Kind says where the value of a secret comes from.
type Kind string

// The kinds. A secret that no installed app has is of none.
const (
	Generated Kind = "generated"
	Derived   Kind = "derived"
	Supplied  Kind = "supplied"
)

// KindOf is the kind of a secret of an app.
func KindOf(d units.Secret) Kind {
	switch {
	case d.Method != "":
		return Derived
	case d.Length > 0:
		return Generated
	}
	return Supplied
}

// Entry is a secret without its value.
type Entry struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind,omitempty"`
	// From is what it is derived from.
	From  string `json:"from,omitempty"`
	IsSet bool   `json:"set"`
	// Rotating: it is being changed, or was when somebody was killed.
	Rotating bool `json:"rotating,omitempty"`
	// Description is what its app says of it.
	Description string `json:"description,omitempty"`
}

// List is the secrets of apps, and values that none of them uses, sorted by name. Their
// descriptions are for the caller to fill in.
func (s Store) List(c Containers, apps []units.App) ([]Entry, error) {
	kept, err := s.Names()
	if err != nil {
		return nil, err
	}
	r, err := s.Rotation()
	if err != nil {
		return nil, err
	}
	list := []Entry{}
	for _, app := range apps {
		for _, d := range app.Secrets {
			list = append(list, Entry{Name: d.Name, Kind: KindOf(d), From: d.From, IsSet: slices.Contains(kept, d.Name) || has(c, d.Name)})
		}
	}
	for _, name := range kept {
		if !slices.ContainsFunc(list, func(e Entry) bool { return e.Name == name }) {
			list = append(list, Entry{Name: name, IsSet: true})
		}
	}
	for i := range list {
		list[i].Rotating = r != nil && slices.Contains(r.Names(), list[i].Name)
	}
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// has reports whether containers have a value of a secret.
func has(c Containers, name string) bool {
	_, err := c.Secret(name)
	return err == nil
}
