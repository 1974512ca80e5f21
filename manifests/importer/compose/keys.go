package compose

import (
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// keyRow says what happens to one key: a function that reads it, or the code of its loss.
type keyRow[T any] struct {
	key string
	// to is the key of the manifest that says the same, for the report.
	to   string
	read func(T, *syntax.Node, string)
	loss importer.Code
}

// serviceKeys is every key of a service. Rows are read in this order.
var serviceKeys = []keyRow[*service]{
	{key: "image", to: "image", read: (*service).image},
	{key: "build", to: "build", read: (*service).build},
	{key: "pull_policy", to: "pull", read: (*service).pullPolicy},
	{key: "platform", to: "podman_args", read: rawArgument("--platform", importer.RawArgument)},

	// A script takes secrets from the environment.
	{key: "env_file", to: "env", read: (*service).envFiles},
	{key: "environment", to: "env", read: (*service).environment},
	{key: "entrypoint", to: "entrypoint", read: (*service).entrypoint},
	{key: "command", to: "command", read: (*service).command},
	{key: "user", to: "user", read: (*service).user},
	{key: "group_add", to: "group_add", read: (*service).groups},
	{key: "userns_mode", to: "userns", read: (*service).userNamespace},
	{key: "working_dir", to: "working_dir", read: (*service).workingDir},
	{key: "hostname", to: "hostname", read: (*service).hostname},
	{key: "domainname", loss: importer.NoEquivalent},
	{key: "init", to: "init", read: boolean(func(s *service) *bool { return &s.c.Init })},
	{key: "stdin_open", to: "stdin", read: boolean(func(s *service) *bool { return &s.c.Stdin })},
	{key: "tty", to: "tty", read: boolean(func(s *service) *bool { return &s.c.TTY })},

	{key: "network_mode", to: "network", read: (*service).networkMode},
	{key: "networks", to: "networks", read: (*service).networks},
	{key: "ports", to: "ports", read: (*service).ports},
	{key: "expose", to: "ports", read: (*service).expose},
	{key: "container_name", to: "aliases", read: (*service).containerName},
	{key: "links", to: "aliases", read: (*service).links},
	{key: "external_links", loss: importer.ForeignContainer},
	{key: "extra_hosts", to: "hosts", read: (*service).extraHosts},
	{key: "dns", to: "dns", read: (*service).dns},
	{key: "dns_search", to: "podman_args", read: rawArgument("--dns-search", importer.RawArgument)},
	{key: "dns_opt", to: "podman_args", read: rawArgument("--dns-option", importer.RawArgument)},
	{key: "mac_address", to: "podman_args", read: rawArgument("--mac-address", importer.RawArgument)},

	{key: "volumes", to: "volumes", read: (*service).mounts},
	{key: "volumes_from", loss: importer.ForeignContainer},
	{key: "tmpfs", to: "tmpfs", read: (*service).tmpfs},
	{key: "configs", to: "files", read: (*service).configs},
	{key: "secrets", to: "secrets", read: (*service).secretMounts},
	{key: "devices", to: "devices", read: (*service).devices},
	{key: "device_cgroup_rules", to: "podman_args", read: rawArgument("--device-cgroup-rule", importer.RawArgument)},
	{key: "gpus", to: "devices", read: (*service).gpus},
	{key: "read_only", to: "read_only", read: boolean(func(s *service) *bool { return &s.c.ReadOnly })},
	{key: "storage_opt", loss: importer.NoEquivalent},

	{key: "privileged", to: "privileged", read: (*service).privileged},
	{key: "cap_drop", to: "capabilities.add", read: (*service).capDrop},
	{key: "cap_add", to: "capabilities.add", read: (*service).capAdd},
	{key: "security_opt", to: "security", read: (*service).securityOptions},
	{key: "pid", to: "pid", read: namespace(func(c *manifests.Container) *string { return &c.PID })},
	{key: "ipc", to: "ipc", read: namespace(func(c *manifests.Container) *string { return &c.IPC })},
	{key: "uts", to: "podman_args", read: rawArgument("--uts", importer.HostNamespace)},
	{key: "cgroup", to: "podman_args", read: rawArgument("--cgroupns", importer.HostNamespace)},
	{key: "cgroup_parent", loss: importer.NoEquivalent},
	{key: "isolation", loss: importer.NoEquivalent},
	{key: "runtime", read: (*service).runtime},
	{key: "credential_spec", loss: importer.NoEquivalent},
	{key: "use_api_socket", to: "engine", read: (*service).useAPISocket},

	{key: "sysctls", to: "sysctls", read: (*service).sysctls},
	{key: "ulimits", to: "limits", read: (*service).ulimits},
	{key: "shm_size", to: "limits.shm", read: (*service).shmSize},
	{key: "mem_limit", to: "limits.memory", read: (*service).memoryLimit},
	{key: "mem_reservation", to: "limits.memory_reservation", read: (*service).memoryReservation},
	{key: "memswap_limit", to: "podman_args", read: sizeArgument("--memory-swap", importer.RawArgument)},
	{key: "mem_swappiness", to: "podman_args", read: rawArgument("--memory-swappiness", importer.RawArgument)},
	{key: "oom_score_adj", to: "podman_args", read: rawArgument("--oom-score-adj", importer.RawArgument)},
	{key: "oom_kill_disable", loss: importer.NoEquivalent},
	{key: "cpus", to: "limits.cpus", read: (*service).cpus},
	{key: "cpu_count", loss: importer.NoEquivalent},
	{key: "cpu_percent", loss: importer.NoEquivalent},
	{key: "cpu_shares", to: "limits.cpu_weight", read: (*service).cpuShares},
	{key: "cpu_quota", to: "podman_args", read: rawArgument("--cpu-quota", importer.RawArgument)},
	{key: "cpu_period", to: "podman_args", read: rawArgument("--cpu-period", importer.RawArgument)},
	{key: "cpu_rt_runtime", to: "podman_args", read: rawArgument("--cpu-rt-runtime", importer.RawArgument)},
	{key: "cpu_rt_period", to: "podman_args", read: rawArgument("--cpu-rt-period", importer.RawArgument)},
	{key: "cpuset", to: "podman_args", read: rawArgument("--cpuset-cpus", importer.RawArgument)},
	{key: "blkio_config", loss: importer.NoEquivalent},
	{key: "pids_limit", to: "limits.pids", read: (*service).pidsLimit},
	{key: "scale", read: (*service).scale},
	{key: "deploy", to: "limits", read: (*service).deploy},

	{key: "depends_on", to: "after", read: (*service).dependsOn},
	{key: "healthcheck", to: "health", read: (*service).healthcheck},
	{key: "restart", to: "restart", read: (*service).restart},
	{key: "stop_signal", to: "stop.signal", read: (*service).stopSignal},
	{key: "stop_grace_period", to: "stop.timeout", read: (*service).stopGrace},
	{key: "post_start", loss: importer.LifecycleHook},
	{key: "pre_stop", loss: importer.LifecycleHook},

	{key: "labels", to: "labels", read: (*service).labels},
	{key: "label_file", loss: importer.Label},
	{key: "annotations", to: "podman_args", read: (*service).annotations},
	{key: "logging", read: (*service).logging},
	{key: "attach", loss: importer.NoMeaning},
	{key: "develop", loss: importer.NoMeaning},
	{key: "profiles", loss: importer.NoMeaning}, // a service that has one is imported only if asked for
	{key: "extends", loss: importer.NoMeaning},  // it is merged already
	{key: "provider", loss: importer.Model},
	{key: "models", loss: importer.Model},
}

// topKeys is every key of a file.
var topKeys = []keyRow[*project]{
	{key: "name", to: "id"},
	{key: "services", to: "containers"},
	{key: "volumes", to: "volumes", read: (*project).topVolumes},
	{key: "networks", to: "networks", read: (*project).topNetworks},
	{key: "configs", to: "files"},
	{key: "secrets", to: "secrets"},
	{key: "include", loss: importer.NoMeaning}, // it is merged already
	{key: "version", loss: importer.NoMeaning},
	{key: "models", loss: importer.Model},
}

// buildKeys is every key of a build.
var buildKeys = []keyRow[*service]{
	{key: "context", to: "build.context"},
	{key: "dockerfile", to: "build.containerfile", read: (*service).dockerfile},
	{key: "dockerfile_inline", loss: importer.BuildSource},
	{key: "additional_contexts", loss: importer.BuildSource},
	{key: "args", to: "build.args", read: (*service).buildArgs},
	{key: "target", to: "build.target", read: (*service).buildTarget},
	{key: "cache_from", loss: importer.BuildOption},
	{key: "cache_to", loss: importer.BuildOption},
	{key: "entitlements", loss: importer.BuildOption},
	{key: "extra_hosts", loss: importer.BuildOption},
	{key: "isolation", loss: importer.BuildOption},
	{key: "labels", loss: importer.BuildOption},
	{key: "network", loss: importer.BuildOption},
	{key: "no_cache", loss: importer.BuildOption},
	{key: "platforms", loss: importer.BuildOption},
	{key: "privileged", loss: importer.BuildOption},
	{key: "provenance", loss: importer.BuildOption},
	{key: "pull", loss: importer.BuildOption},
	{key: "sbom", loss: importer.BuildOption},
	{key: "secrets", loss: importer.BuildOption},
	{key: "shm_size", loss: importer.BuildOption},
	{key: "ssh", loss: importer.BuildOption},
	{key: "tags", loss: importer.BuildOption},
	{key: "ulimits", loss: importer.BuildOption},
}

// deployKeys is every key of a deployment.
var deployKeys = []keyRow[*service]{
	{key: "resources", to: "limits", read: (*service).resources},
	{key: "restart_policy", to: "restart", read: (*service).restartPolicy},
	{key: "replicas", read: (*service).scale},
	{key: "mode", loss: importer.Swarm},
	{key: "endpoint_mode", loss: importer.Swarm},
	{key: "labels", loss: importer.Swarm},
	{key: "placement", loss: importer.Swarm},
	{key: "update_config", loss: importer.Swarm},
	{key: "rollback_config", loss: importer.Swarm},
}

// healthKeys is every key of a health check; test is read before.
var healthKeys = []keyRow[*service]{
	{key: "test", to: "health.serving.exec"},
	{key: "disable", to: "health.disable"},
	{key: "interval", to: "health.serving.interval", read: (*service).probeInterval},
	{key: "timeout", to: "health.serving.timeout", read: (*service).probeTimeout},
	{key: "retries", to: "health.serving.retries", read: (*service).probeRetries},
	{key: "start_period", to: "health.serving.start_period", read: (*service).probeStart},
	{key: "start_interval", loss: importer.StartInterval},
}

// networkKeys is every key of a network of the file.
var networkKeys = []keyRow[*project]{
	{key: "driver", read: (*project).networkDriver},
	{key: "external", read: (*project).networkExternal},
	{key: "internal"}, // read by topNetworks, which knows who joins it
	{key: "name", loss: importer.NoMeaning},
	{key: "attachable", loss: importer.NoMeaning},
	{key: "labels", loss: importer.NoMeaning},
	{key: "driver_opts", loss: importer.NetworkOption},
	{key: "enable_ipv4", loss: importer.NetworkOption},
	{key: "enable_ipv6", loss: importer.NetworkOption},
	{key: "ipam", loss: importer.StaticAddress},
}

// joinKeys is every key of a service's membership in a network.
var joinKeys = []keyRow[*service]{
	{key: "aliases", to: "aliases", read: (*service).networkAliases},
	{key: "ipv4_address", loss: importer.StaticAddress},
	{key: "ipv6_address", loss: importer.StaticAddress},
	{key: "link_local_ips", loss: importer.StaticAddress},
	{key: "interface_name", loss: importer.NetworkOption},
	{key: "mac_address", loss: importer.NetworkOption},
	{key: "driver_opts", loss: importer.NetworkOption},
	{key: "priority", loss: importer.NetworkOption},
	{key: "gw_priority", loss: importer.NetworkOption},
}

// eachKey has the rows of a table read the keys of a map. It reports what the rows do not say
// themselves: what is kept, what is lost, and keys of no row.
func eachKey[T any](p *project, on T, rows []keyRow[T], n *syntax.Node, path, to string) {
	known := map[string]bool{}
	for _, row := range rows {
		known[row.key] = true
		i := n.Find(row.key)
		if i < 0 {
			continue
		}
		e, key := n.Entries[i], syntax.JoinPath(path, row.key)
		if row.to != "" {
			p.Origin(syntax.JoinPath(to, row.to), e.At, key)
		}
		switch {
		case e.Value.Kind == syntax.NullNode || e.Value.Kind == syntax.BrokenNode:
			continue
		case row.read != nil:
			row.read(on, e.Value, key)
		case row.loss != "":
			p.lose(row.loss, e, key)
		}
		if row.to != "" && !p.Says(key) {
			p.Keep(e.At, key, syntax.JoinPath(to, row.to))
		}
	}
	for _, e := range n.Entries {
		key := syntax.JoinPath(path, e.Key)
		switch {
		case known[e.Key]:
		case strings.HasPrefix(e.Key, "x-"):
			p.Report(importer.NoMeaning, e.At, key, "%s is an extension", e.Key)
		default:
			p.Report(importer.UnknownKey, e.At, key, "Compose has no key %s here", e.Key)
		}
	}
}

// lose reports a key whose loss does not depend on its value.
func (p *project) lose(code importer.Code, e syntax.Entry, key string) {
	if e.Value.Kind == syntax.ScalarNode && e.Value.Text == "false" {
		p.Report(importer.NoMeaning, e.At, key, "%s is off", e.Key)
		return
	}
	p.Report(code, e.At, key, lossText[code], e.Key)
}

// lossText is how a row without a function says what happens to its key.
var lossText = map[importer.Code]string{
	importer.NoMeaning:        "the key %s says nothing about how the app runs",
	importer.NoEquivalent:     "the key %s is left out: the manifest has no such key",
	importer.ForeignContainer: "the key %s is left out: it reaches a container that is not part of the app",
	importer.EngineSocket:     "the key %s is left out: with it the container would control the machine",
	importer.LifecycleHook:    "the key %s is left out: nothing runs in a started container",
	importer.Label:            "the key %s is left out: the labels in that file are not read",
	importer.Model:            "the key %s is left out: it is not a container",
	importer.BuildSource:      "the key %s is left out: an image is built from a directory with a Containerfile",
	importer.BuildOption:      "the key %s of the build is left out",
	importer.Swarm:            "the key %s is left out: only a cluster reads it",
	importer.StartInterval:    "the key %s is left out: a probe has one interval",
	importer.NetworkOption:    "the key %s of the network is left out",
	importer.StaticAddress:    "the key %s is left out: the part is reached by its name",
}
