package podman

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/archipelago-os/archipelago/units"
)

// Storage is the directory where Podman keeps images, containers and secrets,
// from the environment of whoever asks (containers-storage.conf(5)).
func Storage(scope units.Scope, getenv func(string) string) string {
	root, key, files := "/var/lib/containers/storage", "graphroot", []string{"/etc/containers/storage.conf", "/usr/share/containers/storage.conf"}
	if scope == units.User {
		home := getenv("HOME")
		root, key = filepath.Join(base(getenv("XDG_DATA_HOME"), home, ".local/share"), "containers/storage"), "rootless_storage_path"
		own := filepath.Join(base(getenv("XDG_CONFIG_HOME"), home, ".config"), "containers/storage.conf")
		if path := storageSetting(own, "graphroot"); path != "" {
			return os.Expand(path, getenv)
		}
	}
	for _, file := range files {
		if path := storageSetting(file, key); path != "" {
			return os.Expand(path, func(name string) string {
				if name == "UID" {
					return strconv.Itoa(os.Getuid())
				}
				return getenv(name)
			})
		}
	}
	return root
}

// Networks is the names of Podman's networks, from the files that it keeps of them. Nothing
// is known where Podman is told to keep them elsewhere.
func Networks(scope units.Scope, storage string) (names []string) {
	dir := "/etc/containers/networks"
	if scope == units.User {
		dir = filepath.Join(storage, "networks")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.json")) // the pattern is a valid one
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".json"))
	}
	return names
}

// base is a base directory of the XDG specification.
func base(given, home, fallback string) string {
	if filepath.IsAbs(given) {
		return given
	}
	return filepath.Join(home, fallback)
}

// storageSetting is a path of storage.conf, empty where it has none.
func storageSetting(file, key string) string {
	var conf struct {
		Storage map[string]any `toml:"storage"`
	}
	if _, err := toml.DecodeFile(file, &conf); err != nil {
		return ""
	}
	path, _ := conf.Storage[key].(string)
	return path
}

// ErrNoSecret says that Podman keeps no secret of a name.
var ErrNoSecret = errors.New("Podman keeps no such secret")

// Secret reads a secret of Podman's file driver, which is the default, without a
// newline at its end.
func Secret(storage, name string) (string, error) {
	value, err := SecretValue(storage, name)
	return strings.TrimSuffix(value, "\n"), err
}

// SecretValue is Secret to the byte. Its error wraps ErrNoSecret where Podman has
// none of that name, with whatever driver.
func SecretValue(storage, name string) (string, error) {
	dir := filepath.Join(storage, "secrets")
	var index struct {
		NameToID map[string]string `json:"nameToID"`
	}
	if err := readJSON(filepath.Join(dir, "secrets.json"), &index); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id, known := index.NameToID[name]
	if !known {
		return "", fmt.Errorf("the secret %s in %s: %w", name, dir, ErrNoSecret)
	}
	var kept map[string]string
	if err := readJSON(filepath.Join(dir, "filedriver/secretsdata.json"), &kept); err != nil {
		return "", err
	}
	encoded, ok := kept[id]
	if !ok {
		return "", fmt.Errorf("Podman keeps the secret %s elsewhere than in %s", name, dir)
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", fmt.Errorf("reading Podman's secret %s: %w", name, err)
	}
	return string(text), nil
}

func readJSON(file string, into any) error {
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("reading Podman's secrets: %w", err)
	}
	return nil
}
