package reconcile

import (
	"context"
	"fmt"
	"slices"

	"github.com/archipelago-os/archipelago/units"
)

// complete is the host with a null implementation of each part that a mode leaves out.
func (h Host) complete() Host {
	if h.Ran == nil {
		h.Ran = neverSeen
	}
	if h.Foreign == nil {
		h.Foreign = ignoreForeign{}
	}
	if h.Config == nil {
		h.Config = noConfig
	}
	if h.Supply == nil {
		h.Supply = suppliedByStart
	}
	if h.Preempt == nil {
		h.Preempt = neverPreempted
	}
	if h.Hinted == nil {
		h.Hinted = neverHinted
	}
	if h.Losses == nil {
		h.Losses = neverLost
	}
	if h.Progress == nil {
		h.Progress = silent
	}
	if h.Limit == nil {
		h.Limit = unlimited
	}
	if h.Room == nil {
		h.Room = unknownRoom
	}
	if h.Starts == nil {
		h.Starts = untoldOfStarts
	}
	if h.Create == nil {
		h.Create = createdByUnits
	}
	return h
}

func unlimited(string, units.Unit) units.Limit { return "" }

func unknownRoom() map[units.Limit]int { return nil }

func untoldOfStarts([]units.App, map[string]units.Unit) {}

func createdByUnits(context.Context, []units.App) {}

func neverSeen(units.App) bool { return false }

func noConfig(string, []byte) (want, have units.ConfigDigests, err error) {
	return want, have, nil
}

func suppliedByStart(context.Context, units.App, units.Prerequisites) error { return nil }

func neverHinted(string) <-chan struct{} { return nil }

func neverPreempted(string) <-chan struct{} { return nil }

func neverLost(context.Context) []Loss { return nil }

func silent(Event) {}

// ignoreForeign is the owner of foreign containers of a host that does not look for any.
type ignoreForeign struct{ neverAdopts }

func (ignoreForeign) Find(context.Context, []units.App) (map[string]units.Foreign, bool, error) {
	return nil, false, nil
}

// RefuseForeign is the owner of foreign containers of a host without Podman: an app does not start
// if one of its containers has one of the names. A start would remove the foreign container.
func RefuseForeign(names func() ([]string, error)) ForeignContainers {
	return refuseForeign{names: names}
}

type refuseForeign struct {
	neverAdopts
	names func() ([]string, error)
}

func (r refuseForeign) Find(_ context.Context, apps []units.App) (map[string]units.Foreign, bool, error) {
	foreign, err := r.names()
	if err != nil {
		return nil, false, err
	}
	found := map[string]units.Foreign{}
	for _, app := range apps {
		for _, part := range app.Parts {
			if name := units.ContainerOf(part.Service); slices.Contains(foreign, name) {
				found[app.ID] = units.Foreign{Err: fmt.Errorf("archgen did not create the container %s; run archgen adopt %s to adopt it", name, app.ID)}
				break
			}
		}
	}
	return found, false, nil
}

// neverAdopts is the part of an owner of foreign containers that leaves them where they are.
type neverAdopts struct{}

func (neverAdopts) Adopts() bool { return false }

func (neverAdopts) Park(_ context.Context, _ units.App, c units.ForeignContainer) error {
	return cantAdopt(c)
}

func (neverAdopts) Unpark(_ context.Context, c units.ForeignContainer) error { return cantAdopt(c) }

func (neverAdopts) Remove(_ context.Context, c units.ForeignContainer) error { return cantAdopt(c) }

func cantAdopt(c units.ForeignContainer) error {
	return fmt.Errorf("this program can't adopt the container %s; run archgen apply", c.Name)
}
