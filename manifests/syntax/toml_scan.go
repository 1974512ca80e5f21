package syntax

import (
	"slices"
	"strconv"
	"strings"
)

// tomlSpan is where a key and its value stand, and the text of a bare value.
type tomlSpan struct {
	keyLine, keyColumn int
	line, column       int
	text               string
}

// tomlKey and tomlIndex make the path of a value. NUL can't stand in TOML.
func tomlKey(path, key string) string     { return path + "\x00k" + key }
func tomlIndex(path string, i int) string { return path + "\x00i" + strconv.Itoa(i) }

// scanTOML finds the place of every key and value. It is lenient: what it does
// not understand it leaves out.
func scanTOML(src string, maxValues int) *tomlScanner {
	s := &tomlScanner{src: src, maxValues: maxValues, line: 1, column: 1, spans: map[string]tomlSpan{}, tables: map[string]int{}, given: map[string]int{}}
	table := ""
	for s.skipBlank(true); s.pos < len(s.src); s.skipBlank(true) {
		start := s.pos
		if s.peek() == '[' {
			table = s.header()
		} else {
			s.keyValue(table)
		}
		if s.pos == start {
			s.next()
		}
	}
	return s
}

// again finds the first key that is given a second time up to a line, in which
// the library noticed. In the result text is the key, keyLine the first line.
func (s *tomlScanner) again(line int) (tomlSpan, bool) {
	i := slices.IndexFunc(s.repeated, func(r tomlSpan) bool { return r.line <= line })
	if i < 0 {
		return tomlSpan{}, false
	}
	return s.repeated[i], true
}

type tomlScanner struct {
	src          string
	maxValues    int
	pos          int
	line, column int
	spans        map[string]tomlSpan
	// tables counts the elements of arrays of tables by path.
	tables map[string]int
	// given is the lines of keys and tables that are given by their whole name.
	given    map[string]int
	repeated []tomlSpan
	// deep, many: the scan ended where the file is nested too deep, or has too
	// many values.
	deep, many bool
}

