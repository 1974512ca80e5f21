package manifests

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// Fact is a value that only the machine knows, and only when a container starts. A text names it by
// its mark: an image of an operating system has the same units as every machine that runs it.
type Fact struct {
	// Variable is the environment variable by which the unit names the value.
	Variable string
	// Name is the kind of the value: memory, cores, address, subnet or file.
	Name string
	// Network is the one that the subnet is of: that of a capability, or the app's own where it is
	// empty.
	Network string
	// Volume is the named volume that has the file, and Path the path in it. App is the app whose volume it
	// is, empty for the app itself.
	App, Volume, Path string
	// Default is the value where the machine has none.
	Default string
}

// machinePrefix and machineFacts are the facts about the machine, as templates name them.
const machinePrefix = "machine."

var machineFacts = []string{"address", "cores", "memory"}

// ownSubnet is the variable for the subnet of the app's own network, and subnetExport ends that for
// one of a capability.
const (
	ownSubnet    = "network.subnet"
	subnetExport = "subnet"
)

// onionPrefix begins the variable for the address of a hidden service of the app, and onionExport ends
// that for one of a provider. onionApp and onionPort stand in the file of the provider of Tor for what an
// address is of.
const (
	onionPrefix = "onion."
	onionExport = "onion"
	onionApp    = "{app}"
	onionPort   = "{port}"
)

// The marks around the variable of a fact in a text. They are no characters, and the decoder refuses
// a text that has them.
const (
	factBegins = "\uFDD1"
	factEnds   = "\uFDD2"
)

// CutFact cuts a text around the first variable of a fact in it.
func CutFact(text string) (before, variable, after string, found bool) {
	before, rest, isBegun := strings.Cut(text, factBegins)
	variable, after, isEnded := strings.Cut(rest, factEnds)
	if !isBegun || !isEnded {
		return text, "", "", false
	}
	return before, variable, after, true
}

// FactMark is the mark of a fact by its variable.
func FactMark(variable string) string { return factBegins + variable + factEnds }

// HasFact reports whether a text names a fact.
func HasFact(text string) bool { return strings.Contains(text, factBegins) }

// ReplaceFacts replaces the variables of the facts in a text.
func ReplaceFacts(text string, value func(variable string) string) string {
	if !HasFact(text) {
		return text
	}
	var out strings.Builder
	for {
		before, variable, after, found := CutFact(text)
		out.WriteString(before)
		if !found {
			return out.String()
		}
		out.WriteString(value(variable))
		text = after
	}
}

// hasFactMark reports whether a text of a file has a mark.
func hasFactMark(text string) bool { return strings.ContainsAny(text, factBegins+factEnds) }

// fact is the mark of the fact that a variable names in the part whose values are replaced.
func (r *resolver) fact(app *Resolved, path, name, fallback string) (mark string, isFact bool) {
	f, isFact := r.factOf(app, name)
	if !isFact {
		return "", false
	}
	f.Default = fallback
	why, hint := r.unusable(app, f)
	if why != "" {
		r.fail(app.Manifest, diag.UnknownVariable, path, hint, "${%s} has no value in %s: %s", quoteVariable(name), path, why)
		return "", true
	}
	f.Variable = f.variable(name)
	if !slices.Contains(r.part.Facts, f) {
		r.part.Facts = append(r.part.Facts, f)
		slices.SortFunc(r.part.Facts, func(a, b Fact) int { return cmp.Compare(a.Variable, b.Variable) })
	}
	return FactMark(f.Variable), true
}

// factOf is the fact that a variable names.
func (r *resolver) factOf(app *Resolved, name string) (f Fact, isFact bool) {
	kind, below, _ := strings.Cut(name, ".")
	switch kind {
	case "machine":
		return Fact{Name: below}, slices.Contains(machineFacts, below)
	case "volume":
		f.Name = "file"
		f.Volume, f.Path, isFact = strings.Cut(below, "/")
		return f, isFact
	case "onion":
		return r.onionFact(app, below)
	case "capability":
		capability, export, _ := strings.Cut(below, ".")
		if export == onionExport {
			offer := r.offerOf(app, capability)
			return r.onionFact(offer.app, offer.offer.Port)
		}
		isJoined := slices.Contains(r.part.Uses, capability) || slices.Contains(r.part.Provides, capability)
		return Fact{Name: subnetExport, Network: capability}, export == subnetExport && isJoined
	}
	return Fact{Name: subnetExport}, name == ownSubnet
}

// onionFact is the address of the hidden service of an app's port. The provider of Tor says in which file
// it is.
func (r *resolver) onionFact(of *Resolved, port string) (f Fact, isFact bool) {
	tors := r.set.providers[TorCapability]
	if of == nil || len(tors) == 0 || tors[0].offer.Onions == "" {
		return f, false
	}
	for _, o := range of.Document.App.Onion {
		for _, part := range of.Parts {
			if p := part.Port(port); p != nil && o.Port == port {
				volume, path := tors[0].offer.onionFile(of.ID(), o.VirtualPort(p))
				return Fact{Name: "file", App: tors[0].app.ID(), Volume: volume, Path: path}, true
			}
		}
	}
	return f, false
}

// onionFile is the volume and the path of the address of a hidden service.
func (o *Provide) onionFile(app string, port int) (volume, path string) {
	volume, path, _ = strings.Cut(strings.NewReplacer(onionApp, app, onionPort, strconv.Itoa(port)).Replace(o.Onions), "/")
	return volume, path
}

// offerOf is what an app gets that requires a capability.
func (r *resolver) offerOf(app *Resolved, capability string) (p provider) {
	for _, n := range app.Needs {
		if n.Capability == capability && n.Provider != nil {
			return r.set.providers[capability][0]
		}
	}
	return p
}

// unusable says why a fact has no value in the part, and what to do.
func (r *resolver) unusable(app *Resolved, f Fact) (why, hint string) {
	isOnIt := f.Network != "" || slices.Contains(r.part.Networks, OwnNetwork)
	switch {
	case !r.isStarted:
		return "it is known only when the container starts", "give the program the value in `env` or `command`"
	case f.Name == subnetExport && (r.part.Network != "app" || !isOnIt):
		return "the part is not on that network", "leave `network` out, and `app` in `networks`"
	case f.Name == "file" && f.App == "" && !slices.Contains(app.VolumeNames(), f.Volume):
		return "the app has no volume " + f.Volume, didYouMean(f.Volume, app.VolumeNames())
	case f.Name == "file" && !isRelativePath(f.Path):
		return "what follows the volume must be a relative path without ..", ""
	case strings.Trim(f.Default, plainDefault) != "":
		return "its default can have letters, digits and . _ - + = : , @ / only", "set the default in the program"
	}
	return "", ""
}

// plainDefault is the characters of a default: it also stands within JSON and a file of systemd.
const plainDefault = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+=:,@/"

// variable is the environment variable for a fact. Another default makes another one, and so does
// another path that has the same letters and digits.
func (f Fact) variable(name string) string {
	const longest = 100
	letters := func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}
	v := "ARCHIPELAGO_" + strings.Map(letters, strings.ToUpper(name))
	hashed := f.Default
	if f.Name == "file" {
		hashed = name + ":-" + f.Default
	}
	if hashed == "" {
		return v
	}
	sum := sha256.Sum256([]byte(hashed))
	return v[:min(len(v), longest)] + "_" + hex.EncodeToString(sum[:4])
}
