package umbrel

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/importer/platform"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// exportsFile is the script that sets variables of the app and for others.
const exportsFile = "exports.sh"

var (
	assignment = regexp.MustCompile(`^(export\s+|local\s+|readonly\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)
	begins     = regexp.MustCompile(`^(?:if|for|while|until|case)\b|^\{|\(\)\s*\{$`)
	closes     = regexp.MustCompile(`\b(?:fi|done|esac)$|\}$`)
	ends       = regexp.MustCompile(`^(?:fi|done|esac)\b|^\}`)
	derived    = regexp.MustCompile(`^\$\(\s*derive_entropy\b[^|)]*(?:\|\s*head -c\s*(\d+)\s*)?\)$`)
	addresses  = regexp.MustCompile(`^\$\(\s*hostname (?:-I|--all-ip-addresses)\b[^)]*\)(?:\s*\|\|.*)?$`)
	hostname   = regexp.MustCompile(`^(?:https?://)?\$\(cat "?[^"|)]*"?`)
)

// exports reads the constants of the script. What is neither a constant, a secret that Umbrel
// derives, a directory nor the address of a hidden service is named.
func (a *app) exports() {
	data, ok := a.ReadText(exportsFile)
	if !ok {
		return
	}
	depth, number, isNamed := 0, 0, false
	var each *eachAddress
	var first *firstRun
	local := map[string]string{}
	for line := range bytes.Lines(data) {
		number++
		raw := strings.TrimRight(string(line), "\r\n")
		text := strings.TrimSpace(raw)
		at := syntax.Position{File: exportsFile, Line: number, Column: 1 + strings.Index(raw, text)}
		if each == nil && depth == 0 {
			each = a.eachAddress(text, at)
		}
		switch {
		case text == "" || text[0] == '#':
			continue
		case each != nil:
			if each.read(text) {
				a.export(each.name, `"`+each.value()+`"`, at, local)
				each = nil
			}
			continue
		case ends.MatchString(text):
			if depth = max(0, depth-1); depth == 0 {
				first = nil
			}
			continue
		case depth == 0 && ifNoFile.MatchString(text):
			first, depth = &firstRun{constants: map[string]string{}, made: map[string]string{}}, 1
			continue
		case depth == 0 && a.list(text, at, local):
			continue
		}
		if m := assignment.FindStringSubmatch(text); m != nil && depth == 0 && a.export(m[2], m[3], at, local) {
			continue
		}
		if begins.MatchString(text) && !closes.MatchString(text) {
			depth++
		}
		if first != nil && first.read(a, text, at) {
			continue
		}
		if !isNamed || depth == 0 && assignment.MatchString(text) {
			a.Report(importer.Script, at, fmt.Sprintf("%s:%d", exportsFile, number), "the script is not run: %s", short(text))
			isNamed = true
		}
	}
}

func short(text string) string {
	if len(text) > 60 {
		text = strings.ToValidUTF8(text[:60], "") + "…"
	}
	return text
}

// export reads one assignment. It reports false if its value is not a constant.
func (a *app) export(name, text string, at syntax.Position, local map[string]string) bool {
	if a.paths[name] == ownData { // those of the platform stay
		return false
	}
	text = uncommented(text)
	inner := unquoted(text)
	if m := derived.FindStringSubmatch(inner); m != nil {
		a.Variables[name] = compose.Variable{IsSecret: true, Value: m[1], At: at}
		return true
	}
	if addresses.MatchString(inner) {
		a.Variables[name] = compose.Variable{Value: importer.Reference(importer.MachineAddressVariable), At: at}
		if !strings.Contains(inner, "{print $1}") {
			a.Report(importer.OneAddress, at, name, "%s has one address of the machine instead of all", name)
		}
		return true
	}
	if hostname.MatchString(inner) && strings.Contains(a.replaced(inner, local), "hostname") {
		a.Variables[name] = a.onionOf(a.replaced(inner, local), at)
		return true
	}
	value := inner
	if !strings.HasPrefix(text, "'") {
		value = a.replaced(inner, local)
	}
	if dir, ok := strings.CutPrefix(value, ownData); ok {
		a.directory(name, dir)
		local[name] = value
		return true
	}
	if strings.HasPrefix(value, "${EXPORTS_TOR_DATA_DIR}") || strings.HasPrefix(value, "${TOR_DATA_DIR}") {
		local[name] = value
		return true
	}
	if !strings.HasPrefix(text, "'") && strings.ContainsAny(value, "$`(;&|<>") {
		return false
	}
	delete(a.paths, name)
	a.Variables[name] = compose.Variable{Value: value, At: at}
	return true
}

// replaced is a text with the variables of the script and of the platform.
func (a *app) replaced(text string, local map[string]string) string {
	return platform.Replace(text, func(name string) (string, bool) {
		if v, ok := local[name]; ok {
			return v, true
		}
		if name == "EXPORTS_APP_ID" {
			return a.id(), true
		}
		if dir, ok := a.paths[name]; ok && strings.HasPrefix(dir, ownData) {
			return dir, true
		}
		return a.value(name)
	})
}

// expand is a text with the variables that have a value.
func (a *app) expand(text string) string { return platform.Replace(text, a.value) }

// uncommented is the value of an assignment without the comment behind it.
func uncommented(text string) string {
	text = strings.TrimSpace(text)
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		if end := strings.LastIndexByte(text, text[0]); end > 0 && strings.HasPrefix(strings.TrimSpace(text[end+1:]), "#") {
			return text[:end+1]
		}
		return text
	}
	if i := strings.Index(text, " #"); i >= 0 {
		text = strings.TrimSpace(text[:i])
	}
	return text
}

func unquoted(text string) string {
	if n := len(text); n >= 2 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
		return text[1 : n-1]
	}
	return text
}

// cutLength is the number of digits that head -c leaves of a derived secret.
func cutLength(digits string) int {
	length, err := strconv.Atoi(digits)
	if err != nil {
		return entropy
	}
	return min(max(length, 8), entropy)
}
