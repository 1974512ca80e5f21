package manifests

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// GrantsFile is the file among the overlays of an app that lists the rights which the
// operator grants it. A manifest can't grant itself any: only the operator writes into the
// directory of its overlays.
const GrantsFile = "grants.toml"

// Granted is the grants of one app as they were read.
type Granted struct {
	Grants
	// File is where they were read.
	File string
	// Broken: the file has errors, so the grants are unknown.
	Broken bool
}

// ParseGrants decodes a file of grants.
func ParseGrants(src Source) (Grants, diag.List) { return ParseAs[Grants](src, 0) }

// Text is the file of grants: the rights in order, each once, a line each.
func (g Grants) Text() []byte {
	var b bytes.Buffer
	b.WriteString("# What the operator lets the app do beyond its own containers: see archgen rights.\n")
	b.WriteString("# archgen grant and archgen revoke rewrite this file.\n\nallow = [\n")
	for _, right := range slices.Compact(slices.Sorted(slices.Values(g.Allow))) {
		b.WriteString("  " + tomlString(right) + ",\n")
	}
	b.WriteString("]\n")
	return b.Bytes()
}

// tomlString is a text as a basic string of TOML, whose escapes are those of JSON.
func tomlString(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("encoding a text as JSON: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// LoadGrants reads what is granted to an app, installed or not. The first directory that
// has the file counts, as with other overlays; a link to /dev/null is a file without grants.
func (l *Loaded) LoadGrants(dirs []string, id string) (diags diag.List) {
	for _, dir := range dirs {
		path := filepath.Join(dir, OverlaysDir(id), GrantsFile)
		granted := Granted{File: path}
		switch isThere, err := exists(path); {
		case err != nil:
			granted.Broken = true // which is said of the directory
		case !isThere:
			continue
		case isMask(path):
		default:
			granted.Grants, diags = l.readGrants(path)
			granted.Broken = diags.HasErrors()
		}
		l.noteGrants(id, granted)
		return diags
	}
	return nil
}

func (l *Loaded) noteGrants(id string, granted Granted) {
	if l.Grants == nil {
		l.Grants = map[string]Granted{}
	}
	l.Grants[id] = granted
}

func (l *Loaded) readGrants(path string) (Grants, diag.List) {
	source, diags := l.read(path)
	if diags != nil {
		return Grants{}, diags
	}
	return ParseGrants(source)
}