func (s *tomlScanner) peek() byte {
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

func (s *tomlScanner) next() {
	if s.pos >= len(s.src) {
		return
	}
	if s.src[s.pos] == '\n' {
		s.line, s.column = s.line+1, 1
	} else {
		s.column++
	}
	s.pos++
}

func (s *tomlScanner) skip(n int) {
	for range n {
		s.next()
	}
}

// skipBlank skips spaces and, with lines, line ends and comments.
func (s *tomlScanner) skipBlank(lines bool) {
	for s.pos < len(s.src) {
		switch b := s.peek(); {
		case b == ' ' || b == '\t' || b == '\r':
			s.next()
		case lines && b == '\n':
			s.next()
		case lines && b == '#':
			for s.pos < len(s.src) && s.peek() != '\n' {
				s.next()
			}
		default:
			return
		}
	}
}

// header reads [table] or [[array of tables]] and returns its path.
func (s *tomlScanner) header() string {
	double := strings.HasPrefix(s.src[s.pos:], "[[")
	s.skip(1)
	if double {
		s.skip(1)
	}
	path := s.keyPath("", func(path string) string {
		if n, ok := s.tables[path]; ok {
			return tomlIndex(path, n-1)
		}
		return path
	}, double)
	for s.pos < len(s.src) && s.peek() != '\n' {
		s.next()
	}
	return path
}

// keyPath reads a dotted key. enter maps the path of a table that is passed
// through to the path of its content.
func (s *tomlScanner) keyPath(path string, enter func(string) string, element bool) string {
	var (
		line, column int
		name         string
	)
	for !s.tooMuch(path) {
		s.skipBlank(false)
		line, column = s.line, s.column
		name = s.keyName()
		path = tomlKey(path, name)
		s.note(path, line, column)
		s.skipBlank(false)
		if s.peek() != '.' {
			break
		}
		s.next()
		path = enter(path)
	}
	if !element {
		s.give(path, name, line, column)
		return enter(path)
	}
	s.tables[path]++
	path = tomlIndex(path, s.tables[path]-1)
	s.spans[path] = tomlSpan{line: line, column: column}
	return path
}

// give notes a key or table that is given by its whole name.
func (s *tomlScanner) give(path, name string, line, column int) {
	if first, ok := s.given[path]; ok {
		s.repeated = append(s.repeated, tomlSpan{keyLine: first, line: line, column: column, text: name})
		return
	}
	s.given[path] = line
}

// tooMuch ends the scan where a path has too many elements, or the file too
// many values. The library would take its time, and its stack has no bound.
func (s *tomlScanner) tooMuch(path string) bool {
	s.deep = s.deep || strings.Count(path, "\x00") > maxDepth
	s.many = s.many || len(s.spans) > s.maxValues
	if s.deep || s.many {
		s.src = s.src[:s.pos]
	}
	return s.deep || s.many
}

// note records the first place of a key; tables may be named again.
func (s *tomlScanner) note(path string, line, column int) {
	if _, ok := s.spans[path]; !ok {
		s.spans[path] = tomlSpan{keyLine: line, keyColumn: column, line: line, column: column}
	}
}

func (s *tomlScanner) keyName() string {
	switch b := s.peek(); b {
	case '"', '\'':
		start := s.pos
		s.quoted()
		return unquoteTOML(s.src[start:s.pos])
	}
	start := s.pos
	for s.pos < len(s.src) && isBareKey(s.peek()) {
		s.next()
	}
	return s.src[start:s.pos]
}

func isBareKey(b byte) bool {
	return b == '-' || b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// unquoteTOML undoes the quotes of a key; the escapes of keys are those of Go.
func unquoteTOML(s string) string {
	if len(s) >= 2 && s[0] == '\'' {
		return s[1 : len(s)-1]
	}
	if u, err := strconv.Unquote(s); err == nil {
		return u
	}
	return strings.Trim(s, `"`)
}

func (s *tomlScanner) keyValue(table string) {
	path := s.keyPath(table, func(p string) string { return p }, false)
	if s.peek() != '=' {
		return
	}
	s.next()
	s.value(path)
}

func (s *tomlScanner) value(path string) {
	if s.tooMuch(path) {
		return
	}
	s.skipBlank(false)
	span := s.spans[path]
	span.line, span.column = s.line, s.column
	start := s.pos
	switch s.peek() {
	case '"', '\'':
		s.quoted()
	case '[':
		s.list(']', func(i int) { s.value(tomlIndex(path, i)) })
	case '{':
		s.list('}', func(int) { s.keyValue(path) })
	default:
		for s.pos < len(s.src) && strings.IndexByte(",]}#\n\r", s.peek()) < 0 {
			s.next()
		}
		span.text = strings.TrimSpace(s.src[start:s.pos])
	}
	s.spans[path] = span
}

// list reads the elements of an array or inline table.
func (s *tomlScanner) list(end byte, element func(i int)) {
	s.next()
	for i := 0; ; i++ {
		s.skipBlank(true)
		if s.pos >= len(s.src) || s.peek() == end {
			s.next()
			return
		}
		start := s.pos
		element(i)
		s.skipBlank(true)
		if s.peek() == ',' {
			s.next()
		}
		if s.pos == start {
			return
		}
	}
}

// quoted skips a string, of one line or several.
func (s *tomlScanner) quoted() {
	quote := s.src[s.pos]
	triple := strings.Repeat(string(quote), 3)
	if strings.HasPrefix(s.src[s.pos:], triple) {
		s.skip(3)
		for s.pos < len(s.src) && !strings.HasPrefix(s.src[s.pos:], triple) {
			s.escaped(quote)
		}
		s.skip(3)
		for s.peek() == quote {
			s.next()
		}
		return
	}
	s.next()
	for s.pos < len(s.src) && s.peek() != quote && s.peek() != '\n' {
		s.escaped(quote)
	}
	s.next()
}

// escaped skips one character, with the backslash before it.
func (s *tomlScanner) escaped(quote byte) {
	if s.peek() == '\\' && quote == '"' {
		s.next()
	}
	s.next()
}
