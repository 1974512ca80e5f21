package manifests

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// VariableDoc documents one ${…} variable.
type VariableDoc struct{ Name, Meaning string }

// Variables is what ${…} may name in the keys whose tag says that variables are replaced.
var Variables = []VariableDoc{
	{"app.id", "id of the app"},
	{"app.version", "version of the app"},
	{"port.NAME", "host port of the app's port NAME"},
	{"container_port.NAME", "container port of the app's port NAME"},
	{"capability.NAME.host", "name under which a required capability is reached"},
	{"capability.NAME.port", "port at which a required capability is reached"},
	{"capability.NAME.EXPORT", "a value that the provider of a required capability exports"},
	{"capability.NAME.EXPORT_secret", "value of a secret that the provider exports; only in `env`"},
	{"secret.NAME", "value of the app's secret NAME; only in `env`"},
	{"settings.network", "Bitcoin network of this node"},
	{"settings.chain", "the same network as bitcoind's -chain names it: main, testnet4, signet, regtest"},
	{"settings.host_name", "name that people reach this machine by"},
	{"machine.address", "address of the machine in the local network; empty without one"},
	{"machine.memory", "memory of the machine in MiB"},
	{"machine.cores", "number of processor cores of the machine"},
	{"network.subnet", "subnet of the app's own network, such as 10.89.3.0/24"},
	{"volume.NAME/PATH", "first line of a file in the app's volume NAME, such as an onion address"},
	{"onion.PORT", "address of the hidden service of the app's port PORT, which is in `onion`"},
	{"capability.NAME.onion", "address of the hidden service of the port that provides a required capability"},
	{"capability.NAME.subnet", "subnet of the network of a capability that the part requires or provides"},
}

// variables replaces ${…} in one app's values.
func (r *resolver) variables(app *Resolved) {
	r.known, r.isStarted = nil, true
	defer func() { r.isStarted = false }()
	for i := range app.Parts {
		p := &app.Parts[i]
		r.part = p
		p.Command = r.expandWords(app, p.Path+".command", p.Command)
		p.Entrypoint = r.expandWords(app, p.Path+".entrypoint", p.Entrypoint)
		p.Env, p.Composed = r.expandEnv(app, p.Path+".env", p.Env)
		for level, probe := range map[string]*Probe{"alive": p.Health.Alive, "serving": p.Health.Serving, "synced": p.Health.Synced} {
			if probe != nil {
				probe.Exec = r.expandWords(app, p.Path+".health."+level+".exec", probe.Exec)
			}
		}
	}
}

func (r *resolver) expandWords(app *Resolved, path string, list Words) Words {
	if !slices.ContainsFunc(list, hasVariable) {
		return list
	}
	out := slices.Clone(list)
	for i := range out {
		out[i] = r.expand(app, fmt.Sprintf("%s[%d]", path, i), out[i])
	}
	return out
}

// expandEnv replaces the variables of the environment. Values that contain secrets are apart,
// because nothing knows them before the start.
func (r *resolver) expandEnv(app *Resolved, path string, list Env) (plain Env, composed []Composed) {
	if !slices.ContainsFunc(list, func(v Variable) bool { return hasVariable(v.Value) }) {
		return list, nil
	}
	for _, v := range list {
		pieces := r.pieces(app, path+"."+v.Name, v.Value)
		if slices.ContainsFunc(pieces, Piece.IsSecret) {
			composed = append(composed, Composed{Name: v.Name, Pieces: pieces})
			continue
		}
		v.Value = textOf(pieces)
		plain = append(plain, v)
	}
	return plain, composed
}

func hasVariable(s string) bool { return strings.Contains(s, "${") }

// splitVariables passes the texts between the variables of a text to literal, and each ${name} to
// variable, in order; $${ stands for a literal ${. Any other $ is itself. Where the } is left out,
// the rest is the name.
func splitVariables(text string, literal func(string), variable func(name string, isClosed bool)) {
	for {
		before, after, found := strings.Cut(text, "${")
		if !found {
			literal(text)
			return
		}
		if escaped, ok := strings.CutSuffix(before, "$"); ok {
			literal(escaped + "${")
			text = after
			continue
		}
		name, rest, isClosed := strings.Cut(after, "}")
		literal(before)
		variable(name, isClosed)
		text = rest
	}
}

// replaceVariables replaces each ${name} of a text by what value returns.
func replaceVariables(text string, value func(name string, isClosed bool) string) string {
	var out strings.Builder
	literal := func(s string) { out.WriteString(s) }
	splitVariables(text, literal, func(name string, isClosed bool) { literal(value(name, isClosed)) })
	return out.String()
}

