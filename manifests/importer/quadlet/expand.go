package quadlet

import (
	"strings"

	"github.com/archipelago-os/archipelago/manifests/importer"
)

// plain is a value of a container with what systemd replaces in the command that runs it:
// specifiers and variables.
func (u *unit) plain(e entry) string {
	text := u.specified(e)
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		if text[i+1] == '$' {
			b.WriteByte('$')
			i++
			continue
		}
		name, length := variableAt(text[i+1:])
		if name == "" {
			b.WriteByte('$')
			continue
		}
		b.WriteString(u.variable(name, e))
		i += length
	}
	return b.String()
}

// variableAt is the name of the variable behind a $, and how long its text is.
func variableAt(text string) (name string, length int) {
	if inner, ok := strings.CutPrefix(text, "{"); ok {
		name, _, closed := strings.Cut(inner, "}")
		if closed && isVariable(name) {
			return name, len(name) + 2
		}
		return "", 0
	}
	for length < len(text) && isVariable(text[:length+1]) {
		length++
	}
	return text[:length], length
}

func isVariable(name string) bool {
	for i := range len(name) {
		b := name[i]
		isDigit := b >= '0' && b <= '9'
		if b != '_' && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') && (i == 0 || !isDigit) {
			return false
		}
	}
	return name != ""
}

// variable is the value of a variable of the service. One that it does not set is asked for.
func (u *unit) variable(name string, e entry) string {
	if value, ok := u.variables[name]; ok {
		return value
	}
	u.say(func(d *importer.Draft) {
		d.Ask(importer.Question{Code: importer.UnsetVariable, Key: "variable." + name, Text: "the variable " + name + " has no value in the service"}.From(e.at, e.id()))
	})
	return u.Answers["variable."+name]
}

func (u *unit) readVariables() {
	u.variables = map[string]string{}
	for _, e := range u.entries {
		if e.section != "Service" || e.key != "Environment" {
			continue
		}
		list, _ := e.words() // which is reported where it is read
		for _, w := range list {
			name, value, _ := strings.Cut(u.specified(w), "=")
			u.variables[name] = value
		}
	}
	if u.isRendered() {
		u.readFacts()
	}
}

// ofName is the specifiers that follow from the name of the file.
var ofName = map[string]func(*file) string{
	"n": func(f *file) string { return f.service() + ".service" },
	"N": (*file).service,
	"p": func(f *file) string { before, _, _ := strings.Cut(f.service(), "@"); return before },
	"P": func(f *file) string { before, _, _ := strings.Cut(f.service(), "@"); return before },
	"i": func(f *file) string { _, instance, _ := strings.Cut(f.service(), "@"); return instance },
	"I": func(f *file) string { _, instance, _ := strings.Cut(f.service(), "@"); return instance },
}

// specified is a value with the specifiers of systemd replaced.
func (u *unit) specified(e entry) string {
	var b strings.Builder
	for i := 0; i < len(e.value); i++ {
		if e.value[i] != '%' || i+1 == len(e.value) {
			b.WriteByte(e.value[i])
			continue
		}
		i++
		letter := e.value[i : i+1]
		switch of := ofName[letter]; {
		case letter == "%":
			b.WriteByte('%')
		case of != nil:
			b.WriteString(of(u.file))
		default:
			b.WriteString(u.specifier(letter, e))
		}
	}
	return b.String()
}

// specifier is the value of a specifier that depends on who runs the unit.
func (u *unit) specifier(letter string, e entry) string {
	if letter[0] >= 0x80 || letter[0] <= ' ' {
		return "%" + letter
	}
	value, isKnown := u.Specifiers[letter]
	q := importer.Question{
		Code: importer.Specifier, Key: "specifier." + letter, Default: value, HasDefault: isKnown,
		Text: "%" + letter + " is replaced by " + value,
	}
	if !isKnown {
		q.Text = "%" + letter + " has no value here"
	}
	u.say(func(d *importer.Draft) { d.Ask(q.From(e.at, e.id())) })
	if answer, isAnswered := u.Answers[q.Key]; isAnswered {
		return answer
	}
	return value
}
