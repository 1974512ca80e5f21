package podman_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/archipelago-os/archipelago/units/podman"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A secret of Podman's file driver is read without running Podman.
func TestSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secrets/secrets.json"), `{"secrets":{"2bc5":{"name":"rpc"}},"nameToID":{"rpc":"2bc5","elsewhere":"77aa"}}`)
	write(t, filepath.Join(dir, "secrets/filedriver/secretsdata.json"), `{"2bc5":"aHVzaAo="}`)
	if text, err := podman.Secret(dir, "rpc"); err != nil || text != "hush" {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := podman.SecretValue(dir, "rpc"); err != nil || text != "hush\n" {
		t.Errorf("to the byte: %q, %v", text, err)
	}
	for name, isNone := range map[string]bool{"elsewhere": false, "nowhere": true} {
		if text, err := podman.Secret(dir, name); err == nil || errors.Is(err, podman.ErrNoSecret) != isNone {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if _, err := podman.Secret(filepath.Join(dir, "absent"), "rpc"); err == nil {
		t.Error("a secret without a store")
	}
}

// Podman's networks are read from their files, without those that Podman does not read either.
func TestNetworksIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.json"), `{"name":"a","options":{"isolate":"strict"},"labels":{"x":"y"}}`)
	write(t, filepath.Join(dir, "empty.json"), "")
	list := podman.NetworksIn(dir)
	if len(list) != 1 || list[0].Name != "a" || list[0].Options["isolate"] != "strict" || list[0].Labels["x"] != "y" {
		t.Errorf("%+v", list)
	}
}
