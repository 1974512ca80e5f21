package runtipi

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/platform"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// serviceRow says how a key of a service in docker-compose.json is said in a Compose file.
type serviceRow struct {
	key, to string
	// shape makes the value of the Compose file; nil where it is the same.
	shape func(*syntax.Node) *syntax.Node
}

// serviceKeys is every key of a service of docker-compose.json that a Compose file has, too.
var serviceKeys = []serviceRow{
	{"image", "image", nil},
	{"command", "command", nil},
	{"entrypoint", "entrypoint", nil},
	{"environment", "environment", environment},
	{"volumes", "volumes", list(mount)},
	{"dependsOn", "depends_on", nil},
	{"healthCheck", "healthcheck", healthCheck},
	{"addPorts", "ports", ports},
	{"networkMode", "network_mode", nil},
	{"extraHosts", "extra_hosts", nil},
	{"extraLabels", "labels", nil},
	{"hostname", "hostname", nil},
	{"dns", "dns", nil},
	{"user", "user", nil},
	{"workingDir", "working_dir", nil},
	{"tty", "tty", nil},
	{"stdinOpen", "stdin_open", nil},
	{"readOnly", "read_only", nil},
	{"privileged", "privileged", nil},
	{"capAdd", "cap_add", nil},
	{"capDrop", "cap_drop", nil},
	{"securityOpt", "security_opt", nil},
	{"devices", "devices", nil},
	{"sysctls", "sysctls", nil},
	{"ulimits", "ulimits", nil},
	{"shmSize", "shm_size", nil},
	{"deploy", "deploy", nil},
	{"pid", "pid", nil},
	{"logging", "logging", nil},
	{"stopGracePeriod", "stop_grace_period", nil},
	{"stopSignal", "stop_signal", nil},
}

// ownKeys is the keys of a service that are read here and stand in no Compose file.
var ownKeys = map[string]bool{"name": true, "isMain": true, "internalPort": true, "addToMainNetwork": true}

// dynamic is the Compose tree that says the same as docker-compose.json.
func (a *app) dynamic() *syntax.Node {
	source := a.Read(dynamicFile)
	if source == nil {
		return nil
	}
	services := &syntax.Node{Kind: syntax.MapNode, At: source.At}
	tree := &syntax.Node{Kind: syntax.MapNode, At: source.At, Entries: []syntax.Entry{{Key: "services", At: source.At, Value: services}}}
	for _, e := range source.Entries {
		switch e.Key {
		case "services", "schemaVersion", "$schema":
		case "overrides":
			a.Report(importer.NoEquivalent, e.At, e.Key, "the services of other processors are left out")
		default:
			a.Report(importer.UnknownKey, e.At, e.Key, "runtipi has no key %s here", e.Key)
		}
	}
	for i, s := range source.Get("services").List() {
		key := fmt.Sprintf("services[%d]", i)
		name := text(s, "name")
		if name == "" || services.Get(name) != nil {
			a.Report(importer.BadSourceValue, s.At, key, "the service needs a name of its own")
			continue
		}
		services.Entries = append(services.Entries, syntax.Entry{Key: name, At: s.At, Value: a.service(s, name)})
	}
	return tree
}

// service is one service of the Compose tree.
func (a *app) service(s *syntax.Node, name string) *syntax.Node {
	n := platform.Map(s.At, "restart", "unless-stopped")
	known := map[string]bool{}
	for _, row := range serviceKeys {
		known[row.key] = true
		i := s.Find(row.key)
		if i < 0 || platform.IsEmpty(s.Entries[i].Value) {
			continue
		}
		value := s.Entries[i].Value
		if row.shape != nil {
			value = row.shape(value)
		}
		platform.Set(n, row.to, s.Entries[i].At, value)
	}
	for _, e := range s.Entries {
		if !known[e.Key] && !ownKeys[e.Key] {
			a.Report(importer.UnknownKey, e.At, "services."+name+"."+e.Key, "runtipi has no key %s here", e.Key)
		}
	}
	if text(s, "isMain") == "true" {
		a.Main = name
		a.publish(s, n)
	}
	return n
}

// publish publishes the port of the user interface.
func (a *app) publish(s, n *syntax.Node) {
	inner := s.Get("internalPort")
	if inner == nil {
		return
	}
	number := platform.Replace(inner.Text, func(name string) (string, bool) {
		v, ok := a.Variables[name]
		return v.Value, ok && v.Value != ""
	})
	a.container, _ = strconv.Atoi(number)
	if a.Port > 0 && n.Get("network_mode") == nil {
		host := platform.Publish(n, inner.At, number, strconv.Itoa(a.Port), func(text string) string { return text })
		if port, err := strconv.Atoi(host); err == nil {
			a.Port = port
		}
	}
}

// environment is the list of key and value as a map.
func environment(n *syntax.Node) *syntax.Node {
	m := &syntax.Node{Kind: syntax.MapNode, At: n.At, Entries: n.Entries}
	for _, item := range n.Items {
		value := item.Get("value")
		if value == nil {
			value = platform.Text("", item.At)
		}
		platform.Set(m, text(item, "key"), item.At, value)
	}
	return m
}

func list(shape func(*syntax.Node) *syntax.Node) func(*syntax.Node) *syntax.Node {
	return func(n *syntax.Node) *syntax.Node {
		l := &syntax.Node{Kind: syntax.ListNode, At: n.At}
		for _, item := range n.Items {
			l.Items = append(l.Items, shape(item))
		}
		return l
	}
}

// mount is a mount in its short form.
func mount(n *syntax.Node) *syntax.Node {
	words := []string{text(n, "hostPath"), text(n, "containerPath")}
	if text(n, "readOnly") == "true" {
		words = append(words, "ro")
	}
	return platform.Text(strings.Join(words, ":"), n.At)
}

// ports is the ports beside that of the user interface. One without a protocol is TCP.
func ports(n *syntax.Node) *syntax.Node {
	l := &syntax.Node{Kind: syntax.ListNode, At: n.At}
	for _, item := range n.Items {
		address := text(item, "interface")
		for _, protocol := range []string{"tcp", "udp"} {
			isOther := protocol == "tcp" && text(item, "udp") == "true"
			if text(item, protocol) != "true" && (protocol == "udp" || isOther) {
				continue
			}
			p := platform.Map(item.At, "target", text(item, "containerPort"), "published", text(item, "hostPort"), "protocol", protocol)
			if address != "" && address != "${NETWORK_INTERFACE}" {
				platform.Set(p, "host_ip", item.At, platform.Text(address, item.At))
			}
			l.Items = append(l.Items, p)
		}
	}
	return l
}

// healthNames is the keys of a health check that are written otherwise.
var healthNames = map[string]string{"startPeriod": "start_period", "startInterval": "start_interval"}

func healthCheck(n *syntax.Node) *syntax.Node {
	h := &syntax.Node{Kind: syntax.MapNode, At: n.At}
	for _, e := range n.Entries {
		if name, ok := healthNames[e.Key]; ok {
			e.Key = name
		}
		h.Entries = append(h.Entries, e)
	}
	return h
}
