package umbrel

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
)

// prefixOf is how the variables of an app begin on Umbrel.
func prefixOf(id string) string {
	return "APP_" + strings.ToUpper(strings.ReplaceAll(id, "-", "_")) + "_"
}

// provide writes what the app offers where it can stand for another one: the values that apps read
// of that one. The app has them under names of its own.
func (a *app) provide() {
	for i, item := range a.meta.Get("implements").List() {
		key := fmt.Sprintf("implements[%d]", i)
		offers, missing := a.offers(item.Text)
		for _, capability := range slices.Sorted(maps.Keys(offers)) {
			if name, isIncomplete := missing[capability]; isIncomplete {
				a.Report(importer.NoEquivalent, item.At, key, "the app does not provide %s: %s has no constant value", capability, name)
				continue
			}
			offer := a.offer(capability, offers[capability])
			a.App.App().Provides = append(a.App.App().Provides, offer)
			if capability == capabilityOf[item.Text] {
				a.consumersOf(offer)
			}
			a.Keep(item.At, key, fmt.Sprintf("app.provides[%d]", len(a.App.App().Provides)-1))
		}
		if len(offers) == 0 {
			a.Report(importer.NoEquivalent, item.At, key, "the app can stand for %s, which offers no capability", item.Text)
		}
	}
}

// consumersOf names the network of a capability where the part that provides it has that of all
// apps of Umbrel. An argument names both, for the other parts of the app.
func (a *app) consumersOf(offer manifests.Provide) {
	part := a.Parts()[offer.Part]
	theirs := func(text string) string {
		return strings.ReplaceAll(text, importer.Reference(ownSubnet), importer.Reference("capability."+offer.Capability+".subnet"))
	}
	for i, v := range part.Env {
		part.Env[i].Value = theirs(v.Value)
	}
	var command manifests.Words
	for _, word := range part.Command {
		command = append(command, word)
		if other := theirs(word); other != word {
			command = append(command, other)
		}
	}
	part.Command = command
}

// offers is the exports by the names of the capabilities that another app provides, with the values
// of this one, and a variable without a value of each capability that has one.
func (a *app) offers(id string) (offers map[string]map[string]string, missing map[string]string) {
	offers, missing = map[string]map[string]string{}, map[string]string{}
	for _, r := range foreign {
		below, isItsOwn := strings.CutPrefix(r.name, prefixOf(id))
		rest, isExport := strings.CutPrefix(r.is, "capability.")
		if !isItsOwn || !isExport {
			continue
		}
		capability, export, _ := strings.Cut(rest, ".")
		if offers[capability] == nil {
			offers[capability] = map[string]string{}
		}
		name := prefixOf(a.id()) + below
		switch value := a.exported(name, export); {
		case offers[capability][export] != "": // by another name
		case value == "":
			missing[capability] = name
		default:
			offers[capability][export] = value
		}
	}
	for _, exports := range offers {
		if exports["host"] == "" { // the same node has it all
			exports["host"] = a.exported(prefixOf(a.id())+"NODE_IP", "host")
		}
	}
	return offers, missing
}

// exported is the value of a variable as an export of a capability, or nothing.
func (a *app) exported(name, export string) string {
	v := a.Variables[name]
	switch {
	case v.Loss != "":
		return ""
	case strings.HasSuffix(export, "_secret"):
		secret := importer.SecretName(name)
		if !v.IsSecret || !slices.ContainsFunc(a.Draft.App.Secrets, func(s manifests.Secret) bool { return s.Name == secret }) {
			return ""
		}
		return secret
	case v.IsSecret:
		return ""
	case export == "host" && a.serviceOf(v.Value) == "":
		return ""
	}
	return v.Value
}

// offer is a capability with the exports of the app. The port is one that the part listens on.
func (a *app) offer(capability string, exports map[string]string) manifests.Provide {
	p := manifests.Provide{Capability: capability, Part: importer.IDOf(a.serviceOf(exports["host"]))}
	part := a.Parts()[p.Part]
	if part == nil {
		p.Part, part = "main", a.Parts()["main"]
	}
	if number, err := strconv.Atoi(exports["port"]); err == nil {
		p.Port = namedPort(part, number, capability)
	}
	delete(exports, "host")
	delete(exports, "port")
	if len(exports) > 0 {
		p.Exports = exports
	}
	return p
}

// namedPort is the name of a TCP port that a container listens on. It gets one if it has none.
func namedPort(c *manifests.Container, number int, name string) string {
	for i := range c.Ports {
		if p := &c.Ports[i]; p.Container == number && p.Protocol != "udp" {
			if p.Name == "" {
				p.Name = name
			}
			return p.Name
		}
	}
	c.Ports = append(c.Ports, manifests.Port{Name: name, Container: number})
	return name
}
