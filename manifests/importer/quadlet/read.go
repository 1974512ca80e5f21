package quadlet

import (
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// entry is one assignment of a unit file.
type entry struct {
	section, key, value string
	// at is the place of the value, from that of the key.
	at, from syntax.Position
}

// id is how the report names the key.
func (e entry) id() string { return syntax.JoinPath(e.section, e.key) }

// parse reads the syntax of systemd.syntax(7) with the places of the values. An empty value
// removes what was assigned to the key before. faults is lines that are no assignment.
func parse(name string, data []byte) (entries []entry, faults []syntax.Position) {
	section := ""
	lines := strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n")
	for i := 0; i < len(lines); i++ {
		text := strings.TrimSpace(lines[i])
		at := syntax.Position{File: name, Line: i + 1, Column: 1 + strings.Index(lines[i], text)}
		switch {
		case text == "" || isComment(text):
			continue
		case text[0] == '[' && text[len(text)-1] == ']':
			section = text[1 : len(text)-1]
			continue
		}
		for strings.HasSuffix(text, `\`) && i+1 < len(lines) {
			i++
			if next := strings.TrimSpace(lines[i]); !isComment(next) {
				text = text[:len(text)-1] + " " + next
			}
		}
		key, value, isAssignment := strings.Cut(text, "=")
		if key = strings.TrimSpace(key); !isAssignment || key == "" || section == "" {
			faults = append(faults, at)
			continue
		}
		e := entry{section: section, key: key, value: strings.TrimSpace(value), from: at, at: at}
		e.at.Column += len(text) - len(strings.TrimLeft(value, " \t"))
		if e.value == "" {
			entries = without(entries, e)
			continue
		}
		entries = append(entries, e)
	}
	return entries, faults
}

func isComment(line string) bool { return line != "" && (line[0] == '#' || line[0] == ';') }

func without(entries []entry, like entry) (rest []entry) {
	for _, e := range entries {
		if e.section != like.section || e.key != like.key {
			rest = append(rest, e)
		}
	}
	return rest
}

// words splits a value as systemd does: quotes are removed and C escapes undone. ok is false for
// a quote that is not closed.
func (e entry) words() (list []entry, ok bool) {
	for i := 0; i < len(e.value); {
		if e.value[i] == ' ' || e.value[i] == '\t' {
			i++
			continue
		}
		w := e
		w.at.Column += i
		if w.value, i, ok = word(e.value, i); !ok {
			return nil, false
		}
		list = append(list, w)
	}
	return list, true
}

// word reads one word from the index i, and returns the index behind it.
func word(text string, i int) (w string, end int, ok bool) {
	var b strings.Builder
	quote := byte(0)
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case quote == 0 && (c == ' ' || c == '\t'):
			return b.String(), i, true
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote && quote != 0:
			quote = 0
		case c == '\\' && i+1 < len(text):
			unescaped, n := escape(text[i+1:])
			b.WriteString(unescaped)
			i += n
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), i, quote == 0
}

// plainEscapes is what a letter behind a backslash stands for.
var plainEscapes = map[byte]string{
	'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", 's': " ", '\\': `\`, '"': `"`, '\'': `'`,
}

// codeEscapes is how many digits follow a letter behind a backslash.
var codeEscapes = map[byte]int{'x': 2, 'u': 4, 'U': 8}

// escape is what follows a backslash, and how many bytes of it were read. An unknown one stays.
func escape(text string) (unescaped string, n int) {
	if plain, ok := plainEscapes[text[0]]; ok {
		return plain, 1
	}
	digits, base, from := codeEscapes[text[0]], 16, 1
	if text[0] >= '0' && text[0] <= '3' {
		digits, base, from = 3, 8, 0
	}
	if digits == 0 || len(text) < from+digits {
		return `\` + text[:1], 1
	}
	code, err := strconv.ParseUint(text[from:from+digits], base, 32)
	if err != nil || code == 0 || code > 0x10ffff {
		return `\` + text[:1], 1
	}
	return string(rune(code)), from + digits
}
