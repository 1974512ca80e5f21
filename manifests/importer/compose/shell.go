package compose

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/importer"
)

// shells is the programs that run a script.
var shells = []string{"ash", "bash", "dash", "sh"}

// runsScript is the option of a shell behind which a script stands, such as -c or -ec.
var runsScript = regexp.MustCompile(`^-[a-z]*c$`).MatchString

// isScript reports whether the word behind these is a script for a shell.
func isScript(words []string) bool {
	n := len(words)
	return n == 1 && words[0] == "CMD-SHELL" || n > 1 && runsScript(words[n-1]) && slices.Contains(shells, path.Base(words[n-2]))
}

// script is a text for a shell. Compose writes secrets into it. Here the shell takes them from the
// environment, which no other user can read.
func (s *service) script(it item) (text string, ok bool) {
	parts := s.secretsIn(s.expand(it.node).uses, it)
	x := s.expandWith(it.node, byVariable(parts))
	if text, ok = s.inShell(x.text, parts); !ok || len(parts) == 0 {
		return s.word(it, it.key)
	}
	x.text = text
	if text, ok = s.withoutSecrets(x, it, lastOf(it.key)); ok {
		s.settle(x, it.node, it.key)
		s.provide(parts, it)
	}
	return text, ok
}

// scriptLine reads a command that is one string and has a shell run a script with secrets. It reports
// false for any other.
func (s *service) scriptLine(it item, before []string) (words []string, ok bool) {
	parts := s.secretsIn(s.expand(it.node).uses, it)
	x := s.expandWith(it.node, byVariable(parts))
	words, err := splitWords(x.text)
	if err != nil || len(parts) == 0 {
		return nil, false
	}
	for i, word := range words {
		isSecret := slices.ContainsFunc(importer.References(word), func(name string) bool { return strings.HasPrefix(name, "secret.") })
		if !isSecret {
			continue
		}
		if words[i], ok = s.inShell(word, parts); !ok || !isScript(slices.Concat(before, words[:i])) {
			return nil, false
		}
	}
	if _, ok = s.withoutSecrets(x, it, lastOf(it.key)); !ok {
		return nil, true
	}
	s.settle(x, it.node, it.key)
	s.provide(parts, it)
	return words, true
}

// inShell replaces the references to secrets in a script by variables of the container. It reports
// false where the shell would not replace one: within single quotes, or if the container has
// something else under the name.
func (s *service) inShell(text string, parts []secretPart) (script string, ok bool) {
	for _, p := range parts {
		name, isFree := s.variableOf(p)
		reference := importer.Reference("secret." + p.secret)
		for i := strings.Index(text, reference); i >= 0; i = strings.Index(text, reference) {
			variable := "${" + name + "}"
			switch quote := openQuote(text[:i]); {
			case quote == '\'' || !isFree:
				return "", false
			case quote == 0:
				variable = `"` + variable + `"`
			}
			text = text[:i] + variable + text[i+len(reference):]
		}
	}
	return text, true
}

// openQuote is the quote that a shell is in behind a text, or 0.
func openQuote(text string) (quote byte) {
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case b == '\\' && quote != '\'':
			i++
		case b == quote:
			quote = 0
		case quote == 0 && (b == '\'' || b == '"'):
			quote = b
		}
	}
	return quote
}

// variableOf is the environment variable of the container that has a secret. It reports false if
// none has it and its name is taken.
func (s *service) variableOf(p secretPart) (name string, isFree bool) {
	for _, name := range slices.Sorted(maps.Keys(s.env)) {
		if s.secretOf(s.env[name]) == p.secret {
			return name, true
		}
	}
	_, isTaken := s.env[p.use.name]
	return p.use.name, !isTaken
}

// provide has the container get secrets as environment variables.
func (s *service) provide(parts []secretPart, it item) {
	for _, p := range parts {
		if name, _ := s.variableOf(p); s.env[name].node == nil {
			s.env[name] = s.envPart(p.use, it)
		}
	}
}
