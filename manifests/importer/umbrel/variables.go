package umbrel

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/importer/platform"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// ownData stands for the directory of the app's data until the tree is converted.
const ownData = "<app-data>"

// entropy is how many digits a secret of Umbrel has: HMAC-SHA256.
const entropy = 64

// variables is what Umbrel itself sets.
func (a *app) variables() {
	for name, value := range map[string]string{
		"APP_ID": a.id(), "APP_VERSION": a.field("version"), "APP_PROXY_PORT": a.field("port"),
		"UMBREL_ROOT": "/home/umbrel/umbrel",
	} {
		a.Variables[name] = compose.Variable{Value: value}
	}
	for _, name := range []string{"APP_DOMAIN", "DEVICE_DOMAIN_NAME", "DEVICE_HOSTNAME"} {
		a.Variables[name] = compose.Variable{Value: importer.Reference("settings.host_name")}
	}
	for _, name := range []string{"APP_SEED", "APP_PASSWORD"} {
		a.Variables[name] = compose.Variable{IsSecret: true}
	}
	a.Variables["APP_HIDDEN_SERVICE"] = compose.Variable{Value: importer.Reference(ownAddress)}
	a.Variables["NETWORK_IP"] = compose.Variable{Loss: importer.MachineAddress, What: "an address of a network"}
	a.Variables["TOR_PASSWORD"] = compose.Variable{Loss: importer.ForeignSecret, What: "a secret of another app"}
	a.directory("APP_DATA_DIR", "")
	a.directory("EXPORTS_APP_DIR", "")
	a.directory("TOR_DATA_DIR", "/tor")
	for _, r := range foreign {
		a.Variables[r.name] = r.variable()
		if r.volume != "" {
			source := "<" + r.app + ">"
			a.paths[r.name] = source
			a.Volumes[source] = manifests.Volume{App: r.app, Name: r.volume}
		}
	}
}

// allApps is the subnet of all apps of Umbrel.
var allApps = regexp.MustCompile(`\$(?:NETWORK_IP|\{NETWORK_IP\})/16\b`)

// subnets replaces the subnet of all apps. Where the app stands for another one, its consumers come
// from the network of the capability that it provides.
func (a *app) subnets() {
	if _, isAnswered := a.Answer("variable.NETWORK_IP"); isAnswered {
		return
	}
	walk(a.tree, func(n *syntax.Node) { n.Text = allApps.ReplaceAllLiteralString(n.Text, importer.Reference(ownSubnet)) })
}

// ownSubnet is the variable of a manifest for the subnet of the app's own network.
const ownSubnet = "network.subnet"

// directory declares a variable for a directory of the app's data.
func (a *app) directory(name, below string) {
	a.paths[name] = ownData + below
	a.Variables[name] = compose.Variable{Loss: importer.HostDirectory, What: "a directory of the host"}
}

// noAddress is what Umbrel says instead of the address of a hidden service until there is one, and ownAddress
// the variable of a manifest for that of the user interface.
const (
	noAddress  = "notyetset.onion"
	ownAddress = "onion.web:-" + noAddress
)

// platformAddress is where Umbrel has the address of the user interface of the app.
var platformAddress = regexp.MustCompile(`^\$\(cat "?\$\{?(?:EXPORTS_)?TOR_DATA_DIR\}?/app-([a-z0-9-]+)/hostname"?[^"]*(?:echo "[A-Za-z0-9.-]*")?\)$`)

// hiddenService gives the user interface a hidden service if a value of the app names its address.
func (a *app) hiddenService() {
	var isNamed, isReached bool
	for _, c := range a.Parts() {
		isNamed = isNamed || slices.Contains(platform.References(c), ownAddress)
		isReached = isReached || c.Network == "" && slices.ContainsFunc(c.Ports, func(p manifests.Port) bool { return p.Name == "web" })
	}
	at := a.meta.At
	switch {
	case !isNamed:
	case isReached:
		a.Draft.App.Onion = []manifests.Onion{{Port: "web", Virtual: 80}}
		a.Report(importer.Exposure, at, "onion", "the user interface gets an address in the Tor network, because the app asks for it, once an app provides tor")
	default:
		a.Report(importer.OnionAddress, at, "onion", "the user interface gets no address in the Tor network, because Tor can't reach it; the app is told %s", noAddress)
		for _, c := range a.Parts() {
			platform.ReplaceReference(c, ownAddress, noAddress)
		}
	}
}

