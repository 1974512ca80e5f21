package units

import (
	"bytes"
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Ownership is the content of a file's ownership section.
type Ownership struct {
	// App is the app's id, empty for the network of a capability.
	App string
	// Capability is the capability that a network file belongs to.
	Capability string
	// Digest, ManifestDigest and Generator are unchecked text.
	Digest, ManifestDigest, Generator string
	// Rights is the rights that the app has by grants, as a JSON list. It is empty in a file of a
	// version without grants.
	Rights string
	// Alive, Serving and Synced are the probes from the host, as JSON.
	Alive, Serving, Synced string
}

// Probe is the probe for a level: alive, serving or synced. Without a probe for serving, the one
// for alive is used.
func (m Ownership) Probe(level string) string {
	switch level {
	case "alive":
		return m.Alive
	case "serving":
		return cmp.Or(m.Serving, m.Alive)
	case "synced":
		return m.Synced
	}
	return ""
}

// ReadOwnership reads the ownership section of a file. It reports false if there is none: then the
// file is foreign, whatever its name.
//
// The file may be edited, truncated or damaged: CRLF line ends and a byte order mark are accepted,
// and a value that archgen can't have written counts as absent.
func ReadOwnership(content []byte) (m Ownership, ok bool) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	inside, continued := false, false
	for line := range bytes.Lines(content) {
		line = bytes.TrimSpace(line)
		isValue := continued // after a backslash systemd continues the value
		continued = bytes.HasSuffix(line, []byte(`\`)) && !isComment(line)
		switch key, value, found := bytes.Cut(line, []byte("=")); {
		case isValue || isComment(line):
		case bytes.HasPrefix(line, []byte("[")):
			inside = string(line) == "["+OwnershipSection+"]"
			ok = ok || inside
		case inside && found:
			m.set(string(bytes.TrimSpace(key)), string(bytes.TrimSpace(value)))
		}
	}
	return m, ok
}

func isComment(line []byte) bool {
	return len(line) > 0 && (line[0] == '#' || line[0] == ';')
}

func (m *Ownership) set(key, value string) {
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return
	}
	switch key {
	case "App":
		m.App = value
	case "Capability":
		m.Capability = value
	case "Digest":
		m.Digest = value
	case "ManifestDigest":
		m.ManifestDigest = value
	case "Generator":
		m.Generator = value
	case "Rights":
		m.Rights = value
	case "Alive":
		m.Alive = value
	case "Serving":
		m.Serving = value
	case "Synced":
		m.Synced = value
	}
}
