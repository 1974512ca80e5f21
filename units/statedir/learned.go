package statedir

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/archipelago-os/archipelago/units/durable"
)

// Learned is a name of facts that commands learned since the machine booted, and that spare the
// next command to ask. Each fact has the identity of what it is about, so it never gets wrong, only
// useless.
type Learned string

// The names of learned facts.
const (
	// LearnedStarts is the processes of services by their starts.
	LearnedStarts Learned = "starts.json"
	// LearnedPodman is Podman's version by its program.
	LearnedPodman Learned = "podman.json"
)

// Recall reads facts. It leaves the value as it is if there are none, or they are damaged.
func (s Store) Recall(name Learned, into any) {
	data, err := durable.ReadFile(s.Runtime, string(name))
	if err == nil && data != nil {
		_ = json.Unmarshal(data, into) // the facts are learned again
	}
}

// Learn stores facts for the next command. It does not create the runtime directory, which the
// first pass does.
func (s Store) Learn(name Learned, facts any) error {
	if _, err := os.Stat(s.Runtime); err != nil {
		return err
	}
	data, err := json.Marshal(facts)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return durable.Replace(s.Runtime, string(name), data)
}
