package prestart

import (
	"context"
	"fmt"
	"strings"

	"github.com/archipelago-os/archipelago/units"
)

// compose gives Podman the composed secrets of a recipe. They are made before each start, from
// the values that containers get: nothing else has to know what a rotation changes.
func (r Renderer) compose(ctx context.Context, recipe units.Prestart) error {
	for _, c := range recipe.Composed {
		value, err := r.composed(c, recipe)
		if err != nil {
			return err
		}
		if before, err := r.Secret(c.Name); err == nil && before == value {
			continue
		}
		if err := r.SetSecret(ctx, c.Name, value); err != nil {
			return fmt.Errorf("setting the secret %s, for the variable %s: %w", c.Name, c.Variable, err)
		}
	}
	return nil
}

// longestVariable is what Linux takes as one variable (MAX_ARG_STRLEN), with its name.
const longestVariable = 128<<10 - len("=\x00")

// composed is the value of a composed secret. An error never contains it.
func (r Renderer) composed(c units.ComposedSecret, recipe units.Prestart) (string, error) {
	var value strings.Builder
	for _, p := range c.Pieces {
		before, err := r.withFacts(p.Text, recipe)
		if err != nil {
			return "", fmt.Errorf("the variable %s: %w", c.Variable, err)
		}
		value.WriteString(before)
		if p.Secret == "" {
			continue
		}
		text, err := r.Secret(p.Secret)
		if err != nil {
			return "", fmt.Errorf("the variable %s: the secret %s: %w", c.Variable, p.Secret, err)
		}
		if strings.Contains(text, "\x00") {
			return "", fmt.Errorf("the variable %s: the secret %s has a NUL byte, which no variable can have", c.Variable, p.Secret)
		}
		value.WriteString(text)
	}
	if n := len(c.Variable) + value.Len(); n > longestVariable {
		return "", fmt.Errorf("the variable %s has %d bytes with its name, and Linux takes %d", c.Variable, n, longestVariable)
	}
	return value.String(), nil
}
