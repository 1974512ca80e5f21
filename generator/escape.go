package generator

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/archipelago-os/archipelago/manifests"
)

// appendEscaped appends value to dst so that it arrives unchanged at the
// program that Podman runs: through Podman's parser, systemd's parser and
// systemd's own expansion of % and $. It returns why when no form of the value
// can. The rules were measured end to end (docs/rationale.md, "Escaping").
func appendEscaped(dst []byte, c class, value string) ([]byte, error) {
	if err := representable(c, withoutFacts(c, value)); err != nil {
		return dst, err
	}
	switch c {
	case words, command:
		return appendWord(dst, value), nil
	case single:
		return appendSingle(dst, value), nil
	case bareWords, line:
		return appendDoubled(dst, value, "%$"), nil
	case directive:
		return appendDoubled(dst, value, "%"), nil
	case absentPath:
		dst = append(dst, '!')
		if below, ok := strings.CutPrefix(value, "~/"); ok {
			dst, value = append(dst, homePrefix...), below
		}
		return appendDoubled(dst, value, "%"), nil
	case runtimeLine:
		return appendDoubled(append(dst, runtimePrefix...), value, "%$"), nil
	case runtimeFile:
		return appendDoubled(append(append(dst, '-'), runtimePrefix...), value, "%"), nil
	case inert:
	}
	return append(dst, value...), nil
}

// How systemd names the runtime directory of its manager, and the home directory of the
// manager's user.
const (
	runtimePrefix = "%t/"
	homePrefix    = "%h/"
)

// appendWord appends one word for a parser that unquotes and C-unescapes.
// Words that need no quotes are written without, so that unit files are easy to
// read. Podman escapes words for systemd except % and $; in a line that systemd
// splits itself the same two are doubled.
func appendWord(dst []byte, word string) []byte {
	if isPlain(word) {
		return append(dst, word...)
	}
	dst = append(dst, '"')
	for before, variable, rest, found := manifests.CutFact(word); ; before, variable, rest, found = manifests.CutFact(rest) {
		dst = appendInWord(dst, before)
		if !found {
			return append(dst, '"')
		}
		dst = appendExpanded(dst, variable)
	}
}

func appendInWord(dst []byte, word string) []byte {
	for i := range len(word) {
		switch b := word[i]; {
		case b == '\\' || b == '"':
			dst = append(dst, '\\', b)
		case b == '%' || b == '$':
			dst = append(dst, b, b)
		case b == '\n':
			dst = append(dst, '\\', 'n')
		case b == '\t':
			dst = append(dst, '\\', 't')
		case b < 0x20 || b == 0x7f:
			dst = fmt.Appendf(dst, `\x%02x`, b)
		default:
			dst = append(dst, b)
		}
	}
	return dst
}

// appendSingle appends a value that takes the whole line.
func appendSingle(dst []byte, value string) []byte {
	for {
		before, variable, rest, found := manifests.CutFact(value)
		dst = appendDoubled(dst, before, "%$")
		if !found {
			return dst
		}
		dst, value = appendExpanded(dst, variable), rest
	}
}

// appendExpanded appends an environment variable of the unit, which systemd replaces within a word
// when it starts the container.
func appendExpanded(dst []byte, variable string) []byte {
	return append(append(append(dst, "${"...), variable...), '}')
}

// takesFacts is the classes in which a value can name what only the machine knows.
var takesFacts = map[class]bool{words: true, single: true}

// withoutFacts is a value without the marks of facts, where it can have some.
func withoutFacts(c class, value string) string {
	if !takesFacts[c] {
		return value
	}
	return manifests.ReplaceFacts(value, func(variable string) string {
		if name, err := readFact("${" + variable + "}"); err != nil || name != variable || !strings.HasPrefix(name, "ARCHIPELAGO_") {
			return manifests.FactMark(variable) // which is refused
		}
		return "x"
	})
}

func appendDoubled(dst []byte, value, doubled string) []byte {
	for i := range len(value) {
		if strings.IndexByte(doubled, value[i]) >= 0 {
			dst = append(dst, value[i])
		}
		dst = append(dst, value[i])
	}
	return dst
}

// isPlain reports whether a word means itself to every reader.
func isPlain(word string) bool {
	if word == "" {
		return false
	}
	for i := range len(word) {
		b := word[i]
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case strings.IndexByte("-_./:=,@+", b) >= 0:
		default:
			return false
		}
	}
	return true
}

// longest is what Linux takes in one argument (MAX_ARG_STRLEN, less its NUL) of
// 128 KiB, less what Podman may put in front of a value.
const longest = 128<<10 - 1<<10

// representable says why a value of that class can't be written, or nil.
func representable(c class, value string) error {
	if err := legible(value); err != nil {
		return err
	}
	if len(value) > longest {
		return fmt.Errorf("it has %d bytes, and Linux takes no more than %d in one argument", len(value), longest)
	}
	if value == "" {
		return fmt.Errorf("it is empty, and Podman drops what is empty")
	}
	if value == ";" && c != directive && c != inert {
		return fmt.Errorf("it is a lone semicolon, which systemd takes for the end of the command")
	}
	switch c {
	case words, command:
		return nil
	case bareWords:
		if strings.ContainsAny(value, " \t\"'\\") {
			return fmt.Errorf("it holds a space, quote or backslash")
		}
	case single:
		// What outer quotes mean changed in Podman 5.0 and again in 5.8.2.
		if strings.HasPrefix(value, `"`) || strings.HasSuffix(value, `"`) {
			return fmt.Errorf("it begins or ends with a double quote")
		}
	case absentPath:
		if path := strings.TrimPrefix(value, "~"); !strings.HasPrefix(path, "/") {
			return cmp.Or(representableLine(value), errors.New("it is no absolute path"))
		}
	case line, runtimeLine, runtimeFile, directive, inert:
	}
	return representableLine(value)
}

// legible refuses text that some reader on the way takes for other text.
func legible(value string) error {
	if !utf8.ValidString(value) {
		return fmt.Errorf("it is not valid UTF-8")
	}
	for _, r := range value {
		switch {
		case r == 0:
			return fmt.Errorf("it holds a NUL byte")
		case r == 0x80:
			// Podman's unescaping makes the single byte 0x80 of it.
			return fmt.Errorf("it holds the control character U+0080")
		case r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe:
			return fmt.Errorf("it holds the noncharacter %U, and systemd ignores a line with one", r)
		}
	}
	return nil
}

func representableLine(value string) error {
	if i := strings.IndexFunc(value, isControl); i >= 0 {
		return fmt.Errorf("it holds the control character %+q", []rune(value[i:])[0])
	}
	if strings.TrimSpace(value) != value {
		return fmt.Errorf("it begins or ends with white space")
	}
	if strings.HasSuffix(value, `\`) {
		return fmt.Errorf("it ends with a backslash, which joins the next line")
	}
	return nil
}

func isControl(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029
}