// onion is a variable for the address of a hidden service of another app, or of a part.
var onion = compose.Variable{Loss: importer.OnionAddress, What: "the address of a hidden service"}

var (
	// ownOnion is the address of a hidden service that a Tor of the app itself has, with what stands
	// before it and the value until there is one.
	ownOnion = regexp.MustCompile(`^((?:https?://)?)\$\(cat "?(?:\$\{?(?:EXPORTS_)?TOR_DATA_DIR\}?|` + ownData + `/tor)/([A-Za-z0-9._/-]+)"?[^"]*(?:echo "([A-Za-z0-9.-]*)")?\)$`)
	// torData is how a service mounts the directory of such a Tor.
	torData = regexp.MustCompile(`^\$\{?TOR_DATA_DIR\}?:`)
)

// onionOf is the variable for what reads the address of a hidden service.
func (a *app) onionOf(text string, at syntax.Position) compose.Variable {
	if m := platformAddress.FindStringSubmatch(text); m != nil && m[1] == a.id() {
		return compose.Variable{Value: importer.Reference(ownAddress), At: at}
	}
	m := ownOnion.FindStringSubmatch(text)
	hasTor := false
	walk(a.tree.Get("services"), func(n *syntax.Node) { hasTor = hasTor || torData.MatchString(n.Text) })
	if m == nil || !hasTor {
		return onion
	}
	name := "volume.tor/" + m[2]
	if m[3] != "" {
		name += ":-" + m[3]
	}
	return compose.Variable{Value: m[1] + importer.Reference(name), At: at}
}

// value is the value of a variable that has one, for what is read beside the Compose file.
func (a *app) value(name string) (string, bool) {
	if answer, ok := a.Answer("variable." + name); ok {
		return answer, true
	}
	v, ok := a.Variables[name]
	return v.Value, ok && !v.IsSecret && v.Loss == ""
}

// lengths is the number of digits of the secrets that Umbrel derives, by their names in the
// manifest.
func (a *app) lengths() map[string]int {
	lengths := map[string]int{}
	for name, v := range a.Variables {
		if !v.IsSecret {
			continue
		}
		length := entropy
		if v.Value != "" {
			length = cutLength(v.Value)
		}
		lengths[strings.ReplaceAll(strings.ToLower(name), "_", "-")] = length
	}
	return lengths
}

// used is how a variable stands in a text.
var used = regexp.MustCompile(`\$\{?([A-Z][A-Z0-9_]*)`)

// others declares the variables of the apps that this one depends on, which are told by their
// names.
func (a *app) others() {
	walk(a.tree, func(n *syntax.Node) {
		for _, m := range used.FindAllStringSubmatch(n.Text, -1) {
			for _, other := range a.meta.Get("dependencies").List() {
				if _, isKnown := a.Variables[m[1]]; !isKnown && strings.HasPrefix(m[1], prefixOf(other.Text)) {
					a.Variables[m[1]] = compose.Variable{Loss: importer.ForeignValue, What: "a value of the app " + other.Text}
				}
			}
		}
	})
}

// address is an address of IPv4 in a text.
var address = regexp.MustCompile(`\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b`)

// fixedAddresses replaces the fixed addresses of services by their names.
func (a *app) fixedAddresses() {
	services := a.tree.Get("services")
	if services == nil {
		return
	}
	for _, e := range services.Entries {
		address := e.Value.Get("networks").Get("default").Get("ipv4_address")
		if address == nil || e.Key == proxyService {
			continue
		}
		name := e.Key
		if len(services.Entries) == 1 || len(services.Entries) == 2 && services.Get(proxyService) != nil {
			name = "main"
		}
		a.addresses[a.expand(address.Text)] = name
		a.Report(importer.NoMeaning, address.At, "services."+e.Key+".networks.default.ipv4_address", "the part is reached by its name, which replaces the address")
		platform.Remove(e.Value.Get("networks").Get("default"), "ipv4_address")
		if joined := e.Value.Get("networks"); len(joined.Entries) == 1 && len(joined.Get("default").Entries) == 0 {
			platform.Remove(e.Value, "networks")
		}
	}
	for name, v := range a.Variables {
		value := address.ReplaceAllStringFunc(v.Value, func(text string) string { return cmp.Or(a.addresses[text], text) })
		if value != v.Value {
			v.Value, v.At = value, syntax.Position{}
			a.Variables[name] = v
		}
	}
}
