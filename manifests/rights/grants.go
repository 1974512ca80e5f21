package rights

import (
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
)

// Origin says why an app has a right. Scripts may rely on the words.
type Origin string

// The origins.
const (
	// Safe: the right is part of the safe set, which every app has.
	Safe Origin = "safe-set"
	// ByOverlay: an overlay asks for it, which only the operator writes.
	ByOverlay Origin = "overlay"
	// ByGrant: the app's grants.toml lists it, or its kind.
	ByGrant Origin = "grant"
	// BySettings: archipelago.toml lists it, or its kind, for all apps.
	BySettings Origin = "settings"
	// Nobody: it is not granted, so the app is refused.
	Nobody Origin = "nobody"
)

// Grants is what an operator grants: to one app, and to all.
type Grants struct{ App, All []string }

// Origin says why the app has a right.
func (g Grants) Origin(r Right) Origin {
	switch {
	case !r.BeyondSafe():
		return Safe
	case !r.OfManifest:
		return ByOverlay
	case Lists(g.App, r.ID):
		return ByGrant
	case Lists(g.All, r.ID):
		return BySettings
	default:
		return Nobody
	}
}

// OriginIn says why the app has a right by its ID. A list may ask for it in several places; one
// that is not granted takes precedence.
func (g Grants) OriginIn(list []Right, id string) Origin {
	origin := Safe
	for _, r := range list {
		if r.ID != id {
			continue
		}
		if origin = g.Origin(r); origin == Nobody {
			break
		}
	}
	return origin
}

// Missing is the rights of a list that are not granted, each ID once.
func (g Grants) Missing(list []Right) []Right {
	isGranted := func(r Right) bool { return g.Origin(r) != Nobody }
	return once(slices.DeleteFunc(slices.Clone(list), isGranted))
}

// Needed is the rights of a list that an app has only by a grant, each ID once.
func Needed(list []Right) []Right { return Grants{}.Missing(list) }

// Lists reports whether a list of grants has a right: its ID, or its kind.
func Lists(granted []string, id string) bool {
	kind, _, _ := strings.Cut(id, ":")
	return slices.Contains(granted, id) || slices.Contains(granted, kind)
}

// ListsAny reports whether a grant is of any right of a list.
func ListsAny(grant string, list []Right) bool {
	return slices.ContainsFunc(list, func(r Right) bool { return Lists([]string{grant}, r.ID) })
}

// Grant is the text that grants the right: its ID, or its kind if the ID can't be written in a
// text file, for example because of control characters.
func (r Right) Grant() string {
	if manifests.Fits("right", r.ID) {
		return r.ID
	}
	return string(r.Kind)
}

// GrantsFor is what grants the rights of a list, in their order.
func GrantsFor(list []Right) []string {
	texts := make([]string, 0, len(list))
	for _, r := range list {
		texts = append(texts, r.Grant())
	}
	return texts
}

// CheckGrants demands that every text of a list is a right, or a kind of rights.
func CheckGrants(list []string) error {
	for _, text := range list {
		kind, _, _ := strings.Cut(text, ":")
		isKind := slices.ContainsFunc(Kinds, func(e Entry) bool { return string(e.Kind) == kind })
		if !isKind || !manifests.Fits("right", text) {
			return fmt.Errorf("%q is no right: write KIND:SUBJECT as archgen rights lists it, or KIND; docs/rights.md lists the kinds", text)
		}
	}
	return nil
}

// Granted is a right, and why the app has it. The names of the fields are a contract.
type Granted struct {
	Right
	Granted Origin `json:"granted"`
}

// Explain says of each right of a list why the app has it. It is never nil, which JSON would
// show as null.
func (g Grants) Explain(list []Right) []Granted {
	explained := make([]Granted, 0, len(list))
	for _, r := range list {
		explained = append(explained, Granted{r, g.Origin(r)})
	}
	return explained
}

// Beyond keeps the rights beyond the safe set, of each ID the first.
func Beyond(list []Right) []Right {
	return slices.DeleteFunc(once(list), func(r Right) bool { return !r.BeyondSafe() })
}

// Without is the rights of a list whose IDs another does not have.
func Without(list, other []Right) []Right {
	return slices.DeleteFunc(slices.Clone(list), func(r Right) bool {
		return slices.ContainsFunc(other, func(o Right) bool { return o.ID == r.ID })
	})
}

// once keeps the first right of each ID.
func once(list []Right) []Right {
	seen := make(map[string]bool, len(list))
	return slices.DeleteFunc(slices.Clone(list), func(r Right) bool {
		before := seen[r.ID]
		seen[r.ID] = true
		return before
	})
}
