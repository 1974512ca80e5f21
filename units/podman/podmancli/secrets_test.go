package podmancli_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/secret"
)

// TestSecretWhileAnotherIsMade: Podman writes its list of secrets in place. If the list can't be
// decoded, Podman itself is asked.
func TestSecretWhileAnotherIsMade(t *testing.T) {
	storage, bin := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(storage, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(storage, "secrets/secrets.json"), []byte(`{"nameToID": {"x.pa`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for name, tt := range map[string]struct {
		podman string
		value  string
		isNone bool
		said   string
	}{
		"it is there":        {"echo hidden", "hidden", false, ""},
		"there is none":      {`test "$2" = exists && exit 1; echo no such secret >&2; exit 125`, "", true, ""},
		"Podman fails":       {"echo the disk is gone >&2; exit 125", "", false, "the disk is gone"},
		"it can't be read":   {`test "$2" = exists && exit 0; echo permission denied >&2; exit 125`, "", false, "permission denied"},
		"there is no Podman": {"exit 127", "", false, "exit status 127"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(bin, "podman"), []byte("#!/bin/sh\n"+tt.podman+"\n"), 0o700); err != nil { //nolint:gosec // it is a program
				t.Fatal(err)
			}
			value, err := podmancli.Secrets{Storage: storage, Podman: podmancli.Exec}.Secret("x.password")
			if value != tt.value || errors.Is(err, secret.ErrNone) != tt.isNone {
				t.Errorf("%q, %v", value, err)
			}
			if tt.said != "" && (err == nil || !strings.Contains(err.Error(), tt.said)) {
				t.Errorf("%v, want %q", err, tt.said)
			}
		})
	}
}
