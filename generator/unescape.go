package generator

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
)

// matchEscaped reads one value of class c from the start of text and compares
// it with want. It returns the rest of the text. It follows the readers
// (Podman's parser, systemd.syntax(7)) and is not the inverse of appendEscaped,
// so that a mistake in one does not hide in the other. It accepts only what all
// readers understand in the same way.
func matchEscaped(text string, c class, want string) (rest string, err error) {
	var room [128]byte // on the stack; most values fit
	got := room[:0]
	switch c {
	case words, command:
		got, rest, err = readWord(got, text)
	case bareWords:
		if strings.ContainsAny(text, " \t\"'\\") {
			return "", fmt.Errorf("it would be split or lose a quote")
		}
		got, err = readLine(got, text, "%$")
	case single:
		if text != strings.Trim(text, `"`) {
			return "", fmt.Errorf("it would lose an outer quote to some versions of Podman")
		}
		got, err = readLine(got, text, "%$")
	case line:
		got, err = readLine(got, text, "%$")
	case runtimeLine:
		below, ok := strings.CutPrefix(text, "%t/")
		if !ok {
			return "", fmt.Errorf("it would not lie below the runtime directory")
		}
		got, err = readLine(got, below, "%$")
	case runtimeFile:
		below, ok := strings.CutPrefix(text, "-%t/")
		if !ok {
			return "", fmt.Errorf("it would not lie below the runtime directory, or would have to be there")
		}
		got, err = readLine(got, below, "%")
	case directive:
		got, err = readLine(got, text, "%")
	case absentPath:
		path, ok := strings.CutPrefix(text, "!")
		if below, isHome := strings.CutPrefix(path, "%h"); isHome {
			got, path = append(got, '~'), below
		}
		if !ok || !strings.HasPrefix(path, "/") {
			return "", fmt.Errorf("it would not be the absence of a path")
		}
		got, err = readLine(got, path, "%")
	case inert:
		got, err = readLine(got, text, "")
	}
	if err == nil && string(got) != want {
		err = fmt.Errorf("it would arrive as %q", string(got)) // got itself would leave the stack
	}
	return rest, err
}

// readWord appends one word: quotes removed, C escapes and doubled % and $ undone.
func readWord(word []byte, text string) (_ []byte, rest string, err error) {
	i, quoted := 0, false
	for ; i < len(text); i++ {
		switch b := text[i]; {
		case b == '"':
			quoted = !quoted
		case b == ' ' && !quoted:
			rest = text[i+1:]
			return word, rest, wholeWord(word, quoted)
		case b < 0x20 || b == 0x7f:
			return nil, "", fmt.Errorf("it holds a bare control character")
		case !quoted && (b == '\'' || b == '\\' || b >= 0x80):
			return nil, "", fmt.Errorf("it holds %q outside quotes", b)
		case b == '\\':
			var n int
			b, n = readEscape(text[i+1:])
			if n == 0 {
				return nil, "", fmt.Errorf("it holds a broken escape")
			}
			word = append(word, b)
			i += n
		case b == '$' && strings.HasPrefix(text[i:], factVariable):
			variable, err := readFact(text[i:])
			if err != nil {
				return nil, "", err
			}
			word = append(word, manifests.FactMark(variable)...)
			i += len("${}") + len(variable) - 1
		case b == '%' || b == '$':
			if i+1 == len(text) || text[i+1] != b {
				return nil, "", fmt.Errorf("it holds a lone %c", b)
			}
			word = append(word, b)
			i++
		default:
			word = append(word, b)
		}
	}
	return word, "", wholeWord(word, quoted)
}

// wholeWord refuses what is no word, or more than one.
func wholeWord(word []byte, quoted bool) error {
	switch {
	case quoted:
		return fmt.Errorf("its quotes are not balanced")
	case len(word) == 0:
		return fmt.Errorf("it is empty")
	case string(word) == ";":
		return fmt.Errorf("it ends the command")
	}
	return nil
}

// readEscape reads what follows a backslash; n is 0 for an unknown escape.
func readEscape(text string) (b byte, n int) {
	if text == "" {
		return 0, 0
	}
	switch text[0] {
	case '\\', '"':
		return text[0], 1
	case 'n':
		return '\n', 1
	case 't':
		return '\t', 1
	case 'x':
		// Podman makes a character of \x80 and above, systemd a byte.
		v, err := strconv.ParseUint(text[1:min(3, len(text))], 16, 7)
		if err == nil && v > 0 && len(text) >= 3 {
			return byte(v), 3
		}
	}
	return 0, 0
}

// readLine appends a value that takes the whole line and undoes doubled
// characters of doubled.
func readLine(got []byte, text, doubled string) ([]byte, error) {
	switch {
	case text == "":
		return nil, fmt.Errorf("it is empty")
	case text == ";" && doubled == "%$":
		return nil, fmt.Errorf("it ends the command")
	case strings.TrimSpace(text) != text:
		return nil, fmt.Errorf("it would lose outer white space")
	case text[len(text)-1] == '\\':
		return nil, fmt.Errorf("it joins the next line")
	}
	for i := 0; i < len(text); i++ {
		b := text[i]
		if b < 0x20 || b == 0x7f {
			return nil, fmt.Errorf("it holds a bare control character")
		}
		if b == '$' && doubled == "%$" && strings.HasPrefix(text[i:], factVariable) {
			variable, err := readFact(text[i:])
			if err != nil {
				return nil, err
			}
			got = append(got, manifests.FactMark(variable)...)
			i += len("${}") + len(variable) - 1
			continue
		}
		if strings.IndexByte(doubled, b) >= 0 {
			i++
			if i == len(text) || text[i] != b {
				return nil, fmt.Errorf("it holds a lone %c", b)
			}
		}
		got = append(got, b)
	}
	return got, nil
}

// factVariable is how a variable begins that systemd replaces by what the machine knows.
const factVariable = "${ARCHIPELAGO_"

// readFact reads the name of such a variable at the start of text.
func readFact(text string) (variable string, err error) {
	variable, _, isClosed := strings.Cut(text[len("${"):], "}")
	isOther := func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'f')
	}
	if !isClosed || strings.ContainsFunc(variable, isOther) {
		return "", fmt.Errorf("it holds a broken variable")
	}
	return variable, nil
}
