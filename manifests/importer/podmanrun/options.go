package podmanrun

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// form is how often an argument can be given, and whether it has a value.
type form int

const (
	// isOnce has one value; the last one counts.
	isOnce form = iota
	// isList has a value each time.
	isList
	// isSwitch has none, or true or false.
	isSwitch
	// isIgnored has a value and says nothing about how the app runs.
	isIgnored
)

// option is one argument of podman run or docker run.
type option struct {
	// names is the long name, other names, and the letter.
	names []string
	form  form
	// key is the key of a Compose service that says the same.
	key string
	// read replaces the form for an argument whose value has parts.
	read func(*line, word) *failure
}

func names(text string) []string { return strings.Fields(text) }

// options is every argument that is known.
var options = []option{
	{names("add-host"), isList, "extra_hosts", nil},
	{names("annotation"), isList, "annotations", nil},
	{names("attach a"), isIgnored, "", nil},
	{names("authfile cidfile pidfile conmon-pidfile detach-keys log-opt preserve-fds tls-verify pull-quiet"), isIgnored, "", nil},
	{names("cap-add"), isList, "cap_add", nil},
	{names("cap-drop"), isList, "cap_drop", nil},
	{names("cgroup-parent"), isOnce, "cgroup_parent", nil},
	{names("cgroupns"), isOnce, "cgroup", nil},
	{names("cgroups sdnotify"), isIgnored, "", nil},
	{names("cpu-period"), isOnce, "cpu_period", nil},
	{names("cpu-quota"), isOnce, "cpu_quota", nil},
	{names("cpu-rt-period"), isOnce, "cpu_rt_period", nil},
	{names("cpu-rt-runtime"), isOnce, "cpu_rt_runtime", nil},
	{names("cpu-shares c"), isOnce, "cpu_shares", nil},
	{names("cpus"), isOnce, "cpus", nil},
	{names("cpuset-cpus"), isOnce, "cpuset", nil},
	{names("detach d rm replace sig-proxy quiet q no-trunc"), isSwitch, "", nil},
	{names("device"), isList, "devices", nil},
	{names("device-cgroup-rule"), isList, "device_cgroup_rules", nil},
	{names("dns"), isList, "dns", nil},
	{names("dns-option dns-opt"), isList, "dns_opt", nil},
	{names("dns-search"), isList, "dns_search", nil},
	{names("domainname"), isOnce, "domainname", nil},
	{names("entrypoint"), isOnce, "entrypoint", entrypoint},
	{names("env e"), isList, "environment", nil},
	{names("env-file"), isList, "env_file", nil},
	{names("expose"), isList, "expose", nil},
	{names("gpus"), isOnce, "gpus", nil},
	{names("group-add"), isList, "group_add", nil},
	{names("health-cmd"), isOnce, "healthcheck.test", nil},
	{names("health-interval"), isOnce, "healthcheck.interval", nil},
	{names("health-retries"), isOnce, "healthcheck.retries", nil},
	{names("health-start-period"), isOnce, "healthcheck.start_period", nil},
	{names("health-start-interval"), isOnce, "healthcheck.start_interval", nil},
	{names("health-timeout"), isOnce, "healthcheck.timeout", nil},
	{names("health-on-failure"), isIgnored, "", nil},
	{names("hostname h"), isOnce, "hostname", nil},
	{names("init"), isSwitch, "init", nil},
	{names("interactive i"), isSwitch, "stdin_open", nil},
	{names("ip"), isOnce, "networks.default.ipv4_address", nil},
	{names("ip6"), isOnce, "networks.default.ipv6_address", nil},
	{names("ipc"), isOnce, "ipc", nil},
	{names("isolation"), isOnce, "isolation", nil},
	{names("label l"), isList, "labels", nil},
	{names("label-file"), isList, "label_file", nil},
	{names("link"), isList, "external_links", nil},
	{names("log-driver"), isOnce, "logging.driver", nil},
	{names("mac-address"), isOnce, "mac_address", nil},
	{names("memory m"), isOnce, "mem_limit", nil},
	{names("memory-reservation"), isOnce, "mem_reservation", nil},
	{names("memory-swap"), isOnce, "memswap_limit", nil},
	{names("memory-swappiness"), isOnce, "mem_swappiness", nil},
	{names("mount"), isList, "volumes", mount},
	{names("name"), isOnce, "container_name", containerName},
	{names("network net"), isOnce, "network_mode", nil},
	{names("network-alias"), isIgnored, "", nil},
	{names("no-healthcheck"), isSwitch, "healthcheck.disable", nil},
	{names("oom-kill-disable"), isSwitch, "oom_kill_disable", nil},
	{names("oom-score-adj"), isOnce, "oom_score_adj", nil},
	{names("pid"), isOnce, "pid", nil},
	{names("pids-limit"), isOnce, "pids_limit", nil},
	{names("platform"), isOnce, "platform", nil},
	{names("privileged"), isSwitch, "privileged", nil},
	{names("publish p"), isList, "ports", nil},
	{names("pull"), isOnce, "pull_policy", nil},
	{names("read-only"), isSwitch, "read_only", nil},
	{names("restart"), isOnce, "restart", nil},
	{names("runtime"), isOnce, "runtime", nil},
	{names("secret"), isList, "secrets", secret},
	{names("security-opt"), isList, "security_opt", nil},
	{names("shm-size"), isOnce, "shm_size", nil},
	{names("stop-signal"), isOnce, "stop_signal", nil},
	{names("stop-timeout"), isOnce, "stop_grace_period", nil},
	{names("storage-opt"), isOnce, "storage_opt", nil},
	{names("sysctl"), isList, "sysctls", nil},
	{names("tmpfs"), isList, "tmpfs", nil},
	{names("tty t"), isSwitch, "tty", nil},
	{names("ulimit"), isList, "ulimits", ulimit},
	{names("user u"), isOnce, "user", nil},
	{names("userns"), isOnce, "userns_mode", nil},
	{names("uts"), isOnce, "uts", nil},
	{names("volume v"), isList, "volumes", nil},
	{names("volumes-from"), isList, "volumes_from", nil},
	{names("workdir w"), isOnce, "working_dir", nil},
}