// expand replaces ${name} and ${name:-default}.
func (r *resolver) expand(app *Resolved, path, text string) string {
	return replaceVariables(text, func(name string, isClosed bool) string { return r.closed(app, path, name, isClosed, r.value) })
}

// closed is what value gives for a variable that ends in }.
func (r *resolver) closed(app *Resolved, path, name string, isClosed bool, value func(app *Resolved, path, expr string) string) string {
	if isClosed {
		return value(app, path, name)
	}
	r.fail(app.Manifest, diag.UnknownVariable, path, "write $${ for a literal ${", "the variable ${%s is not closed", quoteVariable(name))
	return ""
}

// literal is the value of a key in which no variable is replaced. It refuses those that are
// replaced elsewhere. Others may be meant for the program that gets the value.
func (d *decoder) literal(n *syntax.Node, at *step, text string) string {
	if d.isVerbatim {
		return text
	}
	return replaceVariables(text, func(name string, isClosed bool) string {
		switch {
		case !isClosed:
			return "${" + name
		case isVariable(name):
			d.fail(n.At, at, diag.NotReplaced, "write its value, or $${ for a literal ${", "${%s} is not replaced in %s", quoteVariable(name), at)
		default:
			d.report(diag.Warning, n.At, at, diag.NotReplaced, "write $${ for a literal ${", "${%s} stays as it is in %s: no variable is replaced there", quoteVariable(name), at)
		}
		return "${" + name + "}"
	})
}

// isVariable reports whether a name is of one of the kinds that archgen replaces somewhere.
func isVariable(name string) bool {
	kind, _, isOne := strings.Cut(name, ".")
	isKind := func(v VariableDoc) bool { return strings.HasPrefix(v.Name, kind+".") }
	return isOne && slices.ContainsFunc(Variables, isKind)
}

// quoteVariable shortens the text after a ${ for a message.
func quoteVariable(s string) string { return s[:min(len(s), 30)] }

// value is the value of a variable in a key that others can read.
func (r *resolver) value(app *Resolved, path, expr string) string {
	name, _, _ := strings.Cut(expr, ":-")
	if _, isSecret := r.set.secretVariable(app, name); !isSecret && !strings.HasPrefix(name, secretPrefix) {
		return r.open(app, path, expr)
	}
	r.fail(app.Manifest, diag.ExposedSecret, path,
		"give it to the program in `env`, in a file (`secrets`), or in a configuration file (`files`): docs/secrets.md shows how",
		"the secret ${%s} can't be in %s, which every user of the machine can read", quoteVariable(name), path)
	return ""
}

// open is the value of a variable that is no secret.
func (r *resolver) open(app *Resolved, path, expr string) string {
	name, fallback, hasFallback := strings.Cut(expr, ":-")
	if r.known == nil {
		r.known = r.set.Values(app)
	}
	known := r.known
	r.capabilityHost(app, path, name)
	if v, ok := known[name]; ok && v != "" {
		return v
	}
	if mark, isFact := r.fact(app, path, name, fallback); isFact {
		return mark
	}
	need := app.need(name)
	isSaid := need != nil && need.Provider == nil && !need.Optional // that no app provides the capability
	if !isSaid && !hasFallback {
		r.fail(app.Manifest, diag.UnknownVariable, path, r.variableHint(app, name), "there is no variable ${%s} here", name)
	}
	return fallback
}

// capabilityHost refuses the host of a required capability in a part that can't reach it.
func (r *resolver) capabilityHost(app *Resolved, path, name string) {
	capability, isCapability := strings.CutPrefix(name, capabilityPrefix)
	capability, isHost := strings.CutSuffix(capability, ".host")
	isRequired := slices.ContainsFunc(app.Needs, func(n Need) bool { return n.Capability == capability })
	if !isCapability || !isHost || !isRequired {
		return
	}
	if why, hint := app.OutOfReach(r.part, capability); why != "" {
		r.fail(app.Manifest, diag.Unreachable, path, hint, "%s", why)
	}
}

// need is the requirement of the capability that a variable is about, or nil.
func (r *Resolved) need(variable string) *Need {
	rest, _ := strings.CutPrefix(variable, capabilityPrefix)
	i := slices.IndexFunc(r.Needs, func(n Need) bool { return strings.HasPrefix(rest, n.Capability+".") })
	if i < 0 || rest == variable {
		return nil
	}
	return &r.Needs[i]
}

// capabilityPrefix is how variables of capabilities begin.
const capabilityPrefix = "capability."

