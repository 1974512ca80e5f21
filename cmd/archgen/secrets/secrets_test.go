package secrets

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/podman/podmantest"
	"github.com/archipelago-os/archipelago/units/secret"
)

// Only the newline at the end of a single line is no part of a value.
func TestValue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"one\n": "one", "one\r\n": "one", "one": "one", "-----\nkey\n": "-----\nkey\n"} {
		in := Input{Stdin: strings.NewReader(text), Stderr: &bytes.Buffer{}}
		if got, err := in.Value("a.b", "-"); got != want || err != nil {
			t.Errorf("%q: got %q and %v", text, got, err)
		}
		file := filepath.Join(t.TempDir(), "value")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := in.Value("a.b", file); got != want || err != nil {
			t.Errorf("%q in a file: got %q and %v", text, got, err)
		}
	}
	in := Input{Stdin: strings.NewReader(strings.Repeat("x", secret.MaxValue+1))}
	if _, err := in.Value("a.b", "-"); err == nil {
		t.Error("a value that is too large is accepted")
	}
	if _, err := in.Value("a.b", filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "reading the value of a.b") {
		t.Errorf("the error is %v", err)
	}
}

// A secret that is derived is not set by itself.
func TestSettable(t *testing.T) {
	t.Parallel()
	want := units.Desired{Apps: []units.App{{ID: "a", Secrets: []units.Secret{{Name: "a.key"}, {Name: "a.hash", From: "a.key", Method: "bcrypt"}}}}}
	if app, err := Settable(want, "a.key"); app.ID != "a" || err != nil {
		t.Errorf("got %v and %v", app.ID, err)
	}
	if app, err := Settable(want, "none.key"); app.ID != "" || err != nil {
		t.Errorf("got %v and %v", app.ID, err)
	}
	if _, err := Settable(want, "a.hash"); err == nil || err.Error() != "a.hash is derived from another secret: set a.key instead" {
		t.Errorf("the error is %v", err)
	}
}

// A value that archgen does not store is asked of Podman.
func TestShown(t *testing.T) {
	t.Parallel()
	dir, storage := t.TempDir(), t.TempDir()
	of := func(answers map[string]string) machine.Secrets {
		return machine.Secrets{Store: secret.Store{Dir: dir}, Podman: podmancli.Secrets{Storage: storage, Podman: (&podmantest.Podman{Answers: answers}).Run}}
	}
	if _, err := Shown(context.Background(), of(nil), "a.key"); err == nil || err.Error() != "the secret a.key has no value; see archgen secret list" {
		t.Errorf("the error is %v", err)
	}
	if err := os.Mkdir(filepath.Join(storage, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(storage, "secrets/secrets.json"), []byte("{"), 0o600); err != nil { // Podman is writing it
		t.Fatal(err)
	}
	if got, err := Shown(context.Background(), of(map[string]string{"secret inspect": "of-podman\n\n"}), "a.key"); got != "of-podman" || err != nil {
		t.Errorf("got %q and %v", got, err)
	}
	if err := of(nil).Set(context.Background(), "a.key", "ours"); err != nil {
		t.Fatal(err)
	}
	if got, err := Shown(context.Background(), of(nil), "a.key"); got != "ours" || err != nil {
		t.Errorf("got %q and %v", got, err)
	}
}
