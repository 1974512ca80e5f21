package lifecycle

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/cmd/archgen/passes"
	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/rights"
)

// grantRights lists the rights of the chosen apps beyond the safe set, and asks the operator
// to grant those that are missing. It runs before a manifest is written, because the next
// pass starts an app that has its grants.
func (a Apps) grantRights(staged *install.Staged, allow []string) error {
	if err := rights.CheckGrants(allow); err != nil {
		return session.UsageError{Err: err}
	}
	requests, unused := staged.Requests(allow)
	for _, r := range requests {
		a.sayRights(r)
	}
	for _, text := range unused {
		fmt.Fprintf(a.Stderr, "archgen: --allow %s: none of the apps needs that grant\n", compile.ShellWord(text))
	}
	open := slices.DeleteFunc(requests, func(r *install.Request) bool { return len(r.Missing()) == 0 })
	if err := a.askFor(open); err != nil {
		return err
	}
	for _, r := range open {
		r.Grant()
	}
	return nil
}

// sayRights lists the rights of a new app beyond the safe set, or those that a new manifest
// adds.
func (a Apps) sayRights(r *install.Request) {
	list := r.Further()
	if len(list) == 0 {
		return
	}
	title, from := "rights of", ""
	if !r.App.IsNew() {
		title = "further rights of"
	}
	if r.IsOfCatalog {
		from = ", which come with its manifest from archgen's own catalog"
	}
	fmt.Fprintf(a.Stderr, "%s %s%s:\n", title, r.App.ID, from)
	_ = view.Granted(a.Stderr, list) // a message that can't be printed does not stop an installation
}

// askFor asks the operator to grant the missing rights. Without a terminal it fails, and
// names the flags that grant them.
func (a Apps) askFor(open []*install.Request) error {
	if len(open) == 0 {
		return nil
	}
	var ids, flags []string
	for _, r := range open {
		ids = append(ids, r.App.ID)
		for _, m := range r.Missing() {
			flags = append(flags, "--allow "+compile.ShellWord(m.Grant()))
		}
	}
	names := strings.Join(ids, ", ")
	if _, ok := ui.Terminal(a.Stdin); !ok {
		slices.Sort(flags)
		return fmt.Errorf("nothing was installed: %s asks for rights that are not granted; to grant them, add %s", names, strings.Join(slices.Compact(flags), " "))
	}
	if ui.Confirm(a.Stdin, a.Stderr, "Grant "+names+" the rights that are not granted? [y/N] ") {
		return nil
	}
	return errors.New("nothing was installed: the rights were not granted")
}

// grantsOf returns the grants of an app.
func (a Apps) grantsOf(id string) (*install.Grants, error) {
	if !manifests.Fits("id", id) {
		return nil, session.UsageError{Err: fmt.Errorf("%q is not a valid app id", id)}
	}
	dir, err := a.Directory()
	if err != nil {
		return nil, err
	}
	k, _, err := a.Installed()
	if err != nil {
		return nil, err
	}
	return install.GrantsOf(id, dir, k)
}

// Grant grants an app rights, and starts it. In a system image it only writes the grants.
func (a Apps) Grant(id string, list []string) error {
	if err := rights.CheckGrants(list); err != nil {
		return session.UsageError{Err: err}
	}
	g, err := a.grantsOf(id)
	if err != nil {
		return err
	}
	for _, right := range g.Unasked(list) {
		fmt.Fprintf(a.Stderr, "archgen: %s does not ask for %s; granted anyway\n", id, compile.ShellWord(right))
	}
	switch err := g.Add(list); {
	case err != nil || a.Root != "":
		return err
	case !g.IsInstalled:
		fmt.Fprintf(a.Stderr, "archgen: %s is not installed; the grant takes effect when it is\n", id)
		return nil
	}
	a.Awaited = []string{id}
	return a.Apply(nil, passes.Always(""))
}

// Revoke removes grants of an app, and stops it if it needs one of them. In a system image it only
// writes the grants.
func (a Apps) Revoke(id string, list []string) error {
	g, err := a.grantsOf(id)
	if err != nil {
		return err
	}
	if err := g.Revoke(list); err != nil || a.Root != "" {
		return err
	}
	a.Lenient = true // without the right the app is invalid, as asked for
	return a.Apply(nil, passes.Always(""))
}
