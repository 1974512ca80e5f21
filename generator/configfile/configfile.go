// Package configfile owns the language of templates of configuration files: what a template
// can name, its functions, the checks before a start, and its limits.
//
// It is pure: it reads no file, contacts no host and stores no secret. A template sees
// only what the caller passes, calls no method, and is bounded in work and output.
package configfile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template/parse"
)

// Data is what a template may name. The generator writes it down for the start
// of the app, so that it needs no manifest then.
type Data struct {
	// App is id, version and part.
	App map[string]string `json:"app"`
	// Settings is network, chain and host_name.
	Settings map[string]string `json:"settings"`
	// Ports and ContainerPorts are the app's named ports, on the host and inside.
	Ports          map[string]string `json:"ports,omitempty"`
	ContainerPorts map[string]string `json:"container_ports,omitempty"`
	// Capabilities is what the app requires: host, port, and what the provider
	// exports. An optional one without a provider is empty.
	Capabilities map[string]map[string]string `json:"capabilities,omitempty"`
	// OutOfReach is the capabilities that the part can't reach, with the reason: it may not
	// name their host. Only Check needs it.
	OutOfReach map[string]string `json:"-"`
	// Secrets is the full names of the app's own secrets by name.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Onions is the ports that get a hidden service; only the provider of Tor sees them.
	Onions []Onion `json:"onions,omitempty"`
}

// Onion is a port of an app that gets a hidden service.
type Onion struct {
	App string `json:"app"`
	// Host and Port are its address.
	Host string `json:"host"`
	Port int    `json:"port"`
	// Virtual is the port of the hidden service.
	Virtual int `json:"virtual"`
	// Address is on the loopback interface, for a relay that forwards connections to the
	// port. It depends only on App and Virtual.
	Address string `json:"address"`
}

// Machine is what a template may know of the machine that the app runs on.
type Machine struct {
	// Memory is in MiB.
	Memory, Cores int
	// Address is the one in the local network, empty without a network.
	Address string
}

// Error is a mistake in a template. Line and Column are 1-based.
type Error struct {
	Line, Column int
	Message      string
	// OutOfReach is the capability whose host the template names although the part can't
	// reach it.
	OutOfReach string
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// The bounds of a template. They are counted, not timed: what a machine accepts does not
// depend on how busy it is.
const (
	// MaxTemplate and MaxOutput are the most bytes that a template and what it
	// gives may have.
	MaxTemplate = 256 << 10
	MaxOutput   = 1 << 20
	// maxActions is the most {{actions}} that a template may have: one takes hundreds of
	// bytes of memory once it is parsed.
	maxActions = 10_000
)

// name is what templates are called in the parser's messages.
const name = "template"

// Check reports what is wrong with a template, as far as that can be known
// without the machine and the secrets. The templates of an app share a budget.
func Check(text string, data Data, b *Budget) []*Error {
	funcs := functions(data, rehearsal, b)
	root, mistake := parsed(text, funcs)
	if mistake != nil {
		return []*Error{mistake}
	}
	w := &walker{text: text, data: data, exported: data.exported(), variables: map[string]string{}}
	w.list(root, dot{isRoot: true})
	if len(w.errors) > 0 {
		return w.errors
	}
	_, err := b.execute(root, text, funcs, all(data, rehearsalMachine))
	if mistake, ok := errors.AsType[*Error](err); ok {
		return []*Error{mistake}
	}
	return nil
}

// Render gives a file its text. secret is asked for values by full name; what it
// is asked for is in data, or the template fails.
func Render(text string, data Data, m Machine, secret func(string) (string, error)) ([]byte, error) {
	b := &Budget{}
	funcs := functions(data, source{secret: secret, cost: bcryptCost}, b)
	root, err := parsed(text, funcs)
	if err != nil {
		return nil, err
	}
	return b.execute(root, text, funcs, all(data, m))
}

// parsed is the actions and texts of a template of one piece.
func parsed(text string, funcs map[string]function) (*parse.ListNode, *Error) {
	switch {
	case len(text) > MaxTemplate:
		return nil, &Error{Line: 1, Column: 1, Message: fmt.Sprintf("a template may have %d bytes, and this one has %d", MaxTemplate, len(text))}
	case strings.Count(text, "{{") > maxActions:
		return nil, &Error{Line: 1, Column: 1, Message: fmt.Sprintf("the template has more than %d actions", maxActions)}
	}
	names := make(map[string]any, len(funcs))
	for name := range funcs {
		names[name] = true
	}
	trees, err := parse.Parse(name, text, "", "", names)
	if err != nil {
		return nil, located(text, err)
	}
	for _, other := range slices.Sorted(maps.Keys(trees)) {
		if other != name {
			return nil, at(text, int(trees[other].Root.Pos), "a template defines no others: write the text where it is used")
		}
	}
	return trees[name].Root, nil
}

// all is what a template can name.
func all(data Data, m Machine) map[string]any {
	onions := make([]map[string]any, 0, len(data.Onions))
	for _, o := range data.Onions {
		onions = append(onions, map[string]any{"app": o.App, "host": o.Host, "port": o.Port, "virtual": o.Virtual, "address": o.Address})
	}
	return map[string]any{
		"onions": onions,
		"app":    data.App, "settings": data.Settings, "port": data.Ports, "container_port": data.ContainerPorts,
		"machine": map[string]any{"memory": m.Memory, "cores": m.Cores, "address": m.Address},
	}
}

// rehearsal and rehearsalMachine replace the secrets and the machine while a template is
// checked.
var (
	rehearsal        = source{secret: func(string) (string, error) { return strings.Repeat("x", 32), nil }, cost: 4}
	rehearsalMachine = Machine{Memory: 4096, Cores: 4, Address: "192.168.1.2"}
)
