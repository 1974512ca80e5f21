package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/units/secret"
)

// value reads the value of a secret from a file, or from standard input if the file is
// "-". It removes the newline at the end of a single line.
func (c *cli) value(name, file string) (string, error) {
	value, err := c.typed(name, file)
	if err != nil {
		return "", fmt.Errorf("reading the value of %s: %w", name, err)
	}
	if strings.Count(value, "\n") == 1 {
		value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	}
	return value, secret.CheckValue(name, value)
}

// typed reads a file, or what a person types; "-" is standard input.
func (c *cli) typed(name, file string) (string, error) {
	from := c.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		from = f
	} else if terminal, ok := ui.Terminal(c.stdin); ok {
		return ui.Hidden(terminal, c.stderr, "value of "+name+" (it is not shown): ")
	}
	text, err := io.ReadAll(io.LimitReader(from, secret.MaxValue+1))
	return string(text), err
}
