//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDemo runs the first steps of the README, on a machine of its own.
func TestDemo(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("demo-%d", os.Getpid())
	t.Cleanup(func() {
		_ = exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(root, "test/host/host"), "down", name).Run()
	})
	out, err := exec.CommandContext(t.Context(), filepath.Join(root, "test/demo/run"), name).CombinedOutput()
	for _, want := range []string{"block count: 5", "restored after", "rolled-back", "app@bitcoin-knots: "} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not print %q", want)
		}
	}
	if err != nil || t.Failed() {
		t.Errorf("%v\n%s", err, out)
	}
}
