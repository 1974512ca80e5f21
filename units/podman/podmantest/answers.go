// Package podmantest owns a Podman for tests that answers by a table. It runs no program and
// keeps no state but what it was asked: a test whose Podman has to remember has one of its own.
package podmantest

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// Podman answers commands by their first words, and fails at others.
type Podman struct {
	Answers map[string]string
	// Asked is the commands, in order.
	Asked []string
}

// Run is a podmancli.Runner.
func (p *Podman) Run(_ context.Context, call podmancli.Call) error {
	command := strings.Join(call.Args, " ")
	p.Asked = append(p.Asked, command)
	for prefix, answer := range p.Answers {
		if strings.HasPrefix(command, prefix) {
			if call.Stdout != nil {
				_, _ = io.WriteString(call.Stdout, answer)
			}
			return nil
		}
	}
	return fmt.Errorf("podman %s: it failed", command)
}
