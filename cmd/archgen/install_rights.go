package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/rights"
)

// request is what a chosen app asks for.
type request struct {
	entry   *chosenApp
	list    []rights.Right
	granted rights.Grants
	// isOurs: its manifest is that of archgen's own catalog.
	isOurs bool
}

func (r request) missing() []rights.Right { return r.granted.Missing(r.list) }

// grant lists what the chosen apps can do beyond the safe set, and asks the operator to
// grant the rights that are missing. It runs before a manifest is written, because the next
// pass starts an app that has its grants.
func (in *installation) grant(staged *staged, allow []string) error {
	if err := areRights(allow); err != nil {
		return err
	}
	var open []request
	unused := slices.Clone(allow)
	for i := range in.chosen {
		r := in.request(&in.chosen[i], staged)
		missing := r.missing()
		unused = slices.DeleteFunc(unused, func(a string) bool { return rights.ListsAny(a, missing) })
		r.take(slices.DeleteFunc(missing, func(m rights.Right) bool { return !rights.Lists(allow, m.ID) }))
		in.sayRights(r)
		if len(r.missing()) > 0 {
			open = append(open, r)
		}
	}
	for _, a := range unused {
		fmt.Fprintf(in.c.stderr, "archgen: --allow %s: none of the apps needs that grant\n", compile.ShellWord(a))
	}
	if err := in.c.askFor(open); err != nil {
		return err
	}
	for _, r := range open {
		r.take(r.missing())
	}
	return nil
}

// request is what an app asks for and has. An app of our own catalog has what it asks for,
// except what was revoked. So has an installed app whose rights no file records yet.
func (in *installation) request(e *chosenApp, staged *staged) request {
	r := request{entry: e, list: staged.Rights[e.ID], granted: rights.Grants{App: staged.Loaded.Grants[e.ID].Allow, All: staged.Settings.Allow}}
	r.isOurs = staged.IsOfCatalog(e.ID)
	before := in.installed[e.ID]
	switch isWritten := staged.Loaded.Grants[e.ID].File != ""; {
	case r.isOurs && isWritten && before != nil:
		r.take(without(r.missing(), rightsAlone(before)))
	case r.isOurs, e.Text == nil && staged.Unrecorded[e.ID] != nil:
		r.take(r.missing())
	}
	return r
}

// take adds rights to what is granted to the app.
func (r *request) take(list []rights.Right) {
	if len(list) == 0 {
		return
	}
	r.granted.App = slices.Concat(r.granted.App, rights.GrantsFor(list))
	r.entry.grants = r.granted.App
}

// grantedBy says of a right why the app has it.
var grantedBy = map[rights.Origin]string{
	rights.ByOverlay:  "an overlay asks for it",
	rights.ByGrant:    "granted",
	rights.BySettings: "archipelago.toml allows it",
	rights.Nobody:     "not granted",
}

// sayRights lists what an app can do beyond the safe set: one that is new, or what a new
// manifest adds.
func (in *installation) sayRights(r request) {
	list := rights.Beyond(r.list)
	title := "rights of"
	if before := in.installed[r.entry.ID]; before != nil {
		title, list = "further rights of", without(list, rightsAlone(before))
	}
	if len(list) == 0 {
		return
	}
	from := ""
	if r.isOurs {
		from = ", which come with its manifest from archgen's own catalog"
	}
	fmt.Fprintf(in.c.stderr, "%s %s%s:\n", title, r.entry.ID, from)
	w := tabwriter.NewWriter(in.c.stderr, 0, 0, 2, ' ', 0)
	for _, x := range list {
		fmt.Fprintf(w, "  %s\t%s\t%s\t(%s)\n", x.Severity, ui.OneLine(x.ID), ui.OneLine(x.Allows), grantedBy[r.granted.OriginIn(r.list, x.ID)])
	}
	_ = w.Flush() // as with Fprintf: a message that can't be printed stops no installation
}

// askFor asks the operator to grant what apps lack. Without a terminal it fails, and says
// which flags grant it.
func (c *cli) askFor(open []request) error {
	if len(open) == 0 {
		return nil
	}
	var ids, flags []string
	for _, r := range open {
		ids = append(ids, r.entry.ID)
		for _, m := range r.missing() {
			flags = append(flags, "--allow "+compile.ShellWord(m.Grant()))
		}
	}
	names := strings.Join(ids, ", ")
	if _, ok := ui.Terminal(c.stdin); !ok {
		slices.Sort(flags)
		return fmt.Errorf("nothing was installed: %s asks for rights that are not granted; to grant them, add %s", names, strings.Join(slices.Compact(flags), " "))
	}
	if ui.Confirm(c.stdin, c.stderr, "Grant "+names+" the rights that are not granted? [y/N] ") {
		return nil
	}
	return errors.New("nothing was installed: the rights were not granted")
}

// areRights demands that every text of a list is a right, or a kind of rights.
func areRights(list []string) error {
	for _, text := range list {
		if !manifests.Fits("right", text) || !rights.IsKind(text) {
			return usageError{fmt.Errorf("%q is no right: write KIND:SUBJECT as archgen rights lists it, or KIND; docs/rights.md lists the kinds", text)}
		}
	}
	return nil
}

// rightsAlone is the rights of a manifest beyond the safe set, each ID once,
// whatever else is installed.
func rightsAlone(m *manifests.Manifest) []rights.Right {
	set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.Settings{})
	return rights.Beyond(rights.Of(set.Apps[0]))
}

// without is the rights of a list whose IDs another does not have.
func without(list, other []rights.Right) []rights.Right {
	return slices.DeleteFunc(list, func(r rights.Right) bool {
		return slices.ContainsFunc(other, func(o rights.Right) bool { return o.ID == r.ID })
	})
}
