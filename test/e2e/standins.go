//go:build e2e

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/archipelago-os/archipelago/manifests/catalog/contracts"
	"github.com/archipelago-os/archipelago/manifests/contract"
)

// writeStandIns writes the build context of a stand-in's image for each contract of the
// catalog, to a directory with the contract's name: the contract, and a Containerfile with
// the user, the directories and the programs of the real image. The directory base has the
// base image.
func writeStandIns(dir string) error {
	files, err := contracts.Files()
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, "base", "Containerfile"), []byte(baseContainerfile)); err != nil {
		return err
	}
	for name, data := range files {
		c, err := contract.Decode(name, data)
		if err != nil {
			return err
		}
		var tree map[string]any
		if err := yaml.Unmarshal(data, &tree); err != nil {
			return err
		}
		text, err := json.Marshal(tree)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, c.Name, "contract.json"), text); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, c.Name, "Containerfile"), []byte(containerfile(c))); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}

// baseContainerfile is the common base of all stand-ins.
const baseContainerfile = `FROM localhost/busybox:1
COPY --from=localhost/standin:1 /app /standin
RUN rm -rf /data && mkdir -p /usr/local/bin
USER 0:0
`

// containerfile returns the Containerfile of a stand-in: it has busybox's shell, and the
// stand-in under the name of every program.
func containerfile(c *contract.Contract) string {
	var b strings.Builder
	b.WriteString("FROM localhost/standin/base:1\nCOPY contract.json /contract.json\n")
	names := programs(c)
	commands := make([]string, 0, 2*len(names)+len(c.Directories)+1)
	for _, name := range names {
		commands = append(commands, fmt.Sprintf("mkdir -p %s", path.Dir(name)), "ln -sf /standin "+name)
	}
	start := contract.Start{}
	if c.Start != nil {
		start = *c.Start
	}
	commands = append(commands, "mkdir -p "+cmp.Or(start.WorkingDir, "/"))
	for _, d := range c.Directories {
		commands = append(commands, fmt.Sprintf("mkdir -p %[1]s && chown %[2]d:%[3]d %[1]s && chmod %[4]o %[1]s", d.Path, d.UID, d.GID, cmp.Or(d.Mode, 0o755)))
	}
	b.WriteString("RUN " + strings.Join(commands, " && ") + "\n")
	for name, value := range start.Env {
		fmt.Fprintf(&b, "ENV %s=%q\n", name, value)
	}
	for _, d := range c.Directories {
		if d.Volume {
			fmt.Fprintf(&b, "VOLUME %s\n", d.Path)
		}
	}
	if c.User != nil {
		fmt.Fprintf(&b, "USER %d:%d\n", c.User.UID, c.User.GID)
	}
	for _, l := range c.Listens {
		if l.Port != 0 {
			fmt.Fprintf(&b, "EXPOSE %d/%s\n", l.Port, cmp.Or(l.Protocol, "tcp"))
		}
	}
	fmt.Fprintf(&b, "WORKDIR %s\n", cmp.Or(start.WorkingDir, "/"))
	if start.Signal != "" {
		fmt.Fprintf(&b, "STOPSIGNAL %s\n", start.Signal)
	}
	entrypoint, _ := json.Marshal(start.Entrypoint)
	command, _ := json.Marshal(start.Command)
	fmt.Fprintf(&b, "ENTRYPOINT %s\nCMD %s\n", emptyList(entrypoint), emptyList(command))
	return b.String()
}

func emptyList(list []byte) string {
	if string(list) == "null" {
		return "[]"
	}
	return string(list)
}

// ofBusybox is the programs that do the same in a stand-in as in the real image.
var ofBusybox = []string{"sh", "find", "test", "mkfifo", "tee", "rm", "sleep"}

// programs returns the paths of an image's programs.
func programs(c *contract.Contract) (list []string) {
	var names []string
	if c.Programs != nil {
		names = c.Programs.Names
	}
	if c.Start != nil && len(c.Start.Entrypoint) > 0 {
		names = append(slices.Clone(names), c.Start.Entrypoint[0])
	}
	for _, name := range names {
		switch {
		case slices.Contains(ofBusybox, name):
		case path.IsAbs(name):
			list = append(list, name)
		default:
			list = append(list, "/usr/local/bin/"+name)
		}
	}
	return list
}
