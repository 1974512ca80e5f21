package manifests

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// Source is the text of one file.
type Source struct {
	// Name is what diagnostics print. Its extension decides the encoding.
	Name string
	Data []byte
}

// Input is a manifest with the overlays that are laid over it, in order.
type Input struct {
	Manifest Source
	Overlays []Source
	// Dir is the manifest's directory on the machine that runs the units.
	Dir string
}

// Manifest is a decoded manifest. It remembers where every value stands.
type Manifest struct {
	Document Document
	// File is the manifest's name as given.
	File string
	// Dir is the manifest's directory on the machine that runs the units.
	Dir string
	// Digest stands for the texts of manifest, overlays and templates; lower-case hex.
	Digest string
	// Templates is the templates of configuration files by name, as far as they
	// could be read.
	Templates map[string]Source
	// Standing is given by who knows the machine.
	Standing Standing

	tree *node
}

// Parse decodes a manifest and its overlays. It reports every problem it finds
// and returns nil where nothing sensible can be said about the rest. A
// manifest with errors may be filled in part; Validate and Resolve accept it.
func Parse(in Input) (*Manifest, diag.List) {
	r := &reader{file: in.Manifest.Name}
	m := &Manifest{File: in.Manifest.Name, Dir: in.Dir, Digest: in.digest()}
	m.tree = r.read(in.Manifest.Data)
	if m.tree == nil {
		return nil, r.diags
	}
	for _, o := range in.Overlays {
		r.file = o.Name
		over := r.read(o.Data)
		if over == nil {
			continue
		}
		sameContainers(m.tree, over)
		m.tree = r.overlay(m.tree, over, "")
	}
	if newer := m.newerSchema(); newer != nil {
		return nil, append(r.diags, *newer)
	}
	d := &decoder{m: m, diags: r.diags}
	d.root(&m.Document)
	if m.Document.App.ID != "" {
		d.fileName(m.Document.App.ID)
	}
	return m, d.diags
}

// ParseSettings decodes archipelago.toml.
func ParseSettings(src Source) (Settings, diag.List) { return parseAlone[Settings](src) }

// parseAlone decodes a file over which no overlays are laid.
func parseAlone[T any](src Source) (v T, _ diag.List) {
	r := &reader{file: src.Name}
	m := &Manifest{File: src.Name, tree: r.read(src.Data)}
	if m.tree == nil {
		return v, r.diags
	}
	d := &decoder{m: m, diags: r.diags, isVerbatim: true}
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

// read checks what holds for every file and chooses the encoding.
func (r *reader) read(data []byte) *node {
	if len(data) > MaxFileSize {
		r.fail(diag.TooLarge, 0, 0, "", "the file has more than %d bytes", MaxFileSize)
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if i := bytes.IndexByte(data, 0); i >= 0 {
		line, column := place(data, i)
		r.fail(diag.NotUTF8, line, column, "", "the file holds a NUL byte")
		return nil
	}
	if !utf8.Valid(data) {
		line, column := place(data, firstInvalid(data))
		r.fail(diag.NotUTF8, line, column, "", "the file is not valid UTF-8")
		return nil
	}
	switch filepath.Ext(r.file) {
	case ".toml":
		return r.toml(data)
	case ".yaml", ".yml":
		return r.yaml(data)
	}
	r.fail(diag.Unreadable, 0, 0, "name it .yaml or .toml", "the file's name says neither YAML nor TOML")
	return nil
}

// place is the line and column of an offset.
func place(data []byte, i int) (line, column int) {
	before := data[:i]
	return 1 + bytes.Count(before, []byte("\n")), i - bytes.LastIndexByte(before, '\n')
}

func firstInvalid(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return 0
}

// newerSchema refuses a schema from the future before anything else is said:
// whatever looks wrong may be right there.
func (m *Manifest) newerSchema() *diag.Diagnostic {
	n := m.tree.get("schema")
	if n == nil || n.kind != scalarNode {
		return nil
	}
	if v, err := strconv.Atoi(n.text); err != nil || v <= SchemaVersion {
		return nil
	}
	d := m.Diag(diag.Error, diag.SchemaVersion, "schema", "update archgen", "the manifest needs schema %s; this archgen knows %d", n.text, SchemaVersion)
	return &d
}

// lookup returns the value at a path, or nil.
func (m *Manifest) lookup(path string) *node {
	n := m.tree
	for path != "" && n != nil {
		n, _, path = n.step(path)
	}
	return n
}

// Position is where the value of a path stands, or else its nearest ancestor.
func (m *Manifest) Position(path string) (file string, line, column int) {
	n, at := m.tree, position{file: m.File, line: 1, column: 1}
	for path != "" && n != nil {
		next, nextAt, rest := n.step(path)
		if next == nil {
			break
		}
		n, at, path = next, nextAt, rest
	}
	return at.file, at.line, at.column
}

// step follows the first element of a path. Keys may hold dots, so the longest
// key that fits is taken.
func (n *node) step(path string) (next *node, at position, rest string) {
	if inside, ok := strings.CutPrefix(path, "["); ok {
		index, rest, _ := strings.Cut(inside, "]")
		i, err := strconv.Atoi(index)
		if err != nil || i < 0 || i >= len(n.items) {
			return nil, position{}, ""
		}
		return n.items[i], n.items[i].at, strings.TrimPrefix(rest, ".")
	}
	best := -1
	for i, e := range n.entries {
		tail, ok := strings.CutPrefix(path, e.key)
		if ok && (tail == "" || tail[0] == '.' || tail[0] == '[') && (best < 0 || len(e.key) > len(n.entries[best].key)) {
			best = i
		}
	}
	if best < 0 {
		return nil, position{}, ""
	}
	e := n.entries[best]
	at = e.value.at
	if e.value.kind == mapNode || e.value.kind == nullNode {
		at = e.at // the key says more than the first key of a block
	}
	return e.value, at, strings.TrimPrefix(path[len(e.key):], ".")
}

// Diag makes a diagnostic that points at a path of the manifest.
func (m *Manifest) Diag(sev diag.Severity, code diag.Code, path, hint, format string, args ...any) diag.Diagnostic {
	file, line, column := m.Position(path)
	return diag.Diagnostic{
		Severity: sev, Code: code, File: file, Line: line, Column: column,
		Path: path, Message: fmt.Sprintf(format, args...), Hint: hint,
	}
}
