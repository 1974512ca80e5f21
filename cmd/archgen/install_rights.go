package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/rights"
)

// grantRights lists the rights of the chosen apps beyond the safe set, and asks the operator
// to grant those that are missing. It runs before a manifest is written, because the next
// pass starts an app that has its grants.
func (c *cli) grantRights(staged *install.Staged, allow []string) error {
	if err := rights.CheckGrants(allow); err != nil {
		return usageError{err}
	}
	requests, unused := staged.Requests(allow)
	for _, r := range requests {
		c.sayRights(r)
	}
	for _, a := range unused {
		fmt.Fprintf(c.stderr, "archgen: --allow %s: none of the apps needs that grant\n", compile.ShellWord(a))
	}
	open := slices.DeleteFunc(requests, func(r *install.Request) bool { return len(r.Missing()) == 0 })
	if err := c.askFor(open); err != nil {
		return err
	}
	for _, r := range open {
		r.Grant()
	}
	return nil
}

// sayRights lists the rights of a new app beyond the safe set, or those that a new manifest
// adds.
func (c *cli) sayRights(r *install.Request) {
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
	fmt.Fprintf(c.stderr, "%s %s%s:\n", title, r.App.ID, from)
	_ = view.Granted(c.stderr, list) // a message that can't be printed does not stop an installation
}

// askFor asks the operator to grant the missing rights. Without a terminal it fails, and
// names the flags that grant them.
func (c *cli) askFor(open []*install.Request) error {
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
	if _, ok := ui.Terminal(c.stdin); !ok {
		slices.Sort(flags)
		return fmt.Errorf("nothing was installed: %s asks for rights that are not granted; to grant them, add %s", names, strings.Join(slices.Compact(flags), " "))
	}
	if ui.Confirm(c.stdin, c.stderr, "Grant "+names+" the rights that are not granted? [y/N] ") {
		return nil
	}
	return errors.New("nothing was installed: the rights were not granted")
}