// secretPrefix is how variables of the app's own secrets begin.
const secretPrefix = "secret."

// variableHint says what to write instead of a variable that does not exist.
func (r *resolver) variableHint(app *Resolved, name string) string {
	known := r.known
	if port, isPort := strings.CutPrefix(name, "port."); isPort && known["container_port."+port] != "" {
		i := slices.IndexFunc(app.Parts, func(p Part) bool { return p.Port(port) != nil })
		if app.Parts[i].Network == "host" {
			return "on the host's network the port is ${container_port." + port + "}"
		}
		return "the port has no host port: give it a `host:`, or write ${container_port." + port + "}"
	}
	names := slices.Concat(sortedKeys(known), r.set.secretVariables(app), []string{ownSubnet})
	for _, fact := range machineFacts {
		names = append(names, machinePrefix+fact)
	}
	if own, isSecret := strings.CutPrefix(name, secretPrefix); isSecret {
		return cmp.Or(didYouMean(name, names), "add {name: "+own+"} to app.secrets")
	}
	if port, isOnion := strings.CutPrefix(name, onionPrefix); isOnion {
		return r.onionHint(app, port)
	}
	if need := app.need(name); need != nil && need.Provider == nil {
		return capabilityVariableHint(app, name)
	}
	generic := "write $${ for a literal ${, or ${" + name + ":-default}"
	return cmp.Or(didYouMean(name, names), capabilityVariableHint(app, name), generic)
}

// onionHint says what the address of a hidden service needs.
func (r *resolver) onionHint(app *Resolved, port string) string {
	tors := r.set.providers[TorCapability]
	hasPort := func(p Part) bool { return p.Port(port) != nil }
	isOnion := func(o Onion) bool { return o.Port == port }
	switch {
	case !slices.ContainsFunc(app.Parts, hasPort):
		return "name a port of the app that is in `onion`"
	case !slices.ContainsFunc(app.Document.App.Onion, isOnion):
		return "add {port: " + port + "} to `onion`"
	case len(tors) == 0:
		return "no app provides tor, which is optional: write ${onion." + port + ":-default}"
	}
	return tors[0].app.ID() + " does not say where the addresses are (`onions`): write ${onion." + port + ":-default}"
}

// capabilityVariableHint says what a variable of a capability without a value needs, or nothing.
func capabilityVariableHint(app *Resolved, name string) string {
	rest, isCapability := strings.CutPrefix(name, capabilityPrefix)
	capability, _, isWhole := strings.Cut(rest, ".")
	need := app.need(name)
	switch {
	case !isCapability || !isWhole || !isID(capability):
		return ""
	case need == nil:
		return "add {capability: " + capability + "} to `requires`"
	case need.Provider == nil:
		return "no app provides " + capability + ", which is optional: write ${" + name + ":-default}"
	}
	return ""
}

// Values is every variable that an app's values may name.
func (s *Set) Values(app *Resolved) map[string]string {
	v := map[string]string{
		"app.id":             app.ID(),
		"app.version":        app.Document.App.Version,
		"settings.network":   s.settings.Network,
		"settings.chain":     s.settings.chain(),
		"settings.host_name": s.settings.HostName,
	}
	for _, part := range app.Parts {
		for _, p := range part.Ports {
			if p.Name != "" {
				v["container_port."+p.Name] = strconv.Itoa(p.Container)
			}
			if p.Name != "" && p.Host != 0 {
				v["port."+p.Name] = strconv.Itoa(p.Host)
			}
		}
	}
	for _, n := range app.Needs {
		if n.Provider != nil {
			s.capabilityValues(v, n.Capability, app.ID())
		}
	}
	return v
}

func (s *Set) capabilityValues(v map[string]string, capability, consumer string) {
	p := s.providers[capability][0]
	prefix := capabilityPrefix + capability + "."
	for name, value := range p.offer.exports(consumer) {
		if !strings.HasSuffix(name, "_secret") {
			v[prefix+name] = value
		}
	}
	v[prefix+"host"] = capability
	if part := p.app.Part(p.offer.Part); part != nil {
		if port := part.Port(p.offer.Port); port != nil {
			v[prefix+"port"] = strconv.Itoa(port.Container)
		}
	}
}

// exports is what a consumer gets of the offer.
func (o *Provide) exports(consumer string) map[string]string {
	all := maps.Clone(o.Exports)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, o.For[consumer])
	return all
}

// chain is the network as bitcoind names it.
func (s Settings) chain() string {
	if s.Network == "mainnet" {
		return "main"
	}
	return s.Network
}
