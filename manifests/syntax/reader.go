// Package syntax owns the parsing of YAML and TOML to a tree in which every value has its line
// and column, and the merging of one tree over another.
//
// It knows no key of the schema and reads no file. It bounds the cost of a hostile file.
package syntax

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"unicode/utf8"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// MaxFileSize is the most bytes that a file may have.
const MaxFileSize = 1 << 20

const (
	// maxDepth is deeper than the schema goes.
	maxDepth = 32
	// manifestValues bounds what checks cost that compare everything with everything.
	manifestValues = 5000
)

// Reader turns one file into a tree and collects what is wrong with it.
type Reader struct {
	File  string
	Diags diag.List
	// FollowAliases accepts anchors, aliases and merge keys of YAML, for the files of other
	// programs. A value keeps the position where its text stands. A merged key has that of
	// the merge.
	FollowAliases bool
	// MaxValues is the most values that the file may have. Zero means as many as a manifest.
	MaxValues int
	// values counts the values of the file.
	values int
	// columns turns the columns of the YAML library, which counts characters.
	columns columns
}

func (r *Reader) maxValues() int { return cmp.Or(r.MaxValues, manifestValues) }

// count counts a value, or a key whose value is left out, and reports the
// first that is too many.
func (r *Reader) count(at Position) {
	if r.values++; r.values == r.maxValues()+1 {
		r.tooMany(at.Line, at.Column)
	}
}

func (r *Reader) tooMany(line, column int) {
	r.fail(diag.TooLarge, line, column, "", "the file has more than %d values", r.maxValues())
}

func (r *Reader) tooDeep(line, column int) {
	r.fail(diag.TooDeep, line, column, "", "the value is nested more than %d levels deep", maxDepth)
}

func (r *Reader) fail(code diag.Code, line, column int, hint, format string, args ...any) {
	r.Diags = append(r.Diags, diag.Diagnostic{
		Code: code, File: r.File, Line: line, Column: column, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// Read checks what holds for every file and chooses the encoding.
func (r *Reader) Read(data []byte) *Node {
	if len(data) > MaxFileSize {
		r.fail(diag.TooLarge, 0, 0, "", "the file has more than %d bytes", MaxFileSize)
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if i := bytes.IndexByte(data, 0); i >= 0 {
		line, column := Place(data, i)
		r.fail(diag.NotUTF8, line, column, "", "the file holds a NUL byte")
		return nil
	}
	if !utf8.Valid(data) {
		line, column := Place(data, FirstInvalid(data))
		r.fail(diag.NotUTF8, line, column, "", "the file is not valid UTF-8")
		return nil
	}
	switch filepath.Ext(r.File) {
	case ".toml":
		return r.toml(data)
	case ".yaml", ".yml":
		return r.yaml(data)
	}
	r.fail(diag.Unreadable, 0, 0, "name it .yaml or .toml", "the file's name says neither YAML nor TOML")
	return nil
}

// Place is the line and column of an offset.
func Place(data []byte, i int) (line, column int) {
	before := data[:i]
	return 1 + bytes.Count(before, []byte("\n")), i - bytes.LastIndexByte(before, '\n')
}

// FirstInvalid is the offset of the first byte that is not UTF-8.
func FirstInvalid(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return 0
}
