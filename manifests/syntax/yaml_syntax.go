package syntax

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// yamlSyntax reports an error of the YAML library.
func (r *Reader) yamlSyntax(data []byte, err error) {
	m := yamlError.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	if m == nil {
		m = []string{"", "", err.Error()}
	}
	line, _ := strconv.Atoi(m[1])
	line = min(max(line, 1), len(r.columns.lines))
	code := diag.Syntax
	switch {
	case strings.Contains(m[2], "anchor"):
		code = diag.Alias
	case strings.Contains(m[2], "max depth"):
		code = diag.TooDeep
	default:
		line = firstBad(data, r.columns.lines, line)
	}
	if alias, ok := strings.CutPrefix(m[2], "unknown anchor '"); ok {
		line = 1 + bytes.Count(data[:max(0, bytes.Index(data, []byte("*"+strings.TrimSuffix(alias, "' referenced"))))], []byte("\n"))
	}
	text := r.columns.lines[line-1]
	column := 1 + len(text) - len(bytes.TrimLeft(text, " "))
	if column > len(text) {
		column = 1
	}
	r.fail(code, line, column, yamlHint(m[2], text), "%s", m[2])
}

// firstBad finds the line of an error. The library names the beginning of the
// map or list around it, so the line wanted is the one after the longest
// beginning of the file that can be parsed. reported stays where the search
// would take long.
func firstBad(data []byte, lines [][]byte, reported int) int {
	const affordable = 1 << 20
	if len(data)*len(lines) > affordable {
		return reported
	}
	end := len(data)
	for n := len(lines); n > 1; n-- {
		end = max(0, end-len(lines[n-1])-1)
		var doc yaml.Node
		if yaml.Unmarshal(data[:end], &doc) == nil {
			return lastText(lines, n)
		}
	}
	return 1
}

// lastText is line n, or the nearest before it that is not blank.
func lastText(lines [][]byte, n int) int {
	for n > 1 && len(bytes.TrimSpace(lines[n-1])) == 0 {
		n--
	}
	return n
}

// yamlHint says what an error of the library usually comes from.
func yamlHint(message string, line []byte) string {
	switch {
	case bytes.HasPrefix(bytes.TrimLeft(line, " "), []byte("\t")):
		return "indent with spaces: YAML takes no tabs"
	case strings.Contains(message, "mapping values are not allowed"):
		return `quote a text that holds ": "`
	case strings.Contains(message, "could not find expected ':'"):
		return "behind a key stand a colon and a space"
	case strings.Contains(message, "did not find expected key"):
		return "indent it like the lines that it belongs to, and close quotes and brackets"
	case strings.Contains(message, "cannot start any token"):
		return "quote the text"
	case strings.Contains(message, "expected ',' or"):
		return "close the bracket, or put a comma between the elements"
	case strings.Contains(message, "did not find expected node content"):
		return "close the bracket, or write the value that is missing"
	case strings.Contains(message, "unknown anchor"):
		return "write the value out"
	case strings.Contains(message, "unexpected end of stream"):
		return "close the quote"
	}
	return ""
}
