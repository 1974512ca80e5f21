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

// from is an environment.
func from(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

// A user's own files move the storage, the volumes and the networks.
func TestStorage(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	getenv := from(map[string]string{"HOME": home})
	write(t, filepath.Join(home, ".config/containers/storage.conf"), "[storage]\ngraphroot = \"$HOME/big\"\n")
	storage := paths.Storage(units.User, getenv)
	for what, c := range map[string]struct{ got, want string }{
		"storage":  {storage, home + "/big"},
		"volumes":  {paths.Volumes(units.User, getenv), home + "/big/volumes"},
		"networks": {paths.Networks(units.User, getenv, storage), home + "/big/networks"},
	} {
		if c.got != c.want {
			t.Errorf("%s in %q, want %q", what, c.got, c.want)
		}
	}
	write(t, filepath.Join(home, ".config/containers/containers.conf"), "[engine]\nvolume_path = \"/v\"\n[network]\nnetwork_config_dir = \"/n\"\n")
	write(t, filepath.Join(home, ".config/containers/containers.conf.d/10.conf"), "[engine]\nvolume_path = \"$HOME/v\"\n")
	if got := paths.Volumes(units.User, getenv); got != home+"/v" {
		t.Errorf("volumes in %q", got)
	}
	if got := paths.Networks(units.User, getenv, storage); got != "/n" {
		t.Errorf("networks in %q", got)
	}
}

// Without a setting, Podman's objects are in the default directories. A directory that a setting
// moves is unknown.
func TestDefault(t *testing.T) {
	t.Parallel()
	user, system := units.DefaultPlaces(units.User), units.DefaultPlaces(units.System)
	for name, c := range map[string]struct {
		file, text string
		// ofImage: the machine is an image, and the file is below its root; else below HOME.
		ofImage bool
		env     map[string]string
		scope   units.Scope
		want    units.Places
	}{
		"a user":                                 {want: user},
		"a user of an image":                     {ofImage: true, want: user},
		"the system of an image":                 {ofImage: true, scope: units.System, want: system},
		"the default, written out":               {file: "etc/containers/storage.conf", text: "[storage]\ngraphroot = \"/var/lib/containers/storage\"", ofImage: true, scope: units.System, want: system},
		"another storage of the system":          {file: "etc/containers/storage.conf", text: "[storage]\ngraphroot = \"/srv\"", ofImage: true, scope: units.System, want: units.Places{Networks: system.Networks}},
		"it is not that of users":                {file: "usr/share/containers/storage.conf", text: "[storage]\ngraphroot = \"/srv\"", ofImage: true, want: user},
		"another storage of users":               {file: "usr/share/containers/storage.conf", text: "[storage]\nrootless_storage_path = \"/srv/$UID\"", ofImage: true},
		"other volumes":                          {file: "usr/share/containers/containers.conf", text: "[engine]\nvolume_path = \"/srv\"", ofImage: true, want: units.Places{Networks: user.Networks}},
		"other volumes, in an inline table":      {file: "usr/share/containers/containers.conf", text: "  engine = {volume_path = \"/srv\"} # moved", ofImage: true, want: units.Places{Networks: user.Networks}},
		"other volumes, in a comment":            {file: "usr/share/containers/containers.conf", text: "[engine]\n  # volume_path = \"/srv\"\n", ofImage: true, want: user},
		"other networks":                         {file: "etc/containers/containers.conf.d/x.conf", text: "[network]\nnetwork_config_dir = \"/srv\"", ofImage: true, scope: units.System, want: units.Places{Volumes: system.Volumes}},
		"another storage of this user":           {file: ".config/containers/storage.conf", text: "[storage]\ngraphroot = \"$HOME/big\""},
		"the default of this user, written out":  {file: ".config/containers/storage.conf", text: "[storage]\ngraphroot = \"$HOME/.local/share/containers/storage\"", want: user},
		"another directory of data":              {env: map[string]string{"XDG_DATA_HOME": "/data"}},
		"the default directory of data, written": {env: map[string]string{"XDG_DATA_HOME": "HOME/.local/share"}, want: user},
		"a damaged file":                         {file: "etc/containers/storage.conf", text: "[storage\n", ofImage: true, want: user},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			env := map[string]string{"HOME": dir}
			for name, value := range c.env {
				if value == "HOME/.local/share" {
					value = filepath.Join(dir, ".local/share")
				}
				env[name] = value
			}
			e := paths.Env{Scope: c.scope, Getenv: from(env)}
			if c.ofImage {
				e.Root = dir
			}
			if c.file != "" {
				write(t, filepath.Join(dir, c.file), c.text)
			}
			if got := e.Default(); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}
