package importer

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// print writes a manifest as YAML, with its variables and the places that its values come from.
func print(tree *syntax.Node) []byte {
	return syntax.Printer{Spread: manifests.Spread, Text: referred.Replace, Note: place}.Print(tree)
}

// place names the place in the source that a value comes from.
func place(from syntax.Position) string {
	if from.Line == 0 {
		return ""
	}
	return fmt.Sprintf("from %s:%d", from.File, from.Line)
}

// mark stands before the brace of a variable of the manifest. It is no character, so no source
// has it by chance.
const mark = "\uFDD0"

// Reference is a variable of the manifest within a value, such as capability.tor.host. A ${ that
// the source has stays text.
func Reference(name string) string { return mark + "{" + name + "}" }

// MachineAddressVariable is the variable of the manifest for the address of the machine.
const MachineAddressVariable = "machine.address"

var references = regexp.MustCompile(mark + `\{([^}]*)\}`)

// References is the names of the variables of the manifest in a text.
func References(text string) (names []string) {
	for _, m := range references.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// Sample is a text with a word for each variable of the manifest, to compare it with a pattern.
func Sample(text string) string { return references.ReplaceAllString(text, "x") }

// Template is a template whose result is the text, with the variables of the manifest in it.
func Template(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("{{"), []byte(`{{"{{"}}`))
	return references.ReplaceAllFunc(text, func(whole []byte) []byte {
		name := string(references.FindSubmatch(whole)[1])
		if rest, ok := strings.CutPrefix(name, "capability."); ok {
			capability, export, _ := strings.Cut(rest, ".")
			return fmt.Appendf(nil, "{{(capability %q).%s}}", capability, export)
		}
		return []byte("{{." + name + "}}")
	})
}

// referred is text of the source with the variables of the manifest in it.
var referred = strings.NewReplacer(mark, "$", "${", "$${")

// shown is a message with the variables of the manifest as a person writes them.
var shown = strings.NewReplacer(mark, "$", `\ufdd0`, "$")
