package umbrel

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/importer/platform"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// This file has the forms of several lines that scripts of the store have: a file of variables that
// the first run writes, a list of arguments, and a loop over the addresses of the machine.

// firstRun is the block that writes a file of variables if there is none. The script reads the file
// afterwards, so its variables are those of the script.
type firstRun struct {
	// constants is the values of the block by name, and made what it makes of a new password.
	constants, made map[string]string
}

var (
	ifNoFile  = regexp.MustCompile(`^if \[\[ ! -f "?\$\{?[A-Za-z_][A-Za-z0-9_]*\}?"? \]\]; then$`)
	newLogin  = regexp.MustCompile(`^\$\([^|]*/rpcauth\.py\b[^|]*\)$`)
	lastLine  = regexp.MustCompile(`^\$\(echo "?\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?"? \| tail -1\)$`)
	hashLine  = regexp.MustCompile(`^\$\(echo "?\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?"? \| head -2 \| tail -1\b.*\)$`)
	writesOne = regexp.MustCompile(`^echo "export ([A-Za-z_][A-Za-z0-9_]*)='\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?'"\s*>>?\s*\S+$`)
)

// What a script of Bitcoin Core prints for a new password: the line for the configuration, and at the
// end the password.
const (
	login    = "login"
	hash     = "hash"
	password = "password"
)

// read reads a line of the block, and reports whether it is understood.
func (f *firstRun) read(a *app, line string, at syntax.Position) bool {
	if m := writesOne.FindStringSubmatch(line); m != nil {
		return f.write(a, m[1], m[2], at)
	}
	m := assignment.FindStringSubmatch(line)
	if m == nil {
		return strings.HasPrefix(line, "if ") || line == "else"
	}
	name, value := m[2], unquoted(uncommented(m[3]))
	from := func(re *regexp.Regexp) bool {
		source := re.FindStringSubmatch(value)
		return source != nil && f.made[source[1]] == login
	}
	switch {
	case newLogin.MatchString(value):
		f.made[name] = login
	case from(lastLine):
		f.made[name] = password
	case from(hashLine):
		f.made[name] = hash
	case strings.ContainsAny(value, "$`(;&|<>"):
		return false
	default:
		f.constants[name] = value
	}
	return true
}

// write gives a variable of the file its value.
func (f *firstRun) write(a *app, name, from string, at syntax.Position) bool {
	v := compose.Variable{Value: f.constants[from], At: at}
	switch {
	case f.made[from] == password:
		v = compose.Variable{IsSecret: true, At: at}
	case f.made[from] == hash:
		v = compose.Variable{Loss: importer.SecretInValue, What: "the hash of a password"}
	case v.Value == "":
		return false
	}
	delete(a.paths, name)
	a.Variables[name] = v
	return true
}

var (
	emptyList = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)=\(\)$`)
	listItem  = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)\+=\(\s*"((?:[^"\\]|\\.)*)"\s*\)$`)
	joined    = regexp.MustCompile(`^export ([A-Za-z_][A-Za-z0-9_]*)="?\$\(IFS=" "; echo "\$\{([A-Za-z_][A-Za-z0-9_]*)\[@\]\}"\)"?$`)
)

// list reads a line about a list of arguments, and reports whether it is one.
func (a *app) list(line string, at syntax.Position, local map[string]string) bool {
	if m := emptyList.FindStringSubmatch(line); m != nil {
		a.lists[m[1]] = []string{}
		return true
	}
	if m := listItem.FindStringSubmatch(line); m != nil && a.lists[m[1]] != nil {
		if text, ok := a.argument(m[1], m[2], at, local); ok {
			a.lists[m[1]] = append(a.lists[m[1]], text)
		}
		return true
	}
	m := joined.FindStringSubmatch(line)
	if m == nil || a.lists[m[2]] == nil {
		return false
	}
	a.Variables[m[1]] = compose.Variable{Value: strings.Join(a.lists[m[2]], " "), At: at}
	return true
}

// argument is one argument of a list. One with a variable that has no value is left out.
func (a *app) argument(list, text string, at syntax.Position, local map[string]string) (argument string, ok bool) {
	argument = a.replaced(allApps.ReplaceAllLiteralString(text, importer.Reference(ownSubnet)), local)
	m := used.FindStringSubmatch(argument)
	if m == nil {
		return argument, true
	}
	what := short(text)
	switch v := a.Variables[m[1]]; {
	case v.Loss != "":
		a.Report(v.Loss, at, list, "the argument %s is left out: %s is %s", what, m[1], v.What)
	case v.IsSecret:
		a.Report(importer.SecretInValue, at, list, "the argument %s is left out: %s is a secret", what, m[1])
	default:
		a.Report(importer.Script, at, fmt.Sprintf("%s:%d", exportsFile, at.Line), "the argument %s is left out: %s has no value", what, m[1])
	}
	return "", false
}

// eachAddress is a loop of the script that makes a list with something of each address of the
// machine.
type eachAddress struct{ name, variable, text string }

// eachAddress is the loop that begins with a line, or nil.
func (a *app) eachAddress(line string, at syntax.Position) *eachAddress {
	m := eachOne.FindStringSubmatch(line)
	if m == nil || a.Variables[m[3]].Value != importer.Reference(importer.MachineAddressVariable) {
		return nil
	}
	a.Report(importer.OneAddress, at, m[1], "%s has one address of the machine instead of all", m[1])
	return &eachAddress{name: m[1], variable: m[2]}
}

var (
	eachOne = regexp.MustCompile(`^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)="?\$\(for ([a-z_]+) in "?\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?"?; do$`)
	echoed  = regexp.MustCompile(`^echo -n "([^"]*)"$`)
)

// read reads a line of the loop, and reports whether it is the last one. Of several texts the last
// one counts: that of an address of IPv4.
func (e *eachAddress) read(line string) (isLast bool) {
	if m := echoed.FindStringSubmatch(line); m != nil {
		e.text = m[1]
	}
	return strings.HasPrefix(line, "done")
}

// value is the list of one.
func (e *eachAddress) value() string {
	value := platform.Replace(e.text, func(name string) (string, bool) {
		return importer.Reference(importer.MachineAddressVariable), name == e.variable
	})
	return strings.TrimRight(value, ", ")
}
