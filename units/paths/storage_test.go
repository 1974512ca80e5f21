package paths_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/paths"
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

func TestStorage(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	getenv := func(name string) string { return map[string]string{"HOME": home}[name] }
	write(t, filepath.Join(home, ".config/containers/storage.conf"), "[storage]\ngraphroot = \"$HOME/big\"\n")
	if got := paths.Storage(units.User, getenv); got != home+"/big" {
		t.Errorf("%q", got)
	}
}
