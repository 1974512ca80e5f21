package units

import (
	"bytes"
	"strings"
)

// Mark is what the ownership section of a file says.
type Mark struct {
	// App is the app's id, empty for the network of a capability.
	App string
	// Capability is the capability whose network the file is.
	Capability string
	// Digest, ManifestDigest and Generator are as written.
	Digest, ManifestDigest, Generator string
}

// ReadMark reads the ownership section of a file. It reports false where there
// is none: then the file is not ours, whatever its name.
func ReadMark(content []byte) (m Mark, ok bool) {
	inside := false
	for line := range bytes.Lines(content) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, "[") {
			inside = text == "["+MarkSection+"]"
			ok = ok || inside
			continue
		}
		key, value, found := strings.Cut(text, "=")
		if !inside || !found {
			continue
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
		}
	}
	return m, ok
}
