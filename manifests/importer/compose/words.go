package compose

import (
	"fmt"
	"strings"
)

// splitWords splits a command as Compose does: quotes and backslashes are read as by a shell,
// and nothing is expanded. It refuses what Compose would cut off silently.
func splitWords(text string) (words []string, err error) {
	var word strings.Builder
	var quote byte
	inWord := false
	for i := 0; i < len(text); i++ {
		b := text[i]
		switch {
		case b == '\\' && quote != '\'':
			if i++; i == len(text) {
				return nil, fmt.Errorf("it ends with a backslash")
			}
			word.WriteByte(text[i])
			inWord = true
		case quote != 0 && b == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(b)
		case b == '\'' || b == '"':
			quote, inWord = b, true
		case strings.IndexByte(" \t\r\n", b) >= 0:
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		case strings.IndexByte(";&|<>", b) >= 0:
			return nil, fmt.Errorf("Compose stops reading at %q, since no shell runs; quote it, or write sh, -c and the script", b)
		default:
			word.WriteByte(b)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is not closed", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
