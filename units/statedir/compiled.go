package statedir

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
)

// CompiledBy is a command that keeps the desired state that it has compiled, until the machine boots.
type CompiledBy string

// The commands.
const (
	// ByApply is all that make a pass over the installed apps.
	ByApply CompiledBy = "compiled"
	// ByRender is archgen render, of any directory.
	ByRender CompiledBy = "rendered"
)

// compiled is the first line of a file, in JSON. The content of all unit files follows: as JSON, it
// would take ten times as long to read.
type compiled struct {
	// Inputs is the digest of what the desired state was compiled from.
	Inputs string        `json:"inputs"`
	Want   units.Desired `json:"want"`
	// Sizes is the size of each file, of the apps in their order and then of Shared.
	Sizes []int `json:"sizes"`
}

// sets is the files of a desired state.
func sets(want units.Desired) []units.Set {
	list := make([]units.Set, 0, len(want.Apps)+1)
	for _, app := range want.Apps {
		list = append(list, app.Files)
	}
	return append(list, want.Shared)
}

func digestOf(inputs string) string {
	sum := sha256.Sum256([]byte(inputs))
	return hex.EncodeToString(sum[:])
}

// SaveCompiled keeps the desired state that a command compiled from inputs, for the next one of its kind. It does not
// create the runtime directory, which the first pass does.
func (s Store) SaveCompiled(by CompiledBy, inputs string, want units.Desired) error {
	if _, err := os.Stat(s.Runtime); err != nil {
		return err
	}
	c := compiled{Inputs: digestOf(inputs), Want: want}
	c.Want.Apps = slices.Clone(want.Apps)
	var contents []byte
	without := func(files units.Set) units.Set {
		files = slices.Clone(files)
		for i := range files {
			c.Sizes, contents = append(c.Sizes, len(files[i].Content)), append(contents, files[i].Content...)
			files[i].Content = nil
		}
		return files
	}
	for i := range c.Want.Apps {
		c.Want.Apps[i].Files = without(c.Want.Apps[i].Files)
	}
	c.Want.Shared = without(want.Shared)
	line, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("writing %s: %w", by, err)
	}
	return durable.Replace(s.Runtime, string(by), slices.Concat(line, []byte("\n"), contents))
}

// Compiled returns the desired state that the last such command compiled. It reports false if that had
// other inputs, or there was none since the machine booted.
func (s Store) Compiled(by CompiledBy, inputs string) (units.Desired, bool) {
	data, err := durable.ReadFile(s.Runtime, string(by))
	if err != nil {
		return units.Desired{}, false
	}
	line, contents, _ := bytes.Cut(data, []byte("\n"))
	var c compiled
	if json.Unmarshal(line, &c) != nil || c.Inputs != digestOf(inputs) {
		return units.Desired{}, false
	}
	for _, files := range sets(c.Want) {
		for i := range files {
			if len(c.Sizes) == 0 || c.Sizes[0] < 0 || c.Sizes[0] > len(contents) {
				return units.Desired{}, false
			}
			files[i].Content, contents = contents[:c.Sizes[0]:c.Sizes[0]], contents[c.Sizes[0]:]
			c.Sizes = c.Sizes[1:]
		}
	}
	return c.Want, len(c.Sizes)+len(contents) == 0
}
