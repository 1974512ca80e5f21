package container

import (
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/podmanrun"
)

// commandRows is the arguments that are read of the command that made the container, each with the
// reason why podman inspect is not enough.
var commandRows = map[string]string{
	"annotation":         "it has those of the image and of Podman, too",
	"cgroup-parent":      "it prints the usual one of a user",
	"cgroupns":           "its default differs between machines",
	"device":             "it lacks those of rootless containers, and the names of CDI",
	"device-cgroup-rule": "it is not there",
	"gpus":               "it prints the device files",
	"ip":                 "an address looks the same whether it was asked for",
	"ip6":                "as ip",
	"mac-address":        "as ip",
	"pids-limit":         "the usual limit is left out, and may have been asked for",
	"platform":           "it is not there",
	"runtime":            "it prints the usual one",
	"sysctl":             "it is not there",
	"ulimit":             "it has the limits of the machine, too",
	"userns":             "it prints how IDs are mapped, and not what was asked for",
}

// flag is the last argument of a name in the command that made the container.
func (c *container) flag(name string) (last podmanrun.Flag, found bool) {
	for _, f := range c.flags {
		if f.Name == name {
			last, found = f, true
		}
	}
	return last, found
}

// command reads what podman inspect does not say from the command that made the container. Without
// one, what it prints has to do.
func (c *container) command() {
	for _, f := range c.flags {
		path := fmt.Sprintf("Config.CreateCommand[%d]", f.Index)
		switch {
		case f.Name == "secret":
			c.secret(importer.ReadPodmanSecret(f.Value, ""), path)
		case slices.Contains([]string{"ip", "ip6", "mac-address"}, f.Name):
			c.report(importer.StaticAddress, path, "the container has no fixed address: it is reached by its name")
		case commandRows[f.Name] != "" && (f.Name != "pids-limit" || c.service.Get("pids_limit") == nil):
			podmanrun.Argument(c.service, "--"+f.Name+"="+f.Value, c.at(path))
		}
	}
	if len(c.flags) == 0 {
		c.inspectedInstead()
	}
	c.umask()
	if zone := c.Config.Timezone; zone != "" {
		c.set("timezone", "Config.Timezone", func(p *manifests.Container) { p.Timezone = zone })
	}
}

// machineLimits is the resource limits that Podman gives containers without being told.
var machineLimits = []string{"RLIMIT_NOFILE", "RLIMIT_NPROC"}

// inspectedInstead reads what podman inspect has of what the command would say better.
func (c *container) inspectedInstead() {
	for i, d := range c.HostConfig.Devices {
		c.add("devices", strings.TrimSuffix(d.PathOnHost+":"+d.PathInContainer+":"+d.CgroupPermissions, ":"), c.at(fmt.Sprintf("HostConfig.Devices[%d]", i)))
	}
	for i, u := range c.HostConfig.Ulimits {
		if !slices.Contains(machineLimits, u.Name) {
			name := strings.ToLower(strings.TrimPrefix(u.Name, "RLIMIT_"))
			podmanrun.Argument(c.service, fmt.Sprintf("--ulimit=%s=%d:%d", name, u.Soft, u.Hard), c.at(fmt.Sprintf("HostConfig.Ulimits[%d]", i)))
		}
	}
	for i, s := range c.Config.Secrets {
		text := fmt.Sprintf("%s,uid=%d,gid=%d,mode=%o", s.Name, s.UID, s.GID, s.Mode)
		c.secret(importer.ReadPodmanSecret(text, ""), fmt.Sprintf("Config.Secrets[%d]", i))
	}
	if c.HostConfig.IDMappings != nil {
		c.report(importer.UserNamespace, "HostConfig.IDMappings", "the container has the user namespace of the user that runs Podman")
	}
}

// usualUmask is that of a container without being told.
const usualUmask = "0022"

func (c *container) umask() {
	if mask := c.Config.Umask; mask != "" && mask != usualUmask {
		c.argument("--umask="+mask, "Config.Umask")
	}
}

// argument says a value by an argument of podman run.
func (c *container) argument(text, path string) {
	c.say(func(d *importer.Draft) {
		c.part.PodmanArgs = append(c.part.PodmanArgs, text)
		at := fmt.Sprintf("%s.podman_args[%d]", c.part.Path, len(c.part.PodmanArgs)-1)
		d.Note(at, c.at(path))
		d.Origin(at, c.at(path), path)
		name, _, _ := strings.Cut(text, "=")
		d.Report(importer.RawArgument, c.at(path), path, "it is said by the argument %s of podman run", name)
	})
}

// isSecretEnv reports whether the command puts a secret into a variable.
func (c *container) isSecretEnv(name string) bool {
	return slices.ContainsFunc(c.flags, func(f podmanrun.Flag) bool {
		return f.Name == "secret" && importer.ReadPodmanSecret(f.Value, "").Mount.Env == name
	})
}

// secret gives the part a secret of Podman, whose value is set again for the app.
func (c *container) secret(s importer.PodmanSecret, path string) {
	if s.Mount.Env != "" {
		s.Mount.Waiver = importer.EnvWaiver
	}
	c.say(func(d *importer.Draft) {
		d.AddPodmanSecret(c.part.Container, c.part.Path, s, c.at(path), path)
	})
}
