package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog/contracts"
	"github.com/archipelago-os/archipelago/manifests/contract"
	"github.com/archipelago-os/archipelago/manifests/datasheet"
)

// testedText explains the table of what the tests run.
const testedText = `The tests reach no image registry. Where Debian or the Go module proxy has a program,
the end-to-end tests run it under the manifest of the catalog. Otherwise a stand-in
replaces it. The stand-in behaves as the contract of the image says: its user and
directories, the files that it writes, its ports, the logins that it makes, its networks,
its signals and its exit codes. The contracts are in
[manifests/catalog/contracts](../manifests/catalog/contracts). They give the place
upstream that each fact comes from. The last column counts these facts: seen with the
real program, read in its source or documentation, not found out.`

// testedTable says of each program whether the tests run it, and what is known of it.
func testedTable(apps []*manifests.Resolved) (datasheet.Table, error) {
	t := datasheet.Table{
		Title: "How it is tested", Text: testedText,
		Heads: []string{"app", "program", "in the end-to-end tests", "what was run or read", "not found out", "run, read, unknown"},
	}
	files, err := contracts.Files()
	if err != nil {
		return t, err
	}
	var set contract.Set
	for name, data := range files {
		c, err := contract.Decode(name, data)
		if err != nil {
			return t, err
		}
		set = append(set, c)
	}
	for _, app := range apps {
		for _, p := range app.Parts {
			c := set.Of(p.Image)
			if c == nil {
				return t, fmt.Errorf("no contract describes the image %s of %s: add one to manifests/catalog/contracts", p.Image, app.ID())
			}
			name := app.ID()
			if p.Name != "main" {
				name += "." + p.Name
			}
			t.Rows = append(t.Rows, []string{"`" + name + "`", c.Program, cmp.Or(c.Tested, "a stand-in"), c.Evidence, strings.Join(c.Unknown, "; "), counts(c)})
		}
	}
	return t, nil
}

// counts is how many facts of a contract were found in each way.
func counts(c *contract.Contract) string {
	n := map[contract.Verified]int{}
	for _, f := range c.Facts() {
		n[f.Verified]++
	}
	return fmt.Sprintf("%d, %d, %d", n[contract.Run], n[contract.Read], n[contract.Unknown])
}
