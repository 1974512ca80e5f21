package secret

import (
	"cmp"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// Kind is the origin of a secret's value.
type Kind string

// The kinds. A secret that no installed app uses has none.
const (
	Generated Kind = "generated"
	Derived   Kind = "derived"
	Supplied  Kind = "supplied"
)

// KindOf returns the kind of an app's secret.
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
	// From is the secret that it is derived from.
	From  string `json:"from,omitempty"`
	IsSet bool   `json:"set"`
	// Rotating: a rotation is in progress, or one was killed.
	Rotating bool `json:"rotating,omitempty"`
	// Description is the description in the manifest.
	Description string `json:"description,omitempty"`
}

// List returns the secrets of apps, and values that no app uses, sorted by name. The caller
// adds their descriptions.
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
