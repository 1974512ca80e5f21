package generator

import "fmt"

// matchEscaped reads one value of class c from the start of text and compares
// it with want. It returns the rest of the text. It is written from the
// readers' side (podman's parser, systemd.syntax(7)), not as the inverse of
// appendEscaped, so that a mistake in one does not hide in the other.
func matchEscaped(text string, c class, want string) (rest string, err error) {
	var got []byte
	switch c {
	case words, command:
		got, rest, err = readWord(text)
	case bareWords, line, single:
		got, err = readDoubled(text, true)
	case directive:
		got, err = readDoubled(text, false)
	case inert:
		got = []byte(text)
	}
	if err == nil && string(got) != want {
		err = fmt.Errorf("it would arrive as %q", got)
	}
	return rest, err
}

// readWord reads one word: quotes removed, C escapes and doubled % and $ undone.
func readWord(text string) (word []byte, rest string, err error) {
	i, quoted := 0, false
	for ; i < len(text); i++ {
		switch b := text[i]; {
		case b == '"':
			quoted = !quoted
		case b == '\'' && !quoted:
			return nil, "", fmt.Errorf("it holds a bare single quote")
		case b == ' ' && !quoted:
			return word, text[i+1:], nil
		case b == '\\':
			var n int
			b, n = readEscape(text[i+1:])
			if n == 0 {
				return nil, "", fmt.Errorf("it holds a broken escape")
			}
			word = append(word, b)
			i += n
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
	if quoted {
		return nil, "", fmt.Errorf("its quotes are not balanced")
	}
	return word, "", nil
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
		var v byte
		if _, err := fmt.Sscanf(text[1:min(3, len(text))], "%02x", &v); err == nil {
			return v, 3
		}
	}
	return 0, 0
}

// readDoubled undoes doubled % and, where systemd expands it, $.
func readDoubled(text string, dollar bool) ([]byte, error) {
	if text == "" || text[len(text)-1] == '\\' {
		return nil, fmt.Errorf("it is empty or joins the next line")
	}
	got := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		b := text[i]
		if b == '%' || b == '$' && dollar {
			i++
			if i == len(text) || text[i] != b {
				return nil, fmt.Errorf("it holds a lone %c", b)
			}
		}
		got = append(got, b)
	}
	return got, nil
}
