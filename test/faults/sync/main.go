// Command sync is a program for fault injection: it makes a directory hold a set of unit
// files, given as JSON. The tests start it thousands of times, so it links only what it
// needs.
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
