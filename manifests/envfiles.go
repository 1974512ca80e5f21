package manifests

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// A file of environment variables beside the manifest is read with it, and its variables become
// those of `env`: a unit that names the file would depend on where the manifest is, and an app
// would not restart when the file changes.

// envFiles adds the variables of the files beside the manifest to those of each part. One of the
// part itself takes precedence, then one of a later file.
func (m *Manifest) envFiles() (diags diag.List) {
	checked := map[string]bool{}
	for _, p := range m.Document.App.Parts() {
		values := map[string]string{}
		for _, name := range p.EnvFiles {
			source, isRead := m.Templates[name]
			if path.IsAbs(name) || !isRead {
				continue
			}
			found, problems := parseEnvFile(source)
			for _, v := range found {
				values[v.Name] = v.Value
			}
			if !checked[name] {
				checked[name] = true
				diags = append(diags, problems...)
			}
		}
		for _, v := range p.Env {
			delete(values, v.Name)
		}
		if len(values) == 0 {
			continue
		}
		p.Env = slices.Clone(p.Env)
		for name, value := range values {
			p.Env = append(p.Env, Variable{name, strings.ReplaceAll(value, "${", "$${")}) // no variable is replaced
		}
		slices.SortFunc(p.Env, func(a, b Variable) int { return cmp.Compare(a.Name, b.Name) })
	}
	return diags
}

// parseEnvFile reads lines of NAME=value as Podman does: the value is the rest of the line, with
// quotes. Empty lines and those that begin with # say nothing.
func parseEnvFile(s Source) (list Env, diags diag.List) {
	names, offset := patterns["envname"], 0
	for line := range strings.Lines(string(s.Data)) {
		at := offset + len(line) - len(strings.TrimLeft(line, " \t"))
		offset += len(line)
		text := strings.TrimRight(strings.TrimLeft(line, " \t"), "\r\n")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		fail := func(code diag.Code, hint, message string) {
			line, column := syntax.Place(s.Data, at)
			diags = append(diags, diag.Diagnostic{Code: code, File: s.Name, Line: line, Column: column, Message: message, Hint: hint})
		}
		name, value, isValue := strings.Cut(text, "=")
		switch {
		case !names.match(name):
			fail(diag.BadValue, "", "the name "+diag.Quote(diag.Shorten(name))+" must be "+names.text)
		case !isValue:
			fail(diag.BadValue, "write "+name+"=value", "the variable "+name+" has no value")
		case hasFactMark(value):
			fail(diag.BadValue, "remove it", "the variable "+name+" holds the noncharacter U+FDD1 or U+FDD2")
		case slices.ContainsFunc(list, func(v Variable) bool { return v.Name == name }):
			fail(diag.DuplicateKey, "remove one of them", "the variable "+name+" is given twice")
		default:
			list = append(list, Variable{name, value})
		}
	}
	return list, diags
}
