package umbrel

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/platform"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// proxyService is the service that Umbrel puts in front of the app.
const proxyService = "app_proxy"

// proxy reads what the proxy of Umbrel is told, and publishes the port behind it instead.
func (a *app) proxy() {
	services := a.tree.Get("services")
	if services == nil {
		return
	}
	e, found := platform.Remove(services, proxyService)
	key := "services." + proxyService
	if !found {
		a.container = a.Port
		return
	}
	settings := platform.Map(e.At)
	for _, v := range settingsOf(e.Value.Get("environment")) {
		platform.Set(settings, v.Key, v.At, v.Value)
	}
	host, port := settings.Get("APP_HOST"), settings.Get("APP_PORT")
	a.auth(settings, e.At, key)
	if host == nil || port == nil {
		a.Report(importer.BadSourceValue, e.At, key, "the proxy is not told APP_HOST and APP_PORT, so the user interface is unknown")
		return
	}
	target := a.serviceOf(a.expand(host.Text))
	number := a.expand(port.Text)
	if target == "" {
		a.Report(importer.ForeignContainer, host.At, key+".environment.APP_HOST", "there is no service %s behind the proxy", a.expand(host.Text))
		return
	}
	a.Main = target
	a.container, _ = strconv.Atoi(number)
	on := services.Get(platform.NetworkOwner(a.tree, target))
	if a.Port > 0 && on.Get("network_mode") == nil {
		a.Port, _ = strconv.Atoi(platform.Publish(on, port.At, number, strconv.Itoa(a.Port), a.expand))
	}
	a.Keep(e.At, key, "app.ui")
}

// settingsOf is the variables of the proxy, which is told them as a map or a list.
func settingsOf(n *syntax.Node) (list []syntax.Entry) {
	if n == nil {
		return nil
	}
	list = append(list, n.Entries...)
	for _, item := range n.Items {
		name, value, _ := strings.Cut(item.Text, "=")
		list = append(list, syntax.Entry{Key: name, At: item.At, Value: platform.Text(value, item.At)})
	}
	return list
}

// auth reports that the login of Umbrel is not in front of the app.
func (a *app) auth(settings *syntax.Node, at syntax.Position, key string) {
	if add := settings.Get("PROXY_AUTH_ADD"); add != nil && strings.EqualFold(add.Text, "false") {
		a.Report(importer.NoMeaning, add.At, key+".environment.PROXY_AUTH_ADD", "the app has a login of its own")
		return
	}
	for _, name := range []string{"PROXY_AUTH_WHITELIST", "PROXY_AUTH_BLACKLIST"} {
		if list := settings.Get(name); list != nil {
			a.Report(importer.LoginProxy, list.At, key+".environment."+name, "Umbrel asks for its login on some paths of the user interface only; here nothing does")
			return
		}
	}
	a.Report(importer.LoginProxy, at, key+".environment", "Umbrel asks for its login before the user interface; here nothing does")
}

// serviceOf is the service that a host name or address means, or nothing.
func (a *app) serviceOf(host string) string {
	if name, ok := a.addresses[host]; ok {
		host = name
	}
	services := platform.Services(a.tree)
	for _, s := range services {
		if slices.Contains([]string{s.Key, a.longName(s.Key), text(s.Value, "container_name"), text(s.Value, "hostname")}, host) {
			return s.Key
		}
	}
	if host == "main" && len(services) == 1 {
		return services[0].Key
	}
	return ""
}

func text(n *syntax.Node, key string) string {
	if v := n.Get(key); v != nil {
		return v.Text
	}
	return ""
}

// longName is the name of a service's container on Umbrel.
func (a *app) longName(service string) string { return a.id() + "_" + service + "_1" }

// names gives services the names of their containers on Umbrel, where the app uses them.
func (a *app) names() {
	var texts strings.Builder
	walk(a.tree, func(n *syntax.Node) { texts.WriteString(n.Text + "\n") })
	for name, v := range a.Variables {
		if v.Value != "" {
			texts.WriteString(name + "=" + v.Value + "\n")
		}
	}
	for _, name := range a.templateFiles() {
		if data, ok := a.ReadText(name); ok {
			texts.Write(data)
		}
	}
	used := texts.String()
	for _, s := range platform.Services(a.tree) {
		name := a.longName(s.Key)
		if strings.Contains(used, name) && s.Value.Get("container_name") == nil {
			platform.Set(s.Value, "container_name", s.At, platform.Text(name, s.At))
		}
	}
	a.otherApps()
}

// otherName is the name of another app's container.
var otherName = regexp.MustCompile(`\b([a-z][a-z0-9-]+)_[a-z0-9-]+_1\b`)

// otherApps reports names of containers of other apps, which the app would not reach.
func (a *app) otherApps() {
	services := a.tree.Get("services")
	walk(services, func(n *syntax.Node) {
		for _, m := range otherName.FindAllStringSubmatch(n.Text, -1) {
			if m[1] != a.id() && n.At.File != "" {
				a.Report(importer.ForeignContainer, n.At, m[0], "%s is a container of the app %s", m[0], m[1])
			}
		}
	})
}

func walk(n *syntax.Node, visit func(*syntax.Node)) {
	if n == nil {
		return
	}
	visit(n)
	for _, e := range n.Entries {
		walk(e.Value, visit)
	}
	for _, item := range n.Items {
		walk(item, visit)
	}
}