// optionOf is the argument of a name or letter, or nil.
func optionOf(name string) *option {
	i := slices.IndexFunc(options, func(f option) bool { return slices.Contains(f.names, name) })
	if i < 0 {
		return nil
	}
	return &options[i]
}

// say puts an argument into the service.
func (l *line) say(f *option, w word) *failure {
	switch {
	case f.read != nil:
		return f.read(l, w)
	case f.key == "" || f.form == isIgnored:
	case f.form == isList:
		l.add(f.key, scalar(w))
	default:
		l.put(f.key, scalar(w))
	}
	return nil
}

// entrypoint is one program, or a list as JSON.
func entrypoint(l *line, w word) *failure {
	var words []string
	if json.Unmarshal([]byte(w.text), &words) != nil {
		words = []string{w.text}
	}
	list := &syntax.Node{Kind: syntax.ListNode, At: w.at}
	for _, text := range words {
		if text != "" {
			list.Items = append(list.Items, scalar(word{text, w.at}))
		}
	}
	l.put("entrypoint", list)
	return nil
}

func containerName(l *line, w word) *failure {
	l.name = w.text
	return nil
}

// fields is key=value,key=value as a map.
func fields(w word) (n *syntax.Node) {
	n = &syntax.Node{Kind: syntax.MapNode, At: w.at}
	at := w.at
	for part := range strings.SplitSeq(w.text, ",") {
		key, value, hasValue := strings.Cut(part, "=")
		if !hasValue {
			value = "true"
		}
		n.Entries = append(n.Entries, syntax.Entry{Key: key, At: at, Value: scalar(word{value, at})})
		at.Column += len(part) + 1
	}
	return n
}

// mountKeys is what Compose calls the fields of --mount.
var mountKeys = map[string]string{
	"src": "source", "dst": "target", "destination": "target", "ro": "read_only", "readonly": "read_only",
	"bind-propagation": "bind.propagation", "tmpfs-size": "tmpfs.size", "tmpfs-mode": "tmpfs.mode", "volume-nocopy": "volume.nocopy",
	"volume-subpath": "volume.subpath", "subpath": "volume.subpath",
}

func mount(l *line, w word) *failure {
	l.add("volumes", Mount(w.text, w.at))
	return nil
}

// Mount is the value of --mount as a mount of a Compose service.
func Mount(text string, at syntax.Position) *syntax.Node {
	w := word{text, at}
	m := &syntax.Node{Kind: syntax.MapNode, At: w.at}
	for _, e := range fields(w).Entries {
		key := e.Key
		if known, ok := mountKeys[key]; ok {
			key = known
		}
		put(m, key, e.Value)
	}
	if m.Get("type") == nil {
		put(m, "type", scalar(word{"volume", w.at}))
	}
	return m
}

// Argument puts an argument that is one word, such as --init or --cpus=1, into a Compose service.
// It reports false for one that is not known.
func Argument(service *syntax.Node, text string, at syntax.Position) bool {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(text, "--"), "=")
	o := optionOf(name)
	switch {
	case o == nil || len(name) < 2 || o.key == "" || o.key == "secrets":
		return false
	case !hasValue && o.form != isSwitch:
		return false
	case !hasValue:
		value = "true"
	}
	l := &line{service: service, secrets: &syntax.Node{Kind: syntax.MapNode}}
	return l.say(o, word{value, at}) == nil
}

// secret is NAME,OPTION=VALUE. The value is one of Podman's, and is set again for the app.
func secret(l *line, w word) *failure {
	name, options, hasOptions := strings.Cut(w.text, ",")
	m := &syntax.Node{Kind: syntax.MapNode, At: w.at}
	put(m, "source", scalar(word{name, w.at}))
	if hasOptions {
		for _, e := range fields(word{options, w.at}).Entries {
			if e.Key == "type" && e.Value.Text == "env" {
				return &failure{w.at, "a secret as an environment variable is not read: write it with `secrets` and `env` into the manifest"}
			}
			if e.Key != "type" {
				put(m, e.Key, e.Value)
			}
		}
	}
	l.add("secrets", m)
	put(l.secrets, name+".file", scalar(word{name, w.at}))
	return nil
}

// ulimit is NAME=SOFT[:HARD].
func ulimit(l *line, w word) *failure {
	name, value, _ := strings.Cut(w.text, "=")
	soft, hard, isPair := strings.Cut(value, ":")
	if !isPair {
		put(l.service, "ulimits."+name, scalar(word{value, w.at}))
		return nil
	}
	put(l.service, "ulimits."+name+".soft", scalar(word{soft, w.at}))
	put(l.service, "ulimits."+name+".hard", scalar(word{hard, w.at}))
	return nil
}
