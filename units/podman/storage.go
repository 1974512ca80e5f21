package podman

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Networks returns the names of Podman's networks, read from the directory of their files.
func Networks(dir string) (names []string) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.json")) // the pattern is valid
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".json"))
	}
	return names
}

// Network is what Podman's file of a network says.
type Network struct {
	Name    string            `json:"name"`
	Options map[string]string `json:"options"`
	Labels  map[string]string `json:"labels"`
	Subnets []struct {
		Subnet string `json:"subnet"`
	} `json:"subnets"`
}

// NetworksIn reads the networks in the directory of their files. It leaves out a file that can't
// be read, as Podman does.
func NetworksIn(dir string) (list []Network) {
	for _, name := range Networks(dir) {
		var n Network
		if readJSON(filepath.Join(dir, name+".json"), &n) == nil {
			list = append(list, n)
		}
	}
	return list
}

// Subnet is the subnet of a network, that of IPv4 where it has several. It is empty if there is no
// such network.
func Subnet(dir, network string) string {
	var n Network
	if err := readJSON(filepath.Join(dir, network+".json"), &n); err != nil || len(n.Subnets) == 0 {
		return ""
	}
	for _, s := range n.Subnets {
		if !strings.Contains(s.Subnet, ":") {
			return s.Subnet
		}
	}
	return n.Subnets[0].Subnet
}

// ErrNoSecret says that Podman has no secret of a name.
var ErrNoSecret = errors.New("Podman has no such secret")

// Secret reads a secret of Podman's file driver, which is the default, without a newline at the
// end.
func Secret(storage, name string) (string, error) {
	value, err := SecretValue(storage, name)
	return strings.TrimSuffix(value, "\n"), err
}

// SecretValue is Secret, but returns every byte. Its error wraps ErrNoSecret if Podman has no
// secret of that name, whatever the driver.
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
		return "", fmt.Errorf("the secret %s is not in %s: Podman uses another secret driver", name, dir)
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
