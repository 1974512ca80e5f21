// Command sync is a program to try faults on: it makes a directory hold a set of unit
// files, given as JSON. It starts thousands of times in the tests, so it links no more
// than that takes.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

func main() {
	if err := sync(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func sync(dir, list string) error {
	var set units.Set
	if err := json.Unmarshal([]byte(list), &set); err != nil {
		return fmt.Errorf("read the set: %w", err)
	}
	_, err := unitdir.Sync(dir, set, func(units.Ownership) bool { return true })
	return err
}
