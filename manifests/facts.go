package manifests

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// Fact is a value that only the machine knows, and only when a container starts. A text names it by
// its mark: an image of an operating system has the same units as every machine that runs it.
type Fact struct {
	// Variable is the environment variable by which the unit names the value.
	Variable string
	// Name is the kind of the value: memory, cores, address or subnet.
	Name string
	// Network is the one that the subnet is of: that of a capability, or the app's own where it is
	// empty.
	Network string
	// Default is the value where the machine has none.
	Default string
}

// machinePrefix and the names after it are the facts about the machine, as templates name them.
const machinePrefix = "machine."

var machineFacts = []string{"address", "cores", "memory"}

// ownSubnet is the variable for the subnet of the app's own network, and subnetExport ends that for
// one of a capability.
const (
	ownSubnet    = "network.subnet"
	subnetExport = "subnet"
)

// The marks around the variable of a fact in a text. They are no characters, and the decoder refuses
// a text that has them.
const (
	factBegins = "\uFDD1"
	factEnds   = "\uFDD2"
)

// CutFact cuts a text around the first variable of a fact in it.
func CutFact(text string) (before, variable, after string, found bool) {
	before, rest, found := strings.Cut(text, factBegins)
	if !found {
		return text, "", "", false
	}
	variable, after, _ = strings.Cut(rest, factEnds)
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
	f := Fact{Default: fallback}
	if f.Name, f.Network, isFact = r.factOf(name); !isFact {
		return "", false
	}
	why, hint := r.unusable(f)
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

// factOf is the kind of the fact that a variable names.
func (r *resolver) factOf(name string) (kind, network string, isFact bool) {
	if below, isMachine := strings.CutPrefix(name, machinePrefix); isMachine {
		return below, "", slices.Contains(machineFacts, below)
	}
	if name == ownSubnet {
		return subnetExport, "", true
	}
	rest, isCapability := strings.CutPrefix(name, capabilityPrefix)
	capability, export, _ := strings.Cut(rest, ".")
	isJoined := slices.Contains(r.part.Uses, capability) || slices.Contains(r.part.Provides, capability)
	return subnetExport, capability, isCapability && export == subnetExport && isJoined
}

// unusable says why a fact has no value in the part, and what to do.
func (r *resolver) unusable(f Fact) (why, hint string) {
	isOnIt := f.Network != "" || slices.Contains(r.part.Networks, OwnNetwork)
	switch {
	case !r.isStarted:
		return "it is known only when the container starts", "give the program the value in `env` or `command`"
	case f.Name == subnetExport && (r.part.Network != "app" || !isOnIt):
		return "the part is not on that network", "leave `network` out, and `app` in `networks`"
	case strings.Trim(f.Default, plainDefault) != "":
		return "its default can have letters, digits and . _ - + = : , @ / only", "set the default in the program"
	}
	return "", ""
}

// plainDefault is the characters of a default: it also stands within JSON and a file of systemd.
const plainDefault = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+=:,@/"

// variable is the environment variable for a fact. Another default makes another one.
func (f Fact) variable(name string) string {
	v := "ARCHIPELAGO_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
	if f.Default == "" {
		return v
	}
	sum := sha256.Sum256([]byte(f.Default))
	return v + "_" + hex.EncodeToString(sum[:4])
}
