//go:build e2e && scale

package e2e

import "testing"

// TestScale runs the scripts that take too long, and take too much of a machine, to run at each change.
func TestScale(t *testing.T) { runScripts(t, "testdata/scale") }
