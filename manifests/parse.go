package manifests

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// Source is the text of one file.
type Source struct {
	// Name is what diagnostics print. Its extension decides the encoding.
	Name string
	Data []byte
}

// Input is a manifest with its overlays, in the order in which they are merged.
type Input struct {
	Manifest Source
	Overlays []Source
	// Dir is the manifest's directory on the machine that runs the units.
	Dir string
}

// Manifest is a decoded manifest with the position of each value.
type Manifest struct {
	Document Document
	// File is the manifest's name as given.
	File string
	// Dir is the manifest's directory on the machine that runs the units.
	Dir string
	// Digest is the checksum of the manifest, its overlays, templates and seeds, in lower-case hex.
	Digest string
	// Templates is the templates of configuration files by name, as far as they
	// could be read.
	Templates map[string]Source
	// Seeds is the initial content of volumes, by their names, as far as it could be read. The
	// files of each are sorted by path.
	Seeds map[string][]SeedFile
	// Installed is set by callers that know the machine.
	Installed Installed

	tree *syntax.Node
}

// Parse decodes a manifest and its overlays. It reports every problem it finds
// and returns nil where nothing sensible can be said about the rest. A
// manifest with errors may be filled in part; Validate and Resolve accept it.
func Parse(in Input) (*Manifest, diag.List) {
	r := &syntax.Reader{}
	m := &Manifest{File: in.Manifest.Name, Dir: in.Dir, Digest: in.digest()}
	if m.tree = in.tree(r); m.tree == nil {
		return nil, r.Diags
	}
	if newer := m.newerSchema(); newer != nil {
		return nil, append(r.Diags, *newer)
	}
	d := &decoder{m: m, diags: r.Diags}
	d.root(&m.Document)
	m.Document.App.complete()
	if m.Document.App.ID != "" {
		d.fileName(m.Document.App.ID)
	}
	return m, d.diags
}

// tree reads the manifest and merges its overlays. It is nil if the manifest can't be read.
func (in *Input) tree(r *syntax.Reader) *syntax.Node {
	n := in.Manifest.read(r)
	if n == nil {
		return nil
	}
	for _, o := range in.Overlays {
		if over := o.read(r); over != nil {
			sameContainers(n, over)
			n = r.Overlay(n, over, "")
		}
	}
	return n
}

func (s Source) read(r *syntax.Reader) *syntax.Node {
	r.File = s.Name
	return r.Read(s.Data)
}

// ParseSettings decodes archipelago.toml.
func ParseSettings(src Source) (Settings, diag.List) { return ParseAs[Settings](src, 0) }

// DefaultSettings is the settings of a node that has no archipelago.toml.
func DefaultSettings() Settings { return withDefaults[Settings]() }

// ParseAs decodes a file of another kind, which has no overlays, into a structure that has the tags
// of the schema. maxValues is the most values that the file may have; zero means as many as a
// manifest.
func ParseAs[T any](src Source, maxValues int) (v T, _ diag.List) {
	r := &syntax.Reader{File: src.Name, MaxValues: maxValues}
	m := &Manifest{File: src.Name, tree: r.Read(src.Data)}
	if m.tree == nil {
		return withDefaults[T](), r.Diags
	}
	d := &decoder{m: m, diags: r.Diags, isVerbatim: true}
	d.root(&v)
	return v, d.diags
}

func (in *Input) digest() string {
	h := sha256.New()
	for _, s := range append([]Source{in.Manifest}, in.Overlays...) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(s.Data)))
		h.Write(size[:])
		h.Write(s.Data)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// newerSchema refuses a schema from the future before anything else is said:
// whatever looks wrong may be right there.
func (m *Manifest) newerSchema() *diag.Diagnostic {
	n := m.tree.Get("schema")
	if n == nil || n.Kind != syntax.ScalarNode {
		return nil
	}
	if v, err := strconv.Atoi(n.Text); err != nil || v <= SchemaVersion {
		return nil
	}
	d := m.Diag(diag.Error, diag.SchemaVersion, "schema", "update archgen", "the manifest needs schema %s; this archgen knows %d", n.Text, SchemaVersion)
	return &d
}

// lookup returns the value at a path, or nil.
func (m *Manifest) lookup(path string) *syntax.Node {
	n := m.tree
	for path != "" && n != nil {
		n, _, path = n.Step(path)
	}
	return n
}

// isGiven reports whether the manifest has a value at a path. One that is left out may have
// a default.
func (m *Manifest) isGiven(path string) bool {
	n := m.lookup(path)
	return n != nil && n.Kind != syntax.NullNode
}

// Position is the position of the value of a path, or that of its nearest ancestor.
func (m *Manifest) Position(path string) (file string, line, column int) {
	n, at := m.tree, syntax.Position{File: m.File, Line: 1, Column: 1}
	for path != "" && n != nil {
		next, nextAt, rest := n.Step(path)
		if next == nil {
			break
		}
		n, at, path = next, nextAt, rest
	}
	return at.File, at.Line, at.Column
}

// Diag makes a diagnostic that points at a path of the manifest.
func (m *Manifest) Diag(sev diag.Severity, code diag.Code, path, hint, format string, args ...any) diag.Diagnostic {
	file, line, column := m.Position(path)
	return diag.Diagnostic{
		Severity: sev, Code: code, File: file, Line: line, Column: column,
		Path: path, Message: fmt.Sprintf(format, args...), Hint: hint,
	}
}
